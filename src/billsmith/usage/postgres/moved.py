"""A copy of the store in PostgreSQL that is read for another engine, and one of another engine that becomes a store here."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import psycopg
from psycopg import pq

from billsmith.units.errors import Invalid
from billsmith.usage.copied import Copied, Named, Row
from billsmith.usage.hashing import Hashing
from billsmith.usage.postgres.connections import Connection
from billsmith.usage.postgres.prepare import Batch, prepare
from billsmith.usage.postgres.rows import COPY, event_of, line
from billsmith.usage.postgres.schema import SCHEMA, VERSION
from billsmith.usage.singly import CORRECTED

#: Rows at a time, and rows that become a batch.
CHUNK = 10_000
BATCH = 50_000

# ── out of a copy ──

#: What a file may be that is no copy, or was cut.
DAMAGE = (zipfile.BadZipFile, zlib.error, KeyError, EOFError, ValueError, struct.error, msgspec.DecodeError)

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_END = -1
_BUFFER = 2**20
_decimal = psycopg.adapters.get_loader(1700, pq.Format.BINARY)
_json = msgspec.json.Decoder(dict[str, str])


@contextmanager
def read(copy: Path) -> Iterator[Copied]:
    """What is in a copy. Raises :class:`Invalid` for a file that is none, also while its rows are read."""
    with readable(copy), zipfile.ZipFile(copy) as archive:
        check_form(archive)
        names = {
            subject: Named(subject, owner, reference, account)
            for subject, owner, reference, account in _tuples(archive, "subjects", _SUBJECT)
        }
        batches = list(_tuples(archive, "batches", _BATCH))
        last = max((last for _, _, last, _ in batches), default=0)
        before = {batch: before for batch, before, _, _ in batches}
    with zipfile.ZipFile(copy) as archive:
        yield Copied(tuple(names.values()), last, _rows(copy, archive, names, before))


@contextmanager
def readable(copy: Path) -> Iterator[None]:
    """Tell what is no copy of ours: :class:`Invalid`."""
    try:
        yield
    except DAMAGE as error:
        raise Invalid(f"{copy.name} is no copy of usage: {error}", code="usage.copy_unreadable") from error


def check_form(archive: zipfile.ZipFile) -> None:
    """Raises :class:`Invalid` for a copy of a form that this program doesn't know."""
    form = msgspec.json.decode(archive.read("form.json"))
    if form != {"version": VERSION}:
        raise Invalid(f"the copy has the form {form}, this program reads {VERSION}", code="usage.copy_form")


def _rows(copy: Path, archive: zipfile.ZipFile, names: dict[int, Named], before: dict[int, int]) -> Iterator[list[Row]]:
    with readable(copy):
        undone = {
            (batch, place): before[its_batch] + its_place
            for batch, place, *_, its_batch, its_place in _tuples(archive, "amendments", _AMENDMENT)
            if its_batch is not None
        }
        some: list[Row] = []
        for batch, time, place, subject, value, sign, type, source, id, dims in _tuples(archive, "events", _EVENT):
            _, owner, reference, _ = names[subject]
            event = event_of((owner, source, id, type, reference, time, value, dims))
            some.append(Row(before[batch] + place, sign, undone.get((batch, place), 0), subject, event))
            if len(some) == CHUNK:
                yield some
                some = []
        yield some


def _tuples(archive: zipfile.ZipFile, table: str, columns: Sequence[Callable[[bytes], Any]]) -> Iterator[list[Any]]:
    """The rows of a table, as PostgreSQL's binary COPY wrote them."""
    with archive.open(f"{table}.copy") as slow, io.BufferedReader(slow, _BUFFER) as part:  # type: ignore[type-var]
        if _exactly(part, len(_SIGNATURE)) != _SIGNATURE:
            raise ValueError(f"{table} is not in the form that COPY writes")
        _flags, more = struct.unpack(">ii", _exactly(part, 8))
        _exactly(part, more)
        while (count := struct.unpack(">h", _exactly(part, 2))[0]) != _END:
            if count != len(columns):
                raise ValueError(f"{table} has {count} columns, not {len(columns)}")
            yield [_field(part, column) for column in columns]


