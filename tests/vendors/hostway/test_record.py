"""How our invoices look in Hostway's words, whatever door they came in by."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from billsmith.accounts.model import Account
from billsmith.invoicing.model import InvoiceStatus, Period
from billsmith.storage import invoice_writing
from billsmith.storage.database import Database, sqlite_url
from billsmith.storage.invoices import Stored
from billsmith.units.instants import parse_instant
from billsmith.workflows import settle
from tests.support.house import House


def record(house: House, account: Account) -> dict[str, Any]:
    [found] = house.client.get(f"/accounts/{account.id}/invoices", auth=house.hostway_user(account)).json()["list"]
    return found  # type: ignore[no-any-return]


def move(house: House, found: Stored, **values: Any) -> None:
    with house.database.write() as connection:
        invoice_writing.move(
            connection, invoice_writing.lock(connection, found), what="test", actor="test", at=house.now, **values
        )


def test_an_invoice_of_our_own(house: House) -> None:
    provider = house.account("Provider")
    account = house.account("Hosted", provider)
    made = house.invoice(
        provider, account, "1023.72", date=dt.date(2026, 3, 29),
        period=Period(parse_instant("2026-02-28T23:00:00Z"), parse_instant("2026-03-31T22:00:00Z")),
    ).invoice  # fmt: skip
    found = record(house, account)
    number = found.pop("number")
    assert found == {
        "status": "invoice_open",
        "currency": "EUR",
        "amount": "1023.7200",
        "amountDue": "1023.7200",
        "description": "Invoice #INV-2026-000001",
        "date": "2026-03-29",
        "statusName": "Invoice Open",
        "invoiceNumber": "INV-2026-000001",
        "startDate": "2026-03-01",
        "endDate": "2026-03-31",
        "productSpecification": "",
        "serviceNumber": "",
        "type": "charge",
    }
    assert number == int(made.id.replace("-", "")[:13], 16)
    assert 0 < number < 2**52


@pytest.mark.parametrize("setting", ["string", "number"])
@pytest.mark.parametrize(("amount", "currency", "as_text", "as_number"), [
    ("0.87", "USD", '"0.8700"', "0.87"), ("1000", "JPY", '"1000.0000"', "1000.00"), ("1.234", "KWD", '"1.2340"', "1.234"),
    ("-5.10", "EUR", '"-5.1000"', "-5.10"), ("0.00", "EUR", '"0.0000"', "0.00"),
])  # fmt: skip
def test_amounts_are_all_texts_or_all_numbers(
    tmp_path: Path, setting: str, amount: str, currency: str, as_text: str, as_number: str
) -> None:
    database = Database(sqlite_url(tmp_path))
    house = House(database, hostway_amounts=setting)
    account = house.account("Hosted", currency=currency)
    house.invoice(account, account, amount)
    text = house.client.get(f"/accounts/{account.id}/invoices", auth=house.hostway_user(account)).text
    written = as_text if setting == "string" else as_number
    assert f'"amount":{written},' in text
    assert f'"amountDue":{written},' in text
    database.close()


@pytest.mark.parametrize(("status", "word", "name"), [
    (InvoiceStatus.DRAFT, "invoice_open", "Invoice Open"),
    (InvoiceStatus.GRACE, "invoice_open", "Invoice Open"),
    (InvoiceStatus.ISSUED, "invoice_open", "Invoice Open"),
    (InvoiceStatus.PARTIALLY_PAID, "invoice_partially_paid", "Invoice Partially Paid"),
    (InvoiceStatus.PAID, "invoice_paid", "Invoice Paid"),
    (InvoiceStatus.PAST_DUE, "invoice_past_due", "Invoice Past Due"),
    (InvoiceStatus.VOID, "invoice_void", "Invoice Void"),
    (InvoiceStatus.WRITTEN_OFF, "invoice_void", "Invoice Void"),
])  # fmt: skip
def test_every_status_and_its_filter(sqlite_house: House, status: InvoiceStatus, word: str, name: str) -> None:
    house = sqlite_house
    account = house.account("Hosted")
    move(house, house.invoice(account, account), status=status)
    found = record(house, account)
    assert (found["status"], found["statusName"]) == (word, name)
    auth = house.hostway_user(account)
    for asked in {"invoice_open", "invoice_partially_paid", "invoice_paid", "invoice_past_due", "invoice_void"}:
        answer = house.client.get(f"/accounts/{account.id}/invoices?filterStatus={asked}", auth=auth).json()
        assert bool(answer["list"]) == (asked == word)


def test_a_credit_note(house: House) -> None:
    account = house.account("Hosted")
    house.invoice(account, account, "-12.00")
    found = record(house, account)
    assert (found["type"], found["description"], found["amountDue"]) == ("credit", "Credit note #CN-2026-000001", "-12.0000")


def test_doors_are_one_house(house: House) -> None:
    """Issued by us, paid in part, paid, voided: Hostway, myreports and Acronis tell the same of it."""
    provider = house.account("Provider")
    account = house.account("Hosted", provider)
    first, second = house.invoice(provider, account, "30.00"), house.invoice(provider, account, "50.00")
    user, acronis, myreports = house.hostway_user(account), house.acronis_token(provider), house.myreports_token(provider)

    def seen() -> list[tuple[Any, ...]]:
        hostway = house.client.get(f"/accounts/{account.id}/invoices", auth=user).json()["list"]
        partner = house.client.get("/api/advanced-automation/v1/InvoiceOverview", headers=acronis).json()["Invoices"]
        billed = house.client.get("/api/v1.0/billingdata", headers=myreports).json()["data"]
        return [
            (one["status"], one["amountDue"], two["PaymentStatus"], two["Total"], three["invoiceValue"])
            for one, two, three in zip(hostway, partner, billed, strict=True)
            if one["invoiceNumber"] == two["InvoiceNumber"] == three["invoiceNumber"]
        ]

    assert seen() == [
        ("invoice_open", "30.0000", False, 30.0, 30.0), ("invoice_open", "50.0000", False, 50.0, 50.0)]  # fmt: skip
    for reference, amount in (("a", 1000), ("b", 2000)):
        with house.database.write() as connection:
            settle.record_payment(connection, first, amount_minor=amount, reference=reference, now=house.now, actor="test")
        if reference == "a":
            assert seen()[0] == ("invoice_partially_paid", "20.0000", False, 30.0, 30.0)
    with house.database.write() as connection:
        settle.void(connection, second, now=house.now, actor="test")
    assert seen() == [
        ("invoice_paid", "0.0000", True, 30.0, 30.0), ("invoice_void", "0.0000", False, 50.0, 50.0)]  # fmt: skip
