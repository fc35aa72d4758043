"""Invoices over the native API: made, read, listed, paid, voided, written off."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from billsmith.accounts.authorisation import Scope
from billsmith.storage import invoice_views
from tests.api.support import Caller, problem
from tests.support.house import House

LINE = {"description": "Seats", "amount": "100.00"}


def reseller(house: House) -> tuple[Caller, Caller]:
    """A reseller and its customer ``c-1``."""
    top = house.account("Reseller", external_id="r-1")
    return Caller(house, top), Caller(house, house.account("Customer", top, external_id="c-1"))


def test_an_invoice_of_lines_and_taxes_adds_up_to_the_cent(house: House) -> None:
    caller, customer = reseller(house)
    body = {
        "recipient": "c-1",
        "lines": [
            {"description": "Seats", "quantity": 3, "unit_price": 0.105, "tax_category": "standard"},
            {"description": "Setup", "amount": "18.90", "tax_category": "standard", "period": None},
            {"description": "Discount", "amount": -1.5, "kind": "discount"},
        ],
        "taxes": [{"name": "VAT", "rate": "21", "category": "standard"}],
        "date": "2026-10-01",
        "due_date": "2026-10-31",
        "period": {"start": "2026-09-01T00:00:00+02:00", "end": "2026-10-01T00:00:00+02:00"},
        "notes": "Two\nlines",
        "send_by_email": True,
        "batch": "7",
    }
    answer = caller("POST", "/v1/invoices", body)
    made = answer.json()
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/invoices/{made['id']}"
    assert [line["amount"] for line in made["lines"]] == ["0.32", "18.90", "-1.50"]
    assert made["lines"][0]["exact_amount"] == "0.315"
    assert made["lines"][0]["trace"] == ["3 × 0.105 = 0.315"]
    assert made["taxes"] == [
        {"category": "standard", "name": "VAT", "rate": "21", "base": "19.22", "amount": "4.04", "included": False, "note": ""}
    ]
    assert (made["total"], made["tax"], made["due"], made["status"]) == ("21.76", "4.04", "21.76", "issued")
    total = sum(Decimal(line["amount"]) for line in made["lines"]) + Decimal(made["tax"])
    assert total == Decimal(made["total"])
    assert made["period"] == {"start": "2026-08-31T22:00:00Z", "end": "2026-09-30T22:00:00Z"}
    assert caller.get(f"/v1/invoices/{made['id']}") == made
    assert customer.get(f"/v1/invoices/{made['id']}") == {**made, "invoiced_by": ""}


@pytest.mark.parametrize(("change", "code", "where"), [
    ({"lines": []}, "input.invalid", "lines"),
    ({"lines": [{"description": "x"}]}, "invoice.line_amount", "lines[0]"),
    ({"lines": [{"description": "x", "amount": 1, "unit_price": 2}]}, "invoice.line_amount", "lines[0]"),
    ({"lines": [{"description": "x", "quantity": 1}]}, "invoice.line_amount", "lines[0]"),
    ({"lines": [{"description": "x", "amount": "1,5"}]}, "number.syntax", "lines[0].amount"),
    ({"lines": [{"description": "x", "amount": None}]}, "number.syntax", "lines[0].amount"),
    ({"lines": [{"description": "x", "amount": [1]}]}, "number.syntax", "lines[0].amount"),
    ({"lines": [{"description": "x", "amount": "1" * 39}]}, "number.too_many_digits", "lines[0].amount"),
    ({"lines": [{"description": "x", "amount": "1e9999"}]}, "number.too_many_digits", "lines[0].amount"),
    ({"lines": [{"description": "x", "amount": "9" * 30}]}, "invoice.too_large", "lines"),
    ({"lines": [{"description": "x\u0000", "amount": 1}]}, "input.control_character", "lines[0].description"),
    ({"lines": [LINE], "taxes": [{"name": "VAT", "rate": -1}]}, "invoice.tax_rate", "taxes[0].rate"),
    ({"lines": [LINE], "taxes": [{"name": "VAT", "rate": "1000.01"}]}, "invoice.tax_rate", "taxes[0].rate"),
    ({"lines": [LINE] * 2, "taxes": [{"name": "T", "rate": 1000, "compound": True}] * 20}, "invoice.too_large", "lines"),
    ({"lines": [LINE], "currency": "XXX"}, "currency.unknown", "currency"),
    ({"lines": [LINE], "date": "1969-12-31"}, "time.out_of_range", "date"),
    ({"lines": [LINE], "date": "2200-01-01"}, "time.out_of_range", "date"),
    ({"lines": [LINE], "date": "2026-02-30"}, "input.invalid", "date"),
    ({"lines": [LINE], "due_date": "2026-10-30"}, "invoice.due_before_date", "due_date"),
    ({"lines": [LINE], "period": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}}, "time.period", "period"),
    ({"lines": [LINE], "period": {"start": "2026-01-01", "end": "2026-01-02"}}, "time.not_an_instant", "period.start"),
    ({"lines": [LINE], "recipient": "nobody"}, "account.unknown", "recipient"),
    ({"lines": [LINE], "recipient": "r-1", "issuer": "c-1"}, "invoice.recipient", "recipient"),
    ({"lines": [LINE], "colour": "red"}, "input.invalid", None),
    ({"lines": [{**LINE, "colour": "red"}]}, "input.invalid", "lines[0]"),
])  # fmt: skip
def test_what_is_wrong_is_named_and_changes_nothing(sqlite_house: House, change: Any, code: str, where: str | None) -> None:
    caller, _ = reseller(sqlite_house)
    problem(caller("POST", "/v1/invoices", {"recipient": "c-1", **change}), 400, code, where)
    assert caller.get("/v1/invoices")["items"] == []
    made = caller.post("/v1/invoices", {"recipient": "c-1", "lines": [LINE]})
    assert made["number"].endswith("000001")


@pytest.mark.parametrize(("path", "parameters", "code", "where"), [
    ("/v1/invoices", {"limit": "0"}, "input.out_of_range", "limit"),
    ("/v1/invoices", {"limit": "201"}, "input.out_of_range", "limit"),
    ("/v1/invoices", {"limit": "x"}, "input.not_integer", "limit"),
    ("/v1/invoices", {"sort": "id"}, "input.sort", "sort"),
    ("/v1/invoices", {"sort": "--created"}, "input.sort", "sort"),
    ("/v1/invoices", {"status": "open"}, "input.status", "status"),
    ("/v1/invoices", {"status": ""}, "input.empty", "status"),
    ("/v1/invoices", {"paid": "maybe"}, "input.not_boolean", "paid"),
    ("/v1/invoices", {"kind": "Invoice"}, "input.unknown_word", "kind"),
    ("/v1/invoices", {"currency": "eur"}, "currency.unknown", "currency"),
    ("/v1/invoices", {"date_from": "2026-13-01"}, "time.not_a_date", "date_from"),
    ("/v1/invoices", {"created_from": "2026-10-01"}, "time.not_an_instant", "created_from"),
    ("/v1/invoices", {"created_before": "9999-12-31T00:00:00Z"}, "time.out_of_range", "created_before"),
    ("/v1/invoices", {"number": ""}, "input.empty", "number"),
    ("/v1/invoices", {"issuer": "x" * 129}, "input.too_long", "issuer"),
    ("/v1/invoices", {"recipient": "a\u0000"}, "input.control_character", "recipient"),
    ("/v1/invoices", {"cursor": "abc"}, "input.cursor", "cursor"),
    ("/v1/invoices", {"cursor": "ä"}, "input.cursor", "cursor"),
    ("/v1/invoices", {"Limit": "5"}, "input.unknown_parameter", "Limit"),
    ("/v1/invoices", [("limit", "5"), ("limit", "5")], "input.repeated", "limit"),
    ("/v1/accounts", {"parent": "nobody"}, "account.unknown", "parent"),
    ("/v1/accounts/r-1", {"x": "1"}, "input.unknown_parameter", "x"),
])  # fmt: skip
def test_a_wrong_parameter_is_named(sqlite_house: House, path: str, parameters: Any, code: str, where: str) -> None:
    caller, _ = reseller(sqlite_house)
    problem(caller("GET", path, params=parameters), 400, code, where)


def test_every_filter_and_sort(house: House) -> None:
    caller, _ = reseller(house)
    other = house.account("Änderung", caller.account, external_id="c-2")
    made = []
    for amount, more in [("30", {"recipient": "c-1", "currency": "USD"}), ("-5", {"recipient": "c-2"}),
                         ("10", {"recipient": "c-2", "date": "2025-12-31", "send_by_email": True}),
                         ("20", {"recipient": "c-1"})]:  # fmt: skip
        house.now += 10**9
        made.append(caller.post("/v1/invoices", {"lines": [{"description": "x", "amount": amount}], **more}))
    caller.post(f"/v1/invoices/{made[3]['id']}/payments", {"amount": "20", "reference": "p"})

    def found(**parameters: Any) -> list[int]:
        ids = [item["id"] for item in caller.all("/v1/invoices", **parameters)]
        return [next(index for index, each in enumerate(made) if each["id"] == id) for id in ids]

    assert found() == [3, 2, 1, 0]
    assert found(sort="created") == [0, 1, 2, 3]
    assert found(sort="total") == [1, 2, 3, 0]
    assert found(sort="-total") == [0, 3, 2, 1]
    assert found(sort="date") == [2, 1, 0, 3]
    assert found(sort="period") == [2, 1, 0, 3]
    assert found(sort="customer") == [0, 3, 1, 2]
    assert found(sort="-customer") == [2, 1, 3, 0]
    assert found(sort="number") == [1, 2, 0, 3]
    assert found(sort="number", issuer="r-1") == [1, 2, 0, 3]
    assert found(sort="-date", recipient="c-2") == [1, 2]
    assert found(paid="true") == [3]
    assert found(paid="false") == [2, 1, 0]
    assert found(status="paid") == [3]
    assert found(status="issued,past_due") == [2, 1, 0]
    assert found(status="issued", paid="true") == []
    assert found(kind="credit_note") == [1]
    assert found(currency="USD") == [0]
    assert found(currency="JPY") == []
    assert found(recipient=other.id) == [2, 1]
    assert found(issuer="c-1") == []
    assert found(issuer="nobody") == found(recipient="nobody") == []
    assert found(number=made[0]["number"].lower()) == [0]
    assert found(number=made[0]["number"], issuer="r-1") == [0]
    assert found(number="INV") == []
    assert found(date_from="2026-10-31") == [3, 1, 0]
    assert found(date_to="2025-12-31") == [2]
    assert found(created_from=made[1]["created_at"], created_before=made[3]["created_at"]) == [2, 1]
    assert found(send_by_email="true") == [2]
    assert found(exported="true") == found(payment_sent="1") == []


def test_payments_move_the_invoice_and_count_once(house: House) -> None:
    caller, customer = reseller(house)
    made = caller.post("/v1/invoices", {"recipient": "c-1", "lines": [LINE]})
    path = f"/v1/invoices/{made['id']}"
    for _ in range(2):
        paid = caller.post(f"{path}/payments", {"amount": 40, "reference": "bank-1", "method": "sepa"})
    assert (paid["amount"], paid["method"], paid["recorded_by"]) == ("40.00", "sepa", f"credential:{caller.credential_id}")
    assert caller.get(path)["status"] == "partially_paid"
    problem(
        caller("POST", f"{path}/payments", {"amount": 41, "reference": "bank-1"}), 409, "payment.reference_taken", "reference"
    )
    problem(caller("POST", f"{path}/payments", {"amount": 1}), 400, "payment.no_reference", "reference")
    problem(caller("POST", f"{path}/payments", {"amount": "0.001", "reference": "x"}), 400, "payment.places", "amount")
    problem(caller("POST", f"{path}/payments", {"amount": 0, "reference": "x"}), 400, "payment.zero", "amount")
    problem(caller("POST", f"{path}/payments", {"amount": "9" * 20, "reference": "x"}), 400, "payment.too_large", "amount")
    caller.post(f"{path}/payments", {"amount": "60.00", "paid_at": "2026-10-30T10:00:00Z"}, key="k-2")
    whole = caller.get(path)
    assert (whole["status"], whole["paid"], whole["due"], whole["paid_at"]) == (
        "paid",
        "100.00",
        "0.00",
        "2026-10-30T10:00:00Z",
    )
    assert [payment["reference"] for payment in whole["payments"]] == ["bank-1", "k-2"]
    assert caller.get(f"{path}/payments")["items"] == whole["payments"]
    assert [payment["recorded_by"] for payment in customer.get(f"{path}/payments")["items"]] == ["", ""]
    assert {entry["actor"] for entry in customer.get(path)["history"]} == {""}
    problem(caller("POST", f"{path}/void"), 409, "invoice.paid")
    problem(caller("POST", f"{path}/write-off"), 409, "invoice.not_open")


def test_void_and_write_off_can_be_repeated(house: House) -> None:
    caller, _ = reseller(house)
    for step, status in (("void", "void"), ("write-off", "written_off")):
        made = caller.post("/v1/invoices", {"recipient": "c-1", "lines": [LINE]})
        path = f"/v1/invoices/{made['id']}"
        assert caller.post(f"{path}/{step}", {"reason": "typo"})["status"] == status
        assert caller.post(f"{path}/{step}")["due"] == "0.00"
        history = caller.get(path)["history"]
        assert [(entry["what"], entry["detail"]) for entry in history] == [(status, "typo")]


def test_who_only_sees_an_invoice_does_not_change_it(house: House) -> None:
    caller, customer = reseller(house)
    made = caller.post("/v1/invoices", {"recipient": "c-1", "lines": [LINE]})
    reader = Caller(house, caller.account, [Scope.INVOICES_READ])
    for step, body in (("payments", {"amount": 1, "reference": "x"}), ("void", {}), ("write-off", {})):
        problem(customer("POST", f"/v1/invoices/{made['id']}/{step}", body), 403, "access.not_issuer")
        problem(reader("POST", f"/v1/invoices/{made['id']}/{step}", body), 403, "access.scope")
    assert caller.get(f"/v1/invoices/{made['id']}")["status"] == "issued"


def test_sorts_without_an_index_end_at_a_documented_length(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invoice_views, "SORTABLE", 3)
    caller, _ = reseller(house)
    for number in range(4):
        caller.post("/v1/invoices", {"recipient": "c-1", "lines": [{"description": "x", "amount": number + 1}]})
    problem(caller("GET", "/v1/invoices?sort=total"), 400, "list.too_long_to_sort", "sort")
    for served in ({"sort": "number", "issuer": "r-1"}, {"sort": "-customer", "issuer": "r-1"}, {"sort": "created"},
                   {"sort": "period", "issuer": "r-1"}, {"sort": "-date", "recipient": "c-1"}):  # fmt: skip
        assert len(caller.all("/v1/invoices", **served)) == 4


@pytest.mark.parametrize("budget", [1, 2, 5])
def test_a_page_stops_at_its_budget_and_the_next_goes_on(house: House, monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    """However little one page may look at, all pages together hold exactly what passes."""
    monkeypatch.setattr(invoice_views, "BUDGET", budget)
    caller, _ = reseller(house)
    below = Caller(house, house.account("Partner", caller.account, external_id="p-1"))
    house.account("Its customer", below.account, external_id="c-9")
    for number in range(10):
        house.now += number % 3
        issuer, recipient = (caller, "c-1") if number % 3 else (below, "c-9")
        issuer.post("/v1/invoices", {"recipient": recipient, "lines": [{"description": "x", "amount": 5 - number}]})
    expected = [item["id"] for item in caller.all("/v1/invoices") if item["kind"] == "credit_note"]
    assert len(expected) == 4
    for sort, ids in (("-created", expected), ("created", expected[::-1])):
        pages = caller.pages("/v1/invoices", kind="credit_note", sort=sort, limit=2)
        assert [item["id"] for page in pages for item in page] == ids
        assert budget > 2 or len(pages) > 2, "the budget is not looked at"
