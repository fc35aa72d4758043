"""The usage store's copies and checks: what ``backup``, ``restore``, ``verify`` and ``doctor`` do with it.

It lies beside the SQLite database; a store that nobody sent an event to has none, and none is made here.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from billsmith.storage.backup import Described, usage_file
from billsmith.storage.database import Database
from billsmith.units.errors import Conflict, Invalid

_FILE, _LOCK, _INDEX = "usage.duckdb", "usage.lock", "usage.index"


def home_of(database: Database) -> Path | None:
    """The data folder, where it holds a usage store."""
    file = database.file
    return file.parent if file is not None and (file.parent / _FILE).exists() else None


def copier(database: Database) -> Callable[[Path], None] | None:
    """What copies the usage store into a file, also while another process has it open; ``None`` where there is none."""
    home = home_of(database)
    if home is None:
        return None

    def copy(into: Path) -> None:
        from billsmith.usage.duckdb.owner import SharedStore

        into.unlink(missing_ok=True)
        store = SharedStore(home)
        try:
            store.backup(into)
        finally:
            store.close()

    return copy


def faults(database: Database) -> tuple[int, list[str]]:
    """How many events in force the usage store has, and what is wrong with it."""
    home = home_of(database)
    if home is None:
        return 0, []
    from billsmith.usage.duckdb.owner import SharedStore

    store = SharedStore(home)
    try:
        return store.health().events, store.faults()
    finally:
        store.close()


def prepare(database: Database, described: Described, *, force: bool) -> Path | None:
    """Before a restore: the copy of the usage store, where the backup has one; nothing is changed yet.

    Raises :class:`Invalid` where the copy isn't there or the engine can't take it, :class:`Conflict` where a usage store is
    there already and ``force`` is off, or another process has it open.
    """
    if not described.usage:
        return None
    copy = usage_file(described.file)
    if not copy.is_file():
        raise Invalid(
            f"the backup has usage, but {copy.name} is not beside it; put it there", code="backup.usage_missing", where="file"
        )
    if database.file is None:
        raise Invalid(
            "the backup has usage, which this release keeps in a data folder alone; restore it without --database-url",
            code="backup.usage_engine",
            where="database_url",
        )
    home = database.file.parent
    if (home / _FILE).exists() and not force:
        raise Conflict(
            "the folder holds usage; restore into a new folder (--home NEW), or replace it with --force",
            code="backup.store_not_empty",
        )
    with (home / _LOCK).open("a+b") as lock:
        os.chmod(home / _LOCK, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("another process has the usage store open; stop it first", code="backup.usage_open") from None
    return copy


def put_in_place(database: Database, copy: Path | None, *, force: bool) -> None:
    """After a restore: the copy becomes the usage store, whose index and roll-ups are built anew.

    Where the backup has none, one that is there is left alone, or with ``force`` taken away as the rest of the old store was.
    """
    if database.file is None or (copy is None and not force):
        return
    home = database.file.parent
    fresh = home / f"{_FILE}.new"
    if copy is not None:
        shutil.copyfile(copy, fresh)
        fresh.chmod(0o600)
        with fresh.open("rb") as raw:
            os.fsync(raw.fileno())
    for old in (f"{_FILE}.wal", _FILE):
        (home / old).unlink(missing_ok=True)
    shutil.rmtree(home / _INDEX, ignore_errors=True)
    if copy is not None:
        fresh.replace(home / _FILE)
