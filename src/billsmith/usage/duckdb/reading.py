"""The reading half of the store: what it measures, raw events, histories."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from billsmith.events.event import Event
from billsmith.units.errors import Invalid, Unavailable
from billsmith.units.periods import Period
from billsmith.usage import counting
from billsmith.usage.duckdb import cells, compiler, sheets
from billsmith.usage.duckdb.compiler import Ahead, Parameters, Statement
from billsmith.usage.duckdb.keeper import Keeper
from billsmith.usage.duckdb.rows import EVENT, event_of
from billsmith.usage.duckdb.subjects import Subjects
from billsmith.usage.folding import Fold, nothing, shape_of
from billsmith.usage.shapes import Shape
from billsmith.usage.sheets import Sheets
from billsmith.usage.singly import Identity
from billsmith.usage.store import MAX_PAGE, Entry, Kept, Measured, Name, Place, Query, Selection, Unknown
from billsmith.usage.together import Alike, Together, every_place

_FETCH = 10_000
_ByAccount = Iterator[tuple[str, list[Event]]]


class Reading:
    """Reads rows up to ``_seq``, the highest that is readable, each call with a cursor of its own."""

    _path: Path
    _connection: duckdb.DuckDBPyConnection
    _subjects: Subjects
    _seq: int
    _keeper: Keeper

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of its own. Raises :class:`Unavailable` where the file can't be read."""
        try:
            cursor = self._connection.cursor()
            try:
                yield cursor
            finally:
                cursor.close()
        except (duckdb.ConnectionException, duckdb.FatalException, duckdb.IOException) as error:
            raise Unavailable(f"{self._path} can't be read now: {error}", code="usage.cannot_read") from error

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor that sees one state of the tables."""
        with self.reading() as cursor:
            cursor.execute("BEGIN")
            yield cursor

    def name(self, subject: int) -> tuple[str, str]:
        """Owner and reference of a row's subject."""
        return self._subjects.name(subject)

    # ── measuring ──

    def measure(self, query: Query) -> Iterator[Measured]:
        """See :class:`UsageStore`."""
        return self._measure(query, range(len(query.meters)), self._as_of(query.as_of_seq))

    def _measure(self, query: Query, numbers: Iterable[int], seq: int) -> Iterator[Measured]:
        """What some meters of a query, by their numbers, counted."""
        subjects = None if query.accounts is None else self._subjects.of(query.accounts)
        streams = []
        linear = []
        for number in numbers:
            if shape_of(query.meters[number], query.grain) is None:
                streams.append(self._counted(query, number, subjects, seq))
            else:
                linear.append(number)
        for alike, together in self._together(query, linear):
            streams.append(self._added_up(query, alike, together, subjects, seq))
        return merge(*streams, key=lambda measured: measured.meter)

    def sheets(self, query: Query) -> Sheets:
        """See :func:`billsmith.usage.sheets.sheets`."""
        seq, accounts = self._as_of(query.as_of_seq), query.accounts or ()
        packed = sheets.packed_rows(query)
        subjects = self._subjects.of(accounts)
        rows: dict[str, list[str]] = {account: [] for account in accounts}
        for (shape, _), numbers in self._together(query, packed):
            with self._transaction() as cursor:
                ahead = self._ahead(cursor, shape, numbers, seq)
                statement = compiler.add_up(shape, list(numbers), query, seq, subjects, ahead, numbers=list(numbers.values()))
                for account, text in _rows(cursor, statement, subjects):
                    rows[account].append(text)
        others: dict[str, list[Measured]] = {}
        for measured in self._measure(query, sorted({*range(len(query.meters))} - {*packed}), seq):
            others.setdefault(measured.account, []).append(measured)
        return Sheets({account: sheets.sheet(texts, others.get(account, ())) for account, texts in rows.items()}, sheets.reader)

    def _together(self, query: Query, numbers: Iterable[int]) -> Together:
        """Meters of a query, by the statements that add them up."""
        together = Together()
        for number in numbers:
            meter = query.meters[number]
            shape = shape_of(meter, query.grain)
            assert shape is not None
            family = self._keeper.family(meter.event_type, shape)
            together.put((shape, (family.seq, family.hourly) if family else None), meter.event_type, number)
        return together

    def _ahead(self, cursor: duckdb.DuckDBPyConnection, shape: Shape, types: Collection[str], seq: int) -> Ahead:
        families = [self._keeper.family(type, shape) for type in types]
        if not all(families):
            return Ahead()
        return cells.ahead(cursor, [family.family for family in families if family], seq)

    def _added_up(
        self, query: Query, alike: Alike, numbers: dict[str, int], subjects: dict[int, str] | None, seq: int
    ) -> Iterator[Measured]:
        """Meters that stand together, added up by one statement."""
        (shape, _), types, meters = alike, list(numbers), list(numbers.values())
        folds = [Fold(query.meters[number], shape, query) for number in meters]
        with self._transaction() as cursor:
            ahead = self._ahead(cursor, shape, types, seq)
            rows = _rows(cursor, compiler.add_up(shape, types, query, seq, subjects, ahead), subjects)
            for kind, account, place, found in every_place(rows, len(types), query):
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

    def _one_counted(self, query: Query, number: int, account: str, period: Period, seq: int) -> Iterator[Measured]:
        meter = query.meters[number]
        one = msgspec.structs.replace(query, meters=(meter,), accounts=(account,), periods=(period,))
        for measured in self._counted(one, 0, self._subjects.of([account]), seq):
            yield msgspec.structs.replace(measured, meter=number)

    def _counted(self, query: Query, number: int, subjects: dict[int, str] | None, seq: int) -> Iterator[Measured]:
        """What is counted from its rows."""
        waiting = sorted(set(query.accounts or ()), reverse=True)
        for account, events in self._by_account(query, number, subjects, seq):
            while waiting and waiting[-1] < account:
                yield from self._measured(query, number, waiting.pop(), ())
            if waiting:
                waiting.pop()
            yield from self._measured(query, number, account, events)
        while waiting:
            yield from self._measured(query, number, waiting.pop(), ())

    def _measured(self, query: Query, number: int, account: str, events: Sequence[Event]) -> Iterator[Measured]:
        for period in query.periods:
            measured = counting.count(number, query, account, period, events)
            if measured is not None:
                yield measured

    def _by_account(self, query: Query, number: int, subjects: dict[int, str] | None, seq: int) -> _ByAccount:
        """The events that matter to a meter, account by account."""
        meter = query.meters[number]
        start = 0 if meter.aggregation in counting.CARRYING else min(period.start for period in query.periods)
        end = max(period.end for period in query.periods)
        statement = compiler.read(EVENT, meter.event_type, start, end, seq, subjects)
        with self._transaction() as cursor:
            for account, rows in groupby(_rows(cursor, statement, subjects), itemgetter(1)):
                yield account, [event_of(row[2:], self._subjects.name) for row in rows]

    def _as_of(self, seq: int | None) -> int:
        return self._seq if seq is None else min(seq, self._seq)

    # ── raw events ──

    def events(self, selection: Selection, *, after: Place | None = None, limit: int = 1_000) -> tuple[Kept, ...]:
        """See :class:`UsageStore`."""
        parameters, seq = Parameters(), self._as_of(selection.as_of_seq)
        condition = compiler.selected(selection, self._chosen(selection), parameters)
        sql = compiler.page(f"seq, {EVENT}", condition, seq, after, min(limit, MAX_PAGE), parameters)
        with self.reading() as cursor:
            rows = cursor.execute(sql, parameters).fetchall()
        return tuple(
            Kept(seq, event_of(columns, self._subjects.name), self._subjects.account(columns[0])) for seq, *columns in rows
        )

    def count(self, selection: Selection) -> int:
        """See :class:`UsageStore`."""
        parameters, seq = Parameters(), self._as_of(selection.as_of_seq)
        condition = compiler.selected(selection, self._chosen(selection), parameters)
        sql = f"SELECT coalesce(sum(sign), 0) FROM events WHERE seq <= {seq} AND {condition}"
        with self.reading() as cursor:
            ((number,),) = cursor.execute(sql, parameters).fetchall()
        return int(number)

    def _chosen(self, selection: Selection) -> list[int] | None:
        if not (selection.owner or selection.reference or selection.accounts is not None):
            return None
        accounts = None if selection.accounts is None else frozenset(selection.accounts)
        return self._subjects.chosen(selection.owner, selection.reference, accounts)

    def history(self, owner: str, source: str, id: str) -> tuple[Entry, ...]:
        """See :class:`UsageStore`."""
        return tuple(self._histories([(owner, source, id)]).get((owner, source, id), ()))

    def histories(self, owner: str, names: Collection[tuple[str, str]]) -> tuple[Entry, ...]:
        """See :class:`UsageStore`."""
        found = self._histories((owner, source, id) for source, id in names)
        return tuple(sorted((entry for entries in found.values() for entry in entries), key=lambda entry: entry.seq))

    def _histories(self, identities: Iterable[Identity]) -> dict[Identity, list[Entry]]:
        """All rows of some identities that can be read."""
        wanted = set(identities)
        found: dict[Identity, list[Entry]] = {}
        ids = sorted({id for _, _, id in wanted})
        with self.reading() as cursor:
            cursor.execute(
                f"SELECT seq, sign, {EVENT} FROM events WHERE seq <= $seq AND id IN (SELECT unnest($ids)) ORDER BY seq",
                {"seq": self._seq, "ids": ids},
            )
            for seq, sign, *columns in _all(cursor):
                event = event_of(columns, self._subjects.name)
                if event.identity in wanted:
                    found.setdefault(event.identity, []).append(Entry(seq, sign, event))
        return found

    def waiting(self, names: Collection[Name] | None = None, *, limit: int = 1_000) -> tuple[Name, ...]:
        """See :class:`UsageStore`."""
        return self._subjects.waiting(names, limit)

    def unknown(
        self, types: Collection[str], *, owners: Collection[str] | None = None, limit: int = 1_000
    ) -> tuple[Unknown, ...]:
        """See :class:`UsageStore`."""
        parameters = Parameters(types=sorted(types), limit=limit)
        of = "" if owners is None else f" AND s.owner IN (SELECT unnest({parameters.add(sorted(owners))}::VARCHAR[]))"
        with self.reading() as cursor:
            rows = cursor.execute(
                "SELECT s.owner, s.reference, b.account, e.type, count(*), max(time),"
                " min({'time': time, 'source': source, 'id': id}) AS first"
                f" FROM {compiler.in_force('true', self._seq)} e"
                " JOIN subjects s USING (subject) LEFT JOIN bindings b USING (subject)"
                f" WHERE (b.account IS NULL OR e.type NOT IN (SELECT unnest($types))){of}"
                " GROUP BY ALL ORDER BY s.owner, s.reference, e.type LIMIT $limit",
                parameters,
            ).fetchall()
        return tuple(
            Unknown(
                owner=owner,
                reference=reference,
                account=account,
                type=type,
                events=events,
                first=first["time"],
                last=last,
                source=first["source"],
                id=first["id"],
            )
            for owner, reference, account, type, events, last, first in rows
        )


def _all(cursor: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while rows := cursor.fetchmany(_FETCH):
        yield from rows


def _rows(
    cursor: duckdb.DuckDBPyConnection, statement: Statement | None, subjects: dict[int, str] | None
) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement, by type, account and period."""
    if statement is None:
        return iter(())
    rows = _all(cursor.execute(statement.sql, statement.parameters))
    if not statement.loose or subjects is None:
        return rows
    return iter(sorted(((kind, subjects[subject], *rest) for kind, subject, *rest in rows), key=itemgetter(0, 1, 2)))
