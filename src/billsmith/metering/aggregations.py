"""The plain answer of each aggregation: what every usage store is held to.

Each function takes events that are already filtered, in order and without repetition, and gives an exact number. Without
events it is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec

from billsmith.events.event import Event
from billsmith.metering.meter import OPERATION, REMOVE, Aggregation, Meter
from billsmith.units.errors import InvalidEvent
from billsmith.units.exact import Exact, add, as_fraction, divide, multiply, simplest, total
from billsmith.units.instants import day_of
from billsmith.units.periods import Period
from billsmith.units.rounding import ZERO, Rounding, parse_decimal, plain, round_to


class Span(msgspec.Struct, frozen=True):
    """The period that is measured, the account's zone, and what was carried into it: a level, or who was there."""

    period: Period
    zone: str = "UTC"
    level: Exact = ZERO
    present: frozenset[str] = frozenset()


Reference = Callable[[Sequence[Event], Meter, Span], Exact]


def number_of(event: Event, field: str) -> Decimal:
    """The number that an event carries in a field. Raises :class:`InvalidEvent` where there is none.

    >>> number_of(Event(owner="o", source="s", id="1", type="t", account="a", time=0, dimensions={"gb": "1.5"}), "gb")
    Decimal('1.5')
    """
    if field == "value":
        return event.value
    text = event.dimensions.get(field)
    if text is None:
        raise InvalidEvent(
            f"event {event.source}/{event.id} has no {field!r} to count with. Send it, or filter such events out",
            code="event.no_number",
            where=field,
        )
    return parse_decimal(text, where=f"{event.source}/{event.id}.{field}")


def text_of(event: Event, field: str) -> str:
    """What an event says in a field, as text. Raises :class:`InvalidEvent` where there is nothing."""
    if field == "value":
        return plain(event.value)
    text = event.dimensions.get(field)
    if text is None:
        raise InvalidEvent(
            f"event {event.source}/{event.id} has no {field!r} to tell it by. Send it, or filter such events out",
            code="event.no_text",
            where=field,
        )
    return text


def _numbers(events: Sequence[Event], meter: Meter) -> list[Decimal]:
    return [number_of(event, meter.field) for event in events]


def count(events: Sequence[Event], meter: Meter, span: Span) -> Exact:
    """How many events."""
    return Decimal(len(events))


def sum_of(events: Sequence[Event], meter: Meter, span: Span) -> Exact:
    """The sum of their numbers."""
    return total(_numbers(events, meter))


def maximum(events: Sequence[Event], meter: Meter, span: Span) -> Exact:
    """The largest number."""
    return max(_numbers(events, meter), default=ZERO)


def minimum(events: Sequence[Event], meter: Meter, span: Span) -> Exact:
    """The smallest number."""
    return min(_numbers(events, meter), default=ZERO)


def average(events: Sequence[Event], meter: Meter, span: Span) -> Exact:
    """The mean of the numbers, exactly."""
    return divide(sum_of(events, meter, span), Decimal(len(events))) if events else ZERO


def latest(events: Sequence[Event], meter: Meter, span: Span) -> Exact:
    """The number of the last event; of equal times, the last by source and id."""
    return number_of(events[-1], meter.field) if events else ZERO


def percentile(events: Sequence[Event], meter: Meter, span: Span) -> Exact:
    """Nearest rank: the smallest number that at least ``percentile`` percent of all numbers don't exceed. No interpolation."""
    if not events:
        return ZERO
    assert meter.percentile is not None
    numbers = sorted(_numbers(events, meter))
    rank = round_to(divide(multiply(meter.percentile, Decimal(len(numbers))), Decimal(100)), 0, Rounding.CEILING)
    return numbers[max(int(rank), 1) - 1]


def expression(events: Sequence[Event], meter: Meter, span: Span) -> Exact:
    """The sum of the meter's formula over the events."""
    formula = meter.formula
    return simplest(total([formula(lambda name, event=event: number_of(event, name)) for event in events]))  # type: ignore[misc]


def time_weighted_sum(events: Sequence[Event], meter: Meter, span: Span) -> Exact:
    """The mean level over the period: events move the level up or down, and each level counts for as long as it held."""
    level, since, area = span.level, span.period.start, Fraction(0)
    for event in events:
        area += as_fraction(level) * (event.time - since)
        level, since = add(level, number_of(event, meter.field)), event.time
    area += as_fraction(level) * (span.period.end - since)
    return simplest(area / span.period.length)


def unique_count(events: Sequence[Event], meter: Meter, span: Span) -> Exact:
    """How many different values; an event that tells of a removal is no sighting."""
    return Decimal(len({text_of(event, meter.field) for event in events if not _removes(event)} | span.present))


def unique_count_prorated(events: Sequence[Event], meter: Meter, span: Span) -> Exact:
    """For each different value the share of the period's local days on which it was there.

    The day on which it came counts, and the day on which it went (unless ``removal_day_counts`` is off).
    """
    first, last = _days_of(span)
    gone = 0 if meter.removal_day_counts else 1
    since = dict.fromkeys(span.present, first)
    days: dict[str, set[int]] = {}
    for event in events:
        name, day = text_of(event, meter.field), day_of(event.time, span.zone).toordinal()
        if not _removes(event):
            since.setdefault(name, day)
        elif name in since:
            days.setdefault(name, set()).update(range(since.pop(name), day + 1 - gone))
    for name, day in since.items():
        days.setdefault(name, set()).update(range(day, last + 1))
    return simplest(Fraction(sum(map(len, days.values())), last - first + 1))


def _removes(event: Event) -> bool:
    return event.dimensions.get(OPERATION) == REMOVE


def _days_of(span: Span) -> tuple[int, int]:
    first, last = day_of(span.period.start, span.zone), day_of(span.period.end - 1, span.zone)
    return first.toordinal(), last.toordinal()


#: The function of each aggregation.
REFERENCE: dict[Aggregation, Reference] = {
    Aggregation.COUNT: count,
    Aggregation.SUM: sum_of,
    Aggregation.MAX: maximum,
    Aggregation.MIN: minimum,
    Aggregation.AVERAGE: average,
    Aggregation.UNIQUE_COUNT: unique_count,
    Aggregation.UNIQUE_COUNT_PRORATED: unique_count_prorated,
    Aggregation.LATEST: latest,
    Aggregation.TIME_WEIGHTED_SUM: time_weighted_sum,
    Aggregation.PERCENTILE: percentile,
    Aggregation.EXPRESSION: expression,
}
