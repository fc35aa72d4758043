"""Simulations over the API: kept when asked for, made by a job, and nothing of billing is written."""

from __future__ import annotations

from typing import Any

import pytest

from billsmith.units.instants import parse_instant
from billsmith.workflows.jobs import SIMULATIONS, Ran, Tools, run_due
from tests.api.support import Caller, problem
from tests.support.billing import CATALOG, START
from tests.support.house import House

DEARER = CATALOG.replace("amount: 12.00", "amount: 15.00")
TABLES = ("invoice", "billing_run", "subscription_bill", "catalog_version", "subscription_change", "ledger_entry")


@pytest.fixture
def caller(house: House) -> Caller:
    house.now = parse_instant("2026-08-20T00:00:00Z")
    made = Caller(house, house.account("Provider", external_id="provider", time_zone="UTC"))
    made.post("/v1/catalog", {"source": CATALOG})
    for name, plan in (("a", "flat"), ("b", "flat"), ("c", "committed")):
        house.account(name, made.account, external_id=name)
        made.post("/v1/subscriptions", {"account": name, "plan": plan, "starts_at": START})
    house.now = parse_instant("2026-10-02T00:00:00Z")
    return made


def ask(caller: Caller, key: str | None = None, **body: Any) -> Any:
    answer = caller("POST", "/v1/simulations", {"period": "2026-09", **body}, key=key)
    assert answer.status_code == 202, answer.text
    return answer.json()


def make(caller: Caller) -> list[Ran]:
    house = caller.house
    return run_due(Tools(database=house.database, clock=lambda: house.now, usage=house.usage), [SIMULATIONS])


def counts(house: House) -> list[int]:
    with house.database.read() as connection:
        return [connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() for table in TABLES]


def test_another_catalog(caller: Caller) -> None:
    before = counts(caller.house)
    asked = ask(caller, key="k-1", source=DEARER, lines=True)
    assert (asked["state"], asked["result"]) == ("waiting", None)
    assert ask(caller, key="k-1", source=DEARER, lines=True) == asked
    assert make(caller) == [Ran(job="simulations", done=1)]
    found = caller.get(f"/v1/simulations/{asked['id']}")
    assert (found["state"], found["result"]["accounts"]) == ("done", 3)
    assert found["result"]["totals"] == [{"currency": "EUR", "old": "58.80", "new": "66.00", "gained": "7.20", "lost": "0.00"}]
    assert [(each["name"], each["change"], len(each["lines"])) for each in found["result"]["differences"]] == [
        ("a", "3.60", 1),
        ("b", "3.60", 1),
    ]
    assert found["result"]["movers"][0]["change"] == "3.60"
    assert counts(caller.house) == before
    assert make(caller) == []


def test_another_plan_of_one_subscription_and_one_account_alone(caller: Caller) -> None:
    subscription = caller.get("/v1/subscriptions", account="a")["items"][0]["id"]
    change = {"subscription": subscription, "plan": "committed", "at": START}
    first, second = ask(caller, plan_change=change), ask(caller, source=DEARER, account="b")
    assert make(caller) == [Ran(job="simulations", done=2)]
    totals = [caller.get(f"/v1/simulations/{each['id']}")["result"]["totals"][0] for each in (first, second)]
    assert [(each["old"], each["new"]) for each in totals] == [("14.40", "30.00"), ("14.40", "18.00")]


def test_what_can_not_be_simulated_is_refused_or_says_why(caller: Caller) -> None:
    problem(caller("POST", "/v1/simulations", {"period": "2026-09"}), 400, "simulation.one_kind", "source")
    answer = caller("POST", "/v1/simulations", {"period": "2026-09", "source": "code: [x"})
    assert (answer.status_code, answer.json()["code"].partition(".")[0]) == (400, "catalog")
    change = {"subscription": "99999999-9999-4999-8999-999999999999", "plan": "flat", "at": START}
    problem(
        caller("POST", "/v1/simulations", {"period": "2026-09", "plan_change": change}),
        404,
        "subscription.unknown",
        "plan_change.subscription",
    )
    assert make(caller) == []
    asked = ask(caller, source=DEARER, account="b")
    with caller.house.database.write() as connection:
        connection.exec_driver_sql('UPDATE simulation SET request = \'{"period":"2026-09","catalog":"code: [x"}\'')
    assert make(caller) == [Ran(job="simulations", done=1)]
    found = caller.get(f"/v1/simulations/{asked['id']}")
    assert (found["state"], found["result"], found["code"].partition(".")[0]) == ("failed", None, "catalog")


def test_a_simulation_is_its_issuers_alone(caller: Caller) -> None:
    asked = ask(caller, source=DEARER)
    customer = Caller(caller.house, caller.house.account("d", caller.account, external_id="d"))
    problem(customer("GET", f"/v1/simulations/{asked['id']}"), 404, "simulation.unknown")
