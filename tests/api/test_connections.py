"""Connections over HTTP: a secret goes in and never comes out; a pull is asked for once; what it met can be read."""

from __future__ import annotations

from decimal import Decimal

import pytest

from billsmith.accounts.authorisation import Scope
from billsmith.invoicing.model import Line
from billsmith.storage import sync_connections
from billsmith.workflows import sync
from billsmith.workflows.connections import secret_of
from billsmith.workflows.import_invoices import Plan
from billsmith.workflows.sealing import Sealer
from tests.api.support import Caller, problem
from tests.support.house import House
from tests.support.vendor_lists import VendorList, garbage, row

SECRET = "correct horse battery staple"
BODY = {"vendor": "acronis", "name": "cloud", "url": "https://cloud.example", "client_id": "c", "secret": SECRET}


@pytest.fixture
def caller(house: House) -> Caller:
    return Caller(house, house.account("Partner", external_id="me", time_zone="UTC"))


@pytest.fixture
def lone(sqlite_house: House) -> Caller:
    """On SQLite alone, where the engine makes no difference."""
    return Caller(sqlite_house, sqlite_house.account("Partner", external_id="me", time_zone="UTC"))


def pull(caller: Caller, id: str, rows: list) -> None:  # type: ignore[type-arg]
    with caller.house.database.read() as connection:
        of = sync_connections.get(connection, id)
    plan = Plan(owner=caller.account, issuer=caller.account)
    sync.run(caller.house.database, of, VendorList(rows), plan, clock=lambda: caller.house.now)


def test_a_connection_from_making_to_removing(caller: Caller) -> None:
    made = caller.post("/v1/connections", {**BODY, "every_minutes": 60}, key="one")
    assert (made["name"], made["vendor"], made["every_minutes"], made["last_walk"]) == ("cloud", "acronis", 60, None)
    assert SECRET not in str(made)
    again = caller("POST", "/v1/connections", {**BODY, "every_minutes": 60}, key="one")
    assert (again.json(), again.headers["idempotency-replayed"]) == (made, "true")
    problem(caller("POST", "/v1/connections", BODY), 409, "sync.name_taken", "name")
    here = f"/v1/connections/{made['id']}"
    pull(caller, made["id"], [row(1, customer="a"), garbage(2)])
    assert caller.get("/v1/connections/cloud")["last_walk"]["state"] == "partial"
    assert [each["code"] for each in caller.get(f"{here}/problems")["items"]] == ["input.invalid"]
    assert caller.get(f"{here}/reconciliation")["verdict"] == "differences"
    pull(caller, made["id"], [row(1, customer="a")])
    assert [each["state"] for each in caller.all(f"{here}/walks", limit=1)] == ["complete", "partial"]
    found = caller.get(f"{here}/reconciliation")
    assert (found["verdict"], found["matched"], found["whole"]) == ("clean", 1, True)
    assert [each["name"] for each in found["unmatched_customers"]] == ["Customer a"]
    caller.house.now += 1_000_000_000
    assert caller.post(f"{here}/run", {})["due_at"] == "2026-10-31T12:00:01Z"
    assert [each["id"] for each in caller.all("/v1/connections")] == [made["id"]]
    assert caller.post(f"{here}/remove", {})["id"] == made["id"]
    assert caller.all("/v1/connections") == []
    problem(caller("GET", here), 404, "sync.unknown")
    assert len(caller.all("/v1/invoices")) == 1


def test_the_secret_is_sealed_for_this_connection_alone(caller: Caller) -> None:
    house = caller.house
    made = caller.post("/v1/connections", BODY)
    with house.database.read() as connection:
        of = sync_connections.get(connection, made["id"])
    assert of.sealed is not None
    assert SECRET.encode() not in of.sealed
    assert secret_of(of, house.services.sealer) == SECRET


def test_a_secret_is_renewed(lone: Caller) -> None:
    made = lone.post("/v1/connections", BODY)
    renewed = lone.post(f"/v1/connections/{made['id']}/secret", {"secret": "another secret"}, key="again")
    assert renewed == lone.get(f"/v1/connections/{made['id']}")
    with lone.house.database.read() as connection:
        of = sync_connections.get(connection, made["id"])
    assert secret_of(of, lone.house.services.sealer) == "another secret"
    problem(lone("POST", f"/v1/connections/{made['id']}/secret", {"secret": ""}), 400, "input.invalid", "secret")


