"""The reading half of the store: what it measures, raw events, histories."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb

from billsmith.events.event import Event
from billsmith.units.errors import Unavailable
from billsmith.usage.duckdb import compiler, counting
from billsmith.usage.duckdb.decide import Identity
from billsmith.usage.duckdb.rows import EVENT, IN_FORCE, event_of
from billsmith.usage.duckdb.subjects import Subjects
from billsmith.usage.store import MAX_PAGE, Entry, Kept, Measured, Place, Query, Selection, Unknown

_FETCH = 10_000
_ByAccount = Iterator[tuple[str, list[Event]]]


class Reading:
    """Reads rows up to ``_seq``, the highest that is readable, each call with a cursor of its own."""

    _path: Path
    _connection: duckdb.DuckDBPyConnection
    _subjects: Subjects
    _seq: int

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

    def name(self, subject: int) -> tuple[str, str]:
        """Owner and reference of a row's subject."""
        return self._subjects.name(subject)

    # ── measuring ──

    def measure(self, query: Query) -> Iterator[Measured]:
        """See :class:`UsageStore`."""
        seq = self._as_of(query.as_of_seq)
        subjects = None if query.accounts is None else self._subjects.of(query.accounts)
        for number, meter in enumerate(query.meters):
            if compiler.can_compile(meter, query.grain):
                yield from self._added_up(query, number, subjects, seq)
            else:
                yield from self._counted(query, number, subjects, seq)

    def _added_up(self, query: Query, number: int, subjects: dict[int, str] | None, seq: int) -> Iterator[Measured]:
        """What the database adds up itself."""
        meter = query.meters[number]
        waiting = sorted(
            ((account, place) for account in set(query.accounts or ()) for place in range(len(query.periods))), reverse=True
        )

        def measured(account: str, place: int, rows: Sequence[tuple[Any, ...]]) -> Measured:
            found = compiler.quantities(meter, query.grain, rows)
            return Measured(meter=number, account=account, period=query.periods[place], quantities=found)

        statement = compiler.compile_meter(meter, query, seq, subjects)
        with self.reading() as cursor:
            cursor.execute(statement.sql, statement.parameters)
            for (account, place), rows in groupby(_all(cursor), lambda row: row[:2]):
                while waiting and waiting[-1] < (account, place):
                    yield measured(*waiting.pop(), ())
                if waiting:
                    waiting.pop()
                yield measured(account, place, [row[2:] for row in rows])
        while waiting:
            yield measured(*waiting.pop(), ())

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

    def _by_account(
        self, query: Query, number: int, subjects: dict[int, str] | None, seq: int
    ) -> Iterator[tuple[str, list[Event]]]:
        """The events that matter to a meter, account by account."""
        meter = query.meters[number]
        start = 0 if meter.aggregation in counting.CARRYING else min(period.start for period in query.periods)
        end = max(period.end for period in query.periods)
        who, parameters = compiler.wanted(subjects)
        with self.reading() as cursor:
            cursor.execute(
                f"SELECT w.account, e.* FROM (SELECT {EVENT} FROM {IN_FORCE} AND type = $type AND time >= $start"
                f" AND time < $end) e JOIN {who} w USING (subject) ORDER BY w.account",
                {"seq": seq, "type": meter.event_type, "start": start, "end": end, **parameters},
            )
            for account, rows in groupby(_all(cursor), lambda row: row[0]):
                yield account, [event_of(row[1:], self._subjects.name) for row in rows]

    def _as_of(self, seq: int | None) -> int:
        return self._seq if seq is None else min(seq, self._seq)

    # ── raw events ──

    def events(self, selection: Selection, *, after: Place | None = None, limit: int = 1_000) -> tuple[Kept, ...]:
        """See :class:`UsageStore`."""
        limit = min(limit, MAX_PAGE)
        found: list[Kept] = []
        for kept in self._selected(selection, after):
            found.append(kept)
            if len(found) == limit:
                break
        return tuple(found)

    def count(self, selection: Selection) -> int:
        """See :class:`UsageStore`."""
        if not (selection.where or selection.unless):
            condition, parameters = self._condition(selection, None)
            with self.reading() as cursor:
                ((number,),) = cursor.execute(f"SELECT count(*) FROM {IN_FORCE}{condition}", parameters).fetchall()
                return int(number)
        return sum(1 for _ in self._selected(selection, None))

    def _selected(self, selection: Selection, after: Place | None) -> Iterator[Kept]:
        condition, parameters = self._condition(selection, after)
        with self.reading() as cursor:
            cursor.execute(
                f"SELECT seq, {EVENT} FROM {IN_FORCE}{condition} ORDER BY time, source, id,"
                " (SELECT owner FROM subjects s WHERE s.subject = events.subject)",
                parameters,
            )
            for seq, *columns in _all(cursor):
                kept = Kept(seq, event_of(columns, self._subjects.name), self._subjects.account(columns[0]))
                if _passes(kept.event, selection) and (after is None or _place(kept.event) > after):
                    yield kept

    def _condition(self, selection: Selection, after: Place | None) -> tuple[str, dict[str, Any]]:
        parts = [""]
        parameters: dict[str, Any] = {"seq": self._as_of(selection.as_of_seq)}
        given = {"source": selection.source, "type": selection.type}
        for column, value in given.items():
            if value:
                parts.append(f"{column} = ${column}")
                parameters[column] = value
        if selection.owner or selection.reference or selection.accounts is not None:
            parts.append("subject IN (SELECT unnest($subjects))")
            parameters["subjects"] = self._chosen_subjects(selection)
        if selection.period is not None:
            parts.append("time >= $start AND time < $end")
            parameters |= {"start": selection.period.start, "end": selection.period.end}
        if after is not None:
            parts.append("time >= $after")
            parameters["after"] = after[0]
        return " AND ".join(parts), parameters

    def _chosen_subjects(self, selection: Selection) -> list[int]:
        with self.reading() as cursor:
            rows = cursor.execute("SELECT subject, owner, reference FROM subjects").fetchall()
        return [
            number
            for number, owner, reference in rows
            if selection.owner in ("", owner)
            and selection.reference in ("", reference)
            and (selection.accounts is None or self._subjects.account(number) in selection.accounts)
        ]

    def history(self, owner: str, source: str, id: str) -> tuple[Entry, ...]:
        """See :class:`UsageStore`."""
        return tuple(self._histories([(owner, source, id)]).get((owner, source, id), ()))

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

    def unknown(self, types: Collection[str], *, limit: int = 1_000) -> tuple[Unknown, ...]:
        """See :class:`UsageStore`."""
        with self.reading() as cursor:
            rows = cursor.execute(
                f"SELECT s.owner, s.reference, b.account, e.type, count(*) FROM (SELECT subject, type FROM {IN_FORCE}) e"
                " JOIN subjects s USING (subject) LEFT JOIN bindings b USING (subject)"
                " WHERE b.account IS NULL OR e.type NOT IN (SELECT unnest($types))"
                " GROUP BY ALL ORDER BY s.owner, s.reference, e.type LIMIT $limit",
                {"seq": self._seq, "types": sorted(types), "limit": limit},
            ).fetchall()
        return tuple(
            Unknown(owner=owner, reference=reference, account=account, type=type, events=events)
            for owner, reference, account, type, events in rows
        )


def _all(cursor: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while rows := cursor.fetchmany(_FETCH):
        yield from rows


def _place(event: Event) -> Place:
    return event.time, event.source, event.id, event.owner


def _passes(event: Event, selection: Selection) -> bool:
    dimensions = event.dimensions
    return all(dimensions.get(name) in texts for name, texts in selection.where.items()) and not any(
        dimensions.get(name) in texts for name, texts in selection.unless.items()
    )
