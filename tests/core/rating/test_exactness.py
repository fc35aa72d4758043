"""P8: no float passes, and no digit is lost."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, getcontext, localcontext
from fractions import Fraction
from typing import Any

import pytest

from billsmith.catalog.price import Commitment, Convert
from billsmith.metering.measure import measure
from billsmith.metering.meter import Aggregation, Meter
from billsmith.metering.quantity import Quantity
from billsmith.rating import Context, rate
from billsmith.rating.models.dynamic import Dynamic
from billsmith.rating.models.graduated import Graduated
from billsmith.rating.models.package import Package
from billsmith.rating.models.per_unit import PerUnit
from billsmith.rating.models.percentage import Percentage
from billsmith.rating.models.tiers import Tier
from billsmith.units import exact
from billsmith.units.errors import BillsmithError, InvalidNumber, InvalidPrice
from billsmith.units.periods import Period
from billsmith.units.wording import say_money, say_number
from tests.support.events import event

D = Decimal
EUR = Context(currency="EUR")
ONE = PerUnit(unit_amount=D(1))

FLOATS: dict[str, Callable[[], Any]] = {
    "a quantity": lambda: rate(ONE, 1.5, EUR),  # type: ignore[arg-type]
    "a quantity of a group": lambda: rate(ONE, [Quantity(1.5)], EUR),  # type: ignore[arg-type]
    "a quantity before proration": lambda: rate(ONE, [Quantity(D(1), full=1.5)], EUR),  # type: ignore[arg-type]
    "an amount on an event": lambda: rate(Dynamic(), [Quantity(D(1), amount=1.5)], EUR),  # type: ignore[arg-type]
    "usage before": lambda: rate(ONE, D(1), Context(currency="EUR", previous=0.5)),  # type: ignore[arg-type]
    "billed before": lambda: rate(ONE, D(1), Context(currency="EUR", previously_billed=0.5)),  # type: ignore[arg-type]
    "a unit amount": lambda: PerUnit(unit_amount=0.1),  # type: ignore[arg-type]
    "a bound": lambda: Tier(up_to=1.5),  # type: ignore[arg-type]
    "a package": lambda: Package(size=1.5, amount=D(1)),  # type: ignore[arg-type]
    "a rate": lambda: Percentage(rate_percent=1.5),  # type: ignore[arg-type]
    "a factor": lambda: Convert(divide_by=1.5),  # type: ignore[arg-type]
    "a commitment": lambda: Commitment(amount=1.5),  # type: ignore[arg-type]
    "a maximum": lambda: PerUnit(unit_amount=D(1), maximum=1.5),  # type: ignore[arg-type]
    "an event": lambda: event("a").__class__(owner="o", source="s", id="1", type="t", account="a", time=0, value=1.5),  # type: ignore[arg-type]
    "a percentile": lambda: Meter(code="m", event_type="t", aggregation=Aggregation.PERCENTILE, percentile=9.5),  # type: ignore[arg-type]
    "a carried level": lambda: measure(
        Meter(code="m", event_type="t", aggregation=Aggregation.TIME_WEIGHTED_SUM),
        [],
        Period(0, 1),
        carried={(): 0.5},  # type: ignore[dict-item]
    ),
    "an addend": lambda: exact.add(D(1), 0.5),  # type: ignore[arg-type]
    "a factor of a fraction": lambda: exact.multiply(Fraction(1, 3), 0.5),  # type: ignore[arg-type]
    "a dividend": lambda: exact.divide(0.5, D(1)),  # type: ignore[arg-type]
    "a divisor": lambda: exact.divide(D(1), 0.5),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", FLOATS)
def test_a_float_is_refused_as(what: str) -> None:
    with pytest.raises(InvalidNumber) as error:
        FLOATS[what]()
    assert error.value.code == "number.not_exact"


def test_python_itself_would_let_floats_pass() -> None:
    """The negative control: without our own checks these lose digits in silence."""
    assert Fraction(0.1) != Fraction(1, 10)
    with localcontext() as context:
        context.clear_traps()
        assert D("0.1") < 0.11


@pytest.mark.parametrize("value", [D("NaN"), D("Infinity"), D("sNaN"), True, "1", None])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises((BillsmithError, TypeError)):
        rate(ONE, value, EUR)


def test_thirty_eight_digits_come_through() -> None:
    digits = D("12345678901234567890.123456789012345678")
    charge = rate(PerUnit(unit_amount=D("0.000000000000000001")), digits, EUR)
    assert charge.exact == D("12.345678901234567890123456789012345678")
    assert charge.rounded == D("12.35")


def test_the_threads_own_context_plays_no_part() -> None:
    with localcontext() as context:
        context.prec = 3
        charge = rate(
            Graduated(tiers=(Tier(up_to=D("1234.5"), unit_amount=D("1.2345")), Tier(unit_amount=D("0.1111")))), D(5000), EUR
        )
        words = charge.sentences
        assert rate(Percentage(rate_percent=D("12.3456")), D("10000"), EUR).exact == D("1234.56")
    assert getcontext().prec == 28
    assert charge.exact == Fraction("1234.5") * Fraction("1.2345") + Fraction("3765.5") * Fraction("0.1111")
    assert words == charge.sentences


def test_beyond_two_hundred_digits_it_goes_on_as_a_fraction() -> None:
    wide, thin = D("1e150"), D("1e-150")
    assert exact.add(wide, thin) == Fraction(10) ** 150 + Fraction(1, 10**150)
    assert exact.subtract(wide, thin) == Fraction(10) ** 150 - Fraction(1, 10**150)
    long = D("1." + "7" * 150)
    assert exact.multiply(long, long) == Fraction(long) ** 2


def test_an_absurd_amount_is_an_error_not_a_crash() -> None:
    with pytest.raises(InvalidPrice) as error:
        rate(PerUnit(unit_amount=D(10) ** 20), D(10) ** 10, EUR)
    assert error.value.code == "price.amount_too_large"
    assert rate(PerUnit(unit_amount=D(10) ** 20), D(10) ** 10 - 1, EUR).rounded < D(10) ** 30


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (D("0"), 2, "0.00"),
        (D("1234567.5"), 2, "1,234,567.50"),
        (D("1E+3"), 2, "1,000.00"),
        (D("0.005"), 2, "0.005"),
        (D("-0.05"), 2, "-0.05"),
        (D("5"), 0, "5"),
        (D("5.5"), 0, "5.5"),
        (D("1.2345"), 3, "1.2345"),
        (Fraction(1, 3), 2, "≈0.333333"),
        (D("12345678901234567890123456789.01"), 2, "12,345,678,901,234,567,890,123,456,789.01"),
    ],
)
def test_money_is_said_without_rounding(value: Any, places: int, text: str) -> None:
    assert say_money(value, places) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (D("1250"), "1,250"),
        (D("1E+3"), "1,000"),
        (D("0.50"), "0.5"),
        (D("100.00"), "100"),
        (Fraction(2, 3), "≈0.666667"),
        (D("-3.10"), "-3.1"),
    ],
)
def test_quantities_are_said_without_zeros(value: Any, text: str) -> None:
    assert say_number(value) == text
