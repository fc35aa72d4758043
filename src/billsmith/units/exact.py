"""Arithmetic on exact numbers: decimals, and fractions where a division would lose digits.

A result is a decimal as long as both sides are; a fraction makes it a fraction. Nothing here rounds, and a float never gets
in: Python would let ``Fraction(0.1)`` and ``Decimal(1) < 0.5`` pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal, DivisionByZero, FloatOperation, Inexact, InvalidOperation, Overflow
from fractions import Fraction
from functools import reduce

from billsmith.units.errors import InvalidNumber
from billsmith.units.rounding import EXACT, ZERO

#: An amount, a rate or a quantity without loss.
Exact = Decimal | Fraction

#: Looked up once: they are called a hundred times for each invoice.
_ADD, _SUBTRACT, _MULTIPLY = EXACT.add, EXACT.subtract, EXACT.multiply

#: Digits that a quotient may have. It is tried and multiplied back, as an exception would cost ten times as much.
_QUOTIENTS = Context(prec=60, traps=[FloatOperation, InvalidOperation, DivisionByZero, Overflow])


def exact(value: Exact | int) -> Exact:
    """The value itself, an ``int`` as a decimal. Raises :class:`InvalidNumber` for a float, NaN, infinity or anything else.

    >>> exact(3)
    Decimal('3')
    """
    if type(value) is Decimal:
        if value.is_finite():
            return value
        raise InvalidNumber(f"{value} is not a finite number", code="number.not_finite")
    if type(value) is Fraction:
        return value
    if type(value) is int:
        return Decimal(value)
    raise InvalidNumber(
        f"{value!r} is a {type(value).__name__}, not an exact number; read it from its text with parse_decimal",
        code="number.not_exact",
    )


def add(first: Exact, second: Exact) -> Exact:
    """The sum.

    >>> add(Decimal("0.1"), Decimal("0.2")), add(Decimal(1), Fraction(1, 3))
    (Decimal('0.3'), Fraction(4, 3))
    """
    if type(first) is Decimal and type(second) is Decimal:
        try:
            return _ADD(first, second)
        except Inexact:  # more than two hundred digits
            pass
    return as_fraction(first) + as_fraction(second)


def subtract(first: Exact, second: Exact) -> Exact:
    """The difference.

    >>> subtract(Decimal("0.3"), Decimal("0.1"))
    Decimal('0.2')
    """
    if type(first) is Decimal and type(second) is Decimal:
        try:
            return _SUBTRACT(first, second)
        except Inexact:  # more than two hundred digits
            pass
    return as_fraction(first) - as_fraction(second)


def multiply(first: Exact, second: Exact) -> Exact:
    """The product.

    >>> multiply(Decimal("1.5"), Decimal("0.10"))
    Decimal('0.150')
    """
    if type(first) is Decimal and type(second) is Decimal:
        try:
            return _MULTIPLY(first, second)
        except Inexact:  # more than two hundred digits
            pass
    return as_fraction(first) * as_fraction(second)


def divide(dividend: Exact, divisor: Exact) -> Exact:
    """The quotient: a decimal where one holds it, else a fraction.

    Raises :class:`InvalidNumber` where the divisor is zero.

    >>> divide(Decimal(1), Decimal(8)), divide(Decimal(1), Decimal(3))
    (Decimal('0.125'), Fraction(1, 3))
    """
    if divisor == 0:
        raise InvalidNumber("a number can't be divided by zero", code="number.zero_divisor")
    if type(dividend) is Decimal and type(divisor) is Decimal:
        quotient = quotient_if_decimal(dividend, divisor)
        if quotient is not None:
            return quotient
    return as_fraction(dividend) / as_fraction(divisor)


def quotient_if_decimal(dividend: Decimal, divisor: Decimal) -> Decimal | None:
    """The quotient, where a decimal of at most sixty digits holds it. The divisor must not be zero.

    >>> quotient_if_decimal(Decimal(1), Decimal(8)), quotient_if_decimal(Decimal(1), Decimal(3))
    (Decimal('0.125'), None)
    """
    quotient = _QUOTIENTS.divide(dividend, divisor)
    return quotient if multiply(quotient, divisor) == dividend else None


def percent(amount: Exact, rate: Decimal) -> Exact:
    """``rate`` percent of an amount.

    >>> percent(Decimal("120.00"), Decimal("2.5"))
    Decimal('3.00000')
    """
    return multiply(amount, rate.scaleb(-2, context=EXACT))


def total(values: Iterable[Exact]) -> Exact:
    """The sum of any number of values; of none, zero.

    >>> total([Decimal("1.10"), Decimal("2.2")])
    Decimal('3.30')
    """
    nothing: Exact = ZERO
    values = values if isinstance(values, list | tuple) else list(values)
    try:
        return reduce(_ADD, values, ZERO)
    except (TypeError, Inexact):  # a fraction or a float among them, or more than two hundred digits
        return reduce(add, values, nothing)


def as_fraction(value: Exact) -> Fraction:
    """The value as a fraction. Raises :class:`InvalidNumber` for a float.

    >>> as_fraction(Decimal("0.25"))
    Fraction(1, 4)
    """
    if type(value) is Fraction:
        return value
    return Fraction(exact(value))


def simplest(value: Exact) -> Exact:
    """A fraction that a decimal of ours can hold as that decimal; anything else as it is.

    >>> simplest(Fraction(1, 8)), simplest(Fraction(1, 3))
    (Decimal('0.125'), Fraction(1, 3))
    """
    if type(value) is Fraction:
        return divide(Decimal(value.numerator), Decimal(value.denominator))
    return value
