"""What a change in the middle of a paid period costs."""

from decimal import Decimal
from fractions import Fraction

import pytest

from billsmith.subscriptions.quotes import discounted, plan_change, quantity_change


@pytest.mark.parametrize(
    ("old", "new", "remaining", "new_periods", "credit", "charge"),
    [
        ("100", "300", "2/3", False, "200/3", "200"),
        ("1000", "3000", "166/366", False, "166000/366", "498000/366"),
        ("1000", "100", "292/365", True, "800", "100"),
        ("100", "200", "1", False, "100", "200"),
        ("100", "200", "0", False, "0", "0"),
        ("0", "10", "1/2", False, "0", "5"),
    ],
)
def test_plan_change(old, new, remaining, new_periods, credit, charge):
    quote = plan_change(Decimal(old), Decimal(new), Fraction(remaining), new_periods=new_periods)
    assert (quote.credit, quote.charge) == (Fraction(credit), Fraction(charge))


def test_the_new_plan_keeps_the_periods_unless_told_otherwise():
    assert plan_change(Decimal(10), Decimal(20), Fraction(1, 2)).charge == 10


@pytest.mark.parametrize(
    ("old", "new", "credit", "charge"), [("2", "6", "0", "20"), ("6", "2", "20", "0"), ("3", "3", "0", "0")]
)
def test_only_the_difference_in_quantity_is_charged_or_given_back(old, new, credit, charge):
    quote = quantity_change(Decimal(10), Decimal(old), Decimal(new), Fraction(1, 2))
    assert (quote.credit, quote.charge) == (Fraction(credit), Fraction(charge))


@pytest.mark.parametrize(("amount", "off", "left"), [("20", "5", "15"), ("5", "5", "0"), ("4", "5", "0")])
def test_a_fixed_discount_never_goes_below_zero(amount, off, left):
    assert discounted(Decimal(amount), Decimal(off)) == Decimal(left)
