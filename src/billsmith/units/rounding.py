"""Exact decimals, and the only functions of billsmith that round.

All arithmetic of the core runs in :data:`EXACT`, a context that raises where a result would not be exact or where a float
comes in. What has to be rounded says so by calling one of the functions here, each with its mode. docs/rounding.md lists
where each is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Clamped,
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
)
from enum import StrEnum
from fractions import Fraction

from billsmith.units.errors import InvalidNumber

#: Digits before which no exact sum or product of ours stops: two 38-digit numbers and a million addends fit.
EXACT = Context(prec=200, traps=[Inexact, FloatOperation, InvalidOperation, DivisionByZero, Overflow, Clamped])

#: The same digits with rounding allowed; only the functions of this module use it.
_ROUNDING = Context(prec=200, traps=[FloatOperation, InvalidOperation, DivisionByZero, Overflow])

#: Limits on a decimal that comes in from outside, checked on the text before any arithmetic.
MAX_DIGITS = 38
MAX_PLACES = 18
MAX_NUMBER_TEXT = 64

_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,4}))?", re.ASCII)

ZERO = Decimal(0)


class Rounding(StrEnum):
    """How a number between two steps goes to one of them. Half up is away from zero, as people and most tax offices do."""

    __hash__ = str.__hash__  # an enum's own is written in Python, and a mode is looked up several times a line

    HALF_UP = "half_up"
    HALF_EVEN = "half_even"
    HALF_DOWN = "half_down"
    UP = "up"
    DOWN = "down"
    CEILING = "ceiling"
    FLOOR = "floor"


_MODES = {
    Rounding.HALF_UP: ROUND_HALF_UP,
    Rounding.HALF_EVEN: ROUND_HALF_EVEN,
    Rounding.HALF_DOWN: ROUND_HALF_DOWN,
    Rounding.UP: ROUND_UP,
    Rounding.DOWN: ROUND_DOWN,
    Rounding.CEILING: ROUND_CEILING,
    Rounding.FLOOR: ROUND_FLOOR,
}

#: One unit of each usual number of places.
_QUANTA = {places: Decimal(1).scaleb(-places) for places in range(-3, 13)}


def parse_decimal(
    text: str, *, max_digits: int = MAX_DIGITS, max_places: int = MAX_PLACES, where: str | None = None
) -> Decimal:
    """Read a decimal from its text, exactly, within ``max_digits`` significant digits and ``max_places`` after the point.

    Only ASCII digits, one sign, one point and a short exponent are read: no NaN, no infinity, no underscores. A negative
    zero becomes zero. The scale of the text is kept (``"18.90"`` has two places).

    Raises :class:`InvalidNumber`.

    >>> parse_decimal("18.90")
    Decimal('18.90')
    >>> parse_decimal("1e3")
    Decimal('1000')
    """
    if len(text) > MAX_NUMBER_TEXT:
        raise InvalidNumber(
            f"a number of {len(text)} characters; at most {MAX_NUMBER_TEXT} are read",
            code="number.too_long",
            where=where,
        )
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise InvalidNumber(f"{text!r} is not a decimal number such as 12.50", code="number.syntax", where=where)
    sign, whole, fraction, exponent = match.groups()
    fraction = fraction or ""
    shift = int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    places = max(len(fraction) - shift, 0)
    if not digits:
        return ZERO.quantize(Decimal(1).scaleb(-min(places, max_places)))
    if len(digits) + max(shift - len(fraction), 0) > max_digits:
        raise InvalidNumber(f"{text} has more than {max_digits} digits", code="number.too_many_digits", where=where)
    if places > max_places:
        significant = (whole + fraction).rstrip("0") or "0"
        needed = max(places - (len(whole + fraction) - len(significant)), 0)
        if needed > max_places:
            raise InvalidNumber(
                f"{text} has more than {max_places} places after the point", code="number.too_many_places", where=where
            )
        places = max_places
    value = EXACT.create_decimal(f"{whole}{fraction}").scaleb(shift - len(fraction), context=EXACT)
    value = value.quantize(Decimal(1).scaleb(-places), context=EXACT)
    return value.copy_negate() if sign == "-" and value else value


def plain(value: Decimal) -> str:
    """Write a decimal without exponent and with its own scale; the inverse of :func:`parse_decimal`.

    >>> plain(Decimal("18.90")), plain(Decimal("1E+3"))
    ('18.90', '1000')
    """
    if not value.is_finite():
        raise InvalidNumber(f"{value} is not a finite number", code="number.not_finite")
    return format(value, "f")


def trimmed(value: Decimal) -> Decimal:
    """The same number without zeros at its end and without exponent.

    >>> trimmed(Decimal("200.00")), trimmed(Decimal("0.500"))
    (Decimal('200'), Decimal('0.5'))
    """
    if value == value.to_integral_value():
        return value.quantize(Decimal(1), context=EXACT)
    return value.normalize(EXACT)


def round_to(value: Decimal | Fraction, places: int, mode: Rounding = Rounding.HALF_UP) -> Decimal:
    """Round to ``places`` after the point (negative: tens, hundreds …).

    >>> round_to(Decimal("2.345"), 2), round_to(Decimal("-2.345"), 2), round_to(Fraction(1, 3), 4)
    (Decimal('2.35'), Decimal('-2.35'), Decimal('0.3333'))
    """
    if type(value) is Fraction:
        return EXACT.create_decimal(round_fraction(value, places, mode)).scaleb(-places, context=EXACT)
    quantum = _QUANTA.get(places) or Decimal(1).scaleb(-places)
    return value.quantize(quantum, _MODES[mode], _ROUNDING)  # type: ignore[union-attr]


def to_integer(value: Decimal, mode: Rounding = Rounding.HALF_UP) -> int:
    """Round to a whole number.

    >>> to_integer(Decimal("2.5")), to_integer(Decimal("2.5"), Rounding.HALF_EVEN)
    (3, 2)
    """
    return int(value.to_integral_value(_MODES[mode]))


def to_integers(values: Iterable[Decimal], mode: Rounding = Rounding.HALF_UP) -> list[int]:
    """Round each to a whole number.

    >>> to_integers([Decimal("2.5"), Decimal("-2.5")])
    [3, -3]
    """
    rule = _MODES[mode]
    return [int(value.to_integral_value(rule)) for value in values]


def round_fraction(value: Fraction, places: int, mode: Rounding = Rounding.HALF_UP) -> int:
    """Round ``value`` to ``places`` and give it as an integer of that unit.

    >>> round_fraction(Fraction(2, 3), 2)
    67
    """
    scaled = value * Fraction(10) ** places
    floor, rest = divmod(scaled.numerator, scaled.denominator)
    if rest == 0:
        return floor
    half = 2 * rest - scaled.denominator
    negative = scaled < 0
    if mode is Rounding.FLOOR or (mode is Rounding.DOWN and not negative) or (mode is Rounding.UP and negative):
        return floor
    if mode in (Rounding.CEILING, Rounding.UP, Rounding.DOWN):
        return floor + 1
    if half != 0:
        return floor + (half > 0)
    if mode is Rounding.HALF_EVEN:
        return floor + (floor & 1)
    away_is_up = not negative
    return floor + (away_is_up if mode is Rounding.HALF_UP else not away_is_up)


def divide_exact(dividend: Decimal, divisor: Decimal) -> Fraction:
    """The quotient as a fraction, so that nothing is lost.

    >>> divide_exact(Decimal(1), Decimal(3))
    Fraction(1, 3)
    """
    return Fraction(dividend) / Fraction(divisor)


def divide_round(
    dividend: Decimal | Fraction, divisor: Decimal | Fraction, places: int, mode: Rounding = Rounding.HALF_UP
) -> Decimal:
    """The quotient rounded once, to ``places``.

    >>> divide_round(Decimal(2), Decimal(3), 2)
    Decimal('0.67')
    """
    return round_to(Fraction(dividend) / Fraction(divisor), places, mode)


def allocate(total: int, weights: Sequence[int | Decimal | Fraction]) -> list[int]:
    """Share a whole ``total`` by ``weights`` so that the parts sum to it: largest remainder, ties by position.

    A total of the other sign is shared as its mirror image. With no weight at all (none, or all zero), the first part
    takes everything; without parts the total must be zero.

    Raises :class:`InvalidNumber` for a negative weight.

    >>> allocate(100, [1, 1, 1])
    [34, 33, 33]
    """
    if not weights:
        if total:
            raise InvalidNumber(f"{total} can't be shared among no parts", code="number.no_parts")
        return []
    exact = [Fraction(weight) for weight in weights]
    if min(exact) < 0:
        raise InvalidNumber("a share can't have a negative weight", code="number.negative_weight")
    whole = sum(exact, Fraction(0))
    if whole == 0:
        return [total] + [0] * (len(weights) - 1)
    return settle_remainder(total, [Fraction(total) * weight / whole for weight in exact])


def settle_remainder(total: int, shares: Sequence[Fraction | Decimal]) -> list[int]:
    """Make whole parts of exact ``shares`` (which sum to ``total`` within rounding), each at most one unit away.

    The units that flooring leaves over go to the largest remainders, ties by position. Shares may have mixed signs, as the
    lines of an invoice with a discount have.

    >>> settle_remainder(1, [Fraction(1, 3), Fraction(2, 3)])
    [0, 1]
    >>> settle_remainder(0, [Fraction(-1, 2), Fraction(1, 2)])
    [0, 0]
    """
    exact = [Fraction(share) for share in shares]
    parts = [share.numerator // share.denominator for share in exact]
    missing = total - sum(parts)
    if not 0 <= missing <= len(parts):
        raise InvalidNumber(
            f"shares that sum to {sum(exact, Fraction(0))} can't be settled to {total}", code="number.shares_off"
        )
    order = sorted(range(len(parts)), key=lambda index: (parts[index] - exact[index], index))
    for index in order[:missing]:
        parts[index] += 1
    return parts
