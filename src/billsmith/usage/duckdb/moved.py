"""A copy of the embedded store that is read for another engine, and one of another engine that becomes an embedded store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np

from billsmith.events.columns import EventColumns
from billsmith.units.errors import Invalid
from billsmith.usage.copied import Copied, Named, Row
from billsmith.usage.duckdb import file, subjects
from billsmith.usage.duckdb.columns import columns_of, dims_of
from billsmith.usage.duckdb.rows import EVENT, Rows, append, event_of

#: Bytes that DuckDB takes meanwhile, and rows at a time.
MEMORY = 512 * 1024**2
CHUNK = 10_000


@contextmanager
def read(copy: Path) -> Iterator[Copied]:
    """What is in a copy. Raises :class:`Invalid` for a file that is none, also while its rows are read."""
    with _readable(copy):
        connection = duckdb.connect(copy, read_only=True, config={"memory_limit": f"{MEMORY // 2**20}MiB"})
    try:
        with _readable(copy):
            found = connection.execute(
                "SELECT subject, owner, reference, account FROM subjects LEFT JOIN bindings USING (subject)"
            ).fetchall()
            names = {subject: Named(subject, owner, reference, account) for subject, owner, reference, account in found}
            ((last,),) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchall()
        yield Copied(tuple(names.values()), last, _rows(connection, copy, names))
    finally:
        connection.close()


def _rows(connection: duckdb.DuckDBPyConnection, copy: Path, names: dict[int, Named]) -> Iterator[list[Row]]:
    def name(subject: int) -> tuple[str, str]:
        return names[subject].owner, names[subject].reference

    with _readable(copy):
        cursor = connection.execute(f"SELECT seq, sign, undoes, {EVENT} FROM events")
        while found := cursor.fetchmany(CHUNK):
            yield [Row(seq, sign, undoes, event[0], event_of(event, name)) for seq, sign, undoes, *event in found]


@contextmanager
def _readable(copy: Path) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, KeyError) as error:
        raise Invalid(f"{copy.name} is no copy of usage: {error}", code="usage.copy_unreadable") from error


def write(copied: Copied, into: Path) -> None:
    """Make a store of a copy; ``into`` is its file, in a folder of its own, and isn't there yet."""
    connection = file.connect(into, MEMORY)
    try:
        connection.execute("BEGIN")
        bound = {name.subject: name.account for name in copied.names if name.account is not None}
        subjects.append(connection, [name[:3] for name in copied.names], bound)
        for rows in filter(None, copied.rows):
            append(connection, _columns(rows))
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT")
    finally:
        connection.close()


def _columns(rows: Sequence[Row]) -> Rows:
    events = [row.event for row in rows]
    return Rows(
        seq=np.array([row.seq for row in rows], np.int64),
        sign=np.array([row.sign for row in rows], np.int8),
        undoes=np.array([row.undoes for row in rows], np.int64),
        subject=np.array([row.subject for row in rows], np.int32),
        columns=columns_of(EventColumns.of(events), dims_of([event.dimensions for event in events])),
    )
