"""From events to a charge: order, repetition and the instants at which a period is split leave no trace (P3)."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.catalog.price import Price
from billsmith.events.event import Event
from billsmith.metering.measure import Grain, measure
from billsmith.metering.meter import Meter
from billsmith.metering.quantity import Quantity
from billsmith.rating import Charge, Context, rate
from billsmith.units.exact import as_fraction
from billsmith.units.instants import HOUR
from billsmith.units.periods import Period
from tests.support.events import event
from tests.support.laws import EXAMPLES
from tests.support.prices import REGIONS, any_price, built, number

LAW = settings(max_examples=EXAMPLES, deadline=None)
SEEDS = st.integers(0, 2**64 - 1)

PERIOD = Period(0, 48 * HOUR)
METER = Meter(code="m", event_type="used", group_by=("region",), amount_field="amount")


def some_events(random: Random) -> list[Event]:
    return [
        event(
            index,
            random.choice([0, random.randrange(PERIOD.end), PERIOD.end - 1, PERIOD.end]),
            number(random, 0, 50),
            source=random.choice("st"),
            region=random.choice(REGIONS),
            amount=number(random, 0, 20),
        )
        for index in range(random.randint(0, 8))
    ]


def grain_for(price: Price) -> Grain:
    parts = list(price.walk())
    if any(part.needs_each_event or part.takes.name == "EVENTS" for part in parts):
        return Grain.EVENT
    return Grain.HOUR if any(part.needs_windows for part in parts) else Grain.TOTAL


def measured(price: Price, events: list[Event], period: Period = PERIOD) -> tuple[Quantity, ...]:
    return measure(METER, events, period, grain=grain_for(price))


def charged(price: Price, events: list[Event]) -> Charge:
    return rate(price, measured(price, events), Context(currency="EUR", unit="units"))


@LAW
@given(SEEDS)
def test_arrival_order_and_repetition_give_the_same_bytes(seed: int) -> None:
    random = Random(seed)
    price, events = built(any_price(random)), some_events(random)
    charge = charged(price, events)
    shuffled = random.sample(events, len(events)) + random.choices(events, k=3 if events else 0)
    again = charged(price, shuffled)
    assert again == charge
    assert "\n".join(again.sentences).encode() == "\n".join(charge.sentences).encode()


@LAW
@given(SEEDS)
def test_splits_at_any_instants_sum_to_the_whole(seed: int) -> None:
    """Where the grain is hours, splits lie between hours: a window isn't cut."""
    random = Random(seed)
    price, events = built(any_price(random)), some_events(random)
    step = HOUR if grain_for(price) is Grain.HOUR else 1
    inner = {random.randrange(1, PERIOD.end // step) * step for _ in range(random.randint(0, 3))}
    cuts = [0, *sorted(inner), PERIOD.end]
    whole = charged(price, events)
    exact, rounded = as_fraction(0 * whole.rounded), 0 * whole.rounded
    before: tuple[Quantity, ...] | None = None
    for start, end in pairwise(cuts):
        quantities = measured(price, events, Period(start, end))
        split = rate(price, quantities, Context(currency="EUR", unit="units", previous=before, final=end == PERIOD.end))
        exact += as_fraction(split.exact)
        rounded += split.rounded
        before = (before or ()) + quantities
    assert exact == as_fraction(whole.exact)
    assert rounded == whole.rounded


def test_rating_each_split_alone_would_be_seen() -> None:
    """The negative control: without what was billed before, tiers begin anew in each split."""
    price = built({"model": "graduated", "tiers": [{"up_to": "10", "unit_amount": "1"}, {"unit_amount": "0"}]})
    events = [event("a", 5, "10", region="eu", amount="0"), event("b", 30 * HOUR, "10", region="eu", amount="0")]
    halves = [Period(0, 24 * HOUR), Period(24 * HOUR, PERIOD.end)]
    alone = sum(rate(price, measured(price, events, half), Context(currency="EUR")).rounded for half in halves)
    assert alone == 20
    assert charged(price, events).rounded == 10
