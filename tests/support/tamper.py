"""Changing what the database refuses to change, as somebody would who owns its file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from billsmith.storage.database import Database
from billsmith.storage.schema_chain import protection, triggers


@contextmanager
def unprotected(database: Database) -> Iterator[Connection]:
    """A transaction without the triggers; they are there again after it."""
    with database.write() as connection:
        remove_triggers(connection)
        yield connection
        for statement in protection(connection.dialect.name):
            connection.exec_driver_sql(statement)


def remove_triggers(connection: Connection) -> None:
    """Take every trigger away."""
    dialect = connection.dialect.name
    for name, statement in triggers(dialect).items():
        table = statement.partition(" ON ")[2].split()[0]
        connection.exec_driver_sql(f"DROP TRIGGER {name}" + (f" ON {table}" if dialect == "postgresql" else ""))
