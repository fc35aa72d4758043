"""The usage store's copies and checks: what ``backup``, ``restore``, ``verify`` and ``doctor`` do with it.

It lies beside the SQLite database, or in PostgreSQL; where nobody sent an event there is none, and none is made here.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from zipfile import is_zipfile

from billsmith.storage.backup import Described, usage_file
from billsmith.storage.database import Database
from billsmith.units.errors import Conflict, Invalid
from billsmith.usage.duckdb.names import FILE, INDEX, LOCK, LOG
from billsmith.usage.store import UsageStore
from billsmith.workflows.usage_store import libpq


class _Kept(UsageStore, Protocol):
    """A store that can be looked after."""

    def backup(self, into: Path) -> None: ...
    def faults(self) -> list[str]: ...


def is_there(database: Database) -> bool:
    """Whether there is a usage store."""
    if database.file is not None:
        return (database.file.parent / FILE).exists()
    from billsmith.usage.postgres import engine

    return engine.is_there(libpq(database))


@contextmanager
def _opened(database: Database) -> Iterator[_Kept]:
    """The usage store that is there, also while others have it open."""
    store = _of_folder(database.file.parent) if database.file is not None else _on_postgresql(database)
    try:
        yield store
    finally:
        store.close()


def _of_folder(home: Path) -> _Kept:
    from billsmith.usage.duckdb.owner import SharedStore

    return SharedStore(home)


def _on_postgresql(database: Database) -> _Kept:
    from billsmith.usage.postgres.engine import PostgresStore

    return PostgresStore(libpq(database))


def copier(database: Database) -> Callable[[Path], None] | None:
    """What copies the usage store into a file, also while others have it open; ``None`` where there is none."""
    if not is_there(database):
        return None

    def copy(into: Path) -> None:
        into.unlink(missing_ok=True)
        with _opened(database) as store:
            store.backup(into)

    return copy


def faults(database: Database) -> tuple[int, list[str]]:
    """How many events in force the usage store has, and what is wrong with it."""
    if not is_there(database):
        return 0, []
    with _opened(database) as store:
        return store.health().events, store.faults()


@contextmanager
def replacing(database: Database, described: Described, *, force: bool) -> Iterator[None]:
    """Around a restore: the backup's usage is put in the place of the store's when the block has ended well.

    No process can open the usage store meanwhile. Where the backup has no usage, the store's is left alone, or with ``force``
    taken away as the rest of the old store was. A copy of the other engine is turned into what this one keeps. Before anything
    is changed it raises :class:`Invalid` where the copy isn't there or is none, :class:`Conflict` where usage is there and
    ``force`` is off, or is in use.
    """
    copy = _copy_of(database, described)
    if copy is None and not (force and is_there(database)):
        yield
        return
    if database.file is not None:
        within = _replacing_in(database.file.parent, copy, force=force)
    else:
        within = _replacing_in_postgresql(libpq(database), copy, force=force)
    with within:
        yield


def _copy_of(database: Database, described: Described) -> Path | None:
    if not described.usage:
        return None
    copy = usage_file(described.file)
    if not copy.is_file():
        raise Invalid(
            f"the backup has usage, but {copy.name} is not beside it; put it there", code="backup.usage_missing", where="file"
        )
    return copy


@contextmanager
def _replacing_in_postgresql(url: str, copy: Path | None, *, force: bool) -> Iterator[None]:
    from billsmith.usage.postgres import copies

    if copy is None or is_zipfile(copy):
        with copies.replacing(url, copy, force=force):
            yield
        return
    from billsmith.usage.duckdb import moved

    with moved.read(copy) as copied, copies.replacing(url, copied, force=force):
        yield


@contextmanager
def _replacing_in(home: Path, copy: Path | None, *, force: bool) -> Iterator[None]:
    if (home / FILE).exists() and not force:
        raise Conflict(
            "the folder holds usage; restore into a new folder (--home NEW), or replace it with --force",
            code="backup.store_not_empty",
        )
    with _locked(home), _as_a_file(home, copy) as own:
        yield
        _put_in_place(home, own)


@contextmanager
def _as_a_file(home: Path, copy: Path | None) -> Iterator[Path | None]:
    """The copy as the embedded store has it; one that was made in PostgreSQL is written anew beside the data."""
    if copy is None or not is_zipfile(copy):
        yield copy
        return
    from billsmith.usage.duckdb import moved as embedded
    from billsmith.usage.postgres import moved

    with TemporaryDirectory(prefix="usage-restored-", dir=home) as folder:
        own = Path(folder) / FILE
        with moved.read(copy) as copied:
            embedded.write(copied, own)
        yield own


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
