"""Every question, answered in one state of the store: what it measures, raw events."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec
from psycopg.adapt import Buffer, Loader

from billsmith.events.event import Event
from billsmith.events.limits import LATEST
from billsmith.units.errors import Invalid
from billsmith.units.instants import HOUR
from billsmith.units.periods import Period
from billsmith.usage import counting
from billsmith.usage.folding import Fold, nothing, shape_of
from billsmith.usage.postgres import cells, compiler, months
from billsmith.usage.postgres.compiler import Ahead, Statement
from billsmith.usage.postgres.connections import Connection
from billsmith.usage.postgres.rows import event_of
from billsmith.usage.postgres.schema import SCHEMA
from billsmith.usage.postgres.stretches import Stretches
from billsmith.usage.shapes import Shape
from billsmith.usage.store import MAX_PAGE, Kept, Measured, Place, Query, Selection, Unknown
from billsmith.usage.together import Together, every_place

_FETCH = 10_000
#: Subjects that are looked for one by one; how many times longer than the one before a span of time is that is read.
_MANY = 1_000
_GROWTH = 4


class _Whole(Loader):
    """A numeric without places, as a whole number."""

    def load(self, data: Buffer) -> int:
        return int(bytes(data))


class Answers:
    """Answers by one connection, on which a transaction with one snapshot is open."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stretches = Stretches(connection)

    def _upto(self, seq: int | None) -> int:
        return self._stretches.highest if seq is None else min(seq, self._stretches.highest)

    # ── measuring ──

    def measure(self, query: Query) -> Iterator[Measured]:
        """See :class:`UsageStore`."""
        seq = self._upto(query.as_of_seq)
        subjects = None if query.accounts is None else self._subjects(Selection(accounts=query.accounts))
        families = {(family.type, family.shape): family for family in cells.families(self._connection) if family.seq}
        together = Together()
        streams = []
        for number, meter in enumerate(query.meters):
            shape = shape_of(meter, query.grain)
            if shape is None:
                streams.append(self._counted(query, number, subjects, seq))
            else:
                family = families.get((meter.event_type, shape))
                together.put((shape, (family.seq, family.hourly) if family else None), meter.event_type, number)
        for (shape, known), numbers in together:
            found = [families[type, shape] for type in numbers] if known else []
            ahead = cells.ahead(self._connection, found, seq)
            streams.append(self._added_up(query, shape, ahead, numbers, subjects, seq))
        return merge(*streams, key=lambda measured: measured.meter)

    def _added_up(
        self, query: Query, shape: Shape, ahead: Ahead, numbers: dict[str, int], subjects: Sequence[int] | None, seq: int
    ) -> Iterator[Measured]:
        """Meters of one shape, each of a type of its own and as far ahead as the others, added up by one statement."""
        types, meters = list(numbers), list(numbers.values())
        folds = [Fold(query.meters[number], shape, query) for number in meters]
        statements = self._adding(query, shape, ahead, types, subjects, seq)
        for kind, account, place, found in every_place(statements, len(types), query):
            number, period = meters[kind], query.periods[place]
            try:
                quantities = folds[kind](found, period)
            except Invalid:  # which event it is, is for the rows to say
                yield from self._one_counted(query, number, account, period, seq)
                continue
            if not quantities:
                if query.accounts is None:
                    continue
                quantities = nothing(query.meters[number], query, period)
            yield Measured(meter=number, account=account, period=period, quantities=quantities)

    def _adding(
        self, query: Query, shape: Shape, ahead: Ahead, types: Sequence[str], subjects: Sequence[int] | None, seq: int
    ) -> Iterator[tuple[Any, ...]]:
        counted = compiler.Counted(ahead, self._stretches.of(0, ahead.seq), self._stretches.of(ahead.seq, seq))
        statement = compiler.add_up(shape, types, query, counted, subjects)
        return iter(()) if statement is None else self._rows(statement, every=subjects is None, whole=True)

    def _rows(self, statement: Statement, *, every: bool, whole: bool = False) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement. Those of all accounts are read as they are needed, not held."""
        name = f"c{id(statement)}" if every else ""
        with self._connection.cursor(name) as cursor:
            if whole:
                cursor.adapters.register_loader("numeric", _Whole)
            cursor.execute(statement.sql, statement.parameters)
            while rows := cursor.fetchmany(_FETCH):
                yield from rows

    def _one_counted(self, query: Query, number: int, account: str, period: Period, seq: int) -> Iterator[Measured]:
        meter = query.meters[number]
        one = msgspec.structs.replace(query, meters=(meter,), accounts=(account,), periods=(period,))
        for measured in self._counted(one, 0, self._subjects(Selection(accounts=(account,))), seq):
            yield msgspec.structs.replace(measured, meter=number)

    def _counted(self, query: Query, number: int, subjects: Sequence[int] | None, seq: int) -> Iterator[Measured]:
        """What is counted from its rows."""
        waiting = sorted(set(query.accounts or ()), reverse=True)
        for account, events in self._by_account(query, number, subjects, seq):
            while waiting and waiting[-1] < account:
                yield from _measured(query, number, waiting.pop(), ())
            if waiting:
                waiting.pop()
            yield from _measured(query, number, account, events)
        while waiting:
            yield from _measured(query, number, waiting.pop(), ())

    def _by_account(
        self, query: Query, number: int, subjects: Sequence[int] | None, seq: int
    ) -> Iterator[tuple[str, list[Event]]]:
        """The events that matter to a meter, account by account."""
        meter = query.meters[number]
        start = 0 if meter.aggregation in counting.CARRYING else min(period.start for period in query.periods)
        end = max(period.end for period in query.periods)
        stretch = self._stretches.of(0, seq)
        if stretch is None:
            return
        statement = compiler.read(meter.event_type, start, end, stretch, subjects)
        for account, rows in groupby(self._rows(statement, every=subjects is None), itemgetter(0)):
            yield account, [event_of(row[1:]) for row in rows]

    # ── raw events ──

    def events(self, selection: Selection, after: Place | None, limit: int) -> tuple[Kept, ...]:
        """See :class:`UsageStore`."""
        stretch = self._stretches.of(0, self._upto(selection.as_of_seq))
        if stretch is None:
            return ()
        subjects, limit = self._chosen(selection), min(limit, MAX_PAGE)
        found: list[Kept] = []
        for span in self._spans(selection, after):
            part = msgspec.structs.replace(selection, period=span)
            statement = compiler.page(part, subjects, stretch, after, limit - len(found))
            rows = self._connection.execute(statement.sql, statement.parameters).fetchall()
            found += (Kept(seq, event_of(event), account) for seq, account, *event in rows)
            if len(found) == limit:
                break
        return tuple(found)

    def _spans(self, selection: Selection, after: Place | None) -> Iterator[Period]:
        """The time of a selection in spans that grow, so that a page costs what it is long, not what is left after it."""
        within = selection.period or Period(0, LATEST)
        start = max(within.start, months.earliest(self._connection) if after is None else after[0])
        length = HOUR
        while start < within.end:
            end = min(start + length, within.end)
            yield Period(start, end)
            start, length = end, length * _GROWTH

    def count(self, selection: Selection) -> int:
        """See :class:`UsageStore`."""
        stretch = self._stretches.of(0, self._upto(selection.as_of_seq))
        if stretch is None:
            return 0
        statement = compiler.count(selection, self._chosen(selection), stretch)
        ((number,),) = self._connection.execute(statement.sql, statement.parameters).fetchall()
        return int(number)

    def _chosen(self, selection: Selection) -> Sequence[int] | None:
        """The subjects that a selection names; ``None`` where it names none, or too many to go through one by one."""
        if not (selection.owner or selection.reference or selection.accounts is not None):
            return None
        found = self._subjects(selection)
        return found if len(found) <= _MANY else None

    def _subjects(self, selection: Selection) -> Sequence[int]:
        conditions, parameters = ["true"], compiler.Parameters()
        for column, text in (("owner", selection.owner), ("reference", selection.reference)):
            if text:
                conditions.append(f"{column} = {parameters.add(text)}")
        if selection.accounts is not None:
            conditions.append(f"account = ANY({parameters.add(list(selection.accounts))}::text[])")
        sql = f"SELECT subject FROM {SCHEMA}.subjects WHERE {' AND '.join(conditions)}"
        return [subject for (subject,) in self._connection.execute(sql, parameters).fetchall()]

    def unknown(self, types: Collection[str], owners: Collection[str] | None, limit: int) -> tuple[Unknown, ...]:
        """See :class:`UsageStore`."""
        uncounted = self._connection.execute(
            f"SELECT type FROM {SCHEMA}.types WHERE type <> ALL(%s::text[])", [sorted(types)]
        ).fetchall()
        stretch = self._stretches.of(0, self._stretches.highest)
        if stretch is None:
            return ()
        statement = compiler.unknown([type for (type,) in uncounted], owners, stretch, limit)
        rows = self._connection.execute(statement.sql, statement.parameters).fetchall()
        return tuple(
            Unknown(
                owner=owner, reference=reference, account=account, type=type, events=events, first=first, last=last,
                source=source, id=id,
            )
            for owner, reference, account, type, events, first, last, source, id in rows
        )  # fmt: skip


def _measured(query: Query, number: int, account: str, events: Sequence[Event]) -> Iterator[Measured]:
    for period in query.periods:
        measured = counting.count(number, query, account, period, events)
        if measured is not None:
            yield measured
