"""Generated requests, good and bad, made from the OpenAPI document: no 5xx, no status and no body that it doesn't name."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks

from billsmith.api.openapi import document
from billsmith.api.routes import OPERATIONS
from billsmith.storage import accounts
from billsmith.storage.database import SQLITE_FILE, Database, sqlite_url
from billsmith.units.spans import parse_span
from billsmith.wire.json import encode
from billsmith.workflows import billing_run, webhooks
from tests.api.support import Caller
from tests.conftest import sqlite_copy
from tests.support.billing import CATALOG, START
from tests.support.house import House

EXAMPLES = 12
CONNECTION = {"vendor": "amberflo", "url": "https://vendor.example", "secret": "correct horse"}
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@lru_cache(maxsize=1)
def operations() -> dict[str, Any]:
    schema = schemathesis.openapi.from_dict(json.loads(encode(document(OPERATIONS))))
    found = [result.ok() for result in schema.get_all_operations()]
    return {operation.definition.raw["operationId"]: operation for operation in found}


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database's file with something of every kind in it."""
    folder: Path = tmp_path_factory.mktemp("fuzz")
    database = Database(sqlite_url(folder))
    house = House(database)
    top = house.account("Provider", external_id="top")
    house.account("Customer", top, external_id="c-1")
    made = Caller(house, top)
    made.post("/v1/catalog", {"source": CATALOG})
    made.post("/v1/subscriptions", {"account": "c-1", "plan": "flat", "starts_at": START})
    made.post("/v1/invoices", {"recipient": "c-1", "lines": [{"description": "x", "amount": 1}], "send_by_email": True})
    made("PATCH", "/v1/accounts/c-1", {"profile": {"email": "c-1@customer.example"}})
    billing_run.bill(database, None, top, parse_span("2026-09"), at=house.now, actor="test")
    database.close()
    return folder / SQLITE_FILE


@pytest.fixture
def caller(stocked: Path, tmp_path: Path) -> Iterator[Caller]:
    """A caller of a store of its own: what one operation's requests left (another catalog) is nothing to the next one's."""
    database = sqlite_copy(stocked, tmp_path)
    house = House(database, first_id=1_000)
    with database.read() as connection:
        top = accounts.get(connection, "top")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(webhooks, "MAX_WEBHOOKS", 10_000)
        yield Caller(house, top)
    database.close()


_DRAFT = {"recipient": "c-1", "draft": True, "lines": [{"description": "x", "amount": "10.00"}]}
#: Bodies of operations for which a generated one hardly ever is one that can be done.
_BODIES = {
    "createCreditNote": {"amount": "1.00", "reason": "late"},
    "replaceDraft": _DRAFT,
    "createRun": {"period": "2020-01"},
    "createSimulation": {"period": "2020-01", "source": CATALOG},
    "createAgreement": {"account": "c-1", "terms": {"due_days": 30}},
    "createConnection": {**CONNECTION, "name": "Made once"},
    "migrateCatalog": {"plan": "basic", "first_day": "2027-01-01"},
    "applyCredit": {},
    "dropDraft": {},
    "issueDraft": {},
}


def known(caller: Caller, operation_id: str) -> dict[str, str]:
    """Ids of what is there, for the places of the operation's path."""
    made = {
        "invoice": lambda: caller.post("/v1/invoices", {**_DRAFT, "draft": operation_id.endswith("Draft")})["id"],
        "agreement": lambda: caller.post("/v1/agreements", {"account": "c-1", "terms": {}})["id"],
        "simulation": lambda: caller("POST", "/v1/simulations", _BODIES["createSimulation"]).json()["id"],
        "meter": lambda: caller.post("/v1/meters", {"code": "calls", "event_type": "call"})["code"],
        "account": lambda: caller.post("/v1/accounts", {"name": "New"})["id"],
        "credential": lambda: caller.post("/v1/credentials", {"kind": "api-key"})["id"],
        "subscription": lambda: caller.post("/v1/subscriptions", {"account": "c-1", "plan": "basic"})["id"],
        "grant": lambda: caller.post("/v1/wallets", {"account": "c-1", "amount": 5})["id"],
        "catalog": lambda: "acme",
        "connection": lambda: caller.post("/v1/connections", {**CONNECTION, "name": secrets.token_hex(8)})["id"],
        "correction": lambda: caller.post("/v1/events/void", {"events": [{"id": "1"}], "expected": 0})["id"],
        "webhook": lambda: caller.post("/v1/webhooks", {"url": "https://shop.example/"})["id"],
        "mail": lambda: caller.get("/v1/mails")["items"][0]["id"],
        "run": lambda: caller.get("/v1/runs")["items"][0]["id"],
    }
    [operation] = [each for each in OPERATIONS if each.id == operation_id]
    return {name: make() for name, make in made.items() if f"{{{name}}}" in operation.path}


