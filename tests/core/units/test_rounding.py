"""Numbers from outside, and the functions that round: borders on both sides, and the laws that hold for all."""

from __future__ import annotations

from collections.abc import Callable
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
    divide_exact,
    divide_round,
    parse_decimal,
    plain,
    round_fraction,
    round_to,
    settle_remainder,
    to_integer,
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


# --- borders, to the digit and to the word


@pytest.mark.parametrize(("text", "value"), [
    ("0" * 64, "0"),
    ("1e37", "1" + "0" * 37),
    ("1.5e37", "15" + "0" * 36),
    ("1.2345678901234567890123456789012345678e37", "12345678901234567890123456789012345678"),
    ("9" * 20 + "." + "9" * 18, "9" * 20 + "." + "9" * 18),
    ("-" + "9" * 38, "-" + "9" * 38),
    ("9" * 38 + "e-18", "9" * 20 + "." + "9" * 18),
    ("0" * 20 + "9" * 38, "9" * 38),
    ("1e-18", "0." + "0" * 17 + "1"),
    ("100e-20", "0." + "0" * 17 + "1"),
    ("0e-30", "0." + "0" * 18),
    ("0.00e1", "0.0"),
    ("120e-1", "12.0"),
    ("-1.5e1", "-15"),
    ("1.5e0", "1.5"),
    ("+0.5", "0.5"),
])  # fmt: skip
def test_a_number_is_read_up_to_its_limits(text: str, value: str) -> None:
    assert plain(parse_decimal(text)) == value


@pytest.mark.parametrize(("text", "digits", "places", "value"), [
    ("12", 2, 18, "12"), ("00012.5", 3, 18, "12.5"), ("0.0012", 2, 18, "0.0012"), ("1e1", 2, 18, "10"), ("1.2e1", 2, 18, "12"),
    ("0.000", 38, 2, "0.00"), ("0.0", 38, 2, "0.0"), ("1.10", 38, 1, "1.1"), ("1.1", 38, 1, "1.1"), ("1.00", 38, 0, "1"),
    ("12.3400", 38, 2, "12.34"), ("10.00", 38, 1, "10.0"), ("100e-3", 38, 1, "0.1"),
])  # fmt: skip
def test_a_caller_may_set_the_limits(text: str, digits: int, places: int, value: str) -> None:
    assert plain(parse_decimal(text, max_digits=digits, max_places=places)) == value


@pytest.mark.parametrize(("text", "digits", "places", "words"), [
    ("1" * 65, 38, 18, "a number of 65 characters; at most 64 are read [number.too_long]"),
    ("abc", 38, 18, "'abc' is not a decimal number such as 12.50 [number.syntax]"),
    ("1e38", 38, 18, "1e38 has more than 38 digits [number.too_many_digits]"),
    ("12e37", 38, 18, "12e37 has more than 38 digits [number.too_many_digits]"),
    ("123", 2, 18, "123 has more than 2 digits [number.too_many_digits]"),
    ("1e2", 2, 18, "1e2 has more than 2 digits [number.too_many_digits]"),
    ("1.5e2", 2, 18, "1.5e2 has more than 2 digits [number.too_many_digits]"),
    ("1.11", 38, 1, "1.11 has more than 1 places after the point [number.too_many_places]"),
    ("1000e-22", 38, 18, "1000e-22 has more than 18 places after the point [number.too_many_places]"),
    ("0.01", 38, 1, "0.01 has more than 1 places after the point [number.too_many_places]"),
])  # fmt: skip
def test_what_is_no_number_of_ours_is_refused_in_words(text: str, digits: int, places: int, words: str) -> None:
    for place in (None, "rows[3].quantity"):
        with pytest.raises(InvalidNumber) as caught:
            parse_decimal(text, max_digits=digits, max_places=places, where=place)
        assert str(caught.value) == (f"{place}: {words}" if place else words)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_not_finite_is_not_written(value: str) -> None:
    with pytest.raises(InvalidNumber) as caught:
        plain(Decimal(value))
    assert str(caught.value) == f"{value} is not a finite number [number.not_finite]"


@pytest.mark.parametrize(("value", "text"), [
    ("1E+3", "1000"), ("1" + "0" * 50, "1" + "0" * 50), ("1." + "0" * 40 + "10", "1." + "0" * 40 + "1"), ("0E+5", "0"), ("-0.0", "-0"),
    ("9" * 60 + ".50", "9" * 60 + ".5"),
])  # fmt: skip
def test_trimmed_keeps_every_digit(value: str, text: str) -> None:
    assert plain(trimmed(Decimal(value))) == text


MODES = {
    # 2.5  -2.5  3.5  2.4  -2.4  2.6  -2.6  2
    Rounding.HALF_UP: [3, -3, 4, 2, -2, 3, -3, 2],
    Rounding.HALF_EVEN: [2, -2, 4, 2, -2, 3, -3, 2],
    Rounding.HALF_DOWN: [2, -2, 3, 2, -2, 3, -3, 2],
    Rounding.UP: [3, -3, 4, 3, -3, 3, -3, 2],
    Rounding.DOWN: [2, -2, 3, 2, -2, 2, -2, 2],
    Rounding.CEILING: [3, -2, 4, 3, -2, 3, -2, 2],
    Rounding.FLOOR: [2, -3, 3, 2, -3, 2, -3, 2],
}
TENTHS = [25, -25, 35, 24, -24, 26, -26, 20]


