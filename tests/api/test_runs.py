"""Runs that are asked for over the API: kept at once, begun by a job, brought to their end by whoever is there."""

from __future__ import annotations

import time

import msgspec
import pytest
from starlette.testclient import TestClient

from billsmith.server.faces import application
from billsmith.server.settings import Settings
from billsmith.storage import runs
from billsmith.storage.database import Database
from billsmith.storage.verify import verify
from billsmith.units.instants import parse_instant
from billsmith.workflows import billing_run
from billsmith.workflows.jobs import RUNS, Ran, Tools, run_due
from billsmith.workflows.usage_store import Usage
from tests.api.support import Caller, problem
from tests.support.billing import CATALOG, START
from tests.support.house import House


@pytest.fixture
def caller(house: House) -> Caller:
    house.now = parse_instant("2026-08-20T00:00:00Z")
    provider = house.account("Provider", external_id="provider", time_zone="UTC")
    made = Caller(house, provider)
    made.post("/v1/catalog", {"source": CATALOG})
    for name in ("a", "b", "c"):
        house.account(name, provider, external_id=name)
        made.post("/v1/subscriptions", {"account": name, "plan": "flat", "starts_at": START})
    house.now = parse_instant("2026-10-02T00:00:00Z")
    return made


def tools(house: House, **more: object) -> Tools:
    return Tools(database=house.database, clock=lambda: house.now, usage=house.usage, **more)  # type: ignore[arg-type]


def ask(caller: Caller, key: str | None = None, **body: object) -> dict[str, object]:
    answer = caller("POST", "/v1/runs", {"period": "2026-09", **body}, key=key)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/runs/{answer.json()['id']}"
    found: dict[str, object] = answer.json()
    return found


def test_a_run_waits_and_is_brought_to_its_end_by_a_job(caller: Caller) -> None:
    asked = ask(caller, key="k-1")
    assert (asked["state"], asked["billed"]) == ("waiting", 0)
    assert ask(caller, key="k-1") == asked
    assert run_due(tools(caller.house), [RUNS]) == [Ran(job="runs", done=3)]
    done = caller.get(f"/v1/runs/{asked['id']}")
    assert (done["state"], done["billed"], done["parked"], done["batch"]) == ("done", 3, 0, "bill-000001")
    assert run_due(tools(caller.house), [RUNS]) == []
    # asked for once more: nothing is billed again
    again = ask(caller)
    run_due(tools(caller.house), [RUNS])
    assert (caller.get(f"/v1/runs/{again['id']}")["state"], caller.get(f"/v1/runs/{again['id']}")["billed"]) == ("done", 0)
    assert len(caller.all("/v1/invoices")) == 3
    assert verify(caller.house.database).problems == []


def test_a_run_is_narrowed_and_rated_anew(caller: Caller) -> None:
    only = ask(caller, account="b")
    rerate = ask(caller, kind="rerate")
    assert run_due(tools(caller.house), [RUNS]) == [Ran(job="runs", done=1)]
    assert [each["recipient"]["name"] for each in caller.all("/v1/invoices")] == ["b"]
    assert [caller.get(f"/v1/runs/{each['id']}")["state"] for each in (only, rerate)] == ["done", "done"]


def test_what_is_not_due_is_refused_at_once(caller: Caller) -> None:
    problem(caller("POST", "/v1/runs", {"period": "2026-10"}), 400, "bill.period_not_over", "period")
    caller("PATCH", "/v1/accounts/provider/billing", {"grace_hours": 72})
    problem(caller("POST", "/v1/runs", {"period": "2026-09"}), 400, "bill.in_grace", "period")
    problem(caller("POST", "/v1/runs", {"period": "2026-13"}), 400, "time.not_a_period", "period")
    assert caller.get("/v1/runs")["items"] == []


def test_a_killed_run_is_gone_on_with_by_the_job_or_the_command(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies after its first chunk leaves a running run; a job brings it to its end, whatever the grace is by then."""
    monkeypatch.setattr(billing_run, "CHUNK", 1)
    asked = ask(caller)

    def die(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_due(tools(caller.house, check=die), [RUNS])
    left = caller.get(f"/v1/runs/{asked['id']}")
    assert (left["state"], left["billed"]) == ("running", 1)
    caller("PATCH", "/v1/accounts/provider/billing", {"grace_hours": 0})
    # a server that sees it for the first time may not be alone with it: it waits until it stands still
    patient = tools(caller.house, patient=True)
    assert run_due(patient, [RUNS]) == [Ran(job="runs", done=0)]
    assert run_due(patient, [RUNS]) == [Ran(job="runs", done=2)]
    assert caller.get(f"/v1/runs/{asked['id']}")["state"] == "done"
    assert sorted(each["number"] for each in caller.all("/v1/invoices")) == [f"INV-2026-00000{n}" for n in (1, 2, 3)]


def test_a_server_begins_it_at_once(caller: Caller) -> None:
    house = caller.house
    services = msgspec.structs.replace(house.services, usage_or_none=Usage(house.database))
    app = application(Settings(home=house.settings.home, pull=False), services)
    with TestClient(app, base_url="http://127.0.0.1:8080") as client:
        answer = client.post("/v1/runs", json={"period": "2026-09"}, headers=caller.headers)
        assert answer.status_code == 202
        until = time.monotonic() + 20
        while state(house.database, answer.json()["id"]) != runs.DONE:
            assert time.monotonic() < until, "it was not brought to its end"
            time.sleep(0.02)
    assert len(caller.all("/v1/invoices")) == 3


def state(database: Database, id: str) -> str:
    with database.read() as connection:
        found = runs.by_id(connection, id)
    assert found is not None
    return found.state
