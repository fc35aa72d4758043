"""Credit notes by hand, overpayments, refunds: who owes what at each step, on both engines, and the ledger with it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from billsmith.accounts.model import Account
from billsmith.invoicing.model import InvoiceKind, InvoiceStatus
from billsmith.invoicing.totals import DraftLine, TaxRate
from billsmith.ledger import chart
from billsmith.ledger.postings import balances
from billsmith.storage import invoices, ledger
from billsmith.storage.invoices import Stored
from billsmith.storage.verify import verify
from billsmith.units.errors import BillsmithError, Conflict
from billsmith.units.ids import derived_id
from billsmith.units.instants import parse_instant
from billsmith.units.spans import parse_span
from billsmith.workflows import credit, settle
from billsmith.workflows.billing_report import Report
from billsmith.workflows.credit import Asked
from billsmith.workflows.rerate import rerate
from tests.support.billing import Company
from tests.support.house import VAT, House

D = Decimal


class Shop:
    """An issuer and a customer, and what happens between them."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.issuer = house.account("Provider")
        self.customer = house.account("Customer", self.issuer)

    def invoice(self, *amounts: str, taxes: tuple[TaxRate, ...] = (VAT,)) -> Stored:
        lines = [
            DraftLine(description=f"Line {place}", amount=D(each), tax_category="standard")
            for place, each in enumerate(amounts)
        ]
        return self.house.invoice(self.issuer, self.customer, lines=lines, taxes=list(taxes))

    def credit(self, found: Stored, **asked: object) -> Stored:
        with self.house.database.write() as connection:
            id = derived_id("note", found.invoice.id, str(asked), str(self.house.now))
            self.house.now += 1
            return credit.credit(connection, found, Asked(**asked), id=id, now=self.house.now, actor="test")  # type: ignore[arg-type]

    def pay(self, found: Stored, amount_minor: int, reference: str) -> Stored:
        with self.house.database.write() as connection:
            return settle.record_payment(
                connection, found, amount_minor=amount_minor, reference=reference, now=self.house.now, actor="test"
            )[0]

    def apply(self, found: Stored) -> Stored:
        with self.house.database.write() as connection:
            return credit.apply(connection, found, now=self.house.now, actor="test")

    def state(self, found: Stored) -> tuple[str, int, int]:
        """Status, what was paid, what is due."""
        with self.house.database.read() as connection:
            now = invoices.get(connection, found.invoice.id, None).invoice
        return now.status.word, now.paid_minor, now.due_minor

    def books(self) -> dict[str, int]:
        """What the customer owes, holds, and what came in, by the ledger; and the store is sound."""
        assert verify(self.house.database).problems == []
        return held(self.house, self.customer)


def held(house: House, customer: Account) -> dict[str, int]:
    with house.database.read() as connection:
        found = balances(entry.transaction for entry in ledger.entries(connection))
    names = {
        "owed": chart.receivable(customer.id),
        "credit": chart.credit_balance(customer.id),
        "cash": chart.CASH,
        "lost": chart.WRITTEN_OFF,
    }
    return {name: found[account, "EUR"] for name, account in names.items() if (account, "EUR") in found}


@pytest.fixture
def shop(house: House) -> Shop:
    return Shop(house)


def test_a_whole_credit_note_cancels_an_unpaid_invoice(shop: Shop) -> None:
    found = shop.invoice("100.00")
    note = shop.credit(found)
    assert (note.invoice.kind, note.invoice.number, note.invoice.total_minor) == (
        InvoiceKind.CREDIT_NOTE,
        "CN-2026-000001",
        -12100,
    )
    assert (shop.state(found), shop.state(note)) == (("paid", 12100, 0), ("paid", -12100, 0))
    assert shop.books() == {}
    with pytest.raises(BillsmithError, match="nothing is left"):
        shop.credit(found)


def test_a_credit_note_for_a_paid_invoice_is_credit_for_the_next(shop: Shop) -> None:
    found = shop.invoice("100.00")
    shop.pay(found, 12100, "bank")
    note = shop.credit(found, amount=D("60.50"), reason="an outage")
    assert shop.state(note) == ("issued", 0, -6050)
    assert shop.books() == {"credit": -6050, "cash": 12100}
    second = shop.invoice("20.00")
    assert shop.apply(second).invoice.status is InvoiceStatus.PAID
    assert (shop.state(note), shop.books()) == (("partially_paid", -2420, -3630), {"credit": -3630, "cash": 12100})
    third = shop.invoice("100.00")
    shop.apply(third)
    assert (shop.state(note), shop.state(third)) == (("paid", -6050, 0), ("partially_paid", 3630, 8470))
    assert shop.books() == {"owed": 8470, "cash": 12100}
    assert shop.state(shop.apply(third)) == ("partially_paid", 3630, 8470)  # no credit is left: no change


