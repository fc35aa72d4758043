"""Drafts that are computed, and how an account bills, over the API and the command line."""

from __future__ import annotations

import pytest

from billsmith.units.instants import parse_instant
from billsmith.workflows.jobs import BILL, Ran, Tools, run_due
from billsmith.workflows.usage_store import Usage
from tests.api.support import Caller, problem
from tests.cli.run import Program
from tests.support.billing import CATALOG, START
from tests.support.house import House


@pytest.fixture
def caller(sqlite_house: House) -> Caller:
    sqlite_house.now = parse_instant("2026-08-20T00:00:00Z")
    provider = sqlite_house.account("Provider", external_id="provider", time_zone="UTC")
    made = Caller(sqlite_house, provider)
    made.post("/v1/catalog", {"source": CATALOG})
    for name in ("a", "b", "c"):
        sqlite_house.account(name, provider, external_id=name)
        made.post("/v1/subscriptions", {"account": name, "plan": "flat", "starts_at": START})
    return made


def test_drafts_of_the_running_month_and_of_the_one_in_its_grace(caller: Caller) -> None:
    assert caller("PATCH", "/v1/accounts/provider/billing", {"grace_hours": 72}).json() == {
        "grace_hours": 72,
        "automatic": False,
    }
    caller.house.now = parse_instant("2026-10-02T00:00:00Z")
    page = caller.get("/v1/drafts")
    assert (page["period"], page["due_at"], page["next_cursor"] is None) == ("2026-09", "2026-10-04T00:00:00Z", False)
    assert [(each["status"], each["number"], each["total"]) for each in page["items"]] == [("grace", "", "14.40")] * 3
    assert page["items"][0]["lines"][0]["description"]
    assert {each["status"] for each in caller.all("/v1/drafts", period="2026-10")} == {"draft"}
    assert caller.all("/v1/drafts", limit=1) == page["items"]
    assert [each["recipient"]["name"] for each in caller.all("/v1/drafts", account="b")] == ["b"]
    assert caller.all("/v1/invoices") == []
    problem(caller("GET", "/v1/drafts?period=2026-13"), 400, "time.not_a_period", "period")


def test_the_clock_bills_what_the_api_asked_for(caller: Caller) -> None:
    caller("PATCH", "/v1/accounts/provider/billing", {"automatic": True})
    house = caller.house
    house.now = parse_instant("2026-10-01T00:00:00Z")
    tools = Tools(database=house.database, clock=lambda: house.now, usage=Usage(house.database))
    assert run_due(tools, [BILL]) == [Ran(job="bill", done=3)]
    assert len(caller.all("/v1/invoices")) == 3


def test_who_may_not_bill_sees_neither(caller: Caller) -> None:
    customer = Caller(caller.house, caller.house.account("d", caller.account, external_id="d"))
    assert customer.all("/v1/drafts") == []
    problem(customer("GET", "/v1/accounts/provider/billing"), 404, "account.unknown")
    problem(caller("PATCH", "/v1/accounts/provider/billing", {"grace_hours": 673}), 400, "input.invalid", "grace_hours")


def test_the_command_line_does_the_same(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    file = caller.house.database.file
    assert file is not None
    program = Program(file.parent, "", monkeypatch)
    assert program.json("accounts", "billing", "provider", "--grace-hours", "48", "--automatic")["grace_hours"] == 48
    assert program.json("accounts", "billing", "provider") == {"id": caller.account.id, "grace_hours": 48, "automatic": True}
    rows = program.json("drafts", "--period", "2026-09", "--lines")
    assert [(row["customer_name"], row["total"], len(row["lines"])) for row in rows] == [
        ("a", "14.40", 1),
        ("b", "14.40", 1),
        ("c", "14.40", 1),
    ]
    assert "2026-09 is due at 2026-10-03T00:00:00Z" in program("drafts", "--period", "2026-09").err
    refused = program("bill", "--period", "2026-09", "--at", "2026-10-02T00:00:00Z")
    assert (refused.code, "bill.in_grace" in refused.err) == (2, True)
    assert program.json("drafts", "--period", "2026-09", "--account", "b")[0]["customer_name"] == "b"
