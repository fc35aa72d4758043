"""`billsmith verify` sees what is wrong with what pulls left behind, and nothing where nothing is."""

from __future__ import annotations

from sqlalchemy import text

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.accounts.model import Account
from billsmith.catalog.reading import read_as
from billsmith.catalog.rebill import Rules
from billsmith.invoicing.model import InvoiceStatus
from billsmith.storage.verify import verify
from billsmith.storage.verify_sync import faults
from billsmith.units.period_words import parse_period
from billsmith.workflows import rebill, sync
from billsmith.workflows.import_invoices import Plan
from billsmith.workflows.rebill import Book
from tests.support.house import House
from tests.support.vendor_lists import VendorList, connect, fresh, garbage, row

RULES = "{code: r, rules: [{code: all, price: {model: markup, percent: 10}}]}"


def pull(house: House, account: Account, rows: list) -> None:  # type: ignore[type-arg]
    of = fresh(house.database, connect(house.database, account, now=house.now))
    plan = Plan(owner=account, issuer=account)
    sync.run(house.database, of, VendorList(rows), plan, clock=lambda: house.now)


def pulled(house: House) -> None:
    """A store with all that pulls leave: a walk that was whole, one gone and told, one changed, one set aside, charged on."""
    account = house.account("Partner", external_id="me", time_zone="UTC")
    pull(house, account, [row(number) for number in range(6)])
    pull(house, account, [row(number, paid=number == 2) for number in range(5)])
    rules: Rules = read_as(Rules, RULES, "r")
    of = fresh(house.database, connect(house.database, account, now=house.now))
    period = parse_period("2026-01", "UTC")
    book = Book(rules=rules, issuer=account, period=period, connections=(of,))
    rebill.run(house.database, book, now=house.now, actor="test")
    pull(house, account, [row(0), row(1, "12.00"), garbage(9), garbage(8, vendor_key="unknown"), *map(row, range(2, 5))])


def test_what_pulls_leave_is_sound(house: House) -> None:
    pulled(house)
    report = verify(house.database)
    assert report.problems == []
    assert report.checked["pulls"] == 1 + 6


DAMAGES = [
    "UPDATE sync_walk SET state = 'asleep' WHERE seq = 1",
    "UPDATE sync_walk SET ended_at = NULL WHERE seq = 1",
    "UPDATE sync_walk SET state = 'running', code = '' WHERE seq = 3",
    "UPDATE sync_walk SET mark = '3' WHERE seq = 3",
    "UPDATE sync_walk SET code = 'sync.count' WHERE seq = 2",
    "UPDATE sync_walk SET since = 7 WHERE seq = 2",
    "UPDATE sync_walk SET code = '' WHERE seq = 3",
    "UPDATE sync_walk SET state = 'running', ended_at = NULL WHERE seq >= 2",
    "UPDATE sync_connection SET watermark_walk = 3",
    "UPDATE sync_connection SET watermark_walk = 1",
    "UPDATE sync_connection SET watermark_walk = NULL",
    "UPDATE sync_connection SET lease_holder = 'somebody'",
    "UPDATE sync_connection SET vendor = 'hostway'",
    "UPDATE sync_record SET last_walk = 9",
    "UPDATE sync_record SET first_walk = 3, last_walk = 1 WHERE disappeared_walk IS NULL",
    "UPDATE sync_record SET disappeared_walk = 3 WHERE disappeared_walk IS NOT NULL",
    "UPDATE sync_record SET disappeared_walk = 2 WHERE disappeared_walk IS NULL",
    "UPDATE sync_record SET invoice_seq = 1 WHERE invoice_seq = 2",
    "UPDATE sync_record SET invoice_seq = NULL WHERE invoice_seq = 3",
    "DELETE FROM vendor_id WHERE our_seq = 4",
    "DELETE FROM sync_record WHERE disappeared_walk IS NOT NULL",
    "DELETE FROM sync_difference WHERE what = 'disappeared'",
    "UPDATE sync_difference SET walk_seq = walk_seq + 7",
    "UPDATE sync_problem SET last_walk = 9",
    "UPDATE sync_problem SET vendor_key = 'another' WHERE vendor_key = 'unknown'",
    "DELETE FROM rebill_line WHERE invoice_seq = 1",
    "UPDATE rebill_charge SET issued_seq = (SELECT min(seq) FROM invoice WHERE issuer_seq <> rebill_charge.issuer_seq)",
]  # fmt: skip


def test_each_damage_is_named(sqlite_house: House) -> None:
    pulled(sqlite_house)
    other = sqlite_house.account("Other", external_id="other", time_zone="UTC")
    sqlite_house.invoice(other, sqlite_house.account("Customer", other), "5.00")
    for damage in DAMAGES:
        with sqlite_house.database.write() as connection:
            assert list(faults(connection)) == []
            undo = connection.begin_nested()
            assert connection.execute(text(damage)).rowcount > 0
            found = list(faults(connection))
            assert found, damage
            assert all(where.startswith(("connection vendor, ", "charge row ")) and what for where, what in found)
            undo.rollback()


def test_verify_tells_them(sqlite_house: House) -> None:
    pulled(sqlite_house)
    with sqlite_house.database.write() as connection:
        connection.execute(text("UPDATE sync_connection SET watermark_walk = 1"))
    [problem] = verify(sqlite_house.database).problems
    assert (problem.check, problem.what) == ("pulls", "the watermark is not the last complete walk")


def test_damage_is_named_on_postgresql_too(postgres_house: House) -> None:
    pulled(postgres_house)
    with postgres_house.database.write() as connection:
        connection.execute(text("UPDATE sync_record SET invoice_seq = NULL WHERE disappeared_walk IS NULL"))
        connection.execute(text("UPDATE sync_connection SET watermark_walk = 1"))
    found = [problem.what for problem in verify(postgres_house.database).problems]
    assert found.count("the record did not come in, and no problem says why") == 4
    assert "the watermark is not the last complete walk" in found


def test_a_vendors_void_invoice_has_no_time_of_voiding(sqlite_house: House) -> None:
    account = sqlite_house.account("Partner", external_id="me", time_zone="UTC")
    pull(sqlite_house, account, [row(1, status=InvoiceStatus.VOID)])
    assert verify(sqlite_house.database).problems == []
    # One of ours has it, and nothing but a void one has.
    other = sqlite_house.invoice(account, sqlite_house.account("Customer", account), "5.00")
    for damage in (f"flags = (flags & ~7) + 6 WHERE seq = {other.seq}", f"voided_at = 1 WHERE seq = {other.seq}"):
        with sqlite_house.database.write() as connection:
            connection.execute(text(f"UPDATE invoice SET {damage}"))
        assert "rows" in {problem.check for problem in verify(sqlite_house.database).problems}
        with sqlite_house.database.write() as connection:
            connection.execute(text(f"UPDATE invoice SET flags = (flags & ~7) + 2, voided_at = NULL WHERE seq = {other.seq}"))
