"""Kinds that turn events into a quantity."""

from __future__ import annotations

import re
from typing import Any

from billsmith.events.event import Event
from billsmith.metering.measure import measure, round_quantity
from billsmith.metering.meter import Aggregation, Meter
from billsmith.rating import rate
from billsmith.rating.models.per_unit import PerUnit
from billsmith.units.exact import Exact
from billsmith.units.instants import DAY
from billsmith.units.periods import Period
from billsmith.units.rounding import Rounding
from tests.conformance.building import amount, context, instant, mode, number, optional
from tests.conformance.registry import NotSupported, adapter

_NAMES = {
    "avg": Aggregation.AVERAGE,
    "mean": Aggregation.AVERAGE,
    "last": Aggregation.LATEST,
    "count_unique": Aggregation.UNIQUE_COUNT,
    "unique": Aggregation.UNIQUE_COUNT,
    "weighted_sum": Aggregation.TIME_WEIGHTED_SUM,
    **{aggregation.value: aggregation for aggregation in Aggregation},
}


def _event(index: int, time: int, dimensions: dict[str, Any]) -> Event:
    texts = {f"{name}_" if name == "value" else name: str(value) for name, value in dimensions.items() if value is not None}
    return Event(owner="o", source="case", id=f"{index:06}", type="used", account="a", time=time, dimensions=texts)


def _events(given: dict[str, Any]) -> list[Event]:
    return [
        _event(index, instant(row["t"]) if "t" in row else index, {name: row[name] for name in row if name != "t"})
        for index, row in enumerate(given["events"])
    ]


@adapter("aggregation")
def aggregation(given: dict[str, Any]) -> Any:
    name = given["aggregation"]
    if re.fullmatch(r"p\d+", name):
        return _aggregate({**given, "percentile": name[1:]}, Aggregation.PERCENTILE)
    if name not in _NAMES:
        raise NotSupported(f"aggregation {name}")
    return _aggregate(given, _NAMES[name])


@adapter("unique_count")
def unique_count(given: dict[str, Any]) -> Any:
    return _aggregate(given, Aggregation.UNIQUE_COUNT)


def _aggregate(given: dict[str, Any], how: Aggregation) -> Exact:
    events = _events(given)
    times = [event.time for event in events] or [0]
    field = given.get("field") or "value"
    meter = Meter(
        code="case",
        event_type="used",
        aggregation=how,
        field=f"{field}_" if field == "value" else field,
        percentile=optional(given, "percentile"),
        expression=given.get("expression") or "",
        **_rounding(given),
    )
    (quantity,) = measure(meter, events, Period(min(times), max(times) + 1))
    return quantity.value


def _rounding(given: dict[str, Any]) -> dict[str, Any]:
    return {"rounding": Rounding.HALF_UP, "places": int(given["round_to"])} if given.get("round_to") is not None else {}


@adapter("weighted_sum")
def weighted_sum(given: dict[str, Any]) -> Any:
    start, end = map(instant, given["period"])
    events = [_event(index, instant(time), {"delta": delta}) for index, (time, delta) in enumerate(given["deltas"])]
    meter = Meter(code="case", event_type="used", aggregation=Aggregation.TIME_WEIGHTED_SUM, field="delta", **_rounding(given))
    level = optional(given, "initial")
    (quantity,) = measure(meter, events, Period(start, end), carried={} if level is None else {(): level})
    return quantity.value


@adapter("quantity_rounding")
def quantity_rounding(given: dict[str, Any]) -> Any:
    return round_quantity(number(given["value"]), mode(given["function"]), int(given.get("precision") or 0))


@adapter("unique_count_prorated")
def unique_count_prorated(given: dict[str, Any]) -> Any:
    inclusive = given.get("end", "inclusive") == "inclusive"
    start, end = map(instant, given["period"])
    came, went = given.get("active_from"), given.get("active_to")
    moves = [(came, {"thing": "x"}), (went, {"thing": "x", "operation": "remove"})]
    events = [_event(index, instant(time), what) for index, (time, what) in enumerate(moves) if time is not None]
    there_before = came is None or instant(came) < start
    meter = Meter(
        code="case",
        event_type="used",
        aggregation=Aggregation.UNIQUE_COUNT_PRORATED,
        field="thing",
        removal_day_counts=inclusive,
    )
    quantities = measure(
        meter,
        events,
        Period(start, end + DAY if inclusive else end),
        carried={(): frozenset({"x"})} if there_before else {},
    )
    return amount(rate(PerUnit(unit_amount=number(given["unit_amount"])), quantities, context(given)), given)
