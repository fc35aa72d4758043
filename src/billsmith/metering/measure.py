"""Events → quantities: the reference that every usage store is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

import msgspec

from billsmith.events.event import Event, in_order
from billsmith.metering.aggregations import REFERENCE, Span, number_of
from billsmith.metering.meter import Aggregation, Meter
from billsmith.metering.quantity import Quantity
from billsmith.units.errors import Invalid
from billsmith.units.exact import Exact, add, total
from billsmith.units.instants import HOUR, MINUTE, day_of, start_of_day
from billsmith.units.periods import Period
from billsmith.units.rounding import Rounding, round_to


class Grain(StrEnum):
    """How finely a period is measured."""

    TOTAL = "total"
    DAY = "day"
    HOUR = "hour"
    MINUTE = "minute"
    EVENT = "event"


#: What a group brings into the period: its level, or which values were there.
Carried = Exact | frozenset[str]

_LENGTHS = {Grain.HOUR: HOUR, Grain.MINUTE: MINUTE}


def measure(
    meter: Meter,
    events: Iterable[Event],
    period: Period,
    *,
    grain: Grain = Grain.TOTAL,
    zone: str = "UTC",
    carried: Mapping[tuple[str, ...], Carried] | None = None,
) -> tuple[Quantity, ...]:
    """What a meter counts of events in a period: one quantity for each group, and window or event where the grain is finer.

    Order and repetition of the events don't matter. Days are those of the ``zone``; hours and minutes are counted from the
    period's start. ``carried`` gives, by the values of ``group_by``, the level (time-weighted sum) or the values present
    (unique counts) at the period's start. Without ``group_by`` a total is always one quantity, if only of zero.

    Raises :class:`InvalidEvent` for an event that lacks what is counted, :class:`Conflict` for two of one identity.

    >>> from decimal import Decimal as D
    >>> meter = Meter(code="gb", event_type="stored")
    >>> stored = [Event(owner="o", source="s", id=str(n), type="stored", account="a", time=n, value=D(n)) for n in range(4)]
    >>> measure(meter, stored, Period(1, 3))
    (Quantity(value=Decimal('3'), events=2, dimensions={}, start=None, full=None, amount=None),)
    """
    counted = [event for event in in_order(events) if period.contains(event.time) and meter.counts(event)]
    if grain is Grain.EVENT:
        return tuple(_of_event(meter, event) for event in counted)
    groups: dict[tuple[str, ...], list[Event]] = {key: [] for key in carried or {}}
    if not meter.group_by:
        groups.setdefault((), [])
    for event in counted:
        groups.setdefault(meter.group_of(event), []).append(event)
    return tuple(
        quantity
        for key in sorted(groups)
        for quantity in _of_group(meter, groups[key], key, _span(period, zone, (carried or {}).get(key)), grain)
    )


def round_quantity(value: Exact, rounding: Rounding, places: int = 0) -> Exact:
    """A quantity to ``places`` after the point; below zero, to tens, hundreds …

    >>> from decimal import Decimal
    >>> round_quantity(Decimal("123.4567"), Rounding.HALF_UP, -1) == 120
    True
    """
    return round_to(value, places, rounding)


def _span(period: Period, zone: str, carried: Carried | None) -> Span:
    if carried is None:
        return Span(period, zone)
    if isinstance(carried, frozenset):
        return Span(period, zone, present=carried)
    return Span(period, zone, level=carried)


def _of_group(meter: Meter, events: list[Event], key: tuple[str, ...], span: Span, grain: Grain) -> Iterator[Quantity]:
    dimensions = dict(zip(meter.group_by, key, strict=True))
    if grain is Grain.TOTAL:
        yield _quantity(meter, events, span, dimensions, None)
        return
    if meter.aggregation is Aggregation.UNIQUE_COUNT_PRORATED:
        raise Invalid(
            "a prorated unique count is of the whole period; it has no windows. Use unique_count, or the grain total",
            code="meter.prorated_windows",
        )
    levels = meter.aggregation is Aggregation.TIME_WEIGHTED_SUM
    level, rest = span.level, events
    for window in windows(span.period, grain, span.zone) if levels else _windows_with(events, span.period, grain, span.zone):
        inside = [event for event in rest if event.time < window.end]
        rest = rest[len(inside) :]
        yield _quantity(meter, inside, msgspec.structs.replace(span, period=window, level=level), dimensions, window.start)
        if levels:
            level = add(level, total([number_of(event, meter.field) for event in inside]))


def windows(period: Period, grain: Grain, zone: str) -> Iterator[Period]:
    """The days (of the zone), hours or minutes that a period is cut into, in order; the first and last day may be cut short.

    >>> [window.length // MINUTE for window in windows(Period(0, 90 * MINUTE), Grain.HOUR, "UTC")]
    [60, 30]
    """
    start = period.start
    while start < period.end:
        window = _window(period, start, grain, zone)
        yield window
        start = window.end


def _windows_with(events: Sequence[Event], period: Period, grain: Grain, zone: str) -> Iterator[Period]:
    window = Period(period.start, period.start)
    for event in events:
        if not window.contains(event.time):
            window = _window(period, event.time, grain, zone)
            yield window


def _window(period: Period, instant: int, grain: Grain, zone: str) -> Period:
    """The window of a period that an instant lies in."""
    if grain is Grain.DAY:
        day = day_of(instant, zone)
        start, end = start_of_day(day, zone), start_of_day(type(day).fromordinal(day.toordinal() + 1), zone)
    else:
        length = _LENGTHS[grain]
        start = instant - (instant - period.start) % length
        end = start + length
    return Period(max(start, period.start), min(end, period.end))


def _quantity(meter: Meter, events: Sequence[Event], span: Span, dimensions: dict[str, str], start: int | None) -> Quantity:
    value = REFERENCE[meter.aggregation](events, meter, span)
    prorated = meter.aggregation is Aggregation.UNIQUE_COUNT_PRORATED
    amount = total([number_of(event, meter.amount_field) for event in events]) if meter.amount_field else None
    return Quantity(
        value if meter.rounding is None else round_quantity(value, meter.rounding, meter.places),
        events=len(events),
        dimensions=dimensions,
        start=start,
        full=REFERENCE[Aggregation.UNIQUE_COUNT](events, meter, span) if prorated else None,
        amount=amount,
    )


def _of_event(meter: Meter, event: Event) -> Quantity:
    return Quantity(
        number_of(event, meter.field),
        dimensions={name: event.dimensions.get(name, "") for name in meter.group_by},
        start=event.time,
        amount=number_of(event, meter.amount_field) if meter.amount_field else None,
    )
