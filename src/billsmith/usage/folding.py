"""Rows that the database has added up → quantities of a meter: filtered, put in groups and windows, made exact numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

import msgspec

from billsmith.events.event import Event
from billsmith.metering.measure import Grain, round_quantity, windows
from billsmith.metering.meter import Aggregation, Meter
from billsmith.metering.quantity import Quantity
from billsmith.units.exact import Exact, divide, simplest
from billsmith.units.instants import SECOND
from billsmith.units.periods import Period
from billsmith.units.rounding import ZERO, trimmed
from billsmith.usage import tally
from billsmith.usage.limbs import LIMB, SCALE, number
from billsmith.usage.shapes import BEFORE, MOMENTS, NUMBERS, PARTS, Shape
from billsmith.usage.store import Query

#: Meters whose answer is made of sums alone: these are counted ahead.
LINEAR = (Aggregation.COUNT, Aggregation.SUM, Aggregation.AVERAGE, Aggregation.TIME_WEIGHTED_SUM)
#: Meters to which the order of events matters: they are counted from their rows.
ORDERED = (Aggregation.LATEST, Aggregation.TIME_WEIGHTED_SUM, Aggregation.UNIQUE_COUNT_PRORATED)

#: Keys whose groups are remembered while one meter is read.
_KEYS = 65_536

#: Type, account, period, start of the window, key, then what the shape has.
Row = Sequence[Any]
#: A group, and the start of a window.
_Place = tuple[tuple[str, ...], int]
_decode = msgspec.json.Decoder(list[str | None]).decode


def shape_of(meter: Meter, grain: Grain) -> Shape | None:
    """How the database can add up a meter; ``None`` for one that must be counted from its rows."""
    if grain is Grain.EVENT:
        return None
    if is_linear(meter):
        names = tuple(sorted({*meter.where, *meter.unless, *meter.group_by}))
        levels = meter.aggregation is Aggregation.TIME_WEIGHTED_SUM
        return Shape(names, MOMENTS if levels else NUMBERS)
    if meter.aggregation in ORDERED:
        return None
    needed = tally.reads(meter)
    return Shape(tuple(sorted(needed - {"value"})), ("n",), by=("high", "low") if "value" in needed else ())


def is_linear(meter: Meter) -> bool:
    """Whether sums of the events' own values and times are all that a meter needs."""
    counts = meter.aggregation is Aggregation.COUNT or meter.field == "value"
    return meter.aggregation in LINEAR and counts and not meter.amount_field


def families(meters: Iterable[Meter]) -> set[tuple[str, Shape]]:
    """What has to be counted ahead for some meters: event types, and what of them."""
    found = set()
    for meter in meters:
        shape = shape_of(meter, Grain.TOTAL)
        if is_linear(meter) and shape is not None:
            found.add((meter.event_type, shape))
    return found


