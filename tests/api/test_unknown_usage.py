"""Usage without an account or a meter: visible to its sender alone, and billed when what it lacks appears."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.support import Caller, problem
from tests.support.billing import CATALOG, Company
from tests.support.house import House


def send(caller: Caller, id: str, account: str, time: str, **fields: Any) -> None:
    event = {"id": id, "type": "call", "account": account, "time": time, **fields}
    assert caller.post("/v1/events", event)["accepted"] == 1


@pytest.fixture
def reseller(sqlite_house: House) -> Caller:
    """Somebody with a customer, a meter and events that lack one or the other."""
    account = sqlite_house.account("Reseller", external_id="reseller")
    sqlite_house.account("North", account, external_id="north")
    caller = Caller(sqlite_house, account)
    caller.post("/v1/meters", {"code": "calls", "event_type": "call"})
    send(caller, "1", "north", "2026-10-01T00:00:00Z")
    send(caller, "2", "north", "2026-10-02T00:00:00Z", type="store")
    send(caller, "3", "later", "2026-10-04T00:00:00Z")
    send(caller, "4", "later", "2026-10-03T00:00:00Z", source="gw")
    return caller


def test_what_lacks_something_is_listed(reseller: Caller) -> None:
    answer = reseller.get("/v1/usage/unknown")
    later, store = answer["items"]
    assert later == {
        "sender_id": reseller.account.id,
        "account": "later",
        "account_id": None,
        "type": "call",
        "has_meter": True,
        "events": 2,
        "first": "2026-10-03T00:00:00Z",
        "last": "2026-10-04T00:00:00Z",
        "sample": {"source": "gw", "id": "4"},
    }
    assert (store["account"], store["account_id"] is None, store["type"], store["has_meter"]) == (
        "north",
        False,
        "store",
        False,
    )
    assert answer["complete"] is True
    cut = reseller.get("/v1/usage/unknown", limit=1)
    assert ([each["account"] for each in cut["items"]], cut["complete"]) == (["later"], False)
    # the sample is there to be read, or to be put right
    assert reseller.get("/v1/events/history", id="4", source="gw")["items"] != []


def test_each_sees_what_its_branch_sent_by_the_meters_around_it(reseller: Caller) -> None:
    """P16: a rival's meter makes no type of ours known, and what we sent is not shown to him; nor to our customer."""
    house = reseller.house
    rival = Caller(house, house.account("Rival", external_id="rival"))
    rival.post("/v1/meters", {"code": "store", "event_type": "store"})
    send(rival, "1", "secret", "2026-10-01T00:00:00Z")
    assert [each["has_meter"] for each in reseller.get("/v1/usage/unknown")["items"]] == [True, False]
    # call is counted by the reseller's meter, not by one of the rival's
    assert [(each["account"], each["has_meter"]) for each in rival.get("/v1/usage/unknown")["items"]] == [("secret", False)]
    problem(rival("GET", "/v1/usage/unknown", params={"sender": "reseller"}), 400, "account.unknown", "sender")
    with house.database.read() as connection:
        from billsmith.storage import accounts

        north = Caller(house, accounts.get(connection, "north"))
    assert north.get("/v1/usage/unknown")["items"] == []
    # the control: what it sends itself it sees, and so does who stands above it, by its meter
    send(north, "9", "typo", "2026-10-01T00:00:00Z")
    assert [each["account"] for each in north.get("/v1/usage/unknown")["items"]] == ["typo"]
    assert [each["has_meter"] for each in reseller.get("/v1/usage/unknown", sender="north")["items"]] == [True]


def test_it_is_known_when_the_account_and_the_meter_appear(reseller: Caller) -> None:
    reseller.post("/v1/accounts", {"name": "Later", "external_id": "later"})
    assert [each["account"] for each in reseller.get("/v1/usage/unknown")["items"]] == ["north"]
    reseller.post("/v1/meters", {"code": "store", "event_type": "store"})
    assert reseller.get("/v1/usage/unknown")["items"] == []
    rows = reseller.get("/v1/usage", **{"from": "2026-10-01T00:00:00Z", "to": "2026-11-01T00:00:00Z"})["rows"]
    assert sorted((row["meter"], row["value"]) for row in rows) == [("calls", "1"), ("calls", "2"), ("store", "1")]


def test_it_is_billed_when_the_account_and_the_meter_appear(sqlite_house: House) -> None:
    """Events of an account that is made later, counted by a meter that came later: they stand on its first invoice."""
    company = Company(sqlite_house, usage=sqlite_house.services.usage)
    caller = Caller(sqlite_house, company.issuer)
    for day in (3, 4):
        send(caller, str(day), "north", f"2026-09-{day:02d}T10:00:00Z", value=60)
        send(caller, f"new-{day}", "north", f"2026-09-{day:02d}T10:00:00Z", value=2, type="new")
    assert [(each["type"], each["has_meter"]) for each in caller.get("/v1/usage/unknown")["items"]] == [
        ("call", True),
        ("new", False),
    ]
    company.apply(
        CATALOG.replace("meters: [", "meters: [{code: new, event_type: new}, ").replace(
            "    charges:\n", "    charges:\n      - {meter: new, name: New, price: {model: per_unit, unit_amount: 1.00}}\n"
        )
    )
    company.subscribe("north", version=2)
    company.usage = sqlite_house.services.current_usage  # as every run has it
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    [invoice] = company.invoices()
    assert invoice.content is not None
    # 100 x 0.10 + 20 x 0.05, and 4 x 1.00
    assert {line.meter: line.amount_minor for line in invoice.content.lines if line.meter and line.amount_minor} == {
        "calls": 1100,
        "new": 400,
    }
    assert caller.get("/v1/usage/unknown")["items"] == []
