"""The command line over a new store: on each engine, or on SQLite where the engine makes no difference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.run import Program
from tests.support import postgres


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Over an initialised data folder."""
    made = Program(tmp_path / "home", "", monkeypatch)
    assert made("init").code == 0
    return made


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """Over an initialised store on each engine."""
    url = postgres.fresh_database() if request.param == "postgres" else ""
    made = Program(tmp_path / "home", url, monkeypatch)
    assert made("init").code == 0
    yield made
    if url:
        postgres.drop_database(url)
