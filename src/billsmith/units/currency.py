"""Currencies and their minor units (ISO 4217, list one)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from billsmith.units.errors import Invalid, InvalidNumber
from billsmith.units.rounding import EXACT, Rounding, round_fraction, to_integer, to_integers

_TWO_PLACES = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK "
    "DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD "
    "KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP "
    "PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH "
    "USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG BGN ANG CUC HRK SLL VEF BOV CHE CHW COU MXV USN"
)
_NO_PLACES = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_PLACES = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_PLACES = "CLF UYW"

#: Code → places after the point.
EXPONENTS: dict[str, int] = {
    **dict.fromkeys(_TWO_PLACES.split(), 2),
    **dict.fromkeys(_NO_PLACES.split(), 0),
    **dict.fromkeys(_THREE_PLACES.split(), 3),
    **dict.fromkeys(_FOUR_PLACES.split(), 4),
}


#: By currency: how many minor units make a major one. By places: one minor unit as a part of it.
_FACTORS = {code: Decimal(10**places) for code, places in EXPONENTS.items()}
_UNITS = {places: Decimal(1).scaleb(-places) for places in range(5)}


def currency_exponent(code: str) -> int:
    """Places after the point of an ISO 4217 currency, given by its three capital letters.

    Raises :class:`Invalid`.

    >>> currency_exponent("EUR"), currency_exponent("JPY"), currency_exponent("KWD")
    (2, 0, 3)
    """
    try:
        return EXPONENTS[code]
    except KeyError:
        raise Invalid(
            f"{code!r} is not an ISO 4217 currency such as EUR or USD", code="currency.unknown", where="currency"
        ) from None


def to_minor(amount: Decimal | Fraction, currency: str, mode: Rounding = Rounding.HALF_UP) -> int:
    """An exact amount as whole minor units, rounded once. Raises :class:`InvalidNumber` for a float.

    >>> to_minor(Decimal("12.345"), "EUR")
    1235
    """
    if type(amount) is Decimal and amount.is_finite():  # the common case, and ten times as fast as a fraction
        return to_integer(EXACT.multiply(amount, _FACTORS.get(currency) or minor_factor(currency)), mode)
    if type(amount) is Fraction:
        return round_fraction(amount, currency_exponent(currency), mode)
    raise InvalidNumber(f"{amount!r} is not an exact amount; read it as a decimal from its text", code="number.not_exact")


def all_to_minor(amounts: Sequence[Decimal | Fraction], currency: str, mode: Rounding = Rounding.HALF_UP) -> list[int]:
    """Each amount as :func:`to_minor` gives it, a currency and mode looked up once for all.

    >>> all_to_minor([Decimal("12.345"), Fraction(1, 3)], "EUR")
    [1235, 33]
    """
    if not all(type(amount) is Decimal and amount.is_finite() for amount in amounts):
        return [to_minor(amount, currency, mode) for amount in amounts]
    multiply, factor = EXACT.multiply, minor_factor(currency)
    return to_integers([multiply(amount, factor) for amount in amounts], mode)  # type: ignore[arg-type] # all are decimals


def minor_factor(currency: str) -> Decimal:
    """How many minor units make one major unit.

    >>> minor_factor("KWD")
    Decimal('1000')
    """
    currency_exponent(currency)  # says what is wrong with a code that isn't one
    return _FACTORS[currency]


def from_minor(minor: int, currency: str) -> Decimal:
    """Whole minor units as an amount with the currency's places.

    >>> from_minor(1890, "EUR"), from_minor(5, "JPY")
    (Decimal('18.90'), Decimal('5'))
    """
    return EXACT.multiply(Decimal(minor), _UNITS[currency_exponent(currency)])
