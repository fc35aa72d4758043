"""Rows of one account → what a meter measures: by ``metering.measure`` itself, whatever the meter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from billsmith.events.event import Event, in_order
from billsmith.metering.aggregations import number_of, text_of
from billsmith.metering.measure import Carried, measure
from billsmith.metering.meter import OPERATION, REMOVE, Aggregation, Meter
from billsmith.metering.quantity import Quantity
from billsmith.units.errors import Invalid
from billsmith.units.exact import Exact, total
from billsmith.units.periods import Period
from billsmith.units.rounding import trimmed
from billsmith.usage.store import Measured, Query

#: Aggregations to which all that happened before a period matters.
CARRYING = (Aggregation.TIME_WEIGHTED_SUM, Aggregation.UNIQUE_COUNT_PRORATED)


def count(number: int, query: Query, account: str, period: Period, events: Sequence[Event]) -> Measured | None:
    """What the query's meter ``number`` counts for an account in a period; ``None`` where there is nothing to tell.

    ``events`` are those of the meter's type in force: of the period, and for :data:`CARRYING` all before it too.
    """
    meter = query.meters[number]
    named = query.accounts is not None
    counted = [event for event in events if event.time < period.end and meter.counts(event)]
    inside = [event for event in counted if event.time >= period.start]
    try:
        carried = _carried(meter, counted, period)
        if not (named or inside or carried):
            return None
        found = measure(meter, inside, period, grain=query.grain, zone=query.zone, carried=carried)
    except Invalid as error:
        return Measured(meter=number, account=account, period=period, error=error.code, message=str(error))
    return Measured(meter=number, account=account, period=period, quantities=tuple(map(_trimmed, found)))


def _carried(meter: Meter, events: Sequence[Event], period: Period) -> Mapping[tuple[str, ...], Carried]:
    if meter.aggregation not in CARRYING:
        return {}
    groups: dict[tuple[str, ...], list[Event]] = {}
    for event in in_order(event for event in events if event.time < period.start):
        groups.setdefault(meter.group_of(event), []).append(event)
    of = _level if meter.aggregation is Aggregation.TIME_WEIGHTED_SUM else _present
    carried = {group: of(meter, found) for group, found in groups.items()}
    return {group: value for group, value in carried.items() if value}


def _level(meter: Meter, events: list[Event]) -> Carried:
    return total([number_of(event, meter.field) for event in events])


def _present(meter: Meter, events: list[Event]) -> Carried:
    last = {text_of(event, meter.field): event.dimensions.get(OPERATION) for event in events}
    return frozenset(name for name, operation in last.items() if operation != REMOVE)


def _trimmed(quantity: Quantity) -> Quantity:
    value, full, amount = (_trim(part) for part in (quantity.value, quantity.full, quantity.amount))
    assert value is not None
    return msgspec.structs.replace(quantity, value=value, full=full, amount=amount)


def _trim(value: Exact | None) -> Exact | None:
    return trimmed(value) if isinstance(value, Decimal) else value
