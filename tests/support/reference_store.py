"""The plainest usage store there can be: lists in memory, counted by ``metering.measure``. The judge of all others."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from billsmith.events.canonical import canonical
from billsmith.events.event import Event, in_order
from billsmith.metering.aggregations import number_of, text_of
from billsmith.metering.measure import Carried, measure
from billsmith.metering.meter import OPERATION, REMOVE, Aggregation, Meter
from billsmith.metering.quantity import Quantity
from billsmith.units.errors import Invalid, TooLarge
from billsmith.units.exact import Exact, total
from billsmith.units.periods import Period
from billsmith.units.rounding import trimmed
from billsmith.usage.store import (
    MAX_BATCH,
    Binding,
    Clash,
    Entry,
    Health,
    Item,
    Kept,
    Measured,
    Place,
    Query,
    Receipt,
    Rejection,
    Replace,
    Selection,
    Unknown,
    Void,
)

Identity = tuple[str, str, str]


class ReferenceStore:
    """Every answer by going through all rows."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._rows: list[Entry] = []
        self._accounts: dict[tuple[str, str], str] = {}

    def ingest(self, items: Sequence[Item]) -> Receipt:
        with self._lock:
            if len(items) > MAX_BATCH:
                raise TooLarge(f"{len(items)} items; at most {MAX_BATCH}", code="usage.batch_too_large")
            duplicates: list[int] = []
            conflicts: list[Clash] = []
            rejected: list[Rejection] = []
            for index, item in enumerate(items):
                match self._take(index, item):
                    case "duplicate":
                        duplicates.append(index)
                    case Clash() as clash:
                        conflicts.append(clash)
                    case Rejection() as rejection:
                        rejected.append(rejection)
            return Receipt(
                accepted=len(items) - len(duplicates) - len(conflicts) - len(rejected),
                seq=len(self._rows),
                duplicates=tuple(duplicates),
                conflicts=tuple(conflicts),
                rejected=tuple(rejected),
            )

    def _take(self, index: int, item: Item) -> str | Clash | Rejection | None:
        event = item.event if isinstance(item, Replace) else item
        rows = self.history(event.owner, event.source, event.id)
        if isinstance(item, Event):
            sent = canonical(item)
            if not rows:
                self._add(+1, sent)
                return None
            return "duplicate" if sent in (rows[0].event, rows[-1].event) else Clash(index, sent, rows[-1].event)
        if not rows:
            return Rejection(index, "event.unknown", "there is no such event to correct", "id")
        last = rows[-1]
        if item.as_of_seq is not None and last.seq > item.as_of_seq:
            return "duplicate"
        if isinstance(item, Void):
            if last.sign < 0:
                return "duplicate"
            self._add(-1, last.event)
            return None
        sent = canonical(item.event)
        if last.sign > 0:
            if last.event == sent:
                return "duplicate"
            self._add(-1, last.event)
        self._add(+1, sent)
        return None

    def _add(self, sign: int, event: Event) -> None:
        self._rows.append(Entry(len(self._rows) + 1, sign, event))

    def bind(self, bindings: Sequence[Binding]) -> None:
        with self._lock:
            for binding in bindings:
                self._accounts.setdefault((binding.owner, binding.reference), binding.account)

    def keep(self, meters: Collection[Meter]) -> None:
        pass

    def measure(self, query: Query) -> Iterator[Measured]:
        with self._lock:
            kept = self._kept(query.as_of_seq)
            accounts = dict(self._accounts)
        by_account: dict[str, list[Event]] = {}
        for one in kept:
            if (account := accounts.get((one.event.owner, one.event.account))) is not None:
                by_account.setdefault(account, []).append(one.event)
        wanted = sorted(by_account if query.accounts is None else set(query.accounts))
        for number, meter in enumerate(query.meters):
            for account in wanted:
                for period in query.periods:
                    events = by_account.get(account, [])
                    measured, matters = _measured(number, meter, account, period, events, query)
                    if query.accounts is not None or matters:
                        yield measured

    def events(self, selection: Selection, *, after: Place | None = None, limit: int = 1_000) -> tuple[Kept, ...]:
        found = sorted(self._selected(selection), key=_place)
        return tuple([one for one in found if after is None or _place(one) > after][:limit])

    def count(self, selection: Selection) -> int:
        return len(self._selected(selection))

    def _selected(self, selection: Selection) -> list[Kept]:
        with self._lock:
            return [one for one in self._kept(selection.as_of_seq) if _chosen(one, selection)]

    def _kept(self, as_of_seq: int | None) -> list[Kept]:
        """The events in force."""
        force: dict[Identity, Kept] = {}
        for row in self._rows[:as_of_seq]:
            if row.sign < 0:
                del force[row.event.identity]
            else:
                account = self._accounts.get((row.event.owner, row.event.account))
                force[row.event.identity] = Kept(row.seq, row.event, account)
        return list(force.values())

    def history(self, owner: str, source: str, id: str) -> tuple[Entry, ...]:
        with self._lock:
            return tuple(row for row in self._rows if row.event.identity == (owner, source, id))

    def histories(self, owner: str, names: Collection[tuple[str, str]]) -> tuple[Entry, ...]:
        with self._lock:
            wanted = {(owner, source, id) for source, id in names}
            return tuple(row for row in self._rows if row.event.identity in wanted)

    def waiting(self, names: Collection[tuple[str, str]] | None = None, *, limit: int = 1_000) -> tuple[tuple[str, str], ...]:
        with self._lock:
            known = dict.fromkeys((row.event.owner, row.event.account) for row in self._rows)
        unbound = [name for name in known if name not in self._accounts]
        return tuple(unbound[:limit]) if names is None else tuple(name for name in names if name in set(unbound))

    def unknown(
        self, types: Collection[str], *, owners: Collection[str] | None = None, limit: int = 1_000
    ) -> tuple[Unknown, ...]:
        alike: dict[tuple[str, str, str | None, str], list[Place]] = {}
        with self._lock:
            for one in self._kept(None):
                if (one.account is None or one.event.type not in types) and (owners is None or one.event.owner in owners):
                    key = one.event.owner, one.event.account, one.account, one.event.type
                    alike.setdefault(key, []).append(_place(one))
        found = [
            Unknown(
                owner=owner,
                reference=reference,
                account=account,
                type=type,
                events=len(places),
                first=min(places)[0],
                last=max(places)[0],
                source=min(places)[1],
                id=min(places)[2],
            )
            for (owner, reference, account, type), places in alike.items()
        ]
        return tuple(sorted(found, key=lambda one: (one.owner, one.reference, one.type))[:limit])

    def watermark(self) -> int:
        return len(self._rows)

    def health(self) -> Health:
        return Health(engine="reference", seq=len(self._rows), events=len(self._kept(None)), bytes=0)

    def close(self) -> None:
        pass


