"""P16: what is another's answers as what is not there, byte for byte, in every place that takes an id or a name."""

from __future__ import annotations

import re
from typing import Any

import pytest

from billsmith.api import lookups
from billsmith.api.routes import OPERATIONS
from billsmith.storage import accounts
from billsmith.units.ids import derived_id
from billsmith.units.spans import parse_span
from billsmith.workflows import billing_run, corrections
from billsmith.workflows.corrections import Kind, What
from tests.api.support import Caller
from tests.support.billing import CATALOG, START
from tests.support.house import House

_UNKNOWN = "99999999-9999-4999-8999-999999999999"
CONNECTION = {"vendor": "amberflo", "name": "metering", "url": "https://vendor.example", "secret": "correct horse"}
_PERIOD = {"start": "2026-10-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"}
_BODIES: dict[str, Any] = {
    "createInvoice": {"recipient": "c-1", "lines": [{"description": "x", "amount": 1}]},
    "recordPayment": {"amount": 1, "reference": "r"},
    "createCreditNote": {"amount": 1},
    "replaceDraft": {"recipient": "c-1", "draft": True, "lines": [{"description": "x", "amount": 1}]},
    "createAccount": {"name": "x"},
    "updateAccount": {"name": "x"},
    "updateBilling": {"grace_hours": 1},
    "createRun": {"period": "2026-08"},
    "createSimulation": {"period": "2026-08", "source": CATALOG},
    "migrateCatalog": {"plan": "flat", "first_day": "2027-01-01"},
    "createAgreement": {"account": "c-1", "terms": {}},
    "createCredential": {"kind": "api-key"},
    "applyCatalog": {"source": CATALOG},
    "createSubscription": {"account": "c-1", "plan": "flat"},
    "changeSubscription": {"pause": True},
    "createGrant": {"account": "c-1", "amount": 1},
    "createConnection": CONNECTION,
    "voidEvents": {"events": [{"id": "1"}], "expected": 0},
    "replaceEvents": {"filter": {"period": _PERIOD}, "change": {"type": "x"}, "expected": 0},
    "createWebhook": {"url": "https://shop.example/"},
    "updateWebhook": {"kinds": ["invoice.*"]},
    "replayWebhook": {"since": "2026-10-01T00:00:00Z"},
}


def strangers(house: House) -> tuple[Caller, dict[str, str]]:
    """A caller, and ids of another tenant's account, invoice and credential; of a sibling's; of its parent's."""
    top = house.account("Provider", external_id="top")
    mine = house.account("Mine", top, external_id="mine")
    house.account("My customer", mine, external_id="c-1")
    other = house.account("Sibling", top, external_id="sibling")
    customer = house.account("Theirs", other, external_id="theirs")
    theirs = Caller(house, other)
    theirs.post("/v1/catalog", {"source": CATALOG})
    subscription = theirs.post("/v1/subscriptions", {"account": "theirs", "plan": "flat", "starts_at": START})
    billing_run.bill(house.database, None, other, parse_span("2026-09"), at=house.now, actor="test")
    Caller(house, mine).post("/v1/catalog", {"source": CATALOG})
    with house.database.write() as connection:
        correction = corrections.record(
            connection, other, Kind.VOID, What(), expected=0, reason="", id=derived_id("c"), now=house.now, actor="test"
        )
    return Caller(house, mine), {
        "account": customer.id,
        "account by name": "theirs",
        "sibling": other.id,
        "parent": top.id,
        "invoice": house.invoice(other, customer).invoice.id,
        "credential": theirs.credential_id,
        "connection": theirs.post("/v1/connections", CONNECTION)["id"],
        "connection by name": CONNECTION["name"],
        "mail": mail_of(theirs),
        "webhook": theirs.post("/v1/webhooks", {"url": "https://shop.example/"})["id"],
        "subscription": subscription["id"],
        "correction": correction.id,
        "run": theirs.get("/v1/runs")["items"][0]["id"],
        "agreement": theirs.post("/v1/agreements", {"account": "theirs", "terms": {}})["id"],
        "grant": theirs.post("/v1/wallets", {"account": "theirs", "amount": 5})["id"],
    }


