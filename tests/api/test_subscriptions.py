"""Catalogs, subscriptions and wallets over the API."""

from __future__ import annotations

import pytest

from billsmith.api import runs
from billsmith.storage.patience import may_take_long
from tests.api.support import Caller, problem
from tests.support.billing import CATALOG, Company
from tests.support.house import House


@pytest.fixture
def caller(house: House) -> Caller:
    top = house.account("Provider", external_id="top")
    house.account("North", top, external_id="north")
    made = Caller(house, top)
    made.post("/v1/catalog", {"source": CATALOG})
    return made


def test_a_catalog_is_looked_at_then_applied_then_the_same(caller: Caller) -> None:
    text = CATALOG.replace("amount: 12.00", "amount: 15.00")
    caller.post("/v1/subscriptions", {"account": "north", "plan": "flat"})
    looked = caller.post("/v1/catalog", {"source": text, "dry_run": True})
    assert (looked["applied"], looked["version"]) == (False, 2)
    assert looked["changes"] == [
        {"kind": "plan", "code": "flat", "change": "changed", "old_version": 1, "new_version": 2, "subscriptions": 1}
    ]
    assert caller.post("/v1/catalog", {"source": text})["applied"]
    again = caller.post("/v1/catalog", {"source": text})
    assert (again["applied"], again["version"], again["changes"]) == (False, 2, [])
    assert caller.get("/v1/catalog/acme")["source"] == text
    assert caller.get("/v1/catalog/acme", version=1)["source"] == CATALOG
    assert [item["version"] for item in caller.get("/v1/catalog")["items"]] == [2]


def test_a_broken_catalog_says_where(caller: Caller) -> None:
    answer = caller("POST", "/v1/catalog", {"source": CATALOG.replace("plan", "plam")})
    assert answer.status_code == 400
    assert "did you mean" in answer.json()["detail"]


