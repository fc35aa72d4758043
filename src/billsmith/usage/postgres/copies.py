"""Copies of the store in PostgreSQL: written while it is used, and put in its place."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg

from billsmith.units.errors import Conflict, Invalid
from billsmith.usage.copied import Copied
from billsmith.usage.hashing import Hashing
from billsmith.usage.postgres import moved, schema
from billsmith.usage.postgres.connections import Connection, connect, translated
from billsmith.usage.postgres.schema import LOCKS, MAKING, OPEN, SCHEMA, VERSION

#: What is copied, and put back in this order.
_COPIED = ("store", "subjects", "types", "batches", "identities", "events", "amendments")
#: Seconds that the server may take to notice that a connection was closed.
_GOING = 5.0


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


def _is_closed(connection: Connection) -> bool:
    """Whether nobody has the store open; of one who has just closed it, the server takes notice a moment later."""
    until = time.monotonic() + _GOING
    while connection.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCKS, OPEN]).fetchone() != (True,):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def replacing(url: str, copy_of: Path | Copied | None, *, force: bool) -> Iterator[None]:
    """Put a copy in the place of the store, or nothing, when the block has ended well; nobody can open the store meanwhile.

    The copy is a file of ours, or what was in another engine's.

    Raises :class:`Conflict` where usage is there and ``force`` is off, or a process has the store open; :class:`Invalid` for a
    file that is no copy of ours. Then, as when the block fails, all is as it was.
    """
    with (
        translated("be restored", "usage.cannot_write"),
        connect(url) as connection,
        connection.transaction(),
    ):
        connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCKS, MAKING])
        if not force and _holds_any(connection):
            raise Conflict(
                "the database holds usage; restore into an empty one, or replace it with --force", code="backup.store_not_empty"
            )
        if not _is_closed(connection):
            raise Conflict("another process has the usage store open; stop it first", code="backup.usage_open")
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        if copy_of is not None:
            _restore(connection, copy_of)
        yield


def _holds_any(connection: Connection) -> bool:
    if not schema.is_there(connection):
        return False
    ((last,),) = connection.execute(f"SELECT max(last) FROM {SCHEMA}.batches").fetchall()
    return bool(last)


def _restore(connection: Connection, copy_of: Path | Copied) -> None:
    if isinstance(copy_of, Copied):
        moved.load(connection, copy_of, Hashing(schema.make(connection).key))
    else:
        connection.execute(schema.TABLES)
        connection.execute(f"DELETE FROM {SCHEMA}.batches")
        _load_file(connection, copy_of)
    connection.execute(
        f"SELECT setval('{SCHEMA}.batch_numbers', greatest((SELECT max(batch) FROM {SCHEMA}.batches), 1)),"
        f" setval('{SCHEMA}.subjects_subject_seq', greatest((SELECT max(subject) FROM {SCHEMA}.subjects), 1))"
    )


def _load_file(connection: Connection, file: Path) -> None:
    try:
        with moved.readable(file), zipfile.ZipFile(file) as archive:
            moved.check_form(archive)
            for table in _COPIED:
                _load(connection, archive, table)
    except psycopg.DataError as error:
        raise Invalid(f"{file.name} is no copy of usage: {error}", code="usage.copy_unreadable") from error


def _load(connection: Connection, archive: zipfile.ZipFile, table: str) -> None:
    into = f"COPY {SCHEMA}.{table} FROM STDIN (FORMAT binary)"
    with archive.open(f"{table}.copy") as part, connection.cursor() as cursor, cursor.copy(into) as copy:
        while chunk := part.read(2**20):
            copy.write(chunk)
