"""The database: how it is opened, read and written. SQLite in a data folder, or PostgreSQL by its URL.

``read()`` gives a connection in a transaction that sees one state; ``write()`` one that commits durably when the block ends
and leaves nothing behind when it raises. A 2xx or a success on the command line comes after ``write()`` has ended.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection as Connection
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.pool import QueuePool

from billsmith.storage import changes
from billsmith.storage.account_ids import AccountIds
from billsmith.storage.found_accounts import FoundAccounts
from billsmith.storage.lists.few import Searches
from billsmith.storage.lists.indexes import RankIndexes
from billsmith.storage.locks import WriterQueue
from billsmith.storage.reads import READS
from billsmith.units.errors import Busy, Unavailable

#: The name of the database in a data folder.
SQLITE_FILE = "billsmith.db"

_BUSY_TIMEOUT_MS = 10_000
_BEGIN = "billsmith_begin"


class Database:
    """One database, opened. Close it when done; it may be used from any thread."""

    def __init__(self, url: str, *, synchronous: str = "FULL") -> None:
        """``url`` as SQLAlchemy reads it. ``synchronous`` is lowered only by the tests that show why it must be FULL."""
        self.url: URL = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._thread_lock = threading.Lock()
        if self.is_sqlite:
            assert self.url.database, "a SQLite database is a file here"
            self.file: Path | None = Path(self.url.database)
            _make_private(self.file)
            self._queue: WriterQueue | None = WriterQueue(self.file)
            self.engine = _sqlite_engine(self.url, synchronous)
        else:
            self.file = None
            self._queue = None
            self.engine = _postgres_engine(self.url)
        # What this process remembers of the store, to be quick; each can be made anew from the store at any time.
        self.ranks = RankIndexes(self)
        self.account_ids = AccountIds()
        self.found_accounts = FoundAccounts()
        self.searches = Searches()
        # On PostgreSQL each statement of a plain transaction sees a newer state than the one before.
        one_state = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._reading = self.engine.execution_options(**{READS: self}, **one_state)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, in one state of the data."""
        with _translated():
            connection = self._reading.connect()
        with connection, _translated():
            transaction = connection.begin()
            try:
                yield connection
            finally:
                transaction.rollback()

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """As :meth:`read`, but every statement of it sees the same state on PostgreSQL too, and rows can be streamed."""
        with _translated():
            connection = self.engine.connect()
            if not self.is_sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection, _translated():
            yield connection
            connection.rollback()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes: committed and durable when the block ends, gone when it raises.

        The changes that were noted in it (:mod:`billsmith.storage.changes`) are written last.

        Raises :class:`Unavailable` when the disk is full, read-only or failing, :class:`Busy` when another writer holds the
        store too long.
        """
        noted: list[changes.Change] = []
        if self._queue is None:
            with _translated(), self.engine.begin() as connection:
                yield connection.execution_options(**{changes.PENDING: noted})
                changes.write(connection, noted)
            return
        with self._thread_lock, self._queue.turn(), _translated(), self.engine.connect() as plain:
            connection = plain.execution_options(**{_BEGIN: "BEGIN IMMEDIATE", changes.PENDING: noted})
            with connection.begin():
                yield connection
                changes.write(connection, noted)

    def close(self) -> None:
        """Stop what runs behind, close every connection."""
        self.ranks.close()
        self.engine.dispose()


def sqlite_url(folder: Path) -> str:
    """The URL of the database in a data folder."""
    return f"sqlite:///{(folder / SQLITE_FILE).absolute()}"


def _make_private(file: Path) -> None:
    """A new database is its owner's alone to read; SQLite gives the files beside it the same mode."""
    if file.parent.is_dir():
        with suppress(FileExistsError, OSError):
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _sqlite_engine(url: URL, synchronous: str) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=16,
        max_overflow=32,
        pool_use_lifo=True,  # the connection whose cache is warm
        connect_args={"isolation_level": None, "check_same_thread": False, "cached_statements": 512},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA cache_size = -16384")
        cursor.close()

    # The driver's own transactions are off (isolation_level None): a write takes its lock at once, not at its first write,
    # where two readers that both go on to write would deadlock.
    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.execute(connection.get_execution_options().get(_BEGIN, "BEGIN"))

    return engine


def _postgres_engine(url: URL) -> Engine:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise Unavailable(
            "PostgreSQL needs its driver: pip install 'billsmith[postgres]'", code="store.driver_missing"
        ) from None
    engine = create_engine(url.set(drivername="postgresql+psycopg"), pool_size=16, max_overflow=32, pool_pre_ping=True)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = on")
            cursor.execute("SET lock_timeout = '10s'")
            cursor.execute("SET timezone = 'UTC'")
            # Nearly every read is short: starting workers or a compiler costs more than they save.
            cursor.execute("SET max_parallel_workers_per_gather = 0")
            cursor.execute("SET jit = off")
        connection.commit()

    return engine


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what the driver says of disks and locks into our errors; anything else is our own bug and stays as it is."""
    try:
        yield
    except DBAPIError as error:
        ours = _meaning(error.orig, lost=error.connection_invalidated)
        if ours is None:
            raise
        raise ours from error
    except NoConnection as error:
        raise Busy("every connection to the store is in use; try again", code="store.locked") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
            raise Unavailable(
                f"the data folder can't be written: {os.strerror(error.errno)}", code="store.cannot_write"
            ) from error
        raise
    except Exception as error:
        # What was asked of the driver directly (storage/direct.py) comes without SQLAlchemy's wrapping.
        ours = _meaning(error) if isinstance(error, sqlite3.Error) or hasattr(error, "sqlstate") else None
        if ours is None:
            raise
        raise ours from error


def _meaning(error: BaseException | None, *, lost: bool = False) -> Unavailable | Busy | None:
    text = str(error)
    lower = text.lower()
    if any(
        sign in lower for sign in ("disk is full", "readonly database", "disk i/o error", "no space left", "could not extend")
    ):
        return Unavailable(f"the store can't be written: {text.splitlines()[0]}", code="store.cannot_write")
    if isinstance(error, sqlite3.DatabaseError) and ("malformed" in lower or "not a database" in lower):
        return Unavailable(
            f"the store is damaged ({text.splitlines()[0]}); restore a backup into a new folder: "
            "billsmith restore FILE --home NEW",
            code="store.damaged",
        )
    if isinstance(error, sqlite3.OperationalError) and ("locked" in lower or "busy" in lower):
        return Busy("another process holds the store; try again", code="store.locked")
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate in ("40001", "40P01", "55P03"):
        return Busy("another writer was at the same rows; try again", code="store.locked")
    if sqlstate in ("53100", "25006", "57P01", "57P02", "57P03"):
        return Unavailable(f"the database can't take a write: {text.splitlines()[0]}", code="store.cannot_write")
    operational = type(error).__name__ == "OperationalError"
    if operational and (lost or "unable to open database" in lower or sqlstate is None):
        return Unavailable(
            f"the database can't be reached: {text.splitlines()[0] if text else error}", code="store.unreachable"
        )
    return None