def mail_of(caller: Caller) -> str:
    """A mail that could not be sent."""
    made = caller.post(
        "/v1/invoices", {"recipient": "theirs", "lines": [{"description": "x", "amount": 1}], "send_by_email": True}
    )
    [shown] = [each for each in caller.all("/v1/mails") if each["invoice"] == made["id"]]
    return str(shown["id"])


def slots() -> list[tuple[str, str, str]]:
    """Every operation with each place of it that takes an id or a name."""
    found = []
    for each in OPERATIONS:
        found += [(each.id, "path", name) for name in re.findall(r"\{(\w+)\}", each.path)]
        found += [(each.id, "query", parameter.name) for parameter in each.query if parameter.name in NAMES]
        found += [(each.id, "body", name) for name in NAMES if each.body is not None and name in each.body.__struct_fields__]
    return found


NAMES = ("issuer", "recipient", "account", "parent", "sender")


@pytest.fixture(scope="module")
def apart(shared_house: House) -> tuple[Caller, dict[str, str]]:
    """For what is refused, and so leaves them as they are."""
    return strangers(shared_house)


@pytest.mark.parametrize(("operation", "place", "name"), slots())
def test_foreign_and_unknown_are_the_same_bytes(
    apart: tuple[Caller, dict[str, str]], operation: str, place: str, name: str
) -> None:
    caller, foreign = apart
    [chosen] = [each for each in OPERATIONS if each.id == operation]

    def ask(value: str) -> tuple[int, bytes, list[tuple[str, str]]]:
        path = re.sub(r"\{\w+\}", value, chosen.path)
        body = _BODIES.get(operation, {}) if chosen.body is not None else None
        parameters = {name: value} if place == "query" else {}
        if place == "body":
            body = {**body, name: value}
        answer = caller(chosen.method, path, body, params=parameters)
        return answer.status_code, answer.content, sorted(answer.headers.items())

    unknown = ask(_UNKNOWN)
    assert unknown[0] in ((200,) if (operation, place) == ("listInvoices", "query") else (400, 404))
    for what, value in foreign.items():
        if what == "parent" and (operation, place, name) == ("listInvoices", "query", "issuer"):
            continue  # an account above may well have issued what the caller sees
        assert ask(value) == (ask("no-such-name") if what.endswith("by name") else unknown), what


def test_control_a_look_up_without_the_callers_branch_is_seen(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    caller, foreign = strangers(house)
    anywhere = accounts.find
    monkeypatch.setattr(accounts, "find", lambda connection, name, _within=None: anywhere(connection, name))
    monkeypatch.setattr(lookups, "may_reach", lambda _principal, _account: True)
    assert caller("GET", f"/v1/accounts/{foreign['account']}").content != caller("GET", f"/v1/accounts/{_UNKNOWN}").content


def test_the_matrix_has_every_place() -> None:
    assert len(slots()) >= 18
    assert {place for _, place, _ in slots()} == {"path", "query", "body"}


def test_an_external_id_that_another_tenant_uses_is_free_here(house: House) -> None:
    caller, _ = strangers(house)
    assert caller("POST", "/v1/accounts", {"name": "x", "external_id": "theirs"}).status_code == 201


def test_an_issuer_above_is_found_by_its_id_alone(house: House) -> None:
    """What a caller sees names the issuer's id, so it may filter by it; with nothing from it, it answers as the unknown."""
    top = house.account("Provider", external_id="top")
    customer = Caller(house, house.account("Customer", top))
    assert customer.get("/v1/invoices", issuer=top.id) == customer.get("/v1/invoices", issuer=_UNKNOWN)
    made = house.invoice(top, customer.account)
    assert [item["id"] for item in customer.get("/v1/invoices", issuer=top.id)["items"]] == [made.invoice.id]
    assert customer.get("/v1/invoices", issuer="top")["items"] == []
