"""A commitment is drawn down, then overage; what is missing is trued up."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.ledger.commitments import Commitment, draw_down, true_up
from billsmith.units.errors import Invalid
from tests.support.laws import EXAMPLES
from tests.support.numbers import decimals

D = Decimal


@pytest.mark.parametrize(
    ("left", "charge", "factor", "covered", "overage", "after"),
    [
        ("100", "0", "1", "0", "0", "100"),
        ("100", "99.99", "1", "99.99", "0", "0.01"),
        ("100", "100", "1.5", "100", "0", "0"),
        ("100", "100.01", "1.5", "100", "0.015", "0"),
        ("0", "10", "1.2", "0", "12", "0"),
        ("100", "-10", "1.5", "-10", "0", "110"),
    ],
)
def test_draw_down(left, charge, factor, covered, overage, after):
    drawn = draw_down(D(left), D(charge), D(factor))
    assert (drawn.covered, drawn.overage, drawn.left) == (D(covered), D(overage), D(after))


@pytest.mark.parametrize(
    ("committed", "used", "missing"), [("100", "99", "1"), ("100", "100", "0"), ("100", "101", "0"), ("0", "0", "0")]
)
def test_true_up(committed, used, missing):
    assert true_up(D(committed), D(used)) == D(missing)


def test_a_commitment_is_promised_for_everything_unless_it_says_otherwise():
    plain = Commitment(id="C", left=D(5))
    assert (plain.overage_factor, plain.prepaid, plain.closing, plain.applies_to) == (1, False, False, ())
    assert draw_down(D(0), D(10)).overage == 10


def test_nothing_is_drawn_from_less_than_nothing():
    with pytest.raises(Invalid) as caught:
        draw_down(D(-1), D(1))
    assert caught.value.code == "commitment.below_zero"


@settings(max_examples=EXAMPLES, deadline=None)
@given(decimals(0, 1000, places=2), st.lists(decimals(0, 400, places=2), max_size=8))
def test_many_charges_draw_as_much_as_one(committed, charges):
    left, covered, overage = committed, D(0), D(0)
    for charge in charges:
        drawn = draw_down(left, charge)
        left, covered, overage = drawn.left, covered + drawn.covered, overage + drawn.overage
    once = draw_down(committed, sum(charges, D(0)))
    assert (left, covered, overage) == (once.left, once.covered, once.overage)
    assert covered + true_up(committed, covered) == max(committed, covered)