def _place(one: Kept) -> Place:
    return one.event.time, one.event.source, one.event.id, one.event.owner


def _chosen(one: Kept, selection: Selection) -> bool:
    event = one.event
    dimensions = event.dimensions
    return (
        selection.owner in ("", event.owner)
        and selection.source in ("", event.source)
        and selection.type in ("", event.type)
        and selection.reference in ("", event.account)
        and (selection.accounts is None or one.account in selection.accounts)
        and (selection.period is None or selection.period.contains(event.time))
        and all(dimensions.get(name) in texts for name, texts in selection.where.items())
        and not any(dimensions.get(name) in texts for name, texts in selection.unless.items())
    )


def _measured(
    number: int, meter: Meter, account: str, period: Period, events: list[Event], query: Query
) -> tuple[Measured, bool]:
    """What is measured, and whether there is anything to it: an event counted in the period, or something carried into it."""
    inside = any(period.contains(event.time) and meter.counts(event) for event in events)
    try:
        carried = carried_into(meter, events, period)
        quantities = measure(meter, events, period, grain=query.grain, zone=query.zone, carried=carried)
    except Invalid as error:
        return Measured(meter=number, account=account, period=period, error=error.code, message=error.message), True
    return (
        Measured(meter=number, account=account, period=period, quantities=tuple(map(_trimmed, quantities))),
        inside or bool(carried),
    )


def carried_into(meter: Meter, events: list[Event], period: Period) -> Mapping[tuple[str, ...], Carried]:
    """What all events before a period leave to it: by group, the level, or who is there."""
    groups: dict[tuple[str, ...], list[Event]] = {}
    for event in in_order(events):
        if event.time < period.start and meter.counts(event):
            groups.setdefault(meter.group_of(event), []).append(event)
    if meter.aggregation is Aggregation.TIME_WEIGHTED_SUM:
        levels = {group: total([number_of(event, meter.field) for event in found]) for group, found in groups.items()}
        return {group: level for group, level in levels.items() if level}
    if meter.aggregation is Aggregation.UNIQUE_COUNT_PRORATED:
        present = {group: _present(meter, found) for group, found in groups.items()}
        return {group: names for group, names in present.items() if names}
    return {}


def _present(meter: Meter, events: list[Event]) -> frozenset[str]:
    last = {text_of(event, meter.field): event.dimensions.get(OPERATION) for event in events}
    return frozenset(name for name, operation in last.items() if operation != REMOVE)


def _trimmed(quantity: Quantity) -> Quantity:
    return msgspec.structs.replace(
        quantity, value=_trim(quantity.value), full=_maybe(quantity.full), amount=_maybe(quantity.amount)
    )


def _maybe(value: Exact | None) -> Exact | None:
    return None if value is None else _trim(value)


def _trim(value: Exact) -> Exact:
    return trimmed(value) if isinstance(value, Decimal) else value  # a fraction is as short as it can be
