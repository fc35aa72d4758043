"""The change log in the store: sealed row by row, only added to, in the order of the commits, without gaps (P6, P12)."""

from __future__ import annotations

import threading
import time
from hashlib import sha256

import pytest
from sqlalchemy import Connection, delete, select, text

from billsmith.storage import accounts, change_log, changes, schema
from billsmith.storage.changes import Change
from billsmith.storage.schema_changes import change as table
from billsmith.storage.verify import verify
from tests.support.house import NOW, House
from tests.support.stock import stock
from tests.support.tamper import unprotected

LAST = "(SELECT max(seq) FROM change)"


def test_a_row_is_sealed_as_the_docs_say(house: House) -> None:
    stock(house)
    with house.database.read() as connection:
        rows = change_log.after(connection, 0, 10_000)
    before = "0" * 64
    for number, each in enumerate(rows, 1):
        lines = [before, str(number), str(each.at), each.kind, each.account_id, each.subject, each.actor, each.facts]
        assert each.seq == number
        assert each.digest == sha256("\n".join(lines).encode()).digest()
        before = each.digest.hex()
    assert len({each.id for each in rows}) == len(rows) > 10


@pytest.mark.parametrize(
    "statement",
    ["UPDATE change SET actor = 'nobody'", "DELETE FROM change", f"UPDATE change SET facts = facts WHERE seq = {LAST}"],
)
def test_the_database_refuses_to_edit_it(house: House, statement: str) -> None:
    house.account("A")
    with pytest.raises(Exception, match="never changes"), house.database.write() as connection:
        connection.execute(text(statement))
    assert verify(house.database).ok


def test_control_without_the_triggers_it_is_edited_and_verify_names_the_first_broken_link(house: House) -> None:
    stock(house)
    with unprotected(house.database) as connection:
        connection.execute(text("UPDATE change SET actor = 'somebody else' WHERE seq IN (4, 7)"))
    report = verify(house.database)
    assert [(each.check, each.where) for each in report.problems] == [("changes", "change row 4")]


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        ("UPDATE change SET facts = '{}' WHERE seq = 5 OR kind = 'invoice.issued'", None),
        ("UPDATE change SET at = at + 1 WHERE seq = 3", "change row 3"),
        ("UPDATE change SET kind = 'account.changed' WHERE seq = 1", "change row 1"),
        ("UPDATE change SET account_seq = 2 WHERE seq = 1", "change row 1"),
        ("DELETE FROM change WHERE seq = 2", "change row 3"),
        ("DELETE FROM change WHERE kind = 'invoice.issued' OR seq > 3", "change log"),
        (f"UPDATE change SET digest = (SELECT digest FROM change WHERE seq = 1) WHERE seq = {LAST}", None),
    ],
)
def test_each_damage_is_seen(sqlite_house: House, damage: str, where: str | None) -> None:
    stock(sqlite_house)
    with unprotected(sqlite_house.database) as connection:
        assert connection.execute(text(damage)).rowcount > 0  # type: ignore[attr-defined]
    found = [problem for problem in verify(sqlite_house.database).problems if problem.check == "changes"]
    assert len(found) == 1
    assert where in (None, found[0].where)


def test_an_invoice_without_its_row_is_seen(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    stock(sqlite_house)
    top = sqlite_house.account("Other")
    monkeypatch.setattr(changes, "note", lambda *_: None)
    sqlite_house.invoice(top, top)
    assert [problem.what for problem in verify(sqlite_house.database).problems] == ["it tells of 8 invoices, there are 9"]


def test_what_is_undone_leaves_no_row(house: House) -> None:
    house.account("A")
    with house.database.read() as connection:
        before = changes.head(connection)
    with pytest.raises(RuntimeError), house.database.write() as connection:
        _create_and_fail(connection)
    with house.database.read() as connection:
        assert changes.head(connection) == before


def _create_and_fail(connection: Connection) -> None:
    accounts.create(connection, id=NEW, name="B", currency="EUR", time_zone="UTC", now=NOW)
    raise RuntimeError


NEW = "ede9f834-70b3-476c-83d9-736f9f8c7dae"


def test_a_change_outside_of_a_write_is_a_fault_of_ours(sqlite_house: House) -> None:
    account = sqlite_house.account("A")
    with sqlite_house.database.read() as connection, pytest.raises(AssertionError):
        changes.note(connection, Change("account.changed", account.seq, account.id, NOW, "test", {}))


def test_writers_at_once_give_numbers_in_the_order_of_their_commits(house: House) -> None:
    """Whoever follows the log by number misses none: once a number is seen, no lower one appears."""
    tops = [house.account(f"Top {number}") for number in range(4)]
    done = threading.Event()
    late: list[int] = []

    def follow() -> None:
        seen = 0
        while not done.is_set():
            with house.database.read() as connection:
                found = [each.seq for each in change_log.after(connection, seen, 10_000)]
            late.extend(number for place, number in enumerate(found) if number != seen + place + 1)
            seen = found[-1] if found else seen

    def write(place: int) -> None:
        for _ in range(15):
            with house.database.write() as connection:
                changes.note(connection, Change("account.changed", tops[place].seq, tops[place].id, NOW, "test", {}))
                time.sleep(0.001 * place)

    follower = threading.Thread(target=follow)
    follower.start()
    writers = [threading.Thread(target=write, args=(place,)) for place in range(4)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    done.set()
    follower.join()
    assert late == []
    with house.database.read() as connection:
        assert changes.head(connection)[0] == 4 + 60
    assert verify(house.database).ok


def test_control_numbers_drawn_before_the_commit_appear_late(postgres_house: House) -> None:
    """What a sequence would do: the later number is seen while the earlier one is still to come."""
    house = postgres_house
    with house.database.write() as connection:
        connection.execute(text("CREATE SEQUENCE drawn"))
        connection.execute(text("CREATE TABLE told (seq bigint)"))
    with house.database.write() as first:
        first.execute(text("INSERT INTO told VALUES (nextval('drawn'))"))
        with house.database.write() as second:
            second.execute(text("INSERT INTO told VALUES (nextval('drawn'))"))
        with house.database.read() as connection:
            assert connection.execute(text("SELECT seq FROM told")).scalars().all() == [2]


def test_every_row_names_an_account_that_is_there(house: House) -> None:
    stock(house)
    with house.database.read() as connection:
        orphans = select(table.c.seq).where(table.c.account_seq.not_in(select(schema.account.c.seq)))
        assert connection.execute(orphans).all() == []
    with pytest.raises(Exception, match=r"(?i)foreign key"), house.database.write() as connection:
        connection.execute(delete(schema.account))
