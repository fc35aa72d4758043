"""An invoice's life after it is issued: paid in pieces, paid back, void, written off, past due; each step twice is once."""

from __future__ import annotations

import datetime as dt

import pytest

from billsmith.invoicing.model import InvoiceStatus
from billsmith.storage import invoice_lists, invoices
from billsmith.storage.invoice_lists import Criteria, InvoiceList, flags_where
from billsmith.storage.invoices import ISSUED_BY, ISSUED_TO, STATUS_MASK, Stored
from billsmith.units.errors import Conflict, Invalid
from billsmith.units.instants import start_of_day
from billsmith.workflows import settle
from tests.support.house import House


@pytest.fixture
def issued(house: House) -> Stored:
    """An invoice over 100.00 EUR, due on 14 November."""
    provider = house.account("Provider")
    return house.invoice(provider, house.account("Customer", provider), "100.00", due_date=dt.date(2026, 11, 14))


def pay(house: House, found: Stored, amount_minor: int, reference: str) -> Stored:
    with house.database.write() as connection:
        return settle.record_payment(
            connection, found, amount_minor=amount_minor, reference=reference, now=house.now, actor="test"
        )[0]


@pytest.mark.parametrize(("payments", "status", "due"), [
    ([100_00], InvoiceStatus.PAID, 0),
    ([99_99], InvoiceStatus.PARTIALLY_PAID, 1),
    ([50_00, 50_00], InvoiceStatus.PAID, 0),
    ([100_01], InvoiceStatus.PAID, -1),
    ([100_00, -100_00], InvoiceStatus.ISSUED, 100_00),
    ([100_00, -40_00], InvoiceStatus.PARTIALLY_PAID, 40_00),
])  # fmt: skip
def test_payments(house: House, issued: Stored, payments: list[int], status: InvoiceStatus, due: int) -> None:
    found = issued
    for number, amount in enumerate(payments):
        found = pay(house, found, amount, f"p{number}")
    assert (found.invoice.status, found.invoice.due_minor) == (status, due)
    with house.database.read() as connection:
        again = invoices.get(connection, issued.invoice.id, None)
        assert (again.invoice.status, again.invoice.paid_minor) == (status, sum(payments))
        assert [step.what for step in invoices.history(connection, issued.seq)] == ["payment"] * len(payments)
        for role, account in ((ISSUED_BY, issued.issuer_seq), (ISSUED_TO, issued.recipient_seq)):
            of = InvoiceList(role, account)
            wanted = Criteria(flags=flags_where(lambda flags: flags & STATUS_MASK == status))
            assert (invoice_lists.count(connection, of), invoice_lists.count(connection, of, wanted)) == (1, 1)


def test_the_same_payment_again_is_the_same_payment(house: House, issued: Stored) -> None:
    pay(house, issued, 60_00, "bank 1")
    assert pay(house, issued, 60_00, "bank 1").invoice.paid_minor == 60_00
    with pytest.raises(Conflict) as caught:
        pay(house, issued, 61_00, "bank 1")
    assert caught.value.code == "payment.reference_taken"


@pytest.mark.parametrize(("amount", "code"), [(0, "payment.zero"), (-1, "payment.refund_too_large")])
def test_payments_that_cannot_be(house: House, issued: Stored, amount: int, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        pay(house, issued, amount, "x")
    assert caught.value.code == code


def test_void_and_what_follows(house: House, issued: Stored) -> None:
    with house.database.write() as connection:
        settle.void(connection, issued, now=house.now, actor="test", reason="twice")
        again = settle.void(connection, issued, now=house.now, actor="test")
        assert (again.invoice.status, again.invoice.due_minor) == (InvoiceStatus.VOID, 0)
        assert len(invoices.history(connection, issued.seq)) == 1
    with pytest.raises(Conflict):
        pay(house, issued, 1, "late")


def test_what_was_paid_for_is_not_voided(house: House, issued: Stored) -> None:
    pay(house, issued, 1, "a cent")
    with house.database.write() as connection, pytest.raises(Conflict):
        settle.void(connection, issued, now=house.now, actor="test")


def test_written_off_once(house: House, issued: Stored) -> None:
    with house.database.write() as connection:
        settle.write_off(connection, issued, now=house.now, actor="test")
        settle.write_off(connection, issued, now=house.now, actor="test")
        assert len(invoices.history(connection, issued.seq)) == 1
        with pytest.raises(Conflict):
            settle.record_payment(connection, issued, amount_minor=1, reference="x", now=house.now, actor="test")


def test_past_due_begins_as_the_due_date_ends(house: House, issued: Stored) -> None:
    ends = start_of_day(dt.date(2026, 11, 15), "Europe/Amsterdam")
    assert settle.mark_past_due(house.database, ends - 1) == 0
    assert settle.mark_past_due(house.database, ends) == 1
    assert settle.mark_past_due(house.database, ends + 1) == 0
    partly = pay(house, issued, 1_00, "late")
    assert partly.invoice.status is InvoiceStatus.PAST_DUE
    assert pay(house, issued, 99_00, "rest").invoice.status is InvoiceStatus.PAID
