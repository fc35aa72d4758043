"""A share of each event's amount."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from typing import ClassVar

import msgspec

from billsmith.catalog.price import Price, Takes, refuse
from billsmith.rating.charge import Priced
from billsmith.rating.context import Context
from billsmith.rating.trace import Sum, Term
from billsmith.rating.usage import Usage
from billsmith.units.errors import InvalidPrice
from billsmith.units.exact import Exact, add, multiply, percent, subtract, total
from billsmith.units.rounding import ZERO


class Percentage(Price, frozen=True, kw_only=True, tag_field="model", tag="percentage"):
    """``rate_percent`` of each event's amount plus ``fixed_per_event``, within ``minimum_per_event`` and ``maximum_per_event``.

    Events are free, in the order of time, as long as fewer than ``free_events`` came before and ``free_amount`` isn't used up
    (whichever limit is hit first). An event that reaches the end of the free amount pays for the part above it, and its fixed
    fee; so does one that ends exactly there.
    """

    takes: ClassVar[Takes] = Takes.EVENTS

    rate_percent: Decimal
    fixed_per_event: Decimal = ZERO
    minimum_per_event: Decimal | None = None
    maximum_per_event: Decimal | None = None
    free_events: int | None = None
    free_amount: Decimal | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rate_percent", "fixed_per_event", "minimum_per_event", "maximum_per_event", "free_events", "free_amount"):
            refuse((getattr(self, name) or 0) < 0, f"{name} can't be below zero", "price.negative_amount", name)
        if self.minimum_per_event is not None and self.maximum_per_event is not None:
            refuse(
                self.minimum_per_event > self.maximum_per_event,
                "the minimum per event is above its maximum. Lower one, or drop it",
                "price.minimum_above_maximum",
                "minimum_per_event",
            )

    @cached_property
    def needs_each_event(self) -> bool:
        """Whether the total and the number of events aren't enough."""
        limits = (self.minimum_per_event, self.maximum_per_event, self.free_events, self.free_amount)
        return any(limit is not None for limit in limits)


class _Tally(msgspec.Struct, gc=False):
    """What the events add up to, one term each."""

    charged: Exact = ZERO
    events: int = 0
    at_minimum: int = 0
    at_maximum: int = 0


def percentage(price: Percentage, usage: Usage, context: Context) -> Priced:
    """The sum over the events, in the order given.

    >>> from billsmith.metering.quantity import Quantity
    >>> from billsmith.rating.usage import usage_of
    >>> card = Percentage(rate_percent=Decimal("1.5"), fixed_per_event=Decimal("0.25"))
    >>> percentage(card, usage_of([Quantity(Decimal(20)), Quantity(Decimal(30))]), Context(currency="EUR")).amount
    Decimal('1.250')
    """
    terms = _terms(price, _tally(price, usage))
    amount = total([term.amount for term in terms])
    return Priced(amount, (Sum(usage.value, terms, amount, money=True),))


def _tally(price: Percentage, usage: Usage) -> _Tally:
    if not price.needs_each_event:
        events = sum([item.events for item in usage.items]) if usage.items else int(usage.value != 0)
        return _Tally(usage.value, events)
    tally = _Tally()
    for charged in _charged(price, _single_events(usage)):
        _count(price, tally, charged)
    return tally


def _single_events(usage: Usage) -> list[Exact]:
    """Each event's amount; a number that stands alone is one event. Raises :class:`InvalidPrice` where events are lumped."""
    for item in usage.items:
        if item.events != 1:
            raise InvalidPrice(
                f"a quantity of {item.events} events, where this percentage price needs each event's own. Measure each event",
                code="price.needs_each_event",
            )
    if usage.items:
        return [item.value for item in usage.items]
    return [usage.value] if usage.value else []


def _charged(price: Percentage, amounts: list[Exact]) -> list[Exact]:
    """What is charged for of each event that isn't wholly free."""
    if price.free_events is None and price.free_amount is None:
        return amounts
    result: list[Exact] = []
    left: Exact | None = price.free_amount
    events_left = price.free_events
    for amount in amounts:
        if left == 0 or events_left == 0:
            result.append(amount)
            continue
        if events_left is not None:
            events_left -= 1
        if left is None or amount < left:
            left = None if left is None else subtract(left, amount)
            continue
        result.append(subtract(amount, left))
        left = ZERO
    return result


def _count(price: Percentage, tally: _Tally, charged: Exact) -> None:
    fee = add(percent(charged, price.rate_percent), price.fixed_per_event)
    if price.minimum_per_event is not None and fee < price.minimum_per_event:
        tally.at_minimum += 1
    elif price.maximum_per_event is not None and fee > price.maximum_per_event:
        tally.at_maximum += 1
    else:
        tally.charged = add(tally.charged, charged)
        tally.events += 1


def _terms(price: Percentage, tally: _Tally) -> tuple[Term, ...]:
    terms = []
    if tally.charged:
        share = percent(tally.charged, price.rate_percent)
        terms.append(Term(share, tally.charged, price.rate_percent, rate_unit="%"))
    for count, rate, name in (
        (tally.events, price.fixed_per_event, "events"),
        (tally.at_minimum, price.minimum_per_event, "events at the minimum"),
        (tally.at_maximum, price.maximum_per_event, "events at the maximum"),
    ):
        if count and rate:
            terms.append(Term(multiply(Decimal(count), rate), Decimal(count), rate, name=name))
    return tuple(terms)
