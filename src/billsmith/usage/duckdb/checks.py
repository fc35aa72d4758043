"""What ``billsmith verify``, ``doctor`` and ``backup`` ask of the embedded store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb

from billsmith.usage.duckdb import cells, file
from billsmith.usage.duckdb.engine import DuckDBStore
from billsmith.usage.duckdb.replay import CHUNK, hashed
from billsmith.usage.singly import ABSENT, CORRECTED

#: Each finds rows that can't be; what is wrong with them.
_RULES = {
    "rows have a seq that another row has": "SELECT count(*) - count(DISTINCT seq) FROM events",
    "rows name nobody": "SELECT count(*) FROM events WHERE subject NOT IN (SELECT subject FROM subjects)",
    "corrections take back a row that isn't there or is another event's": """
        SELECT count(*) FROM events r LEFT JOIN events e ON e.seq = r.undoes AND e.sign = 1
        WHERE r.sign = -1 AND (e.seq IS NULL OR e.seq > r.seq OR (e.subject, e.type, e.source, e.id, e.time, e.high, e.low,
            e.dims) IS DISTINCT FROM (r.subject, r.type, r.source, r.id, r.time, r.high, r.low, r.dims))""",
    "rows are taken back twice": """
        SELECT count(*) FROM (SELECT undoes FROM events WHERE sign = -1 GROUP BY undoes HAVING count(*) > 1)""",
    "identities are in force twice": """
        SELECT count(*) FROM (
            SELECT s.owner, e.source, e.id FROM events e JOIN subjects s USING (subject)
            WHERE e.sign = 1 AND e.seq NOT IN (SELECT undoes FROM events WHERE sign = -1)
            GROUP BY ALL HAVING count(*) > 1)""",
    "references are bound twice": "SELECT count(*) - count(DISTINCT subject) FROM bindings",
}


def faults(store: DuckDBStore) -> Iterator[str]:
    """What is wrong with a store: the table's rules, and the index against the table. Nothing is mended."""
    with store.reading() as cursor:
        for what, query in _RULES.items():
            ((count,),) = cursor.execute(query).fetchall()
            if count:
                yield f"{count} {what}"
        cursor.execute("BEGIN")
        for type, count in cells.faults(cursor).items():
            yield f"{count} roll-ups of {type} differ from its events; empty the table families: they are built anew"
    missing, wrong = _against_index(store)
    if missing:
        yield f"{missing} identities of the table are not in the index; remove the folder {file.INDEX}: it is built anew"
    if wrong:
        yield f"{wrong} identities stand in the index with another body; remove the folder {file.INDEX}: it is built anew"


def _against_index(store: DuckDBStore) -> tuple[int, int]:
    missing, wrong, seq = 0, 0, store.watermark()
    with store.reading() as cursor:
        for low in range(0, seq, CHUNK):
            rows = hashed(cursor, low, min(low + CHUNK, seq), store.hashing, store.name)
            known = store.index.find(rows.identities)
            told = (known != ABSENT) & (known != CORRECTED)
            missing += int((known == ABSENT).sum())
            wrong += int((told & ((rows.signs < 0) | (known != rows.bodies))).sum())
    return missing, wrong


def backup(store: DuckDBStore, into: Path) -> None:
    """Write a copy of the store as of now, while it goes on; ``into`` is a file that isn't there yet.

    The copy is opened as any store: its index is built anew.
    """
    name = str(into).replace("'", "''")
    with store.reading() as cursor:
        cursor.execute(f"ATTACH '{name}' AS copy")
        try:
            cursor.execute("BEGIN")
            for table in ("events", "subjects", "bindings", "secret"):
                cursor.execute(f"CREATE TABLE copy.{table} AS SELECT * FROM main.{table}")
            cursor.execute("COMMIT")
        finally:
            cursor.execute("DETACH copy")
    into.chmod(0o600)


def version() -> str:
    """The version of DuckDB, for ``doctor``."""
    return duckdb.__version__
