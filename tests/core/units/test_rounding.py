"""Numbers from outside, and the functions that round: borders on both sides, and the laws that hold for all."""

from __future__ import annotations

from decimal import Decimal, FloatOperation, Inexact
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.units.errors import InvalidNumber
from billsmith.units.rounding import (
    EXACT,
    Rounding,
    allocate,
    parse_decimal,
    plain,
    round_fraction,
    round_to,
    settle_remainder,
    trimmed,
)


@pytest.mark.parametrize(("text", "value"), [
    ("0", "0"), ("-0", "0"), ("-0.00", "0.00"), ("18.90", "18.90"), ("1e3", "1000"), ("1.5E-2", "0.015"), ("+7", "7"),
    ("000.10", "0.10"), ("9" * 38, "9" * 38), ("0." + "0" * 17 + "1", "0." + "0" * 17 + "1"), ("1.000" + "0" * 30, "1." + "0" * 18),
    ("0e9999", "0"), ("0.000e-3", "0.000000"),
])  # fmt: skip
def test_a_number_is_read_with_its_scale(text: str, value: str) -> None:
    assert plain(parse_decimal(text)) == value


@pytest.mark.parametrize(("text", "code"), [
    ("NaN", "number.syntax"), ("Infinity", "number.syntax"), ("1_000", "number.syntax"), ("", "number.syntax"), (".5", "number.syntax"),
    ("5.", "number.syntax"), ("١٢", "number.syntax"), ("1 ", "number.syntax"), ("0x10", "number.syntax"), ("--1", "number.syntax"),
    ("1e99999", "number.syntax"), ("1e9999", "number.too_many_digits"), ("9" * 39, "number.too_many_digits"), ("1" * 65, "number.too_long"),
    ("0." + "0" * 18 + "1", "number.too_many_places"), ("1e-19", "number.too_many_places"), ("1e-9999", "number.too_many_places"),
])  # fmt: skip
def test_what_is_no_number_of_ours_is_refused(text: str, code: str) -> None:
    with pytest.raises(InvalidNumber) as caught:
        parse_decimal(text)
    assert caught.value.code == code


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**20), max_value=10**20))
def test_reading_is_the_inverse_of_writing(value: Decimal) -> None:
    assert parse_decimal(plain(value)) == value


def test_the_exact_context_raises_where_digits_would_be_lost() -> None:
    with pytest.raises(Inexact):
        EXACT.divide(Decimal(1), Decimal(3))
    with pytest.raises(FloatOperation):
        EXACT.create_decimal(0.1)


@pytest.mark.parametrize(("mode", "expected"), [
    # 2.5  -2.5  2.4  -2.6
    (Rounding.HALF_UP, (3, -3, 2, -3)),
    (Rounding.HALF_EVEN, (2, -2, 2, -3)),
    (Rounding.HALF_DOWN, (2, -2, 2, -3)),
    (Rounding.UP, (3, -3, 3, -3)),
    (Rounding.DOWN, (2, -2, 2, -2)),
    (Rounding.CEILING, (3, -2, 3, -2)),
    (Rounding.FLOOR, (2, -3, 2, -3)),
])  # fmt: skip
def test_modes(mode: Rounding, expected: tuple[int, ...]) -> None:
    values = [Decimal("2.5"), Decimal("-2.5"), Decimal("2.4"), Decimal("-2.6")]
    assert tuple(int(round_to(value, 0, mode)) for value in values) == expected
    assert tuple(round_fraction(Fraction(value), 0, mode) for value in values) == expected


@given(st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**6), st.integers(-3, 8), st.sampled_from(Rounding))
@settings(max_examples=500)
def test_rounding_moves_less_than_one_unit(value: Fraction, places: int, mode: Rounding) -> None:
    rounded = round_fraction(value, places, mode)
    assert abs(Fraction(rounded) - value * Fraction(10) ** places) < 1
    assert round_to(value, places, mode) == Fraction(rounded) / Fraction(10) ** places


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 1000), min_size=1, max_size=30))
@settings(max_examples=500)
def test_parts_sum_to_the_whole(total: int, weights: list[int]) -> None:
    parts = allocate(total, weights)
    assert sum(parts) == total
    whole = sum(weights)
    if whole:
        assert all(abs(part - Fraction(total * weight, whole)) < 1 for part, weight in zip(parts, weights, strict=True))


def test_ties_go_by_position() -> None:
    assert allocate(2, [1, 1, 1]) == [1, 1, 0]
    assert allocate(5, [0, 0]) == [5, 0]
    with pytest.raises(InvalidNumber):
        allocate(1, [])
    with pytest.raises(InvalidNumber):
        allocate(1, [2, -1])
    with pytest.raises(InvalidNumber):
        settle_remainder(9, [Fraction(1, 3), Fraction(2, 3)])


def test_trimmed_keeps_the_number() -> None:
    assert [plain(trimmed(Decimal(text))) for text in ("6.600000", "0.00", "1200", "-0.50")] == ["6.6", "0", "1200", "-0.5"]