def test_a_subscription_begins_changes_and_ends(caller: Caller) -> None:
    made = caller.post("/v1/subscriptions", {"account": "north", "plan": "basic", "quantities": {"seats": "5"}})
    path = f"/v1/subscriptions/{made['id']}"
    assert (made["plan"], made["version"], made["quantities"]) == ("basic", 1, {"seats": "5"})
    caller.post(f"{path}/changes", {"quantities": {"seats": 8}, "at": "2026-12-01T00:00:00Z"})
    caller.post(f"{path}/changes", {"plan": "flat"})
    ended = caller.post(f"{path}/cancel", {"at": "2027-01-01T00:00:00Z"})
    assert [change["change"] for change in ended["changes"]] == ["quantity", "plan", "end"]
    assert (ended["plan"], ended["ends_at"]) == ("flat", "2027-01-01T00:00:00Z")
    assert caller.get(path) == ended
    assert caller.all("/v1/subscriptions", limit=1) == [ended]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"account": "north", "plan": "none"}, "catalog.unknown_plan"),
        ({"account": "north", "plan": "basic", "version": 9}, "catalog.unknown_plan"),
        ({"account": "north", "plan": "basic", "quantities": {"seat": 1}}, "subscription.unknown_component"),
        ({"account": "north", "plan": "basic", "quantities": {"seats": -1}}, "subscription.quantity"),
        ({"account": "top", "plan": "basic", "recipient": "north"}, "subscription.places"),
        ({"account": "nobody", "plan": "basic"}, "account.unknown"),
    ],
)
def test_what_cant_begin(caller: Caller, body: object, code: str) -> None:
    answer = caller("POST", "/v1/subscriptions", body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert caller.all("/v1/subscriptions") == []


def test_a_repeated_post_has_one_effect(caller: Caller) -> None:
    body = {"account": "north", "plan": "basic"}
    first = caller.post("/v1/subscriptions", body, key="k")
    assert caller.post("/v1/subscriptions", body, key="k") == first
    grant = caller.post("/v1/wallets", {"account": "north", "amount": "5.00"}, key="g")
    assert caller.post("/v1/wallets", {"account": "north", "amount": "5.00"}, key="g") == grant
    assert (len(caller.all("/v1/subscriptions")), len(caller.get("/v1/wallets", account="north")["items"])) == (1, 1)
    problem(
        caller("POST", "/v1/subscriptions", {**body, "plan": "flat"}, key="k"),
        422,
        "idempotency.other_request",
        "Idempotency-Key",
    )


def test_control_without_a_key_there_are_two(caller: Caller) -> None:
    body = {"account": "north", "plan": "basic"}
    caller.post("/v1/subscriptions", body)
    caller.post("/v1/subscriptions", body)
    assert len(caller.all("/v1/subscriptions")) == 2


def test_a_grant_is_given_seen_and_taken_back(caller: Caller) -> None:
    made = caller.post("/v1/wallets", {"account": "north", "amount": "5.00", "only": ["calls"]})
    assert (made["left"], made["currency"], made["only"]) == ("5.00", "EUR", ["calls"])
    path = f"/v1/wallets/{made['id']}"
    assert caller.get(path) == made
    gone = caller.post(f"{path}/void", {})
    assert gone["left"] in ("0", "0.00")
    assert caller.post(f"{path}/void", {}) == gone
    for amount, code in (("0", "wallet.grant_amount"), ("0.001", "wallet.grant_amount"), ("-1", "wallet.amount")):
        assert caller("POST", "/v1/wallets", {"account": "north", "amount": amount}).json()["code"] == code


def test_a_customer_sees_its_own_and_changes_nothing(house: House, caller: Caller) -> None:
    made = caller.post("/v1/subscriptions", {"account": "north", "plan": "basic"})
    grant = caller.post("/v1/wallets", {"account": "north", "amount": "5.00"})
    with house.database.read() as connection:
        from billsmith.storage import accounts

        north = Caller(house, accounts.get(connection, "north"))
    assert north.all("/v1/subscriptions") == [made]
    assert north.get("/v1/wallets")["items"] == [grant]
    problem(north("POST", f"/v1/subscriptions/{made['id']}/cancel", {}), 403, "access.not_issuer")
    problem(north("POST", f"/v1/wallets/{grant['id']}/void", {}), 403, "access.not_issuer")


def test_a_run_and_an_invoice_explained(house: House) -> None:
    company = Company(house, usage=house.services.usage)
    company.subscribe("north")
    company.subscribe("south", "flat")
    company.use("north", "2026-09-03T10:00:00Z", "120")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    caller = Caller(house, company.issuer)
    [run] = caller.all("/v1/runs")
    assert (run["batch"], run["billed"], run["parked"], run["state"]) == ("bill-000001", 2, 0, "done")
    again = caller.get(f"/v1/runs/{run['id']}")
    assert again.pop("usage_as_of_seq") != run.pop("usage_as_of_seq")  # a state is another text each time
    assert again == {**run, "parked_accounts": []}
    invoice = company.invoices()[0]
    [line] = caller.get(f"/v1/invoices/{invoice.id}/explain", line=3)["items"]
    assert (line["amount"], line["measured"], line["event_count"]) == ("11.00", ["120 of 1 event"], 1)
    assert line["trace"] == ["120 calls: 100 × 0.10 + 20 × 0.05 = 11.00"]
    assert [event["value"] for event in line["events"]] == ["120"]
    assert len(caller.get(f"/v1/invoices/{invoice.id}/explain")["items"]) == 5
    # who gets the invoice may ask as well, others find nothing
    [theirs] = Caller(house, company.customers["north"]).get(f"/v1/invoices/{invoice.id}/explain", line=3)["items"]
    assert {**theirs, "usage_as_of_seq": line["usage_as_of_seq"]} == line
    stranger = Caller(house, company.customers["south"])("GET", f"/v1/invoices/{invoice.id}/explain")
    problem(stranger, 404, "invoice.unknown")
    problem(caller("GET", f"/v1/invoices/{invoice.id}/explain", params={"line": 9}), 404, "invoice.unknown_line", "line")


def test_an_invoice_is_explained_where_nobody_else_waits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads events: on the event loop's own thread, where reads are in a hurry, it would hold up every other caller."""
    company = Company(house, usage=house.services.usage)
    company.subscribe("north")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    waits: list[bool] = []

    def explained(*_arguments: object, **_more: object) -> list[object]:
        may_take_long()
        waits.append(True)
        return []

    monkeypatch.setattr(runs, "explain", explained)
    caller = Caller(house, company.issuer)
    opened: list[int] = []
    monkeypatch.setattr(runs, "_usage", lambda _call: opened.append(1))
    assert caller.get(f"/v1/invoices/{company.invoices()[0].id}/explain") == {"items": []}
    assert waits == [True]
    assert len(opened) == 1, "the store was opened on the loop's thread first, and then again"
