"""The usage store's copies and checks: what ``backup``, ``restore``, ``verify`` and ``doctor`` do with it.

It lies beside the SQLite database; a store that nobody sent an event to has none, and none is made here.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from billsmith.storage.backup import Described, usage_file
from billsmith.storage.database import Database
from billsmith.units.errors import Conflict, Invalid
from billsmith.usage.duckdb.names import FILE, INDEX, LOCK, LOG


def home_of(database: Database) -> Path | None:
    """The data folder, where it holds a usage store."""
    file = database.file
    return file.parent if file is not None and (file.parent / FILE).exists() else None


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


@contextmanager
def replacing(database: Database, described: Described, *, force: bool) -> Iterator[None]:
    """Around a restore: the backup's usage is put in the place of the folder's when the block has ended well.

    No process can open the usage store meanwhile. Where the backup has no usage, the folder's is left alone, or with ``force``
    taken away as the rest of the old store was. Before anything is changed it raises :class:`Invalid` where the copy isn't
    there or the database can't have usage, :class:`Conflict` where usage is there and ``force`` is off, or is in use.
    """
    copy = _copy_of(database, described)
    home = home_of(database) if copy is None else _folder(database)
    if home is None or (copy is None and not force):
        yield
        return
    if (home / FILE).exists() and not force:
        raise Conflict(
            "the folder holds usage; restore into a new folder (--home NEW), or replace it with --force",
            code="backup.store_not_empty",
        )
    with _locked(home):
        yield
        _put_in_place(home, copy)


def _copy_of(database: Database, described: Described) -> Path | None:
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
    return copy


def _folder(database: Database) -> Path:
    assert database.file is not None, "a backup with usage is refused elsewhere"
    return database.file.parent


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Hold the store as its owner would, without opening it. Raises :class:`Conflict`."""
    lock = os.open(home / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("another process has the usage store open; stop it first", code="backup.usage_open") from None
        yield
    finally:
        os.close(lock)


def _put_in_place(home: Path, copy: Path | None) -> None:
    """The copy becomes the data in one step, whole and durable; the index and the roll-ups are built anew from it."""
    fresh = home / f"{FILE}.new"
    if copy is not None:
        shutil.copyfile(copy, fresh)
        fresh.chmod(0o600)
        _sync(fresh)
    (home / LOG).unlink(missing_ok=True)  # of the old data; it must not be read into the new
    shutil.rmtree(home / INDEX, ignore_errors=True)
    if copy is None:
        (home / FILE).unlink(missing_ok=True)
    else:
        fresh.replace(home / FILE)
    _sync(home)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
