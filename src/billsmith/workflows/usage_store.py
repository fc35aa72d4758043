"""The usage store of an installation, opened when first asked for: beside SQLite in the data folder, else in PostgreSQL."""

from __future__ import annotations

import threading

from billsmith.storage import catalogs, meters
from billsmith.storage.database import Database
from billsmith.usage.store import UsageStore
from billsmith.workflows.ingest import Waiting

#: Bytes of memory that the usage store may take, unless told otherwise.
MEMORY = 2 * 1024**3


class Usage:
    """An installation's usage store. A program that counts nothing never opens it."""

    def __init__(self, database: Database, *, memory: int = MEMORY) -> None:
        """``memory`` is how many bytes the store may take."""
        self._database = database
        self._memory = memory
        self._lock = threading.Lock()
        self._store: UsageStore | None = None
        self._kept = (0, 0)
        self._meters_changed = True
        self._waiting = Waiting(database)

    @property
    def store(self) -> UsageStore:
        """The store, which counts ahead for the meters that there are. Raises :class:`Unavailable` where it can't be opened."""
        with self._lock:
            if self._store is None:
                self._store, self._kept, self._meters_changed = self._opened(), (0, 0), True
            if self._meters_changed:
                self._meters_changed = False
                self._keep_meters(self._store)
            return self._store

    @property
    def opened(self) -> UsageStore | None:
        """The store, if anybody asked for it already."""
        return self._store

    def meters_changed(self) -> None:
        """A meter or a catalog is new: whoever asks for the store next has it count ahead for that."""
        self._meters_changed = True

    def catch_up(self) -> UsageStore:
        """The store, once it knows the accounts and the meters that there are by now: before usage is shown or billed.

        Names of events that came before their accounts are bound, and the store counts ahead for new meters.
        """
        self.meters_changed()
        self._waiting.bind(self.store)
        return self.store

    def _keep_meters(self, store: UsageStore) -> None:
        with self._database.read() as connection:
            latest = meters.latest(connection), catalogs.latest_part(connection)
            if latest == self._kept:
                return
            known = [*meters.every(connection), *catalogs.meters(connection)]
        store.keep(known)
        self._kept = latest

    def close(self) -> None:
        """Let go of it, if it was opened; the next to ask opens it again."""
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None

    def _opened(self) -> UsageStore:
        file = self._database.file
        if file is None:
            from billsmith.usage.postgres.engine import PostgresStore

            return PostgresStore(libpq(self._database))
        from billsmith.usage.duckdb.owner import SharedStore  # DuckDB takes a tenth of a second to load

        return SharedStore(file.parent, memory=self._memory)


def libpq(database: Database) -> str:
    """The address of a PostgreSQL database, as its own library has it."""
    return database.url.set(drivername="postgresql").render_as_string(hide_password=False)
