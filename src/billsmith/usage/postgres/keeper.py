"""What is done in the background, a step at a time, each one transaction: roll-ups filled, runs sealed and merged.

None of it changes an answer, and each step can be killed or fail: the next begins where the tables say. Of all processes one
does a step at a time: its lock is had before the transaction begins, so that a step's snapshot has all of the step before. All
of a step is of one snapshot: rows that are committed meanwhile are none of the run that it counts.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from contextlib import suppress

import psycopg
from psycopg import IsolationLevel

from billsmith.usage.postgres import cells
from billsmith.usage.postgres.connections import Connection, connect
from billsmith.usage.postgres.schema import KEEPING, LOCKS, OPEN
from billsmith.usage.shapes import Shape

#: Seconds after which a step that failed is tried again.
PAUSE = 30.0
#: Of the transaction that a step is.
ISOLATION = IsolationLevel.REPEATABLE_READ


class Keeper:
    """One thread, on a connection of its own. As long as it has it, the store counts as open."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None
        self._wanted: Collection[tuple[str, Shape]] | None = None
        self._sealed = 0
        self._failure = ""
        self._dropped: tuple[str, ...] = ()
        self._one_at_a_time = threading.Lock()
        self._changed = threading.Condition()
        self._work, self._closed = True, False
        self._thread = threading.Thread(target=self._run, name="usage-keeper", daemon=True)
        self._thread.start()

    def keep(self, meant: Collection[tuple[str, Shape]]) -> None:
        """Name the families that are to be there."""
        with self._changed:
            self._wanted = meant
        self._wake()

    def written(self, seq: int) -> None:
        """Rows were added, up to ``seq``."""
        if seq - self._sealed >= cells.RUN and not self._work:
            self._wake()

    def notes(self) -> tuple[str, ...]:
        """What an operator should know."""
        return (*self._dropped, *([self._failure] if self._failure else ()))

    def close(self) -> None:
        """Give up the step under way, and stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        connection = self._connection
        if connection is not None:
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=5)
        self._thread.join()
        if self._connection is not None:
            self._connection.close()

    def _wake(self) -> None:
        with self._changed:
            self._work = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._work and not self._closed:
                    self._changed.wait(PAUSE if self._failure else None)
                if self._closed:
                    return
                self._work = False
            self.catch_up()

    def catch_up(self, least: int | None = None) -> None:
        """Do all there is to do. ``least`` rows make a run."""
        with self._one_at_a_time:
            try:
                while not self._closed and self._step(least or cells.RUN):
                    pass
                self._failure = ""
            except psycopg.Error as error:
                connection, self._connection = self._connection, None
                if connection is not None:
                    connection.close()
                self._failure = "" if self._closed else f"roll-ups are behind: {' '.join(str(error).split())[:250]}"

    def _step(self, least: int) -> bool:
        """Do the next thing; whether there may be another. While another process does one, there is nothing to do."""
        connection = self._connection = self._connection or self._connected()
        row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCKS, KEEPING]).fetchone()
        if row != (True,):
            self._sealed = cells.sealed(connection)
            return False
        try:
            with connection.transaction():
                return self._done(connection, least)
        finally:
            with suppress(psycopg.Error):  # where the connection is lost, so is its lock
                connection.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCKS, KEEPING])

    def _connected(self) -> Connection:
        connection = connect(self._url)
        connection.isolation_level = ISOLATION
        connection.execute("SET statement_timeout = 0")
        connection.execute("SELECT pg_advisory_lock_shared(%s, %s)", [LOCKS, OPEN])
        return connection

    def _done(self, connection: Connection, least: int) -> bool:
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            try:
                cells.declare(connection, wanted)
            except psycopg.Error:
                self._wanted = self._wanted if self._wanted is not None else wanted
                raise
        more = cells.fill_behind(connection) or cells.seal(connection, least) or cells.merge(connection)
        self._sealed = cells.sealed(connection)
        self._dropped = tuple(
            f"no roll-up of {family.type} by {', '.join(family.shape.names)}: {family.reason}"
            for family in cells.families(connection)
            if family.reason
        )
        return more
