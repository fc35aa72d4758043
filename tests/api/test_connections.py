"""Connections over HTTP: a secret goes in and never comes out; a pull is asked for once; what it met can be read."""

from __future__ import annotations

import pytest

from billsmith.accounts.authorisation import Scope
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