class Fold:
    """Rows of one account and period → quantities. Made once for a meter, as it remembers what keys mean."""

    def __init__(self, meter: Meter, shape: Shape, query: Query) -> None:
        self._meter, self._shape, self._query = meter, shape, query
        self._plain = meter.aggregation is Aggregation.SUM and meter.rounding is None
        self._in_all = query.grain is Grain.TOTAL
        self._group = lru_cache(maxsize=_KEYS)(self._group_of)
        self._of: Callable[[Iterable[Row], Period], tuple[Quantity, ...]] = (
            self._levels
            if meter.aggregation is Aggregation.TIME_WEIGHTED_SUM
            else self._sums
            if is_linear(meter)
            else self._tallies
        )

    def __call__(self, rows: Iterable[Row], period: Period) -> tuple[Quantity, ...]:
        """The quantities; none where there is nothing to tell. Raises :class:`Invalid` where an event can't be counted."""
        return self._of(rows, period)

    def _group_of(self, key: str) -> tuple[str, ...] | None:
        """The group of a key; ``None`` where the filter drops it."""
        dimensions = self._dimensions(key)
        return self._meter.group(dimensions) if self._meter.passes(dimensions) else None

    def _dimensions(self, key: str) -> dict[str, str]:
        return {name: text for name, text in zip(self._shape.names, _decode(key), strict=True) if text is not None}

    def _start(self, start: int) -> int | None:
        return None if self._in_all else start

    def _named(self, group: tuple[str, ...]) -> dict[str, str]:
        return dict(zip(self._meter.group_by, group, strict=True))

    # ── sums ──

    def _sums(self, rows: Iterable[Row], period: Period) -> tuple[Quantity, ...]:
        rows = rows if type(rows) is list else list(rows)
        if len(rows) == 1:  # as most are
            _, _, _, start, key, n, top, middle, low = rows[0]
            group = self._group(key)
            if group is None or not n:
                return ()
            whole = (top * LIMB + middle) * LIMB + low if top or middle else low
            exact = number(whole) if self._plain else self._value(n, whole)
            return (Quantity(exact, n, self._named(group) if group else {}, None if self._in_all else start),)
        found: dict[tuple[str, ...], dict[int, tuple[int, int]]] = {}
        for _, _, _, start, key, n, top, middle, low in rows:
            group = self._group(key)
            if group is None:
                continue
            whole = (top * LIMB + middle) * LIMB + low if top or middle else low
            windows = found.setdefault(group, {})
            before = windows.get(start)
            windows[start] = (n, whole) if before is None else (before[0] + n, before[1] + whole)
        value, total = self._value, self._in_all
        quantities = []
        for group in sorted(found):
            named = self._named(group)
            quantities += [
                Quantity(value(n, whole), n, named.copy(), None if total else start)
                for start, (n, whole) in sorted(found[group].items())
                if n
            ]
        return tuple(quantities)

    def _value(self, n: int, whole: int) -> Exact:
        if self._plain:
            return number(whole)
        if self._meter.aggregation is Aggregation.COUNT:
            return self._rounded(Decimal(n))
        value = number(whole)
        return self._rounded(divide(value, Decimal(n)) if self._meter.aggregation is Aggregation.AVERAGE else value)

    def _rounded(self, value: Exact) -> Exact:
        if self._meter.rounding is not None:
            value = round_quantity(value, self._meter.rounding, self._meter.places)
        return trimmed(value) if isinstance(value, Decimal) else value

    # ── levels ──

    def _added(self, rows: Iterable[Row]) -> dict[_Place, list[int]]:
        """By group and window: how many events, then whole numbers: values, values × seconds, values × nanoseconds."""
        found: dict[_Place, list[int]] = {}
        for _, _, _, start, key, n, *parts in rows:
            group = self._group(key)
            if group is None:
                continue
            sums = [
                n,
                *((t * LIMB + m) * LIMB + low for t, m, low in zip(*(parts[at::PARTS] for at in range(PARTS)), strict=True)),
            ]
            before = found.get((group, start))
            found[group, start] = sums if before is None else [old + new for old, new in zip(before, sums, strict=True)]
        return {place: sums for place, sums in found.items() if sums[0]}

    def _levels(self, rows: Iterable[Row], period: Period) -> tuple[Quantity, ...]:
        """The mean level of each window: a value counts from its time to the window's end, what was before all along."""
        added = self._added(rows)
        carried = {group: sums[1] for (group, start), sums in added.items() if start == BEFORE and sums[1]}
        groups = carried.keys() | {group for group, start in added if start != BEFORE}
        return tuple(
            quantity
            for group in sorted(groups)
            for quantity in self._group_levels(group, {s: v for (g, s), v in added.items() if g == group}, period)
        )

    def _group_levels(self, group: tuple[str, ...], by_window: dict[int, list[int]], period: Period) -> list[Quantity]:
        total = self._in_all
        level = by_window.get(BEFORE, (0, 0))[1]
        found = []
        for window in [period] if total else windows(period, self._query.grain, self._query.zone):
            n, whole, seconds, nanos = by_window.get(0 if total else window.start, (0, 0, 0, 0))
            area = level * window.length + whole * window.end - seconds * SECOND - nanos
            value = self._rounded(simplest(Fraction(area, window.length * SCALE)))
            found.append(Quantity(value, n, self._named(group), self._start(window.start)))
            level += whole
        return found

    # ── tallies ──

    def _tallies(self, rows: Iterable[Row], period: Period) -> tuple[Quantity, ...]:
        found: dict[_Place, list[tuple[Event, int]]] = {}
        for _, _, _, start, key, *more in rows:
            group = self._group(key)
            if group is not None and more[-1]:
                found.setdefault((group, start), []).append((self._alike(key, more), more[-1]))
        return tuple(
            tally.quantity(self._meter, alike, self._named(group), self._start(start))
            for (group, start), alike in sorted(found.items(), key=lambda one: one[0])
        )

    def _alike(self, key: str, more: Sequence[int]) -> Event:
        """An event with what the meter reads, and nothing else."""
        value = number(more[0] * LIMB + more[1]) if self._shape.by else ZERO
        dimensions = self._dimensions(key)
        return Event(owner="", source="", id="", type="", account="", time=0, value=value, dimensions=dimensions)


def nothing(meter: Meter, query: Query, period: Period) -> tuple[Quantity, ...]:
    """What a meter says of a period without events, to who asked for the account by name."""
    if meter.group_by:
        return ()
    if query.grain is Grain.TOTAL:
        return (Quantity(ZERO, events=0, amount=ZERO if meter.amount_field else None),)
    if meter.aggregation is Aggregation.TIME_WEIGHTED_SUM:
        return tuple(Quantity(ZERO, events=0, start=window.start) for window in windows(period, query.grain, query.zone))
    return ()
