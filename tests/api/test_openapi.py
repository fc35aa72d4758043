"""The document is valid, says what is served, and its page is inert."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest
from schemathesis.specs.openapi import definitions

from billsmith.api.operations import Operation, QueryParameter, routes_of
from billsmith.api.routes import OPERATIONS, face
from tests.api.support import Caller, made_first, made_for, problem
from tests.support.house import House


@pytest.fixture
def document(sqlite_house: House) -> Any:
    answer = sqlite_house.client.get("/v1/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(item) for item in value.values()))
    return set().union(*(references(item) for item in value)) if isinstance(value, list) else set()


def test_it_is_valid_against_openapis_own_schema(document: Any) -> None:
    definitions.OPENAPI_31_VALIDATOR.validate(document)
    broken = {**document, "paths": {"/x": {"get": {"responses": "none"}}}}
    with pytest.raises(Exception, match="none"):
        definitions.OPENAPI_31_VALIDATOR.validate(broken)


def test_every_schema_is_a_json_schema_and_every_reference_leads_somewhere(document: Any) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for reference in references(document):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


#: What is exempt from Idempotency-Keys: its things have identities of their own.
TAKES = {"sendEvents"}


def test_every_route_is_documented_with_its_errors(document: Any) -> None:
    served = {(each.method, each.path) for each in face().routes if not each.open}
    documented = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert documented == served
    assert len(routes_of(OPERATIONS)) == len(served)
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids)) == len(OPERATIONS)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            names = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"]
            assert names == re.findall(r"\{(\w+)\}", path)
            expected = {"400", "401", "403", "405", "429", "503"} | ({"404"} if names else set())
            expected |= set() if method == "get" else {"413", "415"}
            if method != "get" and operation["operationId"] not in TAKES:
                expected |= {"409", "422"}
            assert expected < set(operation["responses"])
            assert operation["summary"]
            assert "Scope: " in operation["description"]


def test_errors_of_every_status_are_problems_that_fit_the_document(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = Caller(house, house.account("Provider"))
    schema = caller.get("/v1/openapi.json")["components"]["schemas"]["Problem"]
    big = b'{"name":"' + b"x" * (house.services.settings.max_body + 1) + b'"}'
    deep = b"[" * 40 + b"]" * 40
    json_type = {"Content-Type": "application/json"}
    answers = [
        (400, "input.not_json", caller("POST", "/v1/accounts", content=b"{", headers=json_type)),
        (400, "input.repeated", caller("POST", "/v1/accounts", content=b'{"name":"a","name":"b"}', headers=json_type)),
        (400, "input.not_json", caller("POST", "/v1/accounts", content=b'{"name":"\xff"}', headers=json_type)),
        (401, "access.unauthorized", house.client.get("/v1/accounts")),
        (404, "input.no_such_path", caller("GET", "/v1/nothing")),
        (404, "input.no_such_path", house.client.get("/v1/")),
        (404, "invoice.unknown", caller("GET", "/v1/invoices/x")),
        (405, "input.method", caller("DELETE", "/v1/accounts")),
        (405, "input.method", caller("PUT", "/v1/openapi.json")),
        (413, "input.body_too_large", caller("POST", "/v1/accounts", content=big, headers=json_type)),
        (413, "input.too_deep", caller("POST", "/v1/accounts", content=deep, headers=json_type)),
        (415, "input.media_type", caller("POST", "/v1/accounts", content=b"name=x")),
    ]
    for status, code, answer in answers:
        problem(answer, status, code, answer.json().get("where"))
        jsonschema.validate(answer.json(), schema)
        assert set(answer.json()) <= set(schema["properties"])
    assert answers[7][2].headers["allow"] == "GET, HEAD, OPTIONS, POST"
    long = caller("GET", "/v1/invoices", params={"number": "x" * 17_000})
    problem(long, 400, "input.query_too_long")
    for path in ("/", "/v2/invoices"):
        problem(house.client.get(path), 404, "input.no_such_path")
    problem(house.client.get("/v1/invoices", headers={"Host": "evil.example"}), 400, "input.host")
    monkeypatch.setattr(house.services.authenticator._failures, "_per_minute", 0)
    limited = house.client.get("/v1/accounts", headers={"Authorization": "Bearer x"})
    problem(limited, 429, "access.rate_limited")
    assert int(limited.headers["retry-after"]) > 0


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_loads_nothing_and_runs_nothing_but_its_own_script(sqlite_house: House) -> None:
    answer = sqlite_house.client.get("/v1/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert policy["script-src"].startswith("'sha256-")
    tags = Tags()
    tags.feed(answer.text)
    assert [attributes for tag, attributes in tags.found if tag in ("script", "style")] == [{}, {}]
    for _tag, attributes in tags.found:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "style")]
        assert not (attributes.get("href") or "").startswith(("http", "//"))
    for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert sink not in answer.text


def test_the_script_and_style_that_the_policy_lets_run_are_the_pages_own(sqlite_house: House) -> None:
    from base64 import b64encode
    from hashlib import sha256

    answer = sqlite_house.client.get("/v1/docs")
    for tag in ("script", "style"):
        [text] = re.findall(f"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digest = b64encode(sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in answer.headers["content-security-policy"]


def test_answers_fit_their_shapes_beyond_what_is_generated(house: House, document: Any) -> None:
    """An invoice with everything on it, against the document."""
    top = house.account("Provider", external_id="top")
    caller = Caller(house, top)
    body = {
        "recipient": "top",
        "lines": [{"description": "x", "quantity": "3", "unit_price": "0.333", "period": {
            "start": "2026-10-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"}}],
        "taxes": [{"name": "VAT", "rate": 21, "included": True}],
        "due_date": "2026-11-30",
        "scheduled_at": "2026-11-01T00:00:00.000000001Z",
    }  # fmt: skip
    made = caller.post("/v1/invoices", body)
    caller.post(f"/v1/invoices/{made['id']}/payments", {"amount": "1.00", "reference": "r"})
    schema = {"$ref": "#/components/schemas/InvoiceView", "components": document["components"]}
    whole = caller.get(f"/v1/invoices/{made['id']}")
    jsonschema.validate(whole, schema)
    assert whole["scheduled_at"] == "2026-11-01T00:00:00.000000001Z"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**whole, "total": 1.5}, schema)
    assert json.dumps(whole["lines"][0]["exact_amount"]) == '"0.999"'


def test_the_documents_examples_work_as_they_stand(house: House) -> None:
    caller = Caller(house, house.account("Provider"))
    ids = made_first(caller)
    for operation in (each for each in OPERATIONS if each.body is not None and each.id != "closeAccount"):
        ids |= made_for(caller, operation)
        if "{webhook}" in operation.path:
            ids["webhook"] = caller.post("/v1/webhooks", {"url": "https://shop.example/"})["id"]
        answer = caller(operation.method, operation.path.format(**ids), dict(operation.example))
        assert answer.status_code == operation.status, (operation.id, answer.text)
        if operation.path == "/v1/connections":
            ids["connection"] = answer.json()["id"]


LONG = [
    (operation, parameter)
    for operation in OPERATIONS
    for parameter in operation.query
    if "maxLength" in parameter.schema and not parameter.many
]


@pytest.mark.parametrize(("operation", "parameter"), LONG, ids=[f"{each.id}-{one.name}" for each, one in LONG])
def test_a_text_is_as_long_as_the_document_says(sqlite_house: House, operation: Operation, parameter: QueryParameter) -> None:
    caller = Caller(sqlite_house, sqlite_house.account("A"))
    path = re.sub(r"\{\w+\}", "x", operation.path)
    needed = {each.name: "x" for each in operation.query if each.required}

    def asked(length: int) -> str:
        answer = caller(operation.method, path, params={**needed, parameter.name: "x" * length})
        return str(answer.json().get("code"))

    longest = parameter.schema["maxLength"]
    assert asked(longest + 1) == "input.too_long"
    assert asked(longest) != "input.too_long"
