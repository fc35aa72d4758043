"""Runs: stretches of ``seq`` whose rows lie sorted by subject, type and time, so that an account's are read and others skipped.

Rows come in by ``seq``. Enough of them make a run: they are written again, in order, and the old ones deleted, in one
transaction, so that a kill leaves either. Adjacent runs of one size are merged, up to a size whose sorting stays bounded. A run
is known by its highest ``seq``; it begins after the run before. DuckDB keeps the least and greatest of every column for each
hundred thousand rows, and that is all the index there is.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from billsmith.usage import merging
from billsmith.usage.duckdb import cells

#: Rows that make a run, and of a run that is merged no more (so less than twice as many are sorted at once); how many times
#: larger each merge makes them, at least.
RUN = 500_000
FULL = 8_000_000
FAN_IN = 4


def highs(cursor: duckdb.DuckDBPyConnection) -> list[int]:
    """The runs, by their highest seq, in order."""
    return [high for (high,) in cursor.execute("SELECT high FROM runs ORDER BY high").fetchall()]


def to_merge(sealed: Sequence[int]) -> tuple[int, int] | None:
    """The first place, and the place after the last, of adjacent runs that should be one; ``None`` if there are none."""
    return merging.to_merge(sealed, least=RUN * FAN_IN, full=FULL, fan_in=FAN_IN)


def seal(cursor: duckdb.DuckDBPyConnection, low: int, high: int) -> None:
    """Make the rows after ``low`` up to ``high`` a run, and count them into every family. All families have what was before."""
    _sort(cursor, low, high)
    cells.fill(cursor, low, high, [family for family in cells.families(cursor) if not family.reason])
    cursor.execute("INSERT INTO runs VALUES (?)", [high])


def merge(cursor: duckdb.DuckDBPyConnection, low: int, merged: Sequence[int]) -> None:
    """Make adjacent runs, the first of which begins after ``low``, one; no family lacks one of them."""
    _sort(cursor, low, merged[-1])
    cells.merge(cursor, merged)
    cursor.execute("DELETE FROM runs WHERE high IN (SELECT unnest(?))", [list(merged[:-1])])


def _sort(cursor: duckdb.DuckDBPyConnection, low: int, high: int) -> None:
    """Write rows anew, sorted. What is written within the transaction has a higher rowid than what was there."""
    ((last,),) = cursor.execute("SELECT max(rowid) FROM events").fetchall()
    these = f"seq > {low} AND seq <= {high}"
    cursor.execute(f"INSERT INTO events SELECT * FROM events WHERE {these} ORDER BY subject, type, time, source, id")
    ((deleted,),) = cursor.execute(f"DELETE FROM events WHERE {these} AND rowid <= {last}").fetchall()
    assert deleted == high - low, f"{deleted} of {high - low} rows"