def sensible(body: Any) -> Any:
    """A generated body with values of our world where a made-up one hardly ever is one: accounts, amounts, times."""
    if isinstance(body, list):
        return [sensible(item) for item in body]
    if not isinstance(body, dict):
        return body
    dull = (
        "issuer",
        "parent",
        "time_zone",
        "version",
        "catalog",
        "starts_at",
        "at",
        "effective_at",
        "add_ons",
        "currency",
        "date",
        "due_date",
        "period",
        "scheduled_at",
        "paid_at",
        "after",
        "expires_at",
    )
    kept = {name: sensible(value) for name, value in body.items() if name not in (*dull, "quantity", "unit_price", "scopes")}
    for name, value in _OURS.items():
        if name in kept:
            kept[name] = value
    if "description" in kept and "url" not in kept and "kinds" not in kept:
        kept["amount"] = 3
    elif "amount" in kept and "account" not in kept:
        kept["reference"] = "r"
    return kept


CORRECTIONS = ("voidEvents", "replaceEvents")


def correction(body: Any, operation_id: str) -> Any:
    """A generated correction with a filter that can be, as a dry run: events and a filter exclude each other."""
    body = body if isinstance(body, dict) else {}
    kept = {name: value for name, value in body.items() if name in ("reason", "expected")}
    if operation_id == "replaceEvents":
        kept["change"] = {"type": "x"}
    conditions = body.get("filter") or {}
    chosen = {name: value for name, value in conditions.items() if name in ("reference", "type", "source")}
    period = {"start": "2026-10-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"}
    return {**kept, "filter": {**chosen, "period": period}, "dry_run": True}


_OURS = {
    "recipient": "c-1",
    "account": "c-1",
    "amount": "1.50",
    "since": "2026-10-31T00:00:00Z",
    "rate": 19.5,
    "name": "Name",
    "source": CATALOG,
    "plan": "basic",
    "quantities": {"seats": 3},
    "url": "https://vendor.example",
    "kinds": ["invoice.*"],
}


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # schemathesis draws from what earlier answers held
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
@pytest.mark.parametrize("operation_id", [each.id for each in OPERATIONS])
def test_generated_requests(caller: Caller, operation_id: str, mode: GenerationMode) -> None:
    operation = operations()[operation_id]
    statuses: Counter[int] = Counter()
    # Of events, one that is wrong is reported and keeps no other out: the request as a whole is no bad one.
    asked = (
        CHECKS if mode is GenerationMode.POSITIVE or operation_id == "sendEvents" else [*CHECKS, checks.negative_data_rejection]
    )

    @settings(
        max_examples=EXAMPLES, deadline=None, phases=[Phase.generate], database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(mode), at_hand=st.sampled_from([True, True, False]))
    def run(case: schemathesis.Case, at_hand: bool) -> None:
        if mode is GenerationMode.POSITIVE and at_hand:
            case.path_parameters = known(caller, operation_id)
            case.headers = {}
            case.query = {
                name: value
                for name, value in (case.query or {}).items()
                if name not in ("cursor", "parent", "account", "issuer", "version", "sender", "as_of_seq")
            }
            case.body = correction(case.body, operation_id) if operation_id in CORRECTIONS else sensible(case.body)
            case.body = _BODIES.get(operation_id, case.body)
        response = case.call(app=caller.house.app, base_url="http://127.0.0.1:8080", headers=caller.headers)
        statuses[response.status_code] += 1
        case.validate_response(response, checks=asked, headers=caller.headers)

    run()
    if mode is GenerationMode.POSITIVE:
        assert any(status < 300 for status in statuses), f"no request of {operation_id} came through: {statuses}"


def test_generated_walks_through_what_the_requests_made(caller: Caller) -> None:
    """Stateful: things are made, then read, paid, voided, closed, revoked by the document's links, in any order."""
    came_through: Counter[str] = Counter()
    schema = schemathesis.openapi.from_dict(json.loads(encode(document(OPERATIONS))))

    class Walk(schema.as_state_machine()):  # type: ignore[misc]
        def before_call(self, case: schemathesis.Case) -> None:
            case.body = sensible(case.body)

        def call(self, case: schemathesis.Case, **_more: Any) -> Any:
            response = case.call(app=caller.house.app, base_url="http://127.0.0.1:8080", headers=caller.headers)
            if response.status_code < 300:
                came_through[case.operation.definition.raw["operationId"]] += 1
            return response

        def validate_response(self, response: Any, case: schemathesis.Case, **_more: Any) -> None:
            case.validate_response(response, checks=CHECKS, headers=caller.headers)

    bounds = settings(
        max_examples=10, stateful_step_count=8, deadline=None, phases=[Phase.generate], database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    Walk.run(settings=bounds)
    assert len(came_through) >= 4, came_through


@pytest.mark.parametrize(("status", "body"), [
    (500, {"type": "x", "title": "x", "status": 500, "detail": "x", "code": "x"}),
    (418, {"type": "x", "title": "x", "status": 418, "detail": "x", "code": "x"}),
    (200, {"items": [{"id": "1"}], "next_cursor": None}),
    (400, {"error": "x"}),
])  # fmt: skip
def test_control_an_answer_outside_the_document_is_seen(status: int, body: Any) -> None:
    case = operations()["listInvoices"].Case()
    kind = "application/json" if status == 200 else "application/problem+json"
    request = requests.Request("GET", "http://127.0.0.1:8080/v1/invoices").prepare()
    answer = schemathesis.Response(
        status_code=status, headers={"content-type": [kind]}, content=encode(body), request=request, elapsed=0.1, verify=True
    )
    with pytest.raises(FailureGroup):
        case.validate_response(answer, checks=CHECKS)