def test_the_rest_of_a_note_pays_what_is_due_of_its_invoice_first(shop: Shop) -> None:
    found = shop.invoice("100.00")
    shop.pay(found, 10000, "bank")
    note = shop.credit(found, amount=D("50.00"))
    assert (shop.state(found), shop.state(note)) == (("paid", 12100, 0), ("partially_paid", -2100, -2900))
    kept = shop.invoice("100.00")
    note = shop.credit(kept, amount=D("50.00"), settle=False)
    assert (shop.state(kept), shop.state(note)) == (("issued", 0, 12100), ("issued", 0, -5000))
    assert shop.books() == {"owed": 12100, "credit": -7900, "cash": 10000}


@pytest.mark.parametrize(("lines", "total"), [
    ({0: None}, -7260), ({1: D("10.00")}, -1210), ({0: D("60.00"), 1: None}, -12100), ({0: D("0.01")}, -1),
])  # fmt: skip
def test_single_lines_are_given_back_with_their_taxes(
    sqlite_house: House, lines: dict[int, Decimal | None], total: int
) -> None:
    shop = Shop(sqlite_house)
    found = shop.invoice("60.00", "40.00")
    note = shop.credit(found, lines=lines)
    assert note.invoice.total_minor == total
    with sqlite_house.database.read() as connection:
        content = invoices.get(connection, note.invoice.id, None).invoice.content
    assert content is not None
    assert [line.corrects for line in content.lines] == [f"INV-2026-000001#{place}" for place in lines]
    shop.books()


@pytest.mark.parametrize(("asked", "code"), [
    ({"lines": {0: D("60.01")}}, "note.too_much"), ({"lines": {2: None}}, "note.unknown_line"), ({"lines": {0: D(0)}}, "note.nothing"),
    ({"amount": D("121.01")}, "note.too_much"), ({"amount": D(0)}, "note.nothing"), ({"amount": D(1), "lines": {0: None}}, "note.one_way"),
])  # fmt: skip
def test_what_can_not_be_given_back_is_refused_and_changes_nothing(
    sqlite_house: House, asked: dict[str, object], code: str
) -> None:
    shop = Shop(sqlite_house)
    found = shop.invoice("60.00", "40.00")
    with pytest.raises(BillsmithError) as caught:
        shop.credit(found, **asked)
    assert caught.value.code == code
    assert (shop.state(found), shop.books()) == (("issued", 0, 12100), {"owed": 12100})


def test_nothing_is_given_back_twice(sqlite_house: House) -> None:
    shop = Shop(sqlite_house)
    found = shop.invoice("60.00", "40.00")
    shop.credit(found, lines={0: D("50.00")})
    with pytest.raises(BillsmithError, match=r"has 10.00 left"):
        shop.credit(found, lines={0: D("10.01")})
    shop.credit(found, amount=D("30.00"))
    assert shop.credit(found).invoice.total_minor == -(12100 - 6050 - 3000)
    assert (shop.state(found), shop.books()) == (("paid", 12100, 0), {})


def test_documents_that_take_no_credit_note(sqlite_house: House) -> None:
    shop = Shop(sqlite_house)
    gone, lost = shop.invoice("10.00"), shop.invoice("20.00")
    note = shop.credit(shop.invoice("30.00"), settle=False)
    with sqlite_house.database.write() as connection:
        settle.void(connection, gone, now=sqlite_house.now, actor="test")
        settle.write_off(connection, lost, now=sqlite_house.now, actor="test")
    for found, code in [(gone, "note.not_standing"), (lost, "note.not_standing"), (note, "note.of_a_note")]:
        with pytest.raises(Conflict) as caught:
            shop.credit(found)
        assert caught.value.code == code


