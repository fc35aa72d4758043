"""Formulas over events."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.metering.expression import parse_expression
from billsmith.units.errors import Invalid
from billsmith.units.exact import as_fraction
from tests.support.laws import EXAMPLES


@pytest.fixture(autouse=True)
def _read_anew() -> None:
    """A formula that was read before would hide what reading does now."""
    parse_expression.cache_clear()


VALUES = {"a": Decimal(2), "b.c": Decimal("0.5"), "value": Decimal(7), "_x1": Decimal(-3)}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("1", "1"),
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 3 - 2", "5"),
        ("12 / 2 / 3", "2"),
        ("-a * 2", "-4"),
        ("2 - -a", "4"),
        ("a * b.c + value", "8"),
        ("_x1", "-3"),
        ("1 / 3", "1/3"),
        ("ceil(7 / 2)", "4"),
        ("floor(7 / 2)", "3"),
        ("round(2.5)", "3"),
        ("round(-2.5)", "-3"),
        ("round(value / 3, 2)", "2.33"),
        ("ceil(1234, -2)", "1300"),
        ("  a\t+\na ", "4"),
    ],
)
def test_it_computes(text: str, result: str) -> None:
    assert as_fraction(parse_expression(text)(VALUES.__getitem__)) == Fraction(result)


WRONG = (
    "1 + ¦ (1 ¦ 1) ¦ 1 2 ¦ a b ¦ * 2 ¦ 1..2 ¦ a ** 2 ¦ __import__('os') ¦ a; b ¦ round(1, a) ¦ round(1, 999) ¦ f(1) ¦ , ¦ 1e5"
)


@pytest.mark.parametrize("text", WRONG.split(" ¦ "))
def test_nothing_else_can_be_written(text: str) -> None:
    with pytest.raises(Invalid) as error:
        parse_expression(text)
    assert error.value.code == "meter.expression_syntax"


@pytest.mark.parametrize("text", ["", "\u0661", "-" * 60 + "1", "(" * 60 + "1" + ")" * 60])
def test_nor_digits_of_another_script_nor_depth(text: str) -> None:
    with pytest.raises(Invalid) as error:
        parse_expression(text)
    assert error.value.code == "meter.expression_syntax"


def test_a_long_one_is_refused() -> None:
    with pytest.raises(Invalid) as error:
        parse_expression("1+" * 600 + "1")
    assert error.value.code == "meter.expression_too_long"


def test_division_by_zero_is_named() -> None:
    with pytest.raises(Invalid) as error:
        parse_expression("1 / (a - 2)")(VALUES.__getitem__)
    assert error.value.code == "number.zero_divisor"


NUMBERS = st.one_of(st.integers(0, 99).map(str), st.decimals(0, 9, places=2).map(str))
FORMULAS = st.recursive(
    st.one_of(NUMBERS, st.just("a")),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"),
        inner.map(lambda part: f"-{part}"),
    ),
    max_leaves=8,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(FORMULAS)
def test_it_agrees_with_fractions(text: str) -> None:
    """The judge is Python's own parser, with every number made a fraction."""
    import re

    spelled = re.sub(r"[0-9]+(\.[0-9]+)?", lambda match: f"F('{match[0]}')", text)
    judged = eval(spelled, {"__builtins__": {}}, {"F": Fraction, "a": Fraction(2)})
    assert as_fraction(parse_expression(text)(VALUES.__getitem__)) == judged


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a $ b + c + d + e", "'$ b + c + ' can't be read"),
        ("(1", "')' is missing"),
        ("1 +", "it ends too early"),
        ("1 2", "'2' is not expected"),
        ("* 2", "'*' is not expected"),
        ("round(1, a)", "places are a whole number"),
        ("-" * 60 + "1", "more than 50 levels"),
    ],
)
def test_the_reason_is_told_with_the_mend(text: str, reason: str) -> None:
    with pytest.raises(Invalid) as error:
        parse_expression(text)
    mend = "Write numbers, names, + - * /, parentheses, round, ceil, floor"
    assert error.value.message == f"expression {text[:60]!r}: {reason}. {mend}"


def test_the_limits_are_the_longest_and_deepest_that_are_read() -> None:
    assert parse_expression("1" + " " * 999)(VALUES.__getitem__) == 1
    with pytest.raises(Invalid) as error:
        parse_expression("1" + " " * 1_000)
    assert error.value.message == "an expression of 1001 characters; at most 1000 are read"
    assert parse_expression("-" * 50 + "1")(VALUES.__getitem__) == 1
    assert parse_expression("(" * 50 + "1" + ")" * 50)(VALUES.__getitem__) == 1
    for text in ("-" * 51 + "1", "(" * 51 + "1" + ")" * 51, "ceil(" * 51 + "1" + ")" * 51):
        with pytest.raises(Invalid):
            parse_expression(text)


def test_rounding_keeps_up_to_99_places_either_way() -> None:
    assert parse_expression("round(1, 10)")(VALUES.__getitem__) == 1
    assert parse_expression("round(1250, -2)")(VALUES.__getitem__) == 1300
    with pytest.raises(Invalid):
        parse_expression("round(1, 100)")


def test_a_name_of_a_rounding_may_be_a_dimension() -> None:
    assert parse_expression("round + 1")({"round": Decimal(2)}.__getitem__) == 3
