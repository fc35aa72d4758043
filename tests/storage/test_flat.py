"""What issuing costs doesn't grow with what was issued before: counted in steps of SQLite's own machine, not in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from billsmith.storage import invoice_writing, invoices
from billsmith.storage.database import Connection, Database, sqlite_url
from billsmith.storage.schema import invoice_change
from tests.storage.lists import Lists

FEW, MANY = 200, 4_000


@pytest.fixture
def lists(tmp_path: Path) -> Iterator[Lists]:
    database = Database(sqlite_url(tmp_path), synchronous="OFF")
    yield Lists(database, 7)
    database.close()


def steps(lists: Lists, work: Callable[[Connection], object]) -> int:
    """How many steps the machine takes, in tens."""
    count = 0

    def counted() -> None:
        nonlocal count
        count += 1

    with lists.database.write() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.set_progress_handler(counted, 10)
        work(connection)
        driver.set_progress_handler(None, 10)
    return count


def growth(lists: Lists, work: Callable[[Connection], object]) -> float:
    """How many times the steps are, once there are twenty times the invoices."""
    lists.add(FEW)
    before = steps(lists, work)
    lists.add(MANY - FEW)
    return steps(lists, work) / max(before, 1)


def test_adding_invoices(lists: Lists) -> None:
    assert growth(lists, lambda connection: invoice_writing.add(connection, [lists.draw() for _ in range(20)])) < 1.5


def test_looking_for_what_has_credit_left(lists: Lists) -> None:
    customers = [customer.seq for customer in lists.customers]

    def look(connection: Connection) -> None:
        for _ in range(20):
            assert not invoices.credits_left(connection, lists.partner.seq, customers)

    assert growth(lists, look) < 1.5


def test_control_a_versions_look_through_all_changes_is_seen(lists: Lists) -> None:
    newest = select(invoice_change.c.account_seq, func.max(invoice_change.c.version)).group_by(invoice_change.c.account_seq)
    assert growth(lists, lambda connection: connection.execute(newest).all()) > 10


def test_control_a_look_through_all_that_an_issuer_issued_is_seen(lists: Lists) -> None:
    sql = text("SELECT seq FROM invoice WHERE issuer_seq = :issuer AND +paid_minor > total_minor")
    assert growth(lists, lambda connection: connection.execute(sql, {"issuer": lists.partner.seq}).all()) > 10
