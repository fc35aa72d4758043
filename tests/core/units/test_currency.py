"""Currencies: each with its places, amounts to minor units and back, rounded once."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billsmith.units.currency import EXPONENTS, currency_exponent, from_minor, minor_factor, to_minor
from billsmith.units.errors import Invalid, InvalidNumber
from billsmith.units.rounding import Rounding

D = Decimal
CODES = [("JPY", 0), ("EUR", 2), ("KWD", 3), ("CLF", 4)]


@pytest.mark.parametrize(("code", "places"), CODES)
def test_each_currency_has_its_places(code: str, places: int) -> None:
    assert currency_exponent(code) == places
    assert minor_factor(code) == 10**places
    assert str(from_minor(10**places, code)) == ("1." + "0" * places).rstrip(".")
    assert to_minor(D(1), code) == to_minor(Fraction(1), code) == 10**places


@pytest.mark.parametrize("code", ["eur", "EURO", "", "XXX", "978"])
def test_what_is_no_currency_is_refused(code: str) -> None:
    words = f"currency: {code!r} is not an ISO 4217 currency such as EUR or USD [currency.unknown]"
    for use in (currency_exponent, minor_factor, lambda code: to_minor(D(1), code), lambda code: from_minor(1, code)):
        with pytest.raises(Invalid) as caught:
            use(code)
        assert str(caught.value) == words


@pytest.mark.parametrize(("amount", "code", "minor"), [
    ("12.345", "EUR", 1235), ("-12.345", "EUR", -1235), ("12.3449", "EUR", 1234), ("0.5", "JPY", 1), ("0.4999", "JPY", 0),
    ("-0.5", "JPY", -1), ("1.0005", "KWD", 1001), ("1.00005", "CLF", 10001), ("9" * 40 + ".99", "EUR", int("9" * 42)),
])  # fmt: skip
def test_an_amount_becomes_minor_units_half_up_unless_told(amount: str, code: str, minor: int) -> None:
    assert to_minor(D(amount), code) == minor
    assert to_minor(Fraction(amount), code) == minor


@pytest.mark.parametrize(("mode", "expected"), [
    # 0.125  -0.125  0.135  0.121  -0.129
    (Rounding.HALF_UP, [13, -13, 14, 12, -13]),
    (Rounding.HALF_EVEN, [12, -12, 14, 12, -13]),
    (Rounding.HALF_DOWN, [12, -12, 13, 12, -13]),
    (Rounding.UP, [13, -13, 14, 13, -13]),
    (Rounding.DOWN, [12, -12, 13, 12, -12]),
    (Rounding.CEILING, [13, -12, 14, 13, -12]),
    (Rounding.FLOOR, [12, -13, 13, 12, -13]),
])  # fmt: skip
def test_modes(mode: Rounding, expected: list[int]) -> None:
    amounts = ["0.125", "-0.125", "0.135", "0.121", "-0.129"]
    assert [to_minor(D(amount), "EUR", mode) for amount in amounts] == expected
    assert [to_minor(Fraction(amount), "EUR", mode) for amount in amounts] == expected


def test_a_third_is_rounded_once() -> None:
    assert to_minor(Fraction(2, 3), "EUR") == 67
    assert to_minor(Fraction(2, 3), "EUR", Rounding.DOWN) == 66


@pytest.mark.parametrize("amount", [0.1, 1, D("NaN"), D("Infinity"), "1.00", None])
def test_what_is_not_exact_is_refused(amount: Any) -> None:
    with pytest.raises(InvalidNumber) as caught:
        to_minor(amount, "EUR")
    assert str(caught.value) == f"{amount!r} is not an exact amount; read it as a decimal from its text [number.not_exact]"


@given(st.integers(-(10**60), 10**60), st.sampled_from(sorted(EXPONENTS)))
def test_minor_units_come_back(minor: int, code: str) -> None:
    amount = from_minor(minor, code)
    assert to_minor(amount, code) == minor
    assert -amount.as_tuple().exponent == EXPONENTS[code]
    assert amount * 10 ** EXPONENTS[code] == minor or abs(minor) > 10**27  # Python's own context has 28 digits
