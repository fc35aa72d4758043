"""Is the machine fit for billsmith? What `billsmith doctor` looks at: each finding says how to mend what it found."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import msgspec
from sqlalchemy import Connection, func, select, text

from billsmith.storage import schema, upgrade
from billsmith.storage.database import Database
from billsmith.units.errors import BillsmithError
from billsmith.units.instants import HOUR, format_instant

_MB = 1024 * 1024
#: RETURNING and upserts are what decides.
LEAST_SQLITE = (3, 35, 0)
LEAST_POSTGRES = 130_000
#: 2026-01-01: a clock before it is wrong.
_EARLIEST = 1_767_225_600_000_000_000


class State(StrEnum):
    """How a finding stands."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. ``mend`` says what to do where it isn't ``ok``."""

    what: str
    state: State
    found: str
    mend: str = ""


def sqlite_version() -> str:
    """The version of SQLite that Python brings."""
    return sqlite3.sqlite_version


def machine(now: int) -> Iterator[Finding]:
    """Python, SQLite, the clock."""
    yield _at_least("Python", sys.version.split()[0], sys.version_info >= (3, 11), "install Python 3.11 or newer")
    yield _at_least(
        "SQLite", sqlite3.sqlite_version, sqlite3.sqlite_version_info >= LEAST_SQLITE, "take a Python with SQLite 3.35 or newer"
    )
    yield _finding(
        "clock", State.OK if now >= _EARLIEST else State.BAD, format_instant(now, digits=0), "set the clock, or let NTP set it"
    )


def folder(home: Path) -> Iterator[Finding]:
    """The data folder: there, ours alone, writable, with room."""
    if not home.is_dir():
        yield _finding("data folder", State.BAD, f"{home} is not there", "run `billsmith init`, or name it with --home")
        return
    mode = stat.S_IMODE(home.stat().st_mode)
    others = bool(mode & 0o077)
    yield _finding(
        "data folder",
        State.WARNING if others else State.OK,
        f"{home}, mode {mode:04o}",
        f"others can look into it: chmod 700 {home}",
    )
    yield _writable(home)
    free = shutil.disk_usage(home).free
    state = State.BAD if free < 100 * _MB else State.WARNING if free < 1024 * _MB else State.OK
    yield _finding("disk space", state, f"{free // _MB} MB free", "make room: writes are refused when the disk is full")


def store(database: Database, now: int) -> Iterator[Finding]:
    """The database: its form, its settings, its clock."""
    try:
        found = upgrade.form_of(database)
    except BillsmithError as error:
        yield _finding("database", State.BAD, error.message, "start it, mend BILLSMITH_DATABASE_URL, or restore a backup")
        return
    newest = upgrade.newest_form()
    yield _finding(
        "form of the database",
        State.OK if found == newest else State.BAD,
        found or "nothing there",
        f"this program's form is {newest}: run `billsmith init`; if the database is newer, upgrade the program",
    )
    with database.read() as connection:
        yield from _sqlite(connection, database) if database.is_sqlite else _postgres(connection)
        if found == newest:
            yield _record_clock(connection, now)


def _writable(home: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=home) as probe:
            probe.write(b"x")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return _finding("writing", State.BAD, error.strerror or str(error), f"let this user write into {home}")
    return _finding("writing", State.OK, "a file was written and synced")


def _sqlite(connection: Connection, database: Database) -> Iterator[Finding]:
    assert database.file is not None
    mode = connection.execute(text("PRAGMA journal_mode")).scalar_one()
    synchronous = connection.execute(text("PRAGMA synchronous")).scalar_one()
    yield _finding(
        "journal",
        State.OK if (mode, synchronous) == ("wal", 2) else State.BAD,
        f"{mode}, synchronous={synchronous}",
        "WAL does not work on network file systems: keep the data folder on a local disk",
    )
    wal = database.file.with_name(database.file.name + "-wal")
    size = wal.stat().st_size if wal.exists() else 0
    yield _finding(
        "write-ahead log",
        State.OK if size < 64 * _MB else State.WARNING,
        f"{size // _MB} MB",
        "some reader stays on for long; it shrinks once that one ends",
    )
    others = stat.S_IMODE(database.file.stat().st_mode) & 0o077
    sheltered = not database.file.parent.stat().st_mode & 0o077
    yield _finding(
        "database file",
        State.OK if sheltered or not others else State.WARNING,
        f"{database.file.stat().st_size // _MB} MB",
        f"others can read it: chmod 600 {database.file}",
    )


def _postgres(connection: Connection) -> Iterator[Finding]:
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    yield _at_least("PostgreSQL", str(version), version >= LEAST_POSTGRES, "upgrade it to 13 or newer")
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        value = connection.execute(text("SELECT current_setting(:name)"), {"name": name}).scalar_one()
        yield _finding(
            name,
            State.BAD if value == "off" else State.OK,
            value,
            f"set {name} = on in postgresql.conf: without it acknowledged invoices are lost when power fails",
        )
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    yield _finding(
        "encoding", State.OK if encoding == "UTF8" else State.BAD, encoding, "make the database anew with ENCODING 'UTF8'"
    )


def _record_clock(connection: Connection, now: int) -> Finding:
    latest = connection.execute(select(func.max(schema.account.c.updated_at))).scalar_one()
    behind = latest is not None and latest > now + HOUR
    return _finding(
        "clock and data",
        State.WARNING if behind else State.OK,
        "no data yet" if latest is None else f"newest record {format_instant(latest, digits=0)}",
        "the clock is behind the data: set it before anything is issued",
    )


def _at_least(what: str, found: str, enough: bool, mend: str) -> Finding:
    return _finding(what, State.OK if enough else State.BAD, found, mend)


def _finding(what: str, state: State, found: str, mend: str = "") -> Finding:
    return Finding(what=what, state=state, found=found, mend="" if state is State.OK else mend)