def test_without_a_key_it_is_refused(lone: Caller) -> None:
    import msgspec

    from billsmith.server.faces import application
    from tests.support.house import TestClient

    house = lone.house
    house.services = msgspec.structs.replace(house.services, sealer=Sealer())
    house.client = TestClient(application(house.settings, house.services), base_url="http://127.0.0.1:8080")
    problem(lone("POST", "/v1/connections", BODY), 503, "secret.no_key")


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        ({"client_id": ""}, "sync.option_missing", "client_id"),
        ({"url": "ftp://x"}, "outbound.address", "url"),
        ({"url": "https://u:p@x"}, "outbound.address", None),
        ({"name": ""}, "input.invalid", "name"),
        ({"every_minutes": 4}, "input.invalid", "every_minutes"),
        ({"currency": "EURO"}, "currency.unknown", "currency"),
        ({"account": "nobody"}, "account.unknown", "account"),
    ],
)
def test_what_cant_be_connected(lone: Caller, change: dict[str, object], code: str, where: str | None) -> None:
    problem(lone("POST", "/v1/connections", {**BODY, **change}), 400, code, where)


def test_scopes(lone: Caller) -> None:
    reader = Caller(lone.house, lone.account, [Scope.SYNC_READ])
    problem(reader("POST", "/v1/connections", BODY), 403, "access.scope")
    assert reader.all("/v1/connections") == []
    problem(Caller(lone.house, lone.account, [Scope.SYNC_WRITE])("GET", "/v1/connections"), 403, "access.scope")


def test_a_name_that_another_tenant_uses_is_free_here(caller: Caller) -> None:
    other = Caller(caller.house, caller.house.account("Other", external_id="other"))
    other.post("/v1/connections", BODY)
    assert caller.post("/v1/connections", BODY)["name"] == "cloud"


PRICES = """
code: own
currency: EUR
meters: [{code: gb, event_type: backup, unit: GB}]
plans: [{code: pro, alignment: calendar, charges: [{meter: gb, price: {model: per_unit, unit_amount: 2.00}}]}]
"""
FEES = """
code: own
currency: EUR
plans: [{code: pro, alignment: calendar, fees: [{code: fee, timing: arrears, price: {model: flat, amount: 77.00}}]}]
"""


def gigabytes(quantity: str) -> tuple[Line, ...]:
    return (Line(description="Backup", amount_minor=1000, quantity=Decimal(quantity), meter="gb"),)


def test_a_vendor_is_held_against_our_own_metering_and_prices(lone: Caller) -> None:
    made = lone.post("/v1/connections", BODY)
    here = f"/v1/connections/{made['id']}/reconciliation/usage"
    lone.post("/v1/catalog", {"source": PRICES})
    for name, used in (("cust-a", "5"), ("cust-b", "5.5")):
        lone.house.account(name, lone.account, external_id=name, time_zone="UTC")
        lone.post("/v1/subscriptions", {"account": name, "plan": "pro", "starts_at": "2026-01-01T00:00:00Z"})
        event = {"id": name, "type": "backup", "account": name, "time": "2026-01-09T00:00:00Z", "value": used}
        assert lone.post("/v1/events", [event])["accepted"] == 1
    rows = [row(1, customer="a", lines=gigabytes("5")), row(2, customer="b", lines=gigabytes("5"))]
    assert lone.get(here, period="2026-01")["verdict"] == "not_audited"
    pull(lone, made["id"], rows)
    found = lone.get(here, period="2026-01")
    assert (found["verdict"], found["whole"], found["period"]) == ("differences", True, "2026-01")
    assert [(each["account"], each["state"], each["ours"]) for each in found["quantities"]] == [
        ("cust-a", "matched", "5"),
        ("cust-b", "differs", "5.5"),
    ]
    assert [(each["account"], each["state"], each["ours"], each["difference"]) for each in found["charges"]] == [
        ("cust-a", "matched", "10.00", "0.00"),
        ("cust-b", "differs", "11.00", "1.00"),
    ]
    assert lone.get(here, period="2026-01", tolerance="0.5", threshold="1")["verdict"] == "clean"
    assert lone.get(here)["period"] == "2026-09"  # the month before this one
    problem(lone("GET", here, params={"threshold": "-1"}), 400, "reconcile.tolerance", "threshold")
    assert len(lone.all("/v1/invoices")) == 2  # those pulled: nothing was issued


def test_prices_of_an_account_above_are_not_told(lone: Caller) -> None:
    """Where an account above issues what was pulled, as with Hostway, what it would charge is its own affair."""
    below = lone.house.account("Below", lone.account, external_id="below", time_zone="UTC")
    lone.post("/v1/catalog", {"source": FEES})
    lone.post("/v1/subscriptions", {"account": "below", "plan": "pro", "starts_at": "2026-01-01T00:00:00Z"})
    caller = Caller(lone.house, below)
    made = caller.post("/v1/connections", BODY)
    with lone.house.database.read() as connection:
        of = sync_connections.get(connection, made["id"])
    plan = Plan(owner=below, issuer=lone.account)
    sync.run(lone.house.database, of, VendorList([row(1, customer="a")]), plan, clock=lambda: lone.house.now)
    for who, states in ((caller, {"not_audited"}), (lone, {"missing"})):
        found = who.get(f"/v1/connections/{made['id']}/reconciliation/usage", period="2026-01")
        assert {each["state"] for each in found["charges"]} == states
        assert ("77.00" in str(found["charges"])) is (who is lone)
