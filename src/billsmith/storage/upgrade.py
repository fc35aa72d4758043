"""Bringing a database to this program's form: forward only, in one transaction, never below a newer program's (P21)."""

from __future__ import annotations

import secrets
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, inspect, select, text

from billsmith.storage.database import Database
from billsmith.storage.schema import installation
from billsmith.units.errors import Unavailable
from billsmith.units.ids import format_id

_UPGRADE_LOCK = 0x62696C6C  # "bill": one process at a time on PostgreSQL


def upgrade(database: Database, now: int) -> tuple[str | None, str]:
    """Make or upgrade the tables. Gives the form found (``None``: a new database) and the one it has now.

    Raises :class:`Unavailable` when a newer program made the database.
    """
    with database.write() as connection:
        lock(connection)
        found = _current(connection)
        refuse_newer(found)
        newest = newest_form()
        if found != newest:
            make(connection, "head")
            if found is None:
                _install(connection, now)
        return found, newest


def form_of(database: Database) -> str | None:
    """The form that a database has; ``None`` when nothing of ours is in it."""
    with database.read() as connection:
        return _current(connection)


def make(connection: Connection, form: str) -> None:
    """Bring the tables forward to ``form`` (or ``"head"``, the newest), within the caller's transaction."""
    command.upgrade(_config(connection), form)


def lock(connection: Connection) -> None:
    """One process at a time brings tables to another form; on SQLite every writer is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _UPGRADE_LOCK})


def refuse_newer(form: str | None) -> None:
    """Raise :class:`Unavailable` for a form that this program does not know."""
    if form is not None and form not in _forms(str(migrations_folder())):
        raise Unavailable(
            f"this data was made by a newer billsmith (form {form}); upgrade the program: pip install -U billsmith",
            code="store.newer",
        )


def check(database: Database) -> None:
    """Raise :class:`Unavailable` unless the database has exactly this program's form."""
    with database.read() as connection:
        found = _current(connection)
    refuse_newer(found)
    if found != newest_form():
        raise Unavailable(
            "this data was made by an older billsmith; run `billsmith init` to bring it up to date"
            if found
            else "there is no billsmith data here; run `billsmith init` first",
            code="store.outdated" if found else "store.missing",
        )


def newest_form() -> str:
    """The name of the newest form that this program knows."""
    newest, *_ = _forms(str(migrations_folder()))
    return newest


@cache
def _forms(folder: str) -> tuple[str, ...]:
    """The forms that the steps in a folder lead to, the newest first. A program's steps are read once."""
    return tuple(script.revision for script in ScriptDirectory(folder).walk_revisions())


def cursor_key(connection: Connection) -> bytes:
    """The installation's own secret, with which cursors are signed."""
    return bytes(connection.execute(select(installation.c.cursor_key)).scalar_one())


def _install(connection: Connection, now: int) -> None:
    connection.execute(
        insert(installation).values(
            id=format_id(secrets.token_bytes(16)), cursor_key=secrets.token_bytes(32), accounts_version=0, created_at=now
        )
    )


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return MigrationContext.configure(connection).get_current_revision()


def migrations_folder() -> Traversable:
    """Where the steps from form to form are."""
    return files("billsmith.storage") / "migrations"


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["connection"] = connection
    return config
