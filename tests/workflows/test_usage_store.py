"""Which usage store is opened, when, and by whom it is closed."""

from __future__ import annotations

from pathlib import Path

from billsmith.events.event import Event
from billsmith.storage.database import Database, sqlite_url
from billsmith.workflows.usage_store import Usage

EVENT = Event(owner="o", source="s", id="1", type="t", account="a", time=0)


def test_it_is_opened_at_its_first_use_beside_the_database(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    usage = Usage(database, tmp_path)
    assert not (tmp_path / "usage.duckdb").exists()
    assert usage.store.ingest([EVENT]).accepted == 1
    assert (tmp_path / "usage.duckdb").exists()
    assert usage.store is usage.store
    other = Usage(database, tmp_path)  # through the first one's socket, as another process would
    assert other.store.ingest([EVENT]).duplicates == (0,)
    other.close()
    usage.close()
    assert usage.store.ingest([EVENT]).duplicates == (0,)
    usage.close()
    database.close()


def test_closing_what_was_never_used_opens_nothing(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    Usage(database, tmp_path).close()
    assert not (tmp_path / "usage.duckdb").exists()
    database.close()
