"""Connections: how each is set up, a bounded number of them, and what the database's errors are to our callers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import psycopg
from psycopg import errors
from psycopg.types.json import set_json_loads

from billsmith.units.errors import Busy, Unavailable
from billsmith.usage.postgres import packed

#: Connections that read at once, in each process, and seconds that a question waits for one.
READERS = 8
PATIENCE = 10.0

#: A commit is durable when it is acknowledged, whatever the server's own setting: only stronger ones are left as they are.
DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
_SETTINGS = """
SET timezone = 'UTC'; SET jit = off; SET cursor_tuple_fraction = 1; SET lock_timeout = '10s'; SET statement_timeout = '120s';
SET idle_in_transaction_session_timeout = '10min'
"""

Connection = psycopg.Connection[Any]

#: Worth another try as it is, in a moment.
_PASSING = (
    errors.QueryCanceled,
    errors.LockNotAvailable,
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.TooManyConnections,
)
#: The database can't serve: gone, full, read-only, failing.
_FAILING = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)


def connect(url: str) -> Connection:
    """A connection in autocommit mode. Raises :class:`psycopg.Error`."""
    connection = psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=10,
        application_name="billsmith usage",
        keepalives_idle=10,
        tcp_user_timeout=30_000,
    )
    connection.execute(_SETTINGS)
    connection.execute(DURABLE)
    set_json_loads(msgspec.json.decode, connection)
    packed.register(connection)
    return connection


@contextmanager
def translated(doing: str, code: str) -> Iterator[None]:
    """The driver's errors as ours: :class:`Busy` where it helps to try again, else :class:`Unavailable`."""
    try:
        yield
    except _PASSING as error:
        raise Busy(
            f"the usage store can't {doing} just now: {_said(error)}. Try again, and ask for less where it goes on",
            code="usage.busy",
            retry_after=2,
        ) from error
    except _FAILING as error:
        hint = "Make room on the database's disk" if isinstance(error, errors.DiskFull) else "See `billsmith doctor`"
        raise Unavailable(f"the usage store can't {doing}: {_said(error)}. {hint}, then try again", code=code) from error


def is_passing(error: psycopg.Error) -> bool:
    """Whether the same again may well succeed at once: two writers met."""
    return isinstance(error, errors.DeadlockDetected | errors.SerializationFailure)


def _said(error: psycopg.Error) -> str:
    return " ".join(str(error).split())[:300]


class Pool:
    """Connections for reading, opened when needed and used again; at most ``size`` at once."""

    def __init__(self, url: str, size: int = READERS) -> None:
        self._url = url
        self._free = threading.BoundedSemaphore(size)
        self._idle: list[Connection] = []
        self._closed = False

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection in a transaction that sees one state of the store. Raises as :meth:`connection`."""
        with self.connection("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as connection:
            yield connection

    @contextmanager
    def connection(self, first: str, doing: str = "be read", code: str = "usage.cannot_read") -> Iterator[Connection]:
        """A connection on which the statement ``first`` was run.

        Raises :class:`Busy` where all are taken for too long, :class:`Unavailable` where the database can't be reached.
        """
        if not self._free.acquire(timeout=PATIENCE):
            raise Busy("too many questions at once. Ask again in a moment", code="usage.busy", retry_after=2)
        try:
            with translated(doing, code):
                connection = self._begun(first)
                try:
                    yield connection
                finally:
                    self._give_back(connection)
        finally:
            self._free.release()

    def _begun(self, first: str) -> Connection:
        """A connection on which a first statement went well; those that broke while idle are let go."""
        if self._closed:
            raise psycopg.OperationalError("it is closed")
        while self._idle:
            with suppress(IndexError, *_FAILING):
                return _after(first, self._idle.pop())
        return _after(first, connect(self._url))

    def _give_back(self, connection: Connection) -> None:
        with suppress(*_FAILING):
            connection.rollback()
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close those that are idle; the others when they come back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


def _after(first: str, connection: Connection) -> Connection:
    connection.execute(first)
    return connection
