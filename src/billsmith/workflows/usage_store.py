"""Which usage store there is: the data folder's shared DuckDB file beside SQLite, PostgreSQL's own tables beside PostgreSQL.

It is opened when somebody first asks for it, so that a server that nobody sends events to pays nothing for it.
"""

from __future__ import annotations

import threading
from importlib import import_module
from pathlib import Path

from billsmith.storage.database import Database
from billsmith.units.errors import Unavailable
from billsmith.usage.store import UsageStore
from billsmith.workflows.ingest import KnownNames

#: Megabytes of memory that the store may use unless told otherwise.
MEMORY_MB = 2_048


class Usage:
    """The usage store that belongs to a database, opened at its first use. May be used from any thread."""

    def __init__(self, database: Database, home: Path, *, memory_mb: int = MEMORY_MB) -> None:
        """``home`` is the data folder; ``memory_mb`` bounds the store's memory."""
        self._database, self._home, self._memory_mb = database, home, memory_mb
        self._lock = threading.Lock()
        self._store: UsageStore | None = None
        self.names = KnownNames()

    @property
    def store(self) -> UsageStore:
        """The store. Raises :class:`Unavailable` where it can't be opened."""
        if self._store is not None:
            return self._store
        with self._lock:
            if self._store is None:
                self._store = self._open()
            return self._store

    def _open(self) -> UsageStore:
        # The engines are imported here alone: whoever counts no usage loads neither.
        if self._database.is_sqlite:
            from billsmith.usage.duckdb.owner import SharedStore

            # The other half is for the identity index, and for batches that wait.
            return SharedStore(self._home, memory_limit=f"{max(self._memory_mb // 2, 1)}MB")
        try:
            postgres = import_module("billsmith.usage.postgres")
        except ModuleNotFoundError:
            raise Unavailable(
                "there is no usage store on PostgreSQL yet; keep usage in a data folder (SQLite)", code="usage.no_engine"
            ) from None
        store: UsageStore = postgres.open_store(self._database.url.render_as_string(hide_password=False))
        return store

    def close(self) -> None:
        """Close the store, if it was opened; its next use opens it anew. What was acknowledged is durable already."""
        with self._lock:
            store, self._store = self._store, None
        if store is not None:
            store.close()
