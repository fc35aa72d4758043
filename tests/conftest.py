"""Fixtures that most tests share: the same cases run on SQLite and on PostgreSQL."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from starlette.testclient import TestClient

from billsmith.storage import database as database_module
from billsmith.storage import upgrade
from billsmith.storage.database import SQLITE_FILE, Database, sqlite_url
from tests.support import engines, postgres
from tests.support.house import NOW, House

# A machine that is busy with something else is no fault of the code's. The same draws in every run, so that what failed
# fails again and what a change broke is what it broke; `make soak` and BILLSMITH_DRAWS=new draw anew.
settings.register_profile(
    "patient",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("BILLSMITH_DRAWS") != "new",
    database=None,
)
settings.load_profile("patient")

#: Files in memory: no test pulls this machine's plug, and what a power loss leaves is tested without one.
MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 2**30:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

# What is imported and collected stays to the end: the collector need not go through it again and again.
gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest is begun first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # else DuckDB's binding calls all of it a leak


@pytest.fixture(scope="session", autouse=True)
def _one_loop() -> Iterator[None]:
    """All clients' requests run in one loop, as a server's do: one of its own for each would cost more than the request."""
    with start_blocking_portal() as portal, pytest.MonkeyPatch.context() as patch:
        patch.setattr(TestClient, "portal", portal)
        yield


@pytest.fixture(scope="session", autouse=True)
def _compiled_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database_module, "create_engine", engines.Shared(database_module.create_engine))
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


@contextmanager
def empty_store(engine: str, home: Path, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database without rows; on SQLite in a folder."""
    if engine == "sqlite":
        opened = sqlite_copy(request.getfixturevalue("sqlite_template"), home)
    else:
        opened = Database(postgres.fresh_database(request.getfixturevalue("postgres_template")))
    yield opened
    opened.close()
    if engine == "postgres":
        postgres.drop_database(opened.url.render_as_string(hide_password=False))


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without rows, on each engine."""
    with empty_store(request.param, tmp_path, request) as opened:
        yield opened


@pytest.fixture
def house(database: Database) -> Iterator[House]:
    """A small billsmith over an empty database, on each engine."""
    made = House(database)
    yield made
    made.close()


@pytest.fixture
def sqlite_house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """A small billsmith on SQLite alone, where the engine makes no difference to the case."""
    with empty_store("sqlite", tmp_path, request) as opened:
        made = House(opened)
        yield made
        made.close()


@pytest.fixture
def postgres_house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """The same on PostgreSQL alone."""
    with empty_store("postgres", tmp_path, request) as opened:
        made = House(opened)
        yield made
        made.close()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shared_house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One small billsmith for all tests of a module, on each engine: for what only reads, or is refused."""
    with empty_store(request.param, tmp_path_factory.mktemp("shared"), request) as opened:
        made = House(opened)
        yield made
        made.close()


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without tables, on each engine."""
    url = sqlite_url(tmp_path) if request.param == "sqlite" else postgres.fresh_database()
    opened = Database(url)
    yield opened
    opened.close()
    if request.param == "postgres":
        postgres.drop_database(url)
