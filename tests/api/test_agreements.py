"""Agreements over the API: recorded, listed, ended; and what they do to the next invoice."""

from __future__ import annotations

from typing import Any

import pytest

from billsmith.units.instants import parse_instant
from billsmith.units.spans import parse_span
from billsmith.workflows import billing_run
from tests.api.support import Caller, problem
from tests.support.billing import CATALOG, START
from tests.support.house import House


@pytest.fixture
def caller(house: House) -> Caller:
    house.now = parse_instant("2026-08-20T00:00:00Z")
    provider = house.account("Provider", external_id="provider", time_zone="UTC")
    made = Caller(house, provider)
    made.post("/v1/catalog", {"source": CATALOG})
    house.account("a", provider, external_id="a")
    made.post("/v1/subscriptions", {"account": "a", "plan": "flat", "starts_at": START})
    return made


def billed(caller: Caller) -> Any:
    at = parse_instant("2026-10-02T00:00:00Z")
    billing_run.bill(caller.house.database, None, caller.account, parse_span("2026-09"), at=at, actor="test")
    [invoice] = caller.all("/v1/invoices")
    return invoice


@pytest.mark.parametrize(("body", "kind", "what", "total"), [
    ({"coupon": {"code": "FIVE"}}, "coupon", {"catalog": "acme", "coupon": "FIVE", "version": 1}, "8.40"),
    ({"minimum": {"amount": "50.00"}}, "minimum", {"amount": "50.00", "currency": "EUR"}, "60.00"),
    ({"terms": {"tax_free": "reverse charge", "due_days": 30}}, "terms", {"due_days": 30, "tax_free": "reverse charge"}, "12.00"),
    ({"commitment": {"amount": "500.00", "until": "2027-09-01T00:00:00Z", "overage_factor": "1.5"}}, "commitment",
     {"amount": "500.00", "ends_at": "2027-09-01T00:00:00Z", "overage_factor": "1.5", "prepaid": False}, "14.40"),
])  # fmt: skip
def test_what_is_agreed_is_on_the_next_invoice(caller: Caller, body: Any, kind: str, what: Any, total: str) -> None:
    made = caller.post("/v1/agreements", {"account": "a", **body}, key="k-1")
    assert caller.post("/v1/agreements", {"account": "a", **body}, key="k-1") == made
    assert (made["kind"], made["holds"], made["at"]) == (kind, True, "2026-08-20T00:00:00Z")
    assert what.items() <= made["what"].items()
    assert caller.get("/v1/agreements", account="a")["items"] == [made]
    invoice = billed(caller)
    assert invoice["total"] == total
    if kind == "terms":
        assert invoice["due_date"] == "2026-11-01"


def test_an_agreement_ends(caller: Caller) -> None:
    made = caller.post("/v1/agreements", {"account": "a", "minimum": {"amount": 50}})
    caller.house.now += 1
    ended = caller.post(f"/v1/agreements/{made['id']}/end")
    assert (ended["kind"], ended["what"]) == ("ended", {"agreement": made["id"]})
    assert next(each["holds"] for each in caller.get("/v1/agreements", account="a")["items"]) is False
    assert billed(caller)["total"] == "14.40"


@pytest.mark.parametrize(("body", "code", "where"), [
    ({}, "agreement.one_kind", "coupon"),
    ({"terms": {}, "minimum": {"amount": 1}}, "agreement.one_kind", "coupon"),
    ({"minimum": {"amount": "0.001"}}, "payment.places", "minimum.amount"),
    ({"minimum": {"amount": "-1"}}, "agreement.not_above_zero", "amount"),
    ({"coupon": {"code": "NONE"}}, "catalog.unknown_coupon", "coupon"),
    ({"commitment": {"amount": 5, "until": "2026-08-20T00:00:00Z"}}, "agreement.ends_before_start", "ends_at"),
])  # fmt: skip
def test_what_can_not_be_agreed_is_named(caller: Caller, body: Any, code: str, where: str) -> None:
    problem(caller("POST", "/v1/agreements", {"account": "a", **body}), 400, code, where)
    assert caller.get("/v1/agreements", account="a")["items"] == []


def test_the_account_itself_ends_nothing(caller: Caller) -> None:
    made = caller.post("/v1/agreements", {"account": "a", "terms": {}})
    house = caller.house
    with house.database.read() as connection:
        from billsmith.storage import accounts

        customer = Caller(house, accounts.get(connection, "a"))
    problem(customer("POST", f"/v1/agreements/{made['id']}/end"), 403, "access.not_issuer")
