"""Usage in ``backup``, ``restore`` and ``verify``: copied while it is used, restored whole, and damage is seen (P14)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import psycopg
import pytest

from billsmith.events.event import Event
from billsmith.storage import backup
from billsmith.units.errors import Unavailable
from billsmith.units.ids import derived_id
from billsmith.usage.duckdb.owner import SharedStore
from billsmith.usage.store import Receipt, Selection, Void
from tests.cli.run import Program
from tests.support import postgres

OWNER = derived_id("test account", "sender")


def events(first: int, count: int) -> list[Event]:
    return [
        Event(owner=OWNER, source="s", id=str(number), type="call", account="a", time=number, value=Decimal(number) / 8)
        for number in range(first, first + count)
    ]


@pytest.fixture
def used(program: Program) -> Program:
    store = SharedStore(program.home)
    store.ingest(events(0, 2_000))
    store.ingest([Void(owner=OWNER, source="s", id="7")])
    store.close()
    return program


def kept(home: Path) -> list[tuple[str, Decimal]]:
    store = SharedStore(home)
    try:
        return [(each.event.id, each.event.value) for each in store.events(Selection(), limit=10_000)]
    finally:
        store.close()


def test_usage_is_backed_up_and_restored(used: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = used.json("backup", str(tmp_path / "all.billsmith"))
    assert made["usage_file"] == str(tmp_path / "all.billsmith.usage")
    assert (tmp_path / "all.billsmith.usage").stat().st_mode & 0o777 == 0o600
    restored = Program(tmp_path / "new", "", monkeypatch)
    assert restored.json("restore", str(tmp_path / "all.billsmith"))["problems"] == 0
    assert len(kept(restored.home)) == 1_999
    assert kept(restored.home) == kept(used.home)
    # the identities are known again: what was sent before is a duplicate, what was voided stays so
    store = SharedStore(restored.home)
    receipt = store.ingest(events(0, 2_000))
    store.close()
    assert (receipt.accepted, len(receipt.duplicates)) == (0, 2_000)
    assert restored.json("verify")["ok"]


def test_a_backup_beside_an_owner_that_goes_on(used: Program, tmp_path: Path) -> None:
    store = SharedStore(used.home)
    stop = threading.Event()

    def send() -> None:
        first = 10_000
        while not stop.is_set():
            store.ingest(events(first, 50))
            first += 50

    sender = threading.Thread(target=send)
    sender.start()
    try:
        used.json("backup", str(tmp_path / "live.billsmith"))
    finally:
        stop.set()
        sender.join()
        store.close()
    copy = duckdb.connect(tmp_path / "live.billsmith.usage", read_only=True)
    ((count, highest),) = copy.execute("SELECT count(*), max(seq) FROM events").fetchall()
    copy.close()
    assert count == highest >= 2_001


def test_a_store_without_usage_makes_none(program: Program, tmp_path: Path) -> None:
    made = program.json("backup", str(tmp_path / "plain.billsmith"))
    assert made["usage_file"] is None
    assert not (program.home / "usage.duckdb").exists()
    assert program.json("verify")["ok"]


def test_a_copy_that_lacks_its_usage_is_refused(used: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used.json("backup", str(tmp_path / "all.billsmith"))
    (tmp_path / "all.billsmith.usage").unlink()
    ran = Program(tmp_path / "new", "", monkeypatch)("restore", str(tmp_path / "all.billsmith"), "--json")
    assert (ran.code != 0, "backup.usage_missing" in ran.err) == (True, True)


def test_usage_that_is_there_is_not_replaced_unasked(used: Program, tmp_path: Path) -> None:
    used.json("backup", str(tmp_path / "all.billsmith"))
    store = SharedStore(used.home)
    store.ingest(events(5_000, 1))
    store.close()
    ran = used("restore", str(tmp_path / "all.billsmith"), "--json")
    assert (ran.code != 0, "backup.store_not_empty" in ran.err) == (True, True)
    assert len(kept(used.home)) == 2_000
    store = SharedStore(used.home)
    ran = used("restore", str(tmp_path / "all.billsmith"), "--force", "--json")
    store.close()
    assert "backup.usage_open" in ran.err
    assert used("restore", str(tmp_path / "all.billsmith"), "--force", "--json").code == 0
    assert len(kept(used.home)) == 1_999


def test_verify_sees_a_changed_row(used: Program) -> None:
    assert used.json("verify")["ok"]
    file = duckdb.connect(used.home / "usage.duckdb")
    file.execute("UPDATE events SET low = low + 1 WHERE id = '9'")
    file.close()
    ran = used("verify", "--json")
    assert ran.code == 1
    assert {problem["check"] for problem in ran.json["problems"]} == {"usage"}


def test_nobody_opens_the_store_while_it_is_replaced(used: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used.json("backup", str(tmp_path / "all.billsmith"))
    tried: list[str] = []
    restore = backup.restore

    def meanwhile(*arguments: Any, **more: Any) -> None:
        try:
            SharedStore(used.home, patience=0.0).close()
        except Unavailable as error:
            tried.append(error.code)
        restore(*arguments, **more)

    monkeypatch.setattr(backup, "restore", meanwhile)
    assert used("restore", str(tmp_path / "all.billsmith"), "--force", "--json").code == 0
    assert tried == ["usage.owner_silent"]
    assert len(kept(used.home)) == 1_999


def test_a_restore_that_fails_leaves_the_usage_that_was_there(
    used: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used.json("backup", str(tmp_path / "all.billsmith"))
    store = SharedStore(used.home)
    store.ingest(events(5_000, 1))
    store.close()

    def broken(*_arguments: Any, **_more: Any) -> None:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(backup, "restore", broken)
    assert used("restore", str(tmp_path / "all.billsmith"), "--force", "--json").code != 0
    assert len(kept(used.home)) == 2_000


# ── in PostgreSQL ──


@pytest.fixture
def in_postgresql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Program]]:
    """Makes programs over databases of their own."""
    urls: list[str] = []

    def made(name: str) -> Program:
        urls.append(postgres.fresh_database())
        return Program(tmp_path / name, urls[-1], monkeypatch)

    yield made
    for url in urls:
        postgres.drop_database(url)


def sent(program: Program, what: list[Event] | list[Void]) -> Receipt:
    with program.usage() as store:
        return store.ingest(what)


def kept_in(program: Program) -> list[str]:
    program.patch.setenv("BILLSMITH_DATABASE_URL", program.database_url)
    with program.usage() as store:
        return [each.event.id for each in store.events(Selection(), limit=10_000)]


def test_usage_in_postgresql_is_backed_up_restored_and_verified(
    in_postgresql: Callable[[str], Program], tmp_path: Path
) -> None:
    first = in_postgresql("first")
    assert first("init").code == 0
    assert first.json("verify")["ok"]  # nobody sent anything: there is no usage store, and none is made
    assert first.json("backup", str(tmp_path / "plain.billsmith"))["usage_file"] is None
    sent(first, events(0, 2_000))
    sent(first, [Void(owner=OWNER, source="s", id="7")])
    file = str(tmp_path / "all.billsmith")
    made = first.json("backup", file)
    assert Path(made["usage_file"]).stat().st_mode & 0o777 == 0o600
    [found] = [each for each in first("doctor", "--json").json if each["what"] == "usage"]
    assert (found["state"], found["found"].startswith("postgresql, 1999 events")) == ("ok", True)

    second = in_postgresql("second")
    assert second.json("restore", file)["problems"] == 0
    assert len(kept_in(second)) == 1_999
    assert len(sent(second, events(0, 2_000)).duplicates) == 2_000
    assert {each["check"]: each["checked"] for each in second.json("verify")["checks"]}["usage"] == 1_999

    sent(second, events(5_000, 1))
    assert "backup.store_not_empty" in second("restore", file, "--json").err
    with second.usage():
        assert "backup.usage_open" in second("restore", file, "--force", "--json").err
    assert len(kept_in(second)) == 2_000
    assert second.json("restore", file, "--force")["problems"] == 0
    assert len(kept_in(second)) == 1_999
    assert second.json("restore", str(tmp_path / "plain.billsmith"), "--force")["problems"] == 0
    assert kept_in(second) == []


def test_a_restore_that_fails_leaves_usage_in_postgresql(
    in_postgresql: Callable[[str], Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = in_postgresql("home")
    assert program("init").code == 0
    sent(program, events(0, 10))
    program.json("backup", str(tmp_path / "all.billsmith"))
    sent(program, events(10, 1))

    def broken(*_arguments: Any, **_more: Any) -> None:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(backup, "restore", broken)
    assert program("restore", str(tmp_path / "all.billsmith"), "--force", "--json").code != 0
    assert len(kept_in(program)) == 11


def test_a_changed_row_in_postgresql_is_seen(in_postgresql: Callable[[str], Program]) -> None:
    program = in_postgresql("home")
    assert program("init").code == 0
    sent(program, events(0, 20))
    assert program.json("verify")["ok"]
    with psycopg.connect(program.database_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("ALTER TABLE billsmith_usage.events DISABLE TRIGGER append_only")
        connection.execute("UPDATE billsmith_usage.events SET value = value + 1 WHERE id = '9'")
    ran = program("verify", "--json")
    assert (ran.code, {problem["check"] for problem in ran.json["problems"]}) == (1, {"usage"})


@pytest.mark.parametrize("to_postgresql", [False, True])
def test_a_copy_is_restored_on_the_other_engine(
    used: Program,
    in_postgresql: Callable[[str], Program],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    to_postgresql: bool,
) -> None:
    """The same seqs, identities that are known again, roll-ups and checks in order."""
    file = str(tmp_path / "all.billsmith")
    if to_postgresql:
        used.json("backup", file)
        other = in_postgresql("other")
    else:
        made = in_postgresql("made")
        assert made("init").code == 0
        sent(made, events(0, 2_000))
        sent(made, [Void(owner=OWNER, source="s", id="7")])
        made.json("backup", file)
        other = Program(tmp_path / "other", "", monkeypatch)
    monkeypatch.setenv("BILLSMITH_DATABASE_URL", other.database_url)
    assert other.json("restore", file)["problems"] == 0
    with other.usage() as store:
        assert (store.watermark(), store.count(Selection()), store.count(Selection(as_of_seq=2_000))) == (2_001, 1_999, 2_000)
        receipt = store.ingest([*events(0, 2_000), *events(2_000, 1)])
        assert (receipt.accepted, len(receipt.duplicates), receipt.seq) == (1, 2_000, 2_002)
        (clash,) = store.ingest([msgspec.structs.replace(one, value=Decimal(-1)) for one in events(9, 1)]).conflicts
        assert clash.stored.value == Decimal(9) / 8
    assert other.json("verify")["ok"]
    assert [path.name for path in other.home.glob("usage-restored*")] == []
