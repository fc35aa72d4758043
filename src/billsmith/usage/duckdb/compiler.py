"""Meters whose numbers the database adds up itself, in whole numbers; all others are counted from their rows.

Nothing is divided or rounded in SQL: it gives counts, sums of limbs and extremes, and Python makes exact numbers of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from billsmith.metering.measure import Grain, round_quantity
from billsmith.metering.meter import Aggregation, Meter
from billsmith.metering.quantity import Quantity
from billsmith.units.exact import Exact, divide
from billsmith.units.instants import HOUR, MINUTE
from billsmith.units.rounding import ZERO, trimmed
from billsmith.usage.duckdb.limbs import LIMB, number
from billsmith.usage.duckdb.rows import IN_FORCE
from billsmith.usage.store import Query

#: What SQL computes for an aggregation: a high and a low limb, or the whole number and nothing.
_WHOLE = f"(high::HUGEINT * {LIMB} + low)"
_NUMBERS = {
    Aggregation.COUNT: "0, 0",
    Aggregation.SUM: "sum(high), sum(low)",
    Aggregation.AVERAGE: "sum(high), sum(low)",
    Aggregation.MAX: f"0, max({_WHOLE})",
    Aggregation.MIN: f"0, min({_WHOLE})",
}
_LENGTHS = {Grain.TOTAL: 0, Grain.HOUR: HOUR, Grain.MINUTE: MINUTE}
#: Names that a path into JSON can quote as they are.
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


class Statement(msgspec.Struct):
    """SQL and its parameters. A row is account, period, the group's values, window, events, high, low."""

    sql: str
    parameters: dict[str, Any]


def can_compile(meter: Meter, grain: Grain) -> bool:
    """Whether the database can add up a meter: of whole events, by names that it can look up."""
    return (
        meter.aggregation in _NUMBERS
        and (meter.field == "value" or meter.aggregation is Aggregation.COUNT)
        and not meter.amount_field
        and grain in _LENGTHS
        and all(_PLAIN.fullmatch(name) for name in (*meter.where, *meter.unless, *meter.group_by))
    )


def wanted(subjects: dict[int, str] | None) -> tuple[str, dict[str, Any]]:
    """A relation of subject and account, and its parameters: those given, or all that are bound."""
    if subjects is None:
        return "bindings", {}
    return (
        "(SELECT unnest($subjects::INTEGER[]) AS subject, unnest($accounts::VARCHAR[]) AS account)",
        {"subjects": list(subjects), "accounts": list(subjects.values())},
    )


def compile_meter(meter: Meter, query: Query, seq: int, subjects: dict[int, str] | None) -> Statement:
    """A meter over every period, for the accounts of some subjects, or of all; rows by account, period, group, window."""
    who, parameters = wanted(subjects)
    parameters |= {"seq": seq, "type": meter.event_type}
    conditions = [
        *_filters(meter.where, "where", "coalesce({}, false)", parameters),
        *_filters(meter.unless, "unless", "NOT coalesce({}, false)", parameters),
    ]
    groups = [f"coalesce({_dimension(name)}, '') AS g{place}" for place, name in enumerate(meter.group_by)]
    parts = []
    for place, period in enumerate(query.periods):
        parameters |= {f"start{place}": period.start, f"end{place}": period.end}
        inside = f"{IN_FORCE} AND type = $type AND time >= $start{place} AND time < $end{place}"
        columns = ", ".join([f"account, {place} AS period", *groups, f"{_window(query.grain, place)} AS start"])
        source = " AND ".join([f"(SELECT * FROM {inside}) e JOIN {who} USING (subject) WHERE true", *conditions])
        keys = ", ".join(["account", *(f"g{index}" for index in range(len(groups))), "start"])
        parts.append(f"SELECT {columns}, count(*) AS events, {_NUMBERS[meter.aggregation]} FROM {source} GROUP BY {keys}")
    order = ", ".join(["account", "period", *(f"g{index}" for index in range(len(groups))), "start"])
    return Statement(f"SELECT * FROM ({' UNION ALL '.join(parts)}) ORDER BY {order}", parameters)


def _window(grain: Grain, place: int) -> str:
    length = _LENGTHS[grain]
    return f"time - (time - $start{place}) % {length}" if length else "0::BIGINT"


def _filters(wanted: dict[str, tuple[str, ...]], kind: str, form: str, parameters: dict[str, Any]) -> Iterator[str]:
    for place, (name, texts) in enumerate(wanted.items()):
        parameters[f"{kind}{place}"] = list(texts)
        yield form.format(f"list_contains(${kind}{place}::VARCHAR[], {_dimension(name)})")


def _dimension(name: str) -> str:
    return f"json_extract_string(dims, '$.\"{name}\"')"


def quantities(meter: Meter, grain: Grain, rows: Sequence[tuple[Any, ...]]) -> tuple[Quantity, ...]:
    """The rows of one account and period, without those two columns, as quantities."""
    if not rows and not meter.group_by and grain is Grain.TOTAL:
        rows = [(None, 0, 0, 0)]
    return tuple(_quantity(meter, grain, row) for row in rows)


def _quantity(meter: Meter, grain: Grain, row: tuple[Any, ...]) -> Quantity:
    *group, start, events, high, low = row
    value = _value(meter, events, int(high) * LIMB + int(low))
    if meter.rounding is not None:
        value = round_quantity(value, meter.rounding, meter.places)
    return Quantity(
        trimmed(value) if isinstance(value, Decimal) else value,
        events=events,
        dimensions=dict(zip(meter.group_by, group, strict=True)),
        start=None if grain is Grain.TOTAL else start,
    )


def _value(meter: Meter, events: int, whole: int) -> Exact:
    if meter.aggregation is Aggregation.COUNT:
        return Decimal(events)
    if meter.aggregation is Aggregation.AVERAGE:
        return divide(number(whole), Decimal(events)) if events else ZERO
    return number(whole)
