"""The usage store in one DuckDB file: put together of the file, the index, the writer and the reading of rows.

The process that opens it must be the only one (``owner.py`` sees to that).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb

from billsmith.events.canonical import body_hash, identity_hash
from billsmith.events.event import Event
from billsmith.units.errors import TooLarge, Unavailable
from billsmith.usage.duckdb import compiler, counting, file
from billsmith.usage.duckdb.decide import Decided, Identity, decide
from billsmith.usage.duckdb.index import CORRECTED, IdentityIndex, fingerprint
from billsmith.usage.duckdb.prepare import Prepared, prepare
from billsmith.usage.duckdb.rows import EVENT, IN_FORCE, append, event_of
from billsmith.usage.duckdb.subjects import Subjects
from billsmith.usage.duckdb.writer import Writer
from billsmith.usage.store import (
    MAX_BATCH,
    MAX_PAGE,
    Binding,
    Entry,
    Health,
    Item,
    Kept,
    Measured,
    Place,
    Query,
    Receipt,
    Selection,
    Unknown,
)

MEMORY_LIMIT = "1GB"
_FETCH = 10_000


class DuckDBStore:
    """A :class:`billsmith.usage.store.UsageStore` in a folder. ``memory_limit`` bounds DuckDB's memory."""

    def __init__(self, home: Path, *, memory_limit: str = MEMORY_LIMIT) -> None:
        self._path = home / file.FILE
        self._memory_limit = memory_limit
        self._subjects = Subjects()
        self._binding = threading.Lock()
        self._reason = ""
        self._seq = 0
        self.index = IdentityIndex(home / file.INDEX)
        self._connection = self._open()
        self._writer = Writer(self._write)

    # ── opening, and opening again ──

    def _open(self) -> duckdb.DuckDBPyConnection:
        try:
            connection = file.connect(self._path, self._memory_limit)
        except duckdb.Error as error:
            raise Unavailable(
                f"{self._path} can't be opened: {error}. Make room on the disk, or see `billsmith doctor`",
                code="usage.cannot_open",
            ) from error
        ((self.key,),) = connection.execute("SELECT key FROM secret").fetchall()
        self._subjects.load(connection)
        ((highest,),) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchall()
        if self.index.seq > highest:
            self.index.clear()
        self._replay(connection, highest)
        self._seq = highest
        return connection

    def _replay(self, connection: duckdb.DuckDBPyConnection, highest: int) -> None:
        """Put into the index what the table has beyond it."""
        rows = connection.execute(f"SELECT seq, sign, undoes, {EVENT} FROM events WHERE seq > ? ORDER BY seq", [self.index.seq])
        while chunk := rows.fetchmany(_FETCH):
            identities, bodies = [], []
            for _, sign, _, *columns in chunk:
                event = event_of(columns, self._subjects.name)
                identities.append(identity_hash(*event.identity, self.key))
                bodies.append(fingerprint(body_hash(event, self.key)) if sign > 0 else CORRECTED)
            known = self.index.find(identities)
            seen: set[bytes] = set()
            for place, identity in enumerate(identities):
                if known[place] == CORRECTED or identity in seen:
                    bodies[place] = CORRECTED  # a second row of an identity is a correction
                elif known[place] != 1 and known[place] != bodies[place]:
                    bodies[place] = CORRECTED
                seen.add(identity)
            self.index.add(identities, bodies, chunk[-1][0])
        self.index.seq = highest

    def _reopen(self) -> None:
        """After a failed write: let go of the file and open it anew, so that only what is durable is believed."""
        for step in (self._connection.rollback, self._connection.close):
            with suppress(duckdb.Error):
                step()
        self._connection = self._open()

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

    # ── writing ──

    def ingest(self, items: Sequence[Item]) -> Receipt:
        """See :class:`UsageStore`."""
        if len(items) > MAX_BATCH:
            raise TooLarge(f"{len(items)} items; at most {MAX_BATCH} in one batch", code="usage.batch_too_large")
        return self._writer.submit(prepare(items, self.key))

    def _write(self, group: list[Prepared]) -> list[Receipt]:
        if self._reason:
            self._try_again()
        known = self.index.find([identity for batch in group for identity in batch.identities])
        decided = decide(
            group,
            known,
            seq=self._seq,
            next_subject=self._subjects.next_number(),
            subject=self._subjects.number,
            history=self._histories,
        )
        if decided.rows:
            with self._binding:
                self._commit(decided)
            self.index.add(list(decided.index), list(decided.index.values()), decided.rows[-1][0])
        return decided.receipts

    def _commit(self, decided: Decided) -> None:
        names = [(number, owner, reference) for (owner, reference), number in decided.names.items()]
        with self._durably() as connection:
            if names:
                connection.executemany("INSERT INTO subjects VALUES (?, ?, ?)", names)
            append(connection, decided.rows)
        self._subjects.add(names)
        self._seq = decided.rows[-1][0]

    @contextmanager
    def _durably(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A transaction; committed, with its log synced, when the block ends. Raises :class:`Unavailable`."""
        try:
            self._connection.execute("BEGIN")
            yield self._connection
            self._connection.execute("COMMIT")
        except (duckdb.Error, OSError) as error:
            self._reason = f"the usage store can't write: {error}"[:500]
            self._try_again()
            raise Unavailable(
                f"the usage store can't write: {str(error)[:300]}. Make room on the disk, then send again",
                code="usage.cannot_write",
            ) from error

    def _try_again(self) -> None:
        """Open the file anew; what then stands in the table counts."""
        try:
            self._reopen()
            self._reason = ""
        except Unavailable as error:
            self._reason = error.message
            raise

    def bind(self, bindings: Sequence[Binding]) -> None:
        """See :class:`UsageStore`."""
        with self._binding:
            names: dict[tuple[str, str], int] = {}
            bound: dict[int, str] = {}
            first = self._subjects.next_number()
            for one in bindings:
                key = (one.owner, one.reference)
                number = self._subjects.number(*key) or names.setdefault(key, first + len(names))
                if self._subjects.account(number) is None:
                    bound.setdefault(number, one.account)
            rows = [(number, *key) for key, number in names.items()]
            if not bound:
                return
            with self._durably() as connection:
                if rows:
                    connection.executemany("INSERT INTO subjects VALUES (?, ?, ?)", rows)
                connection.executemany("INSERT INTO bindings VALUES (?, ?)", list(bound.items()))
            self._subjects.add(rows)
            self._subjects.bind(bound.items())

    # ── measuring ──

    def measure(self, query: Query) -> Iterator[Measured]:
        """See :class:`UsageStore`."""
        seq = self._as_of(query.as_of_seq)
        subjects = self._subjects.bound() if query.accounts is None else self._subjects.of(query.accounts)
        for number, meter in enumerate(query.meters):
            if compiler.can_compile(meter, query.grain):
                yield from self._added_up(query, number, subjects, seq)
            else:
                yield from self._counted(query, number, subjects, seq)

    def _added_up(self, query: Query, number: int, subjects: dict[int, str], seq: int) -> Iterator[Measured]:
        """What the database adds up itself."""
        meter = query.meters[number]
        waiting = sorted(
            ((account, place) for account in set(query.accounts or ()) for place in range(len(query.periods))), reverse=True
        )

        def measured(account: str, place: int, rows: Sequence[tuple[Any, ...]]) -> Measured:
            found = compiler.quantities(meter, query.grain, rows)
            return Measured(meter=number, account=account, period=query.periods[place], quantities=found)

        statement = compiler.compile_meter(meter, query, seq)
        with self.reading() as cursor:
            _fill(cursor, subjects)
            cursor.execute(statement.sql, statement.parameters)
            for (account, place), rows in groupby(_all(cursor), lambda row: row[:2]):
                while waiting and waiting[-1] < (account, place):
                    yield measured(*waiting.pop(), ())
                if waiting:
                    waiting.pop()
                yield measured(account, place, [row[2:] for row in rows])
        while waiting:
            yield measured(*waiting.pop(), ())

    def _counted(self, query: Query, number: int, subjects: dict[int, str], seq: int) -> Iterator[Measured]:
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

    def _by_account(self, query: Query, number: int, subjects: dict[int, str], seq: int) -> Iterator[tuple[str, list[Event]]]:
        """The events that matter to a meter, account by account."""
        meter = query.meters[number]
        start = 0 if meter.aggregation in counting.CARRYING else min(period.start for period in query.periods)
        end = max(period.end for period in query.periods)
        with self.reading() as cursor:
            _fill(cursor, subjects)
            cursor.execute(
                f"SELECT w.account, e.* FROM (SELECT {EVENT} FROM {IN_FORCE} AND type = $type AND time >= $start"
                " AND time < $end) e JOIN wanted w USING (subject) ORDER BY w.account",
                {"seq": seq, "type": meter.event_type, "start": start, "end": end},
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

    # ── how it is ──

    def watermark(self) -> int:
        """See :class:`UsageStore`."""
        return self._seq

    def health(self) -> Health:
        """See :class:`UsageStore`."""
        with self.reading() as cursor:
            ((events,),) = cursor.execute("SELECT coalesce(sum(sign), 0) FROM events WHERE seq <= ?", [self._seq]).fetchall()
        sizes = [self._path, self._path.with_name(f"{file.FILE}.wal")]
        return Health(
            engine="duckdb",
            seq=self._seq,
            events=int(events),
            bytes=sum(path.stat().st_size for path in sizes if path.exists()) + self.index.size,
            writable=not self._reason,
            reason=self._reason,
            waiting=self._writer.waiting,
        )

    def close(self) -> None:
        """See :class:`UsageStore`."""
        self._writer.close()
        self.index.close()
        self._connection.close()


def _all(cursor: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while rows := cursor.fetchmany(_FETCH):
        yield from rows


def _fill(cursor: duckdb.DuckDBPyConnection, subjects: dict[int, str]) -> None:
    cursor.execute("CREATE TEMP TABLE wanted (subject INTEGER, account VARCHAR)")
    cursor.execute(
        "INSERT INTO wanted SELECT unnest($numbers), unnest($accounts)",
        {"numbers": list(subjects), "accounts": list(subjects.values())},
    )


def _place(event: Event) -> Place:
    return event.time, event.source, event.id, event.owner


def _passes(event: Event, selection: Selection) -> bool:
    dimensions = event.dimensions
    return all(dimensions.get(name) in texts for name, texts in selection.where.items()) and not any(
        dimensions.get(name) in texts for name, texts in selection.unless.items()
    )
