"""What ``billsmith verify`` and ``doctor`` ask of the store in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

from billsmith.usage.hashing import Hashing
from billsmith.usage.postgres import cells
from billsmith.usage.postgres.connections import Connection
from billsmith.usage.postgres.packed import uuids
from billsmith.usage.postgres.prepare import Batch, prepare
from billsmith.usage.postgres.rows import EVENT, event_of
from billsmith.usage.postgres.schema import SCHEMA
from billsmith.usage.singly import CORRECTED

_CHUNK = 10_000

#: Each finds rows that can't be; what is wrong with them.
_RULES = {
    "batches don't begin where the one before ends": f"""
        SELECT count(*) FROM (SELECT before, lag(last) OVER (ORDER BY last, before) AS previous FROM {SCHEMA}.batches) b
        WHERE before IS DISTINCT FROM coalesce(previous, 0)""",
    "batches have other rows than their stretch of seq, or other sums": f"""
        SELECT count(*) FROM (
            SELECT batch, last - before AS rows, live - lag(live, 1, 0::bigint) OVER (ORDER BY last, before) AS net
            FROM {SCHEMA}.batches) b
        FULL JOIN (
            SELECT batch, count(*) AS rows, count(DISTINCT place) AS places, min(place) AS first, max(place) AS final,
                sum(sign) AS net FROM {SCHEMA}.events GROUP BY batch) e USING (batch)
        WHERE batch <> 0 AND (b.rows, b.rows, b.rows, 1, b.net) IS DISTINCT FROM (e.rows, e.places, e.final, e.first, e.net)""",
    "rows are of a type that is not listed": f"""
        SELECT count(*) FROM {SCHEMA}.events WHERE type NOT IN (SELECT type FROM {SCHEMA}.types)""",
    "rows name nobody": f"""
        SELECT count(*) FROM {SCHEMA}.events WHERE subject NOT IN (SELECT subject FROM {SCHEMA}.subjects)""",
    "corrections take back a row that isn't there or is another event's": f"""
        SELECT count(*) FROM {SCHEMA}.events r LEFT JOIN {SCHEMA}.amendments a USING (batch, place)
        LEFT JOIN {SCHEMA}.events e ON e.batch = a.undone_batch AND e.place = a.undone_place AND e.sign = 1
        WHERE r.sign = -1 AND (e.subject, e.type, e.source, e.id, e.time, e.value, e.dims)
            IS DISTINCT FROM (r.subject, r.type, r.source, r.id, r.time, r.value, r.dims)""",
    "identities are in force twice": f"""
        SELECT count(*) FROM (
            SELECT s.owner, e.source, e.id FROM {SCHEMA}.events e JOIN {SCHEMA}.subjects s USING (subject)
            WHERE e.sign = 1 AND NOT EXISTS (
                SELECT 1 FROM {SCHEMA}.amendments a WHERE a.undone_batch = e.batch AND a.undone_place = e.place)
            GROUP BY s.owner, e.source, e.id HAVING count(*) > 1) twice""",
}


def faults(connection: Connection, hashing: Hashing) -> Iterator[str]:
    """What is wrong with a store: the tables' rules, roll-ups and identities against the rows. Nothing is mended."""
    for what, query in _RULES.items():
        ((count,),) = connection.execute(query).fetchall()
        if count:
            yield f"{count} {what}"
    for type, count in cells.faults(connection).items():
        yield f"{count} roll-ups of {type} differ from its rows; empty cells, families and runs: they are built anew"
    missing, wrong = _against_identities(connection, hashing)
    if missing:
        yield f"{missing} events are not among the identities: they would count again"
    if wrong:
        yield f"{wrong} identities stand with another body"


def _against_identities(connection: Connection, hashing: Hashing) -> tuple[int, int]:
    missing = wrong = 0
    with connection.cursor("rows") as cursor:
        cursor.execute(f"SELECT {EVENT} FROM {SCHEMA}.events e JOIN {SCHEMA}.subjects s USING (subject)")
        while rows := cursor.fetchmany(_CHUNK):
            sent = prepare(Batch([event_of(event) for event in rows]), hashing)
            found = connection.execute(
                f"SELECT hash, body FROM {SCHEMA}.identities WHERE hash = ANY(%s)", [uuids(sent.identities)]
            ).fetchall()
            known = {hash.bytes: body % 2**64 for hash, body in found}
            missing += sum(hash not in known for hash in sent.identities)
            wrong += sum(
                known.get(hash, CORRECTED) not in (CORRECTED, body)
                for hash, body in zip(sent.identities, sent.bodies, strict=True)
            )
    return missing, wrong


def version(connection: Connection) -> str:
    """The version of the server, for ``doctor``."""
    return str(connection.info.server_version)
