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


@settings(max_examples=2_000, deadline=None)
@given(FORMULAS)
def test_it_agrees_with_fractions(text: str) -> None:
    """The judge is Python's own parser, with every number made a fraction."""
    import re

    spelled = re.sub(r"[0-9]+(\.[0-9]+)?", lambda match: f"F('{match[0]}')", text)
    judged = eval(spelled, {"__builtins__": {}}, {"F": Fraction, "a": Fraction(2)})
    assert as_fraction(parse_expression(text)(VALUES.__getitem__)) == judged