@pytest.mark.parametrize("mode", MODES)
def test_every_way_of_rounding_agrees(mode: Rounding) -> None:
    values = [Decimal(tenths).scaleb(-1) for tenths in TENTHS]
    assert [to_integer(value, mode) for value in values] == MODES[mode]
    assert [round_fraction(Fraction(value), 0, mode) for value in values] == MODES[mode]
    assert [round_to(value.scaleb(-2), 2, mode) for value in values] == [Decimal(whole).scaleb(-2) for whole in MODES[mode]]
    assert [round_to(Fraction(value) / 100, 2, mode) for value in values] == [
        Decimal(whole).scaleb(-2) for whole in MODES[mode]
    ]
    assert [round_to(value.scaleb(4), -4, mode) for value in values] == [Decimal(whole).scaleb(4) for whole in MODES[mode]]
    assert [divide_round(Decimal(tenths), Decimal(10), 0, mode) for tenths in TENTHS] == MODES[mode]
    assert [divide_round(Fraction(tenths, 10), Fraction(10), 1, mode) for tenths in TENTHS] == [
        Decimal(whole).scaleb(-1) for whole in MODES[mode]
    ]


def test_half_up_is_the_default() -> None:
    five = Decimal("2.5"), Decimal("-2.5")
    assert [to_integer(value) for value in five] == [3, -3]
    assert [round_to(value, 0) for value in five] == [3, -3]
    assert [round_to(Fraction(value), 0) for value in five] == [3, -3]
    assert [round_fraction(Fraction(value), 0) for value in five] == [3, -3]
    assert [divide_round(value, Decimal(1), 0) for value in five] == [3, -3]


@pytest.mark.parametrize(("value", "places", "text"), [
    ("1.2345678901235", 13, "1.2345678901235"),
    ("1.2345678901234", 12, "1.234567890123"),
    ("1.00", 4, "1.0000"),
    ("9" * 60 + ".995", 2, "1" + "0" * 60 + ".00"),
    ("1234.5", -2, "1200"),
    ("12345678.5", -5, "12300000"),
    ("0", 2, "0.00"),
])  # fmt: skip
def test_rounding_gives_the_places_asked_for(value: str, places: int, text: str) -> None:
    assert plain(round_to(Decimal(value), places)) == text
    assert plain(round_to(Fraction(value), places)) == text


def test_rounding_takes_no_float() -> None:
    with pytest.raises((TypeError, AttributeError)):
        round_to(0.5, 0)  # type: ignore[arg-type]


def test_a_quotient_is_exact_or_rounded_once() -> None:
    assert divide_exact(Decimal(10), Decimal("0.3")) == Fraction(100, 3)
    assert divide_round(Decimal(2), Decimal(3), 2) == Decimal("0.67")
    assert divide_round(Decimal(1), Fraction(3), 4) == Decimal("0.3333")
    assert str(divide_round(Decimal(4), Decimal(2), 2)) == "2.00"
    for divide in (divide_exact, lambda first, second: divide_round(first, second, 2)):
        with pytest.raises(ZeroDivisionError):
            divide(Decimal(1), Decimal(0))


@pytest.mark.parametrize(("total", "weights", "parts"), [
    (0, [], []),
    (0, [1, 2], [0, 0]),
    (5, [0], [5]),
    (5, [0, 0, 0], [5, 0, 0]),
    (-5, [0, 0], [-5, 0]),
    (100, [1, 1, 1], [34, 33, 33]),
    (101, [1, 1, 1], [34, 34, 33]),
    (10, [1, 2, 1], [3, 5, 2]),
    (7, [0, 1], [0, 7]),
    (10, [Decimal("0.5"), Fraction(1, 3), 1], [3, 2, 5]),
    (1, [Fraction(1, 3), Fraction(2, 3)], [0, 1]),
])  # fmt: skip
def test_a_total_is_shared(total: int, weights: list[int | Decimal | Fraction], parts: list[int]) -> None:
    assert allocate(total, weights) == parts


@pytest.mark.parametrize(("shares", "total", "parts"), [
    ([], 0, []),
    (["1/2", "1/2"], 0, [0, 0]),
    (["1/2", "1/2"], 1, [1, 0]),
    (["1/2", "1/2"], 2, [1, 1]),
    (["-1/2", "1/2"], 0, [0, 0]),
    (["-3/4", "-1/4"], -1, [-1, 0]),
    (["3/2", "-1/4", "-1/4"], 1, [1, 0, 0]),
    (["1/4", "1/4", "3/2"], 2, [0, 0, 2]),
])  # fmt: skip
def test_a_remainder_is_settled(shares: list[str], total: int, parts: list[int]) -> None:
    assert settle_remainder(total, [Fraction(share) for share in shares]) == parts


@pytest.mark.parametrize(("refused", "words"), [
    (lambda: allocate(1, []), "1 can't be shared among no parts [number.no_parts]"),
    (lambda: allocate(1, [2, -1]), "a share can't have a negative weight [number.negative_weight]"),
    (lambda: allocate(0, [Fraction(-1, 3)]), "a share can't have a negative weight [number.negative_weight]"),
    (lambda: settle_remainder(3, [Fraction(1, 2), Fraction(1, 2)]), "shares that sum to 1 can't be settled to 3 [number.shares_off]"),
    (lambda: settle_remainder(-1, [Fraction(1, 2), Fraction(1, 3)]), "shares that sum to 5/6 can't be settled to -1 [number.shares_off]"),
    (lambda: settle_remainder(0, [Fraction(1)]), "shares that sum to 1 can't be settled to 0 [number.shares_off]"),
    (lambda: settle_remainder(1, []), "shares that sum to 0 can't be settled to 1 [number.shares_off]"),
])  # fmt: skip
def test_what_can_not_be_shared_is_refused(refused: Callable[[], object], words: str) -> None:
    with pytest.raises(InvalidNumber) as caught:
        refused()
    assert str(caught.value) == words
