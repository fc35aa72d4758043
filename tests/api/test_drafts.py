"""Drafts of one-off invoices: no number, seen by their issuer alone, changed and dropped, issued once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from billsmith.accounts.authorisation import CredentialKind
from billsmith.storage.verify import verify
from billsmith.units.instants import format_instant
from billsmith.workflows.jobs import DRAFTS, Ran, Tools, run_due
from billsmith.workflows.usage_store import Usage
from tests.api.support import Caller, problem
from tests.cli.run import Program
from tests.support.house import House

DAY = 86_400 * 10**9
BODY: dict[str, Any] = {
    "recipient": "c-1",
    "draft": True,
    "lines": [{"description": "Seats", "quantity": "3", "unit_price": "6.30", "tax_category": "standard"}],
    "taxes": [{"name": "VAT", "rate": "21", "category": "standard"}],
}


@pytest.fixture
def caller(house: House) -> Caller:
    provider = house.account("Provider", external_id="provider")
    house.account("Customer", provider, external_id="c-1")
    return Caller(house, provider)


def test_a_draft_is_changed_and_issued_under_its_id(caller: Caller) -> None:
    made = caller.post("/v1/invoices", BODY, key="k-1")
    path = f"/v1/invoices/{made['id']}"
    assert (made["status"], made["number"], made["total"], made["issued_at"]) == ("draft", "", "22.87", None)
    assert caller.post("/v1/invoices", BODY, key="k-1") == made
    changed = caller("PUT", path, {**BODY, "lines": [{"description": "Seats", "amount": "10.00"}], "notes": "for you"})
    assert (changed.status_code, changed.json()["total"], changed.json()["notes"]) == (200, "10.00", "for you")
    assert caller.get(path) == changed.json()
    caller.house.now += DAY
    issued = caller.post(f"{path}/issue", key="k-2")
    assert (issued["id"], issued["number"], issued["status"], issued["date"]) == (
        made["id"],
        "INV-2026-000001",
        "issued",
        "2026-11-01",
    )
    assert caller.post(f"{path}/issue") == caller.post(f"{path}/issue", key="k-2") == issued
    problem(caller("PUT", path, BODY), 409, "invoice.issued")
    problem(caller("DELETE", path), 409, "invoice.issued")
    assert verify(caller.house.database).problems == []


def test_a_draft_is_dropped_and_takes_no_number(caller: Caller) -> None:
    path = f"/v1/invoices/{caller.post('/v1/invoices', BODY)['id']}"
    assert caller("DELETE", path).json()["status"] == "draft"
    problem(caller("GET", path), 404, "invoice.unknown")
    problem(caller("DELETE", path), 404, "invoice.unknown")
    problem(caller("POST", f"{path}/issue"), 404, "invoice.unknown")
    assert caller.post("/v1/invoices", {**BODY, "draft": False})["number"] == "INV-2026-000001"


def test_drafts_are_listed_apart_from_what_is_issued(caller: Caller) -> None:
    ids = [caller.post("/v1/invoices", BODY)["id"] for _ in range(5)]
    assert [item["id"] for item in caller.all("/v1/invoices/drafts", limit=2)] == ids
    assert {item["status"] for item in caller.all("/v1/invoices/drafts")} == {"draft"}
    assert caller.all("/v1/invoices") == caller.all("/v1/invoices", status="draft") == []


def test_nobody_but_the_issuer_sees_a_draft(caller: Caller) -> None:
    """Neither its recipient, nor a sibling, nor one who may only read; and no face has it."""
    house = caller.house
    path = f"/v1/invoices/{caller.post('/v1/invoices', BODY)['id']}"
    recipient = Caller(house, house.account("Another", caller.account, external_id="c-2"))
    caller("PUT", path, {**BODY, "recipient": "c-2"})
    for other in (recipient, Caller(house, house.account("Elsewhere"))):
        for method, where, body in [
            ("GET", path, None),
            ("PUT", path, {**BODY, "recipient": other.account.external_id}),
            ("DELETE", path, None),
            ("POST", f"{path}/issue", None),
        ]:
            problem(other(method, where, body), 404, "invoice.unknown")
        assert other.all("/v1/invoices/drafts") == []
    with house.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM invoice").scalar_one() == 0


def test_no_face_has_a_draft_and_each_has_what_it_becomes(caller: Caller) -> None:
    """The control is the same look after it was issued."""
    house = caller.house
    acronis, myreports = house.acronis_token(caller.account), house.myreports_token(caller.account)
    hostway, (_, key) = house.hostway_user(caller.account), house.key(caller.account, CredentialKind.API_KEY)

    def seen() -> dict[str, bool]:
        answers = {
            "acronis": house.client.get("/api/advanced-automation/v1/InvoiceOverview", headers=acronis),
            "myreports": house.client.get("/api/v1.0/billingdata", headers=myreports),
            "hostway": house.client.get("/accounts/c-1/invoices", auth=hostway),
            "amberflo": house.client.get(
                "/payments/billing/customer-product-invoice/all?customerId=c-1", headers={"X-API-KEY": key}
            ),
        }
        assert {answer.status_code for answer in answers.values()} == {200}, [answer.text for answer in answers.values()]
        return {face: "22.87" in answer.text for face, answer in answers.items()}

    path = f"/v1/invoices/{caller.post('/v1/invoices', BODY)['id']}"
    assert not any(seen().values())
    caller.post(f"{path}/issue")
    assert all(seen().values()), seen()


@pytest.mark.parametrize(("change", "code", "where"), [
    ({"lines": []}, "input.invalid", "lines"),
    ({"date": "2026-11-02", "due_date": "2026-11-01"}, "invoice.due_before_date", "due_date"),
    ({"issue_at": "2026-10-31T11:59:59Z"}, "draft.issue_at_passed", "issue_at"),
    ({"draft": False, "issue_at": "2026-11-30T00:00:00Z"}, "draft.not_one", "issue_at"),
    ({"lines": [{"description": "x", "amount": "99999999999999999"}]}, "invoice.too_large", "lines"),
])  # fmt: skip
def test_what_can_not_be_issued_is_no_draft(caller: Caller, change: dict[str, Any], code: str, where: str) -> None:
    problem(caller("POST", "/v1/invoices", {**BODY, **change}), 400, code, where)
    assert caller.all("/v1/invoices/drafts") == []


def test_a_draft_issues_itself_when_its_time_has_come(caller: Caller) -> None:
    house = caller.house
    at = house.now + DAY
    made = caller.post("/v1/invoices", {**BODY, "issue_at": format_instant(at)})
    closed = house.account("Closed", caller.account, external_id="c-3")
    stuck = caller.post("/v1/invoices", {**BODY, "recipient": "c-3", "issue_at": format_instant(at)})
    caller.post("/v1/accounts/c-3/close")
    tools = Tools(database=house.database, clock=lambda: house.now, usage=Usage(house.database))
    house.now = at - 1
    assert run_due(tools, [DRAFTS]) == []
    house.now = at
    [ran] = run_due(tools, [DRAFTS])
    assert (ran.job, ran.code) == ("drafts", "account.closed")
    assert caller.get(f"/v1/invoices/{made['id']}")["number"] == "INV-2026-000001"
    assert caller.get(f"/v1/invoices/{stuck['id']}")["status"] == "draft", closed.name
    caller("DELETE", f"/v1/invoices/{stuck['id']}")
    assert run_due(tools, [DRAFTS]) == list[Ran]()


def test_the_command_line_does_the_same(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    database = caller.house.database
    folder = tmp_path_factory.mktemp("files")
    program = Program(
        database.file.parent if database.file else folder,
        "" if database.is_sqlite else database.url.render_as_string(hide_password=False),
        monkeypatch,
    )
    file = folder / "invoice.json"
    file.write_text(json.dumps({**BODY, "issuer": "provider"}))
    first = program.json("invoices", "create", str(file))
    assert (first["status"], first["number"], first["total"]) == ("draft", "", "22.87")
    second = program.json("invoices", "create", str(file))
    assert [row["id"] for row in program.json("invoices", "drafts", "provider")] == [first["id"], second["id"]]
    assert program.json("invoices", "issue", first["id"])["number"] == "INV-2026-000001"
    assert program.json("invoices", "drop", second["id"])["status"] == "draft"
    assert program.json("invoices", "drafts", "provider") == []
    file.write_text(json.dumps({**BODY, "issuer": "provider", "draft": False}))
    assert program.json("invoices", "create", str(file))["number"] == "INV-2026-000002"
    file.write_text('{"lines": 1}')
    assert program("invoices", "create", str(file)).code == 2
