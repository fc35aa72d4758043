"""Currencies and their minor units (ISO 4217, list one)."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from billsmith.units.errors import Invalid, InvalidNumber
from billsmith.units.rounding import EXACT, Rounding, round_fraction, round_to

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
    exponent = currency_exponent(currency)
    if isinstance(amount, Decimal):  # the common case, and ten times as fast as a fraction
        return int(round_to(amount, exponent, mode).scaleb(exponent, context=EXACT))
    if not isinstance(amount, Fraction):
        raise InvalidNumber(f"{amount!r} is not an exact amount; write it as a decimal text", code="number.not_exact")
    return round_fraction(amount, exponent, mode)


def from_minor(minor: int, currency: str) -> Decimal:
    """Whole minor units as an amount with the currency's places.

    >>> from_minor(1890, "EUR"), from_minor(5, "JPY")
    (Decimal('18.90'), Decimal('5'))
    """
    return Decimal(minor).scaleb(-currency_exponent(currency), context=EXACT)
