"""Fixtures that most tests share: the same cases run on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from billsmith.storage import upgrade
from billsmith.storage.database import Database, sqlite_url
from tests.support import postgres
from tests.support.house import NOW, House


@pytest.fixture(scope="session")
def postgres_template() -> str:
    """The name of a PostgreSQL database that has the tables and nothing else, to copy."""
    url = postgres.fresh_database()
    made = Database(url)
    upgrade.upgrade(made, NOW)
    made.close()
    return postgres.name_of(url)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without rows, on each engine."""
    if request.param == "sqlite":
        opened = Database(sqlite_url(tmp_path))
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
def sqlite_house(tmp_path: Path) -> Iterator[House]:
    """A small billsmith on SQLite alone, where the engine makes no difference to the case."""
    opened = Database(sqlite_url(tmp_path))
    made = House(opened)
    yield made
    made.close()
    opened.close()


@pytest.fixture
def postgres_house() -> Iterator[House]:
    """The same on PostgreSQL alone."""
    url = postgres.fresh_database()
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
