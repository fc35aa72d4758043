"""The usage store in one DuckDB file: put together of the file, the index, the writer and the reading half.

The process that opens it must be the only one (``owner.py`` sees to that).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from billsmith.events.canonical import body_hash, identity_hash
from billsmith.metering.meter import Meter
from billsmith.units.errors import TooLarge, Unavailable
from billsmith.usage.decide import Decided, decide
from billsmith.usage.duckdb import file
from billsmith.usage.duckdb.index import IdentityIndex
from billsmith.usage.duckdb.keeper import Keeper
from billsmith.usage.duckdb.reading import Reading
from billsmith.usage.duckdb.rows import EVENT, append, columns_of, event_of, spell
from billsmith.usage.duckdb.subjects import Subjects
from billsmith.usage.folding import families
from billsmith.usage.prepare import CORRECTED, Prepared, fingerprint, prepare
from billsmith.usage.store import (
    MAX_BATCH,
    Binding,
    Health,
    Item,
    Receipt,
)
from billsmith.usage.writer import Writer

MEMORY_LIMIT = "1GB"
_FETCH = 10_000


class DuckDBStore(Reading):
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
        self._keeper = Keeper(self.reading, self.watermark)
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
        with self._keeper.paused():
            for step in (self._connection.rollback, self._connection.close):
                with suppress(duckdb.Error):
                    step()
            self._connection = self._open()

    # ── writing ──

    def ingest(self, items: Sequence[Item]) -> Receipt:
        """See :class:`UsageStore`."""
        if len(items) > MAX_BATCH:
            raise TooLarge(f"{len(items)} items; at most {MAX_BATCH} in one batch", code="usage.batch_too_large")
        return self._writer.submit(prepare(items, self.key, spell))

    def _write(self, group: list[Prepared]) -> list[Receipt]:
        if self._reason:
            self._try_again()
        known = self.index.find([identity for batch in group for identity in batch.identities]).tolist()
        decided = decide(
            group,
            known,
            seq=self._seq,
            next_subject=self._subjects.next_number(),
            subject=self._subjects.number,
            columns_of=columns_of,
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
        self._keeper.written()

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

    # ── in the background ──

    def keep(self, meters: Collection[Meter]) -> None:
        """See :class:`UsageStore`. Roll-ups of them are filled in the background."""
        self._keeper.keep(families(meters))

    def catch_up(self, least: int | None = None) -> None:
        """Do now what the background has to do; ``least`` rows are sorted, if there are as many."""
        self._keeper.catch_up(least)

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
            notes=self._keeper.notes(),
        )

    def close(self) -> None:
        """See :class:`UsageStore`."""
        self._writer.close()
        self._keeper.close()
        self.index.close()
        self._connection.close()
