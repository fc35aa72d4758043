"""Fixtures that most tests share: the same cases run on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from billsmith.storage.database import Database, sqlite_url
from tests.support import postgres
from tests.support.house import House


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database, on each engine."""
    if request.param == "sqlite":
        opened = Database(sqlite_url(tmp_path))
        yield opened
        opened.close()
    else:
        url = postgres.fresh_database()
        opened = Database(url)
        yield opened
        opened.close()
        postgres.drop_database(url)


@pytest.fixture
def house(database: Database) -> House:
    """A small billsmith over an empty database, on each engine."""
    return House(database)


@pytest.fixture
def sqlite_house(tmp_path: Path) -> Iterator[House]:
    """A small billsmith on SQLite alone, where the engine makes no difference to the case."""
    opened = Database(sqlite_url(tmp_path))
    yield House(opened)
    opened.close()
