"""Reconciling: each record matched, differing, missing or not audited; what was not seen as a whole is never clean (P15)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.event import listen

from billsmith.accounts.model import Account
from billsmith.invoicing import comparison
from billsmith.invoicing.comparison import WHOLE, State, Verdict
from billsmith.storage import accounts, invoices, sync_connections
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.errors import Unavailable
from billsmith.workflows import reconcile, settle, sync
from billsmith.workflows.import_invoices import Plan
from billsmith.workflows.reconcile import Reconciliation
from tests.support.house import House
from tests.support.vendor_lists import VendorList, connect, garbage, row


class Desk:
    """A connection and what it came to."""

    def __init__(self, house: House, name: str = "cloud", account: Account | None = None) -> None:
        self.house = house
        self.account = account or house.account("Partner", external_id="partner", time_zone="UTC")
        self.list = VendorList([row(number, customer="a") for number in range(20)])
        self.id = connect(house.database, self.account, name, now=house.now).id

    @property
    def of(self) -> VendorConnection:
        with self.house.database.read() as connection:
            return sync_connections.get(connection, self.id)

    def pull(self) -> None:
        plan = Plan(owner=self.account, issuer=self.account)
        sync.run(self.house.database, self.of, self.list, plan, clock=lambda: self.house.now)

    def __call__(self) -> Reconciliation:
        with self.house.database.read() as connection:
            return reconcile.reconcile_one(connection, self.of)


def down(index: int) -> Any:
    if index == 1:
        raise Unavailable("down", code="vendor.down")


def test_a_whole_list_that_agrees_is_clean(house: House) -> None:
    desk = Desk(house)
    assert (desk().verdict, desk().coverage.whole) == (Verdict.NOT_AUDITED, False)
    desk.pull()
    found = desk()
    assert (found.verdict, found.counts[State.MATCHED], found.told) == (Verdict.CLEAN, 20, [])
    assert found.watermark_at == house.now


def test_every_state(house: House) -> None:
    desk = Desk(house)
    desk.pull()
    rows = desk.list.rows
    rows[0] = row(0, "11.00", customer="a")
    rows[1] = row(1, paid=True, customer="a")
    gone = rows.pop(2)
    rows.append(row(30, customer="b"))
    with house.database.write() as connection:
        [stored] = invoices.by_number(connection, "V-000005", None)
        settle.record_payment(connection, stored, amount_minor=1000, reference="r", now=house.now, actor="test")
    desk.pull()
    found = desk()
    assert found.verdict is Verdict.DIFFERENCES
    assert {(each.number, each.state): each.detail.partition(";")[0][:40] for each in found.told} == {
        ("V-000000", State.DIFFERS): "it came before as V-000000 over 10.00 EU",
        ("V-000002", State.MISSING): "the vendor no longer lists it",
        ("V-000005", State.DIFFERS): "the vendor says issued, we say paid",
    }
    assert found.counts == {State.MATCHED: 18, State.DIFFERS: 2, State.MISSING: 1, State.NOT_AUDITED: 0}
    assert {(each.vendor_key, each.what) for each in found.changes} == {
        (row(0).vendor_key, "amount"),
        (row(1).vendor_key, "status"),
        (gone.vendor_key, "disappeared"),
    }


PARTS: list[tuple[str, Any]] = [
    ("the vendor failed", lambda desk: setattr(desk.list, "fault", down)),
    ("a record was not understood", lambda desk: desk.list.rows.append(garbage(99))),
    ("the list is empty now", lambda desk: desk.list.rows.clear()),
]


@pytest.mark.parametrize(("name", "spoil"), PARTS, ids=[name for name, _ in PARTS])
def test_a_list_seen_in_part_is_never_clean(house: House, name: str, spoil: Any) -> None:
    desk = Desk(house)
    desk.pull()
    spoil(desk)
    desk.pull()
    found = desk()
    assert found.verdict is not Verdict.CLEAN
    assert not found.coverage.whole
    assert found.coverage.reason


def test_control_without_coverage_it_would_be_clean(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(sqlite_house)
    desk.pull()
    desk.list.fault = down
    desk.pull()
    monkeypatch.setattr(reconcile, "_coverage", lambda *_: (WHOLE, None))
    assert desk().verdict is comparison.Verdict.CLEAN


def test_what_no_whole_walk_met_was_not_audited(house: House) -> None:
    desk = Desk(house)
    desk.list.fault, desk.list.page = down, 5
    desk.pull()
    rows, desk.list.rows = desk.list.rows, desk.list.rows[10:]
    desk.pull()
    found = desk()
    assert (found.verdict, found.counts[State.MATCHED], found.counts[State.NOT_AUDITED]) == (Verdict.NOT_AUDITED, 5, 5)
    desk.list.rows, desk.list.fault = rows, lambda _index: None
    desk.pull()
    assert desk().verdict is Verdict.CLEAN


def test_customers_whom_only_the_vendor_knows(house: House) -> None:
    desk = Desk(house)
    house.account("Known", desk.account, external_id="cust-a")
    desk.list.rows = [row(1, customer="a"), row(2, customer="b"), row(3, "5.50", customer="b")]
    desk.pull()
    with house.database.read() as connection:
        customer = accounts.get(connection, "cust-b")
    house.invoice(desk.account, customer, "7.00")  # what we ask for ourselves is not the vendor's
    assert [(each.external_id, each.invoices, each.total) for each in desk().unmatched] == [("cust-b", 2, "15.50 EUR")]
    house.now += 1
    with house.database.write() as connection:
        accounts.change(connection, accounts.get(connection, "cust-b"), now=house.now, name="Globex")
    assert desk().unmatched == []


def test_duplicates_across_connections(house: House) -> None:
    one = Desk(house)
    other = Desk(house, "other", house.account("Branch", one.account, external_id="branch"))
    one.list.rows = [row(1, customer="a"), row(2, "7.00", customer="a"), row(4, "0.00", customer="a")]
    other.list.rows = [
        row(1, customer="b"),  # the same number and amount
        row(3, "7.00", customer="a", date=row(2).invoice.date),  # the same name, amount and date
        row(4, "0.00", customer="a"),  # nothing is no duplicate
    ]
    one.pull()
    other.pull()
    with house.database.read() as connection:
        found = reconcile.duplicates(connection, [one.of, other.of])
        alone = reconcile.duplicates(connection, [one.of])
    assert [(each.why, each.amount, each.connections) for each in found] == [
        ("the same number and amount", "10.00 EUR", ["cloud", "other"]),
        ("the same customer, amount and date", "7.00 EUR", ["cloud", "other"]),
    ]
    assert alone == []


def test_many_duplicates_are_found_by_few_questions(sqlite_house: House) -> None:
    """A question for each of them would read the whole list again for each."""
    one = Desk(sqlite_house)
    other = Desk(sqlite_house, "other", sqlite_house.account("Branch", one.account, external_id="branch"))
    for desk in (one, other):
        desk.list.rows = [row(number, customer=desk.of.name) for number in range(40)]
        desk.pull()
    asked: list[str] = []
    listen(sqlite_house.database.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    with sqlite_house.database.read() as connection:
        found = reconcile.duplicates(connection, [one.of, other.of])
    assert (len(found), {len(each.invoices) for each in found}) == (40, {2})
    assert len(asked) < 12
