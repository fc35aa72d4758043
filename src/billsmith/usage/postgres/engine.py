"""The usage store in PostgreSQL. Any number of processes may have it open at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from billsmith.metering.meter import Meter
from billsmith.units.errors import TooLarge
from billsmith.usage.folding import families
from billsmith.usage.hashing import Hashing
from billsmith.usage.postgres import cells, checks, copies, schema, subjects
from billsmith.usage.postgres.answers import Answers
from billsmith.usage.postgres.connections import Connection, Pool, connect, translated
from billsmith.usage.postgres.keeper import Keeper
from billsmith.usage.postgres.prepare import Batch, hashes, prepare
from billsmith.usage.postgres.schema import SCHEMA
from billsmith.usage.postgres.states import histories
from billsmith.usage.postgres.writing import Writing
from billsmith.usage.store import (
    MAX_BATCH,
    Binding,
    Entry,
    Health,
    Item,
    Kept,
    Measured,
    Name,
    Place,
    Query,
    Receipt,
    Selection,
    Unknown,
)
from billsmith.usage.writer import Writer

#: Bytes of batches that wait to be written, at most.
ROOM = 128 * 1024**2


def is_there(url: str) -> bool:
    """Whether a database has a usage store; none is made. Raises :class:`Unavailable`."""
    with translated("be opened", "usage.cannot_open"), connect(url) as connection:
        return schema.is_there(connection)


class PostgresStore:
    """A :class:`billsmith.usage.store.UsageStore` in a database. ``url`` is libpq's: ``postgresql://…``."""

    def __init__(self, url: str) -> None:
        with translated("be opened", "usage.cannot_open"), connect(url) as connection:
            made = schema.make(connection)
        self._hashing = Hashing(made.key)
        self._pool = Pool(url)
        self._writing = Writing(url, made)
        self._writer = Writer(self._writing.write, ROOM)
        self._keeper = Keeper(url)

    # ── writing ──

    def ingest(self, items: Sequence[Item]) -> Receipt:
        """See :class:`UsageStore`."""
        if len(items) > MAX_BATCH:
            raise TooLarge(f"{len(items)} items; at most {MAX_BATCH} in one batch", code="usage.batch_too_large")
        batch = Batch(items)
        receipt = self._writer.submit(len(items), batch.weight, lambda: prepare(batch, self._hashing))
        self._keeper.written(receipt.seq)
        return receipt

    def bind(self, bindings: Sequence[Binding]) -> None:
        """See :class:`UsageStore`."""
        if bindings:
            with self._pool.connection("BEGIN", "write", "usage.cannot_write") as connection:
                subjects.bind(connection, bindings)
                connection.execute("COMMIT")

    def keep(self, meters: Collection[Meter]) -> None:
        """See :class:`UsageStore`."""
        self._keeper.keep(families(meters))

    def catch_up(self, least: int | None = None) -> None:
        """Do now what is done in the background; ``least`` rows make a run."""
        self._keeper.catch_up(least)

    # ── answering ──

    def measure(self, query: Query) -> Iterator[Measured]:
        """See :class:`UsageStore`. All of an answer is of one state of the store, however long it is read."""
        with self._pool.snapshot() as connection:
            yield from Answers(connection).measure(query)

    def events(self, selection: Selection, *, after: Place | None = None, limit: int = 1_000) -> tuple[Kept, ...]:
        """See :class:`UsageStore`."""
        with self._pool.snapshot() as connection:
            return Answers(connection).events(selection, after, limit)

    def count(self, selection: Selection) -> int:
        """See :class:`UsageStore`."""
        with self._pool.snapshot() as connection:
            return Answers(connection).count(selection)

    def history(self, owner: str, source: str, id: str) -> tuple[Entry, ...]:
        """See :class:`UsageStore`."""
        return self.histories(owner, [(source, id)])

    def histories(self, owner: str, names: Collection[tuple[str, str]]) -> tuple[Entry, ...]:
        """See :class:`UsageStore`."""
        wanted = [(owner, source, id) for source, id in names]
        with self._pool.snapshot() as connection:
            found = histories(connection, list(zip(hashes(self._hashing, wanted), wanted, strict=True)))
        return tuple(sorted((entry for entries in found.values() for entry in entries), key=lambda entry: entry.seq))

    def unknown(
        self, types: Collection[str], *, owners: Collection[str] | None = None, limit: int = 1_000
    ) -> tuple[Unknown, ...]:
        """See :class:`UsageStore`."""
        with self._pool.snapshot() as connection:
            return Answers(connection).unknown(types, owners, limit)

    def waiting(self, names: Collection[Name] | None = None, *, limit: int = 1_000) -> tuple[Name, ...]:
        """See :class:`UsageStore`."""
        with self._pool.snapshot() as connection:
            return subjects.waiting(connection, names, limit)

    def watermark(self) -> int:
        """See :class:`UsageStore`."""
        with self._pool.snapshot() as connection:
            return _latest(connection)[0]

    # ── how it is ──

    def health(self) -> Health:
        """See :class:`UsageStore`."""
        with self._pool.snapshot() as connection:
            seq, live = _latest(connection)
            counted = cells.counted(connection)
            row = connection.execute(
                "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint, pg_is_in_recovery(), current_setting('fsync')"
                " FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'S')",
                [SCHEMA],
            ).fetchone()
            assert row is not None
        unsafe = () if row[2] == "on" else ("fsync is off: what is acknowledged is lost when power fails",)
        reason = "the database is a copy that only follows another" if row[1] else ""
        return Health(
            engine="postgresql",
            seq=seq,
            events=live,
            bytes=row[0],
            writable=not reason,
            reason=reason,
            waiting=self._writer.waiting,
            behind=seq - counted,
            notes=(*self._keeper.notes(), *unsafe),
        )

    def faults(self) -> list[str]:
        """What is wrong with the store, for ``billsmith verify``; nothing is mended."""
        with self._pool.snapshot() as connection:
            connection.execute("SET LOCAL statement_timeout = 0")
            return list(checks.faults(connection, self._hashing))

    def backup(self, into: Path) -> None:
        """Write a copy of the store as of now into a file, while it goes on."""
        with self._pool.snapshot() as connection:
            connection.execute("SET LOCAL statement_timeout = 0")
            copies.backup(connection, into)

    def close(self) -> None:
        """See :class:`UsageStore`."""
        self._writer.close()
        self._keeper.close()
        self._writing.close()
        self._pool.close()


def _latest(connection: Connection) -> tuple[int, int]:
    """The highest seq, and how many events are in force with it."""
    row = connection.execute(f"SELECT last, live FROM {SCHEMA}.batches ORDER BY last DESC LIMIT 1").fetchone()
    assert row is not None
    return row[0], row[1]