def test_what_is_paid_beyond_the_total_is_credit(shop: Shop) -> None:
    found = shop.invoice("100.00")
    assert shop.state(shop.pay(found, 15000, "bank")) == ("paid", 15000, -2900)
    assert shop.books() == {"credit": -2900, "cash": 15000}
    second = shop.invoice("10.00")
    shop.apply(second)
    assert (shop.state(found), shop.state(second)) == (("paid", 13790, -1690), ("paid", 1210, 0))
    assert shop.books() == {"credit": -1690, "cash": 15000}
    shop.pay(found, -1690, "back")  # what is left is paid back
    assert (shop.state(found), shop.books()) == (("paid", 12100, 0), {"cash": 13310})
    shop.pay(found, -100, "a refund")
    assert (shop.state(found), shop.books()) == (("partially_paid", 12000, 100), {"owed": 100, "cash": 13210})


def test_a_run_uses_what_was_paid_beyond_the_total(sqlite_house: House) -> None:
    company = Company(sqlite_house)
    company.subscribe("south", "flat")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    with company.database.write() as connection:
        found = invoices.get(connection, company.invoices()[0].id, None)
        settle.record_payment(connection, found, amount_minor=5000, reference="bank", now=sqlite_house.now, actor="test")
    company.bill("2026-10", "2026-11-02T00:00:00Z")
    first, second = company.invoices()
    assert (first.paid_minor, first.status, second.paid_minor, second.status) == (
        3560,
        InvoiceStatus.PAID,
        1440,
        InvoiceStatus.PAID,
    )
    assert verify(company.database).problems == []
    assert held(sqlite_house, company.customers["south"]) == {"credit": -2120, "cash": 5000}


def test_a_credit_note_is_paid_out(shop: Shop) -> None:
    found = shop.invoice("100.00")
    shop.pay(found, 12100, "bank")
    note = shop.credit(found, amount=D("50.00"))
    for amount, code in [(-5001, "payment.refund_too_large"), (1, "payment.for_credit_note")]:
        with pytest.raises(BillsmithError) as caught:
            shop.pay(note, amount, "x")
        assert caught.value.code == code
    assert shop.state(shop.pay(note, -5000, "back")) == ("paid", -5000, 0)
    assert shop.books() == {"cash": 7100}


def test_an_invoice_with_a_note_is_not_voided_and_one_written_off_is_lost(sqlite_house: House) -> None:
    shop = Shop(sqlite_house)
    found = shop.invoice("100.00")
    note = shop.credit(found, amount=D("50.00"), settle=False)
    with sqlite_house.database.write() as connection, pytest.raises(Conflict, match="notes correct this invoice"):
        settle.void(connection, found, now=sqlite_house.now, actor="test")
    with sqlite_house.database.write() as connection:
        settle.void(connection, note, now=sqlite_house.now, actor="test")
    shop.pay(found, 2100, "bank")
    with sqlite_house.database.write() as connection:
        settle.write_off(connection, found, now=sqlite_house.now, actor="test")
    assert (shop.state(found), shop.books()) == (("written_off", 2100, 0), {"cash": 2100, "lost": 10000})


def test_a_note_by_hand_is_no_correction_of_usage(sqlite_house: House) -> None:
    """A goodwill note stands beside a re-rating; a document that was given back whole is not rated again."""
    company = Company(sqlite_house)
    company.subscribe("north")
    company.use("north", "2026-09-10T00:00:00Z", "50")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    company.use("north", "2026-09-11T00:00:00Z", "10", id="late")
    found = company.invoices()[0]

    def give_back(**asked: object) -> None:
        with company.database.write() as connection:
            stored = invoices.get(connection, found.id, None)
            id = derived_id("by hand", str(asked))
            credit.credit(connection, stored, Asked(**asked), id=id, now=sqlite_house.now, actor="test")  # type: ignore[arg-type]

    def again(at: str) -> Report:
        span = parse_span("2026-09")
        return rerate(company.database, company.usage, company.issuer, span, at=parse_instant(at), actor="test")

    give_back(amount=D("2.00"))
    assert again("2026-11-02T00:00:00Z").totals == {"EUR": 120}
    assert again("2026-11-03T00:00:00Z").billed == 0
    give_back()
    company.use("north", "2026-09-12T00:00:00Z", "10", id="later")
    assert again("2026-11-04T00:00:00Z").billed == 0
    assert sum(each.total_minor for each in company.invoices()) == 0
    assert verify(company.database).problems == []
