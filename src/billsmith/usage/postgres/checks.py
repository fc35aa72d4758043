"""What ``billsmith verify``, ``doctor``, ``backup`` and ``restore`` ask of the store in PostgreSQL."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg

from billsmith.events.canonical import hash_of, identity_hash
from billsmith.units.errors import Conflict, Invalid
from billsmith.usage.postgres import cells
from billsmith.usage.postgres.connections import Connection
from billsmith.usage.postgres.rows import EVENT, event_of, spell
from billsmith.usage.postgres.schema import SCHEMA, VERSION
from billsmith.usage.prepare import CORRECTED, fingerprint

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
#: What is copied, and put back in this order.
_COPIED = ("store", "subjects", "types", "batches", "identities", "events", "amendments")


def faults(connection: Connection, key: bytes) -> Iterator[str]:
    """What is wrong with a store: the tables' rules, roll-ups and identities against the rows. Nothing is mended."""
    for what, query in _RULES.items():
        ((count,),) = connection.execute(query).fetchall()
        if count:
            yield f"{count} {what}"
    for type, count in cells.faults(connection).items():
        yield f"{count} roll-ups of {type} differ from its rows; empty cells, families and runs: they are built anew"
    missing, wrong = _against_identities(connection, key)
    if missing:
        yield f"{missing} events are not among the identities: they would count again"
    if wrong:
        yield f"{wrong} identities stand with another body"


def _against_identities(connection: Connection, key: bytes) -> tuple[int, int]:
    missing = wrong = 0
    with connection.cursor("rows") as cursor:
        cursor.execute(f"SELECT e.batch, {EVENT} FROM {SCHEMA}.events e JOIN {SCHEMA}.subjects s USING (subject)")
        while rows := cursor.fetchmany(_CHUNK):
            events = [(batch, event_of(event)) for batch, *event in rows]
            hashes = [identity_hash(*event.identity, key).hex() for _, event in events]
            found = connection.execute(
                f"SELECT replace(hash::text, '-', ''), body FROM {SCHEMA}.identities"
                " WHERE hash = ANY(string_to_array(%s, ',')::uuid[])",
                [",".join(hashes)],
            ).fetchall()
            known = dict(found)
            missing += sum(hash not in known for hash in hashes)
            wrong += sum(
                known.get(hash, CORRECTED) % 2**64 not in (CORRECTED, fingerprint(hash_of(spell(event)[1], key)))
                for hash, (_, event) in zip(hashes, events, strict=True)
            )
    return missing, wrong


def backup(connection: Connection, into: Path) -> None:
    """Write a copy of the store as a snapshot sees it; ``into`` is a file that isn't there yet.

    Roll-ups are not in it: they are built anew.
    """
    with into.open("xb") as raw, zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        into.chmod(0o600)
        archive.writestr("form.json", msgspec.json.encode({"version": VERSION}))
        for table in _COPIED:
            _save(connection, archive, table)


def _save(connection: Connection, archive: zipfile.ZipFile, table: str) -> None:
    out = f"COPY (SELECT * FROM {SCHEMA}.{table}) TO STDOUT (FORMAT binary)"
    with (
        archive.open(f"{table}.copy", "w", force_zip64=True) as part,
        connection.cursor() as cursor,
        cursor.copy(out) as copy,
    ):
        for chunk in copy:
            part.write(chunk)


def restore(connection: Connection, copy_of: Path) -> bytes:
    """Put a copy into a store that holds nothing, within a transaction; gives its secret. No other process may have it open.

    Raises :class:`Conflict` where something is there, :class:`Invalid` for a file that is no copy of ours.
    """
    ((there,),) = connection.execute(f"SELECT max(last) FROM {SCHEMA}.batches").fetchall()
    if there:
        raise Conflict("the database holds usage; restore into an empty one", code="usage.not_empty")
    connection.execute("".join(f"DELETE FROM {SCHEMA}.{table};" for table in ("store", "subjects", "types", "batches")))
    try:
        with zipfile.ZipFile(copy_of) as archive:
            form = msgspec.json.decode(archive.read("form.json"))
            if form != {"version": VERSION}:
                raise Invalid(f"the copy has the form {form}, this program reads {VERSION}", code="usage.copy_form")
            for table in _COPIED:
                _load(connection, archive, table)
    except (zipfile.BadZipFile, KeyError, EOFError, psycopg.DataError, msgspec.DecodeError) as error:
        raise Invalid(f"{copy_of.name} is no copy of usage: {error}", code="usage.copy_unreadable") from error
    connection.execute(
        f"SELECT setval('{SCHEMA}.batch_numbers', greatest((SELECT max(batch) FROM {SCHEMA}.batches), 1)),"
        f" setval('{SCHEMA}.subjects_subject_seq', greatest((SELECT max(subject) FROM {SCHEMA}.subjects), 1))"
    )
    ((key,),) = connection.execute(f"SELECT key FROM {SCHEMA}.store").fetchall()
    return bytes(key)


def _load(connection: Connection, archive: zipfile.ZipFile, table: str) -> None:
    into = f"COPY {SCHEMA}.{table} FROM STDIN (FORMAT binary)"
    with archive.open(f"{table}.copy") as part, connection.cursor() as cursor, cursor.copy(into) as copy:
        while chunk := part.read(2**20):
            copy.write(chunk)


def version(connection: Connection) -> str:
    """The version of the server, for ``doctor``."""
    return str(connection.info.server_version)
