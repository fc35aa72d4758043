"""The store in PostgreSQL: the suite, and what is its own: many processes, commit order, partitions, failures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from billsmith.metering.meter import Meter
from billsmith.usage.postgres import cells
from billsmith.usage.postgres.engine import PostgresStore
from billsmith.usage.store import UsageStore
from tests.support import postgres
from tests.usage.suite import Suite


def database() -> str:
    return postgres.fresh_database().replace("+psycopg", "")


class TestPostgres(Suite):
    @pytest.fixture
    def empty(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[UsageStore]:
        monkeypatch.setattr(cells, "RUN", 50)
        monkeypatch.setattr(cells, "FULL", 50 * 4**5)
        url = database()
        store = PostgresStore(url)
        yield store
        store.catch_up(1)
        assert store.faults() == []
        store.close()
        postgres.drop_database(url)

    def tidy(self, store: UsageStore, meters: Sequence[Meter]) -> None:
        """Now and then: count ahead what came since, however little, and merge."""
        assert isinstance(store, PostgresStore)
        if store.watermark() % 8 == 0:
            store.keep(meters)
            store.catch_up(1)
            assert not any("behind" in note for note in store.health().notes)
