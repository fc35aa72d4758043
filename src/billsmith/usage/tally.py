"""Aggregations over tallies: events that are alike in all that a meter looks at, and how many there are of each kind.

For meters to which order doesn't matter. A database groups rows by the texts that the meter reads, and what is left to do in
Python goes by the different texts, not by the events. Equal to :mod:`billsmith.metering.aggregations`, to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import accumulate

from billsmith.events.event import Event
from billsmith.metering.aggregations import REFERENCE, Span, number_of
from billsmith.metering.expression import names_in
from billsmith.metering.measure import round_quantity
from billsmith.metering.meter import OPERATION, Aggregation, Meter
from billsmith.metering.quantity import Quantity
from billsmith.units.exact import Exact, divide, multiply, simplest, total
from billsmith.units.periods import Period
from billsmith.units.rounding import ZERO, Rounding, round_to, trimmed

#: Events that are alike, by one of them, and how many.
Tally = Sequence[tuple[Event, int]]

_ANY = Span(Period(0, 1))
#: Whose answer is the same however often an event is repeated.
_ONCE = (Aggregation.MAX, Aggregation.MIN, Aggregation.UNIQUE_COUNT)


def reads(meter: Meter) -> frozenset[str]:
    """The dimensions (and ``value``) that a meter filters, groups or counts by: events alike in these are alike to it.

    >>> sorted(reads(Meter(code="m", event_type="call", field="ms", where={"region": ("eu",)}, group_by=("model",))))
    ['model', 'ms', 'region']
    """
    names = {*meter.where, *meter.unless, *meter.group_by}
    if meter.aggregation is Aggregation.EXPRESSION:
        names |= names_in(meter.expression)
    elif meter.aggregation is not Aggregation.COUNT:
        names.add(meter.field)
    if meter.aggregation is Aggregation.UNIQUE_COUNT:
        names.add(OPERATION)
    if meter.amount_field:
        names.add(meter.amount_field)
    return frozenset(names)


def _count(tally: Tally, meter: Meter) -> Exact:
    return Decimal(sum(times for _, times in tally))


def _sum(tally: Tally, meter: Meter) -> Exact:
    return _sum_of(tally, meter.field)


def _sum_of(tally: Tally, field: str) -> Exact:
    return total(multiply(number_of(event, field), Decimal(times)) for event, times in tally)


def _average(tally: Tally, meter: Meter) -> Exact:
    return divide(_sum(tally, meter), _count(tally, meter)) if tally else ZERO


def _percentile(tally: Tally, meter: Meter) -> Exact:
    if not tally:
        return ZERO
    assert meter.percentile is not None
    numbers = sorted((number_of(event, meter.field), times) for event, times in tally)
    upto = list(accumulate(times for _, times in numbers))
    rank = max(int(round_to(divide(multiply(meter.percentile, Decimal(upto[-1])), Decimal(100)), 0, Rounding.CEILING)), 1)
    return next(number for (number, _), last in zip(numbers, upto, strict=True) if rank <= last)


def _expression(tally: Tally, meter: Meter) -> Exact:
    formula = meter.formula
    return simplest(
        total(multiply(formula(lambda name, event=event: number_of(event, name)), Decimal(times)) for event, times in tally)  # type: ignore[misc]
    )


_OF: dict[Aggregation, Callable[[Tally, Meter], Exact]] = {
    Aggregation.COUNT: _count,
    Aggregation.SUM: _sum,
    Aggregation.AVERAGE: _average,
    Aggregation.PERCENTILE: _percentile,
    Aggregation.EXPRESSION: _expression,
}


def quantity(meter: Meter, tally: Tally, dimensions: dict[str, str], start: int | None) -> Quantity:
    """What a meter counts of a group, in a window; trimmed. Raises :class:`InvalidEvent` as the plain aggregations do."""
    if meter.aggregation in _ONCE:
        value = REFERENCE[meter.aggregation]([event for event, _ in tally], meter, _ANY)
    else:
        value = _OF[meter.aggregation](tally, meter)
    if meter.rounding is not None:
        value = round_quantity(value, meter.rounding, meter.places)
    return Quantity(
        _trim(value),
        events=sum(times for _, times in tally),
        dimensions=dimensions,
        start=start,
        amount=_trim(_sum_of(tally, meter.amount_field)) if meter.amount_field else None,
    )


def _trim(value: Exact) -> Exact:
    return trimmed(value) if isinstance(value, Decimal) else value
