"""Fixtures that most tests share: the same cases run on SQLite and on PostgreSQL."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from starlette.testclient import TestClient

from billsmith.storage import upgrade
from billsmith.storage.database import SQLITE_FILE, Database, sqlite_url
from tests.support import postgres
from tests.support.house import NOW, House

#: Files in memory: no test pulls this machine's plug, and what a power loss leaves is tested without one.
MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 2**30:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

# What is imported and collected stays to the end: the collector need not go through it again and again.
gc.disable()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _one_loop() -> Iterator[None]:
    """All clients' requests run in one loop, as a server's do: one of its own for each would cost more than the request."""
    with start_blocking_portal() as portal, pytest.MonkeyPatch.context() as patch:
        patch.setattr(TestClient, "portal", portal)
        yield


@pytest.fixture(scope="session")
def postgres_template() -> str:
    """The name of a PostgreSQL database that has the tables and nothing else, to copy."""
    url = postgres.fresh_database()
    made = Database(url)
    upgrade.upgrade(made, NOW)
    made.close()
    return postgres.name_of(url)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in SQLite: a file."""
    home = tmp_path_factory.mktemp("template")
    made = Database(sqlite_url(home))
    upgrade.upgrade(made, NOW)
    made.close()
    return home / SQLITE_FILE


def sqlite_copy(template: Path, home: Path) -> Database:
    """A database without rows in a folder."""
    shutil.copy(template, home / SQLITE_FILE)
    return Database(sqlite_url(home))


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without rows, on each engine."""
    if request.param == "sqlite":
        opened = sqlite_copy(request.getfixturevalue("sqlite_template"), tmp_path)
        yield opened
        opened.close()
    else:
        url = postgres.fresh_database(request.getfixturevalue("postgres_template"))
        opened = Database(url)
        yield opened
        opened.close()
        postgres.drop_database(url)


@pytest.fixture
def house(database: Database) -> Iterator[House]:
    """A small billsmith over an empty database, on each engine."""
    made = House(database)
    yield made
    made.close()


@pytest.fixture
def sqlite_house(tmp_path: Path, sqlite_template: Path) -> Iterator[House]:
    """A small billsmith on SQLite alone, where the engine makes no difference to the case."""
    opened = sqlite_copy(sqlite_template, tmp_path)
    made = House(opened)
    yield made
    made.close()
    opened.close()


@pytest.fixture
def postgres_house(postgres_template: str) -> Iterator[House]:
    """The same on PostgreSQL alone."""
    url = postgres.fresh_database(postgres_template)
    opened = Database(url)
    made = House(opened)
    yield made
    made.close()
    opened.close()
    postgres.drop_database(url)


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without tables, on each engine."""
    url = sqlite_url(tmp_path) if request.param == "sqlite" else postgres.fresh_database()
    opened = Database(url)
    yield opened
    opened.close()
    if request.param == "postgres":
        postgres.drop_database(url)
