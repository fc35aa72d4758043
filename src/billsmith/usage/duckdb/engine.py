"""The usage store in one DuckDB file: put together of the file, the index, the writer and the reading half.

The process that opens it must be the only one (``owner.py`` sees to that).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import numpy as np

from billsmith.metering.meter import Meter
from billsmith.units.errors import TooLarge, Unavailable
from billsmith.usage.duckdb import file, subjects
from billsmith.usage.duckdb.decide import Decided, decide
from billsmith.usage.duckdb.index import IdentityIndex
from billsmith.usage.duckdb.keeper import Keeper
from billsmith.usage.duckdb.memory import MEMORY, shares
from billsmith.usage.duckdb.prepare import Batch, Prepared, prepare
from billsmith.usage.duckdb.reading import Reading
from billsmith.usage.duckdb.replay import replay
from billsmith.usage.duckdb.rows import append
from billsmith.usage.duckdb.subjects import Numbering, Subjects
from billsmith.usage.folding import families
from billsmith.usage.hashing import Hashing
from billsmith.usage.store import (
    MAX_BATCH,
    Binding,
    Health,
    Item,
    Receipt,
)
from billsmith.usage.writer import Writer


class DuckDBStore(Reading):
    """A :class:`billsmith.usage.store.UsageStore` in a folder, which takes about ``memory`` bytes at most."""

    def __init__(self, home: Path, *, memory: int = MEMORY) -> None:
        self._path = home / file.FILE
        self._memory = memory
        share = shares(memory)
        self._subjects = Subjects()
        self._binding = threading.Lock()
        self._reason = ""
        self._seq = 0
        self.index = IdentityIndex(home / file.INDEX, recent=share.recent, merged=share.merged)
        self._connection = self._open()
        self._keeper = Keeper(self.reading, lambda cursor: file.commit(cursor, self._path), self.watermark)
        self._writer = Writer(self._write, share.waiting)

    # ── opening, and opening again ──

    def _open(self) -> duckdb.DuckDBPyConnection:
        try:
            connection = file.connect(self._path, shares(self._memory).duckdb)
        except duckdb.Error as error:
            raise Unavailable(
                f"{self._path} can't be opened: {error}. Make room on the disk, or see `billsmith doctor`",
                code="usage.cannot_open",
            ) from error
        ((key,),) = connection.execute("SELECT key FROM secret").fetchall()
        self.hashing = Hashing(key)
        self._subjects.load(connection)
        ((highest,),) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchall()
        if self.index.seq > highest:
            self.index.clear()
        replay(self.index, connection, highest, self.hashing, self._subjects.name)
        self._seq = highest
        return connection

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
        batch = Batch(items)
        return self._writer.submit(len(items), batch.weight, lambda: prepare(batch, self.hashing))

    def _write(self, group: list[Prepared]) -> list[Receipt]:
        if self._reason:
            self._try_again()
        known = self.index.find(np.concatenate([batch.identities for batch in group], axis=1))
        with self._binding:
            decided = decide(group, known, seq=self._seq, numbering=Numbering(self._subjects), history=self._histories)
            if len(decided.rows.seq):
                self._commit(decided)
                self.index.add(decided.hashes, decided.entries, self._seq)
        return decided.receipts

    def _commit(self, decided: Decided) -> None:
        names = [(number, owner, reference) for (owner, reference), number in decided.names.items()]
        with self._durably() as connection:
            subjects.append(connection, names, {})
            append(connection, decided.rows)
        self._subjects.add(names)
        self._seq = decided.receipts[-1].seq
        self._keeper.written()

    @contextmanager
    def _durably(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A transaction; committed, with its log synced, when the block ends. Raises :class:`Unavailable`."""
        try:
            self._connection.execute("BEGIN")
            yield self._connection
            file.commit(self._connection, self._path)
        except (duckdb.Error, OSError) as error:
            self._reason = f"the usage store can't write: {error}"[:500]
            self._try_again()
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> Unavailable:
        if isinstance(error, duckdb.OutOfMemoryException):
            return Unavailable(
                f"the usage store's {self._memory // 2**20} MB of memory don't suffice: {str(error)[:300]}. Give it"
                " more, then send again",
                code="usage.out_of_memory",
            )
        return Unavailable(
            f"the usage store can't write: {str(error)[:300]}. Make room on the disk, then send again",
            code="usage.cannot_write",
        )

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
                subjects.append(connection, rows, bound)
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
        sizes = [self._path, self._path.with_name(file.LOG)]
        return Health(
            engine="duckdb",
            seq=self._seq,
            events=int(events),
            bytes=sum(path.stat().st_size for path in sizes if path.exists()) + self.index.size,
            writable=not self._reason,
            reason=self._reason,
            waiting=self._writer.waiting,
            behind=self._keeper.behind(),
            notes=(*self._keeper.notes(), *([self.index.failure] if self.index.failure else ())),
        )

    def close(self) -> None:
        """See :class:`UsageStore`."""
        self._writer.close()
        self._keeper.close()
        self.index.close()
        self._connection.close()
