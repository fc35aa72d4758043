"""The embedded store: the suite, and what is its own: its index, its file, failures to write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from billsmith.usage.duckdb.engine import DuckDBStore
from billsmith.usage.duckdb.owner import Client, SharedStore
from billsmith.usage.store import UsageStore
from tests.usage.suite import Suite


class TestDuckDB(Suite):
    @pytest.fixture
    def empty(self, tmp_path: Path) -> Iterator[UsageStore]:
        store = DuckDBStore(tmp_path)
        yield store
        store.close()


class TestThroughTheSocket(Suite):
    """The same answers for a process that isn't the owner."""

    @pytest.fixture
    def empty(self, tmp_path: Path) -> Iterator[UsageStore]:
        owner = SharedStore(tmp_path)
        assert owner.owns
        yield Client(tmp_path)
        owner.close()
