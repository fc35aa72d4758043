"""Laws of rating, on random prices and usage; an auditor that shares no code is the judge."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.rating import Context, rate
from billsmith.rating.trace import Change, Entry, Part, Sum
from billsmith.units.exact import as_fraction
from tests.core.rating.oracle import cost, half_up
from tests.support.laws import EXAMPLES
from tests.support.prices import ITEMS, PRICES, QUANTITY_PRICES, built, numbers, quantities

LAW = settings(max_examples=EXAMPLES, deadline=None)
EUR = Context(currency="EUR")


@LAW
@given(PRICES, ITEMS)
def test_the_auditor_agrees_to_the_last_digit(price: dict[str, Any], items: list[dict[str, Any]]) -> None:
    charge = rate(built(price), quantities(items), EUR)
    expected = cost(price, items)
    assert as_fraction(charge.exact) == expected
    assert as_fraction(charge.rounded) == half_up(expected, 2)


@LAW
@given(QUANTITY_PRICES, numbers(-20, 60), st.sampled_from([0, 2, 3]))
def test_the_auditor_agrees_on_totals_of_either_sign(price: dict[str, Any], total: str, places: int) -> None:
    charge = rate(built(price), Decimal(total), Context(currency="EUR", places=places))
    expected = cost(price, [{"value": total}])
    assert as_fraction(charge.exact) == expected
    assert as_fraction(charge.rounded) == half_up(expected, places)


@LAW
@given(QUANTITY_PRICES, numbers(0, 60), numbers(0, 60))
def test_the_auditor_agrees_where_usage_is_prorated(price: dict[str, Any], one: str, other: str) -> None:
    value, full = sorted((one, other), key=Decimal)
    item = {"value": value, "full": full, "amount": "0", "start": 0, "dims": {}}
    assert as_fraction(rate(built(price), quantities([item]), EUR).exact) == cost(price, [item])


@LAW
@given(PRICES, st.lists(ITEMS, min_size=1, max_size=4))
def test_the_splits_of_a_period_sum_to_the_whole(price: dict[str, Any], splits: list[list[dict[str, Any]]]) -> None:
    """Exactly, and rounded: price(previous + this) − price(previous), for every price there is."""
    model = built(price)
    whole = rate(model, quantities([item for split in splits for item in split]), EUR)
    exact, rounded = Fraction(0), Decimal(0)
    for index, split in enumerate(splits):
        before = quantities([item for earlier in splits[:index] for item in earlier]) if index else None
        context = Context(currency="EUR", previous=before, final=index == len(splits) - 1)
        charge = rate(model, quantities(split), context)
        exact += as_fraction(charge.exact)
        rounded += charge.rounded
    assert exact == as_fraction(whole.exact)
    assert rounded == whole.rounded


@LAW
@given(PRICES, ITEMS, numbers(0, 100))
def test_what_was_billed_before_is_taken_off(price: dict[str, Any], items: list[dict[str, Any]], billed: str) -> None:
    charge = rate(built(price), quantities(items), Context(currency="EUR", previously_billed=Decimal(billed)))
    assert as_fraction(charge.exact) == cost(price, items) - Fraction(billed)


@LAW
@given(PRICES, ITEMS)
def test_a_trace_adds_up(price: dict[str, Any], items: list[dict[str, Any]]) -> None:
    """Terms sum to their results, each change starts where the one before it ended, the last one is the amount."""
    charge = rate(built(price), quantities(items), EUR)
    amounts = list(_settle(charge.trace))
    assert amounts[-1] == as_fraction(charge.rounded)
    assert all(charge.sentences)


def _settle(trace: tuple[Entry, ...]) -> Iterable[Fraction]:
    """The amount after each entry of one level."""
    amount = Fraction(0)
    parts = Fraction(0)
    for entry in trace:
        if isinstance(entry, Part):
            inner = list(_settle(entry.trace))
            assert inner[-1] == as_fraction(entry.amount)
            parts += as_fraction(entry.amount)
            amount = parts
        elif isinstance(entry, Sum):
            amount = as_fraction(entry.result)
            assert sum((as_fraction(term.amount) for term in entry.terms), Fraction(0)) == amount
        elif isinstance(entry, Change) and entry.step not in ("multiply", "divide", "free_units", "below_zero"):
            assert as_fraction(entry.before) == amount
            amount = as_fraction(entry.after)
        yield amount


@LAW
@given(PRICES, ITEMS, st.randoms(use_true_random=False))
def test_the_order_of_quantities_does_not_matter_where_events_are_not_priced_one_by_one(
    price: dict[str, Any], items: list[dict[str, Any]], random: Any
) -> None:
    model = built(price)
    if any(inner.needs_each_event for inner in model.walk()):
        return  # free events go by time, and metering gives events in the order of time
    shuffled = random.sample(items, len(items))
    assert rate(model, quantities(items), EUR).exact == rate(model, quantities(shuffled), EUR).exact
