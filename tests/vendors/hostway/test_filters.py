"""Filters and orders: each of the two filters takes either vocabulary."""

from __future__ import annotations

from typing import Any

import pytest

from billsmith.invoicing.model import InvoiceStatus
from billsmith.units.errors import Invalid
from billsmith.vendors.hostway.filters import STATUS_WORDS, TYPES, read_filter
from billsmith.wire.parameters import Parameters
from tests.support.house import House
from tests.vendors.hostway.calls import bring_in, hosted

RECORDS = [
    # number, date, amount, due, status, type
    ("10", "2026-01-01", "10", "10", "invoice_open", None),
    ("20", "2026-01-02", "20", "5", "invoice_partially_paid", None),
    ("30", "2026-01-03", "30", "0", "invoice_paid", "payment"),
    ("40", "2026-01-04", "40", "40", "invoice_past_due", "usage_charge"),
    ("50", "2026-01-05", "50", "0", "invoice_void", "charge"),
    ("60", "2026-01-06", "-60", "-60", "invoice_open", None),
    ("05", "2026-01-03", "5", "0", "invoice_paid", "credit"),
]


@pytest.fixture
def numbers(house: House) -> Any:
    account = hosted(house)
    report = bring_in(house, [
        {"invoiceNumber": number, "date": date, "amount": amount, "amountDue": due, "status": status,
         **({"type": type} if type else {})}
        for number, date, amount, due, status, type in RECORDS
    ], account)  # fmt: skip
    assert report.errors == []
    auth = house.hostway_user(account)

    def numbers(**query: str) -> list[str]:
        answer = house.client.get("/accounts/test731993/invoices", params=query, auth=auth)
        assert answer.status_code == 200, answer.text
        return [record["invoiceNumber"] for record in answer.json()["list"]]

    return numbers


@pytest.mark.parametrize(("query", "expected"), [
    ({}, "10 20 05 30 40 50 60"),
    ({"sortOrder": "asc"}, "10 20 05 30 40 50 60"),
    ({"sortOrder": "desc"}, "60 50 40 05 30 20 10"),
    ({"sortField": "status"}, "10 60 20 05 30 40 50"),
    ({"sortField": "status", "sortOrder": "DESC"}, "50 40 05 30 20 10 60"),
    ({"filterStatus": "invoice_open"}, "10 60"),
    ({"filterStatus": "invoice_partially_paid"}, "20"),
    ({"filterStatus": "invoice_paid"}, "05 30"),
    ({"filterStatus": "invoice_past_due"}, "40"),
    ({"filterStatus": "invoice_void"}, "50"),
    ({"filterStatus": "invoice_not_published"}, ""),
    ({"filterType": "charge"}, "10 20 50"),
    ({"filterType": "credit"}, "05 60"),
    ({"filterType": "payment"}, "30"),
    ({"filterType": "usage_charge"}, "40"),
    ({"filterType": "refund"}, ""),
    ({"filterStatus": "payment"}, "30"),
    ({"filterType": "invoice_paid"}, "05 30"),
    ({"filterStatus": "invoice_paid", "filterType": "credit"}, "05"),
    ({"filterStatus": "invoice_void", "filterType": "payment"}, ""),
    ({"filterStatus": "charge", "filterType": "charge"}, "10 20 50"),
    ({"filterStatus": "charge", "filterType": "credit"}, ""),
    ({"filterStatus": "invoice_paid", "filterType": "invoice_void"}, ""),
    ({"filterStatus": "invoice_paid", "sortOrder": "desc", "page": "2", "pageSize": "1"}, "30"),
    ({"unknown": "parameter"}, "10 20 05 30 40 50 60"),
])  # fmt: skip
def test_what_passes_and_in_which_order(numbers: Any, query: dict[str, str], expected: str) -> None:
    assert numbers(**query) == expected.split()


@pytest.mark.parametrize(("name", "value"), [
    ("filterStatus", "paid"), ("filterStatus", "Invoice_Paid"), ("filterStatus", ""), ("filterStatus", "invoice_"),
    ("filterStatus", "invoice_paid "), ("filterType", "unknown"), ("filterType", "invoice_paid' OR '1'='1"),
    ("filterType", "ch\u0430rge"), ("filterStatus", "x" * 2000), ("filterStatus", "invoice_\x00"),
    ("sortField", "amount"), ("sortField", ""), ("sortField", "status;--"), ("sortOrder", "up"), ("sortOrder", ""),
])  # fmt: skip
def test_words_that_are_none(sqlite_house: House, name: str, value: str) -> None:
    auth = sqlite_house.hostway_user(hosted(sqlite_house))
    answer = sqlite_house.client.get("/accounts/test731993/invoices", params={name: value}, auth=auth)
    assert (answer.status_code, answer.json()["badRequest"]["code"]) == (400, 400)
    assert name in answer.json()["badRequest"]["message"]


def test_a_repeated_filter_is_refused(sqlite_house: House) -> None:
    auth = sqlite_house.hostway_user(hosted(sqlite_house))
    query = "filterStatus=invoice_paid&filterStatus=invoice_void"
    assert sqlite_house.client.get(f"/accounts/test731993/invoices?{query}", auth=auth).status_code == 400


def test_every_status_has_a_word_and_every_type_passes() -> None:
    assert set(STATUS_WORDS) == set(InvoiceStatus)
    for word in {*STATUS_WORDS.values(), *TYPES}:
        for name in ("filterStatus", "filterType"):
            assert not read_filter(Parameters([(name, word)])).passes_nothing
    assert len(TYPES) == 19
    with pytest.raises(Invalid):
        read_filter(Parameters([("filterType", "")]))