def _field(part: IO[bytes], column: Callable[[bytes], Any]) -> Any:
    (size,) = struct.unpack(">i", _exactly(part, 4))
    return None if size < 0 else column(_exactly(part, size))


def _exactly(part: IO[bytes], size: int) -> bytes:
    data = part.read(size)
    if len(data) != size:
        raise EOFError("it ends too early")
    return data


def _number(data: bytes) -> int:
    return int.from_bytes(data, signed=True)


def _text(data: bytes) -> str:
    return data.decode()


def _value(data: bytes) -> Any:
    assert _decimal is not None
    return _decimal(1700).load(data)


def _dims(data: bytes) -> dict[str, str]:
    return _json.decode(data[1:])  # the first byte is the form's version


#: The columns of tables, in their order.
_SUBJECT = (_number, _text, _text, _text)
_BATCH = (_number,) * 4
_AMENDMENT = (_number, _number, bytes, _number, _number, _number, _number)
_EVENT = (_number, _number, _number, _number, _value, _number, _text, _text, _text, _dims)


# ── into the tables ──

_ARRIVED = """
CREATE TEMP TABLE arrived (
    batch bigint, place integer, sign smallint, subject integer, time bigint, hash uuid, body bigint, undoes bigint
) ON COMMIT DROP
"""
_PUT_IN_PLACE = f"""
INSERT INTO {SCHEMA}.types SELECT DISTINCT type FROM {SCHEMA}.events;
INSERT INTO {SCHEMA}.batches
    SELECT batch, (batch - 1) * {BATCH}, (batch - 1) * {BATCH} + count(*), sum(sum(sign)) OVER (ORDER BY batch)
    FROM arrived GROUP BY batch;
INSERT INTO {SCHEMA}.identities
    SELECT DISTINCT ON (hash) hash, CASE WHEN count(*) OVER (PARTITION BY hash) > 1 THEN {CORRECTED} ELSE body END,
        time, subject
    FROM arrived ORDER BY hash, batch, place;
INSERT INTO {SCHEMA}.amendments
    SELECT batch, place, hash, time, subject, CASE WHEN undoes > 0 THEN (undoes - 1) / {BATCH} + 1 END,
        CASE WHEN undoes > 0 THEN (undoes - 1) % {BATCH} + 1 END
    FROM (SELECT *, row_number() OVER (PARTITION BY hash ORDER BY batch, place) AS nth FROM arrived) a WHERE nth > 1;
"""


def load(connection: Connection, copied: Copied, hashing: Hashing) -> None:
    """Fill tables that are empty, in the transaction that is open. Seqs stay; they are in batches of :data:`BATCH`.

    Raises :class:`Invalid` where a seq lacks its row.
    """
    with connection.cursor() as cursor, cursor.copy(f"COPY {SCHEMA}.subjects FROM STDIN") as copy:
        for name in copied.names:
            copy.write_row(name)
    connection.execute(_ARRIVED)
    count = 0
    for rows in copied.rows:
        if rows:
            _take(connection, rows, hashing)
        count += len(rows)
    if count != copied.last:
        raise Invalid(f"the copy has {count} rows for {copied.last} seqs", code="usage.copy_unreadable")
    connection.execute(_PUT_IN_PLACE)


def _take(connection: Connection, rows: Sequence[Row], hashing: Hashing) -> None:
    prepared = prepare(Batch([row.event for row in rows]), hashing)
    places = [(row, *divmod(row.seq - 1, BATCH)) for row in rows]
    lines = [
        line(batch + 1, place + 1, row.sign, row.subject, end)
        for (row, batch, place), end in zip(places, prepared.ends, strict=True)
    ]
    arrived = [
        f"{batch + 1}\t{place + 1}\t{row.sign}\t{row.subject}\t{row.event.time}\t{hash.hex()}\t{_signed(body)}\t{row.undoes}\n"
        for (row, batch, place), hash, body in zip(places, prepared.identities, prepared.bodies, strict=True)
    ]
    for what, written in ((f"{SCHEMA}.events {COPY}", lines), ("arrived", arrived)):
        with connection.cursor() as cursor, cursor.copy(f"COPY {what} FROM STDIN") as copy:
            copy.write("".join(written))


def _signed(body: int) -> int:
    return body - 2**64 if body >= 2**63 else body
