"""Credit notes and credit over the API and the command line."""

from __future__ import annotations

import pytest

from tests.api.support import Caller, problem
from tests.cli.run import Program
from tests.support.house import House

LINES = [
    {"description": "Seats", "amount": "60.00", "tax_category": "standard"},
    {"description": "Support", "amount": "40.00", "tax_category": "standard"},
]
TAXES = [{"name": "VAT", "rate": 21, "category": "standard"}]


@pytest.fixture
def caller(house: House) -> Caller:
    provider = house.account("Provider", external_id="provider")
    house.account("Customer", provider, external_id="c-1")
    return Caller(house, provider)


def issue(caller: Caller) -> str:
    made = caller.post("/v1/invoices", {"recipient": "c-1", "lines": LINES, "taxes": TAXES})
    return f"/v1/invoices/{made['id']}"


def test_a_credit_note_by_lines_an_amount_and_the_rest(caller: Caller) -> None:
    path = issue(caller)
    by_line = caller.post(f"{path}/credit-notes", {"lines": [{"line": 1, "amount": "10.00"}], "reason": "late"}, key="k-1")
    assert (by_line["kind"], by_line["number"], by_line["total"], by_line["status"]) == (
        "credit_note",
        "CN-2026-000001",
        "-12.10",
        "paid",
    )
    assert [(line["amount"], line["corrects"]) for line in by_line["lines"]] == [("-10.00", "INV-2026-000001#1")]
    assert by_line["notes"] == "Corrects INV-2026-000001: late"
    assert (
        caller.post(f"{path}/credit-notes", {"lines": [{"line": 1, "amount": "10.00"}], "reason": "late"}, key="k-1") == by_line
    )
    assert caller.post(f"{path}/credit-notes", {"amount": "50.00"})["total"] == "-50.00"
    assert caller.post(f"{path}/credit-notes")["total"] == "-58.90"
    assert [item["number"] for item in caller.get(f"{path}/credit-notes")["items"]] == [f"CN-2026-00000{n}" for n in (1, 2, 3)]
    assert (caller.get(path)["status"], caller.get(path)["due"]) == ("paid", "0.00")
    problem(caller("POST", f"{path}/credit-notes"), 400, "note.nothing_left")


def test_what_is_wrong_with_a_credit_note_is_named(caller: Caller) -> None:
    path = issue(caller)
    for body, code, where in [
        ({"amount": "0.001"}, "payment.places", "amount"),
        ({"amount": "121.01"}, "note.too_much", "amount"),
        ({"lines": [{"line": 0}, {"line": 0}]}, "note.line_twice", "lines"),
        ({"lines": [{"line": 2}]}, "note.unknown_line", "changes"),
        ({"lines": [{"line": 0}], "amount": 1}, "note.one_way", "amount"),
    ]:
        problem(caller("POST", f"{path}/credit-notes", body), 400, code, where)
    assert caller.get(f"{path}/credit-notes")["items"] == []


def test_the_recipient_sees_its_notes_and_issues_none(caller: Caller) -> None:
    path = issue(caller)
    customer = Caller(caller.house, caller.house.account("Customer 2", caller.account, external_id="c-2"))
    theirs = f"/v1/invoices/{caller.post('/v1/invoices', {'recipient': 'c-2', 'lines': LINES})['id']}"
    caller.post(f"{theirs}/credit-notes", {"amount": 1})
    assert len(customer.get(f"{theirs}/credit-notes")["items"]) == 1
    problem(customer("POST", f"{theirs}/credit-notes"), 403, "access.not_issuer")
    problem(customer("POST", f"{theirs}/apply-credit"), 403, "access.not_issuer")
    problem(customer("GET", f"{path}/credit-notes"), 404, "invoice.unknown")


def test_credit_pays_what_is_due(caller: Caller) -> None:
    first, second = issue(caller), issue(caller)
    caller.post(f"{first}/payments", {"amount": "150.00", "reference": "bank"})
    assert caller.get(first)["due"] == "-29.00"
    moved = caller.post(f"{second}/apply-credit", {}, key="k-2")
    assert (moved["status"], moved["paid"], moved["due"]) == ("partially_paid", "29.00", "92.00")
    assert [payment["method"] for payment in moved["payments"]] == ["credit_note"]
    assert (caller.get(first)["status"], caller.get(first)["due"]) == ("paid", "0.00")
    problem(caller("POST", f"{first}/apply-credit"), 409, "invoice.not_open")


def test_the_command_line_does_the_same(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    database = caller.house.database
    home = database.file.parent if database.file else tmp_path_factory.mktemp("home")
    program = Program(home, "" if database.is_sqlite else database.url.render_as_string(hide_password=False), monkeypatch)
    issue(caller), issue(caller)
    made = program.json(
        "invoices", "credit", "INV-2026-000001", "--line", "0=10.00", "--line", "1", "--keep", "--reason", "late"
    )
    assert (made["total"], made["status"], made["notes"]) == ("-60.50", "issued", "Corrects INV-2026-000001: late")
    assert program.json("invoices", "apply-credit", "INV-2026-000002")["due"] == "60.50"
    assert program.json("invoices", "credit", "INV-2026-000001", "--amount", "60.50")["status"] == "paid"
    assert program("invoices", "credit", "INV-2026-000001", "--line", "x").code == 2
    assert program("invoices", "credit", "INV-2026-000001").code == 2
