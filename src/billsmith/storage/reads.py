"""Which database's committed state a connection reads: what may be remembered between reads hangs on that database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection

if TYPE_CHECKING:
    from billsmith.storage.database import Database

#: The option of a connection that names its database.
READS = "billsmith_reads"


def read_by(connection: Connection) -> Database | None:
    """The database whose committed state a connection reads; ``None`` inside a write, which may yet be undone."""
    database: Database | None = connection.get_execution_options().get(READS)
    return database
