"""What a saved answer of Hostway's becomes here: state from what is due, periods from days, faults row by row."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.invoicing.model import InvoiceStatus, LineKind
from billsmith.storage import invoices
from billsmith.storage.invoices import Stored
from billsmith.units.errors import BillsmithError
from billsmith.units.instants import format_instant
from billsmith.vendors.hostway.translate import read
from billsmith.workflows import settle
from billsmith.workflows.import_invoices import Imported, RowError
from tests.support.house import House
from tests.vendors.hostway.calls import bring_in, example, hosted

RECORD = {"invoiceNumber": "7", "date": "2026-03-01", "amount": "100.0000", "currency": "USD"}


def stored(house: House, number: str) -> Stored:
    with house.database.read() as connection:
        [found] = invoices.by_number(connection, number, None)
    return found


@pytest.mark.parametrize(("amount", "due", "status", "expected", "paid"), [
    ("100", "100", "invoice_open", InvoiceStatus.ISSUED, 0),
    ("100", "100", "invoice_past_due", InvoiceStatus.PAST_DUE, 0),
    ("100", "40", "invoice_past_due", InvoiceStatus.PAST_DUE, 6000),
    ("100", "40", "invoice_partially_paid", InvoiceStatus.PARTIALLY_PAID, 6000),
    ("100", "0.01", "invoice_open", InvoiceStatus.PARTIALLY_PAID, 9999),
    ("100", "0", "invoice_open", InvoiceStatus.PAID, 10000),
    ("100", "0.0000", "invoice_paid", InvoiceStatus.PAID, 10000),
    ("100", "-5", "invoice_paid", InvoiceStatus.PAID, 10500),
    ("100", "40", "invoice_paid", InvoiceStatus.PARTIALLY_PAID, 6000),
    ("100", "0", "invoice_void", InvoiceStatus.VOID, 0),
    ("100", None, "invoice_paid", InvoiceStatus.PAID, 10000),
    ("100", None, "invoice_void", InvoiceStatus.VOID, 0),
    ("100", None, "invoice_unheard_of", InvoiceStatus.ISSUED, 0),
    ("100", None, None, InvoiceStatus.ISSUED, 0),
    ("-60", "-60", "invoice_open", InvoiceStatus.ISSUED, 0),
    ("-60", "-10", "invoice_open", InvoiceStatus.PARTIALLY_PAID, -5000),
    ("-60", "0", "invoice_paid", InvoiceStatus.PAID, -6000),
    ("0", "0", "invoice_paid", InvoiceStatus.PAID, 0),
])  # fmt: skip
def test_what_is_due_tells_what_is_paid(
    amount: str, due: str | None, status: str | None, expected: InvoiceStatus, paid: int
) -> None:
    record = {**RECORD, "amount": amount, "amountDue": due, "status": status}
    [row] = read(json.dumps({"list": [record]}).encode(), currency="EUR", time_zone="UTC", billing_entity="")
    assert isinstance(row, Imported)
    assert (row.invoice.status, row.invoice.paid_minor) == (expected, paid)


def test_the_pages_record_as_an_invoice(house: House) -> None:
    account = hosted(house, 1)
    invoice = stored(house, "101393524").invoice
    assert (invoice.issuer_id, invoice.recipient_id) == (account.id, account.id)
    assert (invoice.billing_entity, invoice.customer_name) == ("Hostway", "Hosted")
    assert (invoice.status, invoice.total_minor, invoice.stated_total) == (InvoiceStatus.PAID, 87, Decimal("0.87"))
    assert format_instant(invoice.period.start) == "2012-04-23T05:00:00Z"
    assert format_instant(invoice.period.end) == "2012-05-19T05:00:00Z", "the nineteenth begins where the account is"
    assert invoice.content is not None
    assert [(line.kind, line.amount_minor, line.description) for line in invoice.content.lines] == [
        (LineKind.STATED, 87, "as stated by Hostway")
    ]
    assert sorted(invoice.extras["hostway"]) == ["description", "productSpecification", "serviceNumber", "type"]


def test_the_issuer_is_the_account_above(house: House) -> None:
    provider = house.account("Provider", currency="USD")
    account = house.account("Hosted", provider)
    bring_in(house, [RECORD], account)
    invoice = stored(house, "7").invoice
    assert (invoice.issuer_id, invoice.recipient_id, invoice.billing_entity) == (provider.id, account.id, "Provider")


def test_two_accounts_may_have_the_same_number(house: House) -> None:
    provider = house.account("Provider", currency="USD")
    pair = [house.account(name, provider) for name in ("A", "B")]
    assert [bring_in(house, [RECORD], account).added for account in pair] == [1, 1]
    for account in pair:
        answer = house.client.get(f"/accounts/{account.id}/invoices/7", auth=house.hostway_user(account))
        assert answer.json()["amount"] == "100.0000"


def test_a_later_statement_moves_the_invoice_and_an_own_payment_outlives_it(house: House) -> None:
    account = hosted(house)
    due = {**RECORD, "status": "invoice_open", "amountDue": "100"}
    bring_in(house, [due], account)
    with house.database.write() as connection:
        settle.record_payment(connection, stored(house, "7"), amount_minor=3000, reference="r", now=house.now, actor="test")
    assert bring_in(house, [due], account).unchanged == 1
    assert stored(house, "7").invoice.paid_minor == 3000
    assert bring_in(house, [{**due, "status": "invoice_paid", "amountDue": "0"}], account).moved == 1
    assert stored(house, "7").invoice.status is InvoiceStatus.PAID


def test_currency_is_the_records_else_what_is_said_else_the_accounts(house: House) -> None:
    account = hosted(house)
    bare = {name: value for name, value in RECORD.items() if name != "currency"}
    bring_in(house, [{**bare, "invoiceNumber": "1"}], account)
    bring_in(house, [{**bare, "invoiceNumber": "2"}, {**RECORD, "invoiceNumber": "3"}], account, currency="JPY")
    assert [stored(house, number).invoice.currency for number in "123"] == ["USD", "JPY", "USD"]


@pytest.mark.parametrize(("change", "where", "code"), [
    ({"amount": "1e99"}, "amount", "number.too_many_digits"),
    ({"amount": None}, "amount", "number.syntax"),
    ({"amount": "1,5"}, "amount", "number.syntax"),
    ({"amount": 10**17}, "", "import.too_large"),
    ({"amountDue": "100.01"}, "amountDue", "import.amount_due"),
    ({"amountDue": "abc"}, "amountDue", "number.syntax"),
    ({"currency": "usd"}, "currency", "currency.unknown"),
    ({"date": "2026-02-29"}, "date", "time.not_a_date"),
    ({"date": "9999-12-31"}, "date", "time.out_of_range"),
    ({"date": "0001-01-01"}, "", "time.out_of_range"),
    ({"startDate": "2026-03-02", "endDate": "2026-03-01"}, "endDate", "import.period"),
    ({"invoiceNumber": None}, "invoiceNumber", "import.id"),
    ({"invoiceNumber": ""}, "invoiceNumber", "account.empty"),
    ({"invoiceNumber": "a\u0000b"}, "invoiceNumber", "account.control_character"),
    ({"invoiceNumber": None, "number": -1}, "invoiceNumber", "import.id"),
    ({"description": "x" * 2001}, "description", "account.too_long"),
    ({"serviceNumber": "\u001b[31m"}, "serviceNumber", "account.control_character"),
    ({"type": "gift"}, "type", "import.type"),
    ({"number": "7"}, "number", "input.invalid"),
])  # fmt: skip
def test_a_bad_record_is_named_and_the_others_come_in(house: House, change: dict[str, Any], where: str, code: str) -> None:
    account = hosted(house)
    report = bring_in(house, [{**RECORD, "invoiceNumber": "6"}, {**RECORD, **change}], account)
    assert [(each.where, each.code) for each in report.errors] == [(f"list[1].{where}" if where else "list[1]", code)]
    assert report.added == 1


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=12), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
FIELDS = [*example("invoices")["list"][0], *example("invoices-page")["list"][0]]


@settings(max_examples=200, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1, max_size=3))
def test_any_value_of_any_field_in_a_file(changes: dict[str, Any]) -> None:
    records = [{**example(name)["list"][0], **changes} for name in ("invoices", "invoices-page")]
    rows = list(read(json.dumps({"list": records}).encode(), currency="EUR", time_zone="UTC", billing_entity=""))
    assert len(rows) == 2
    assert all(isinstance(row, Imported) or (isinstance(row, RowError) and row.code and row.message) for row in rows)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"list":{}}', b'{"list":null}', b"[" * 100])
def test_what_is_no_answer_of_the_vendors(body: bytes) -> None:
    with pytest.raises(BillsmithError) as caught:
        list(read(body, currency="EUR", time_zone="UTC", billing_entity=""))
    assert caught.value.code.startswith("input.")
