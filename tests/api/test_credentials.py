"""Credentials over the native API: a secret once, no scope beyond one's own, only at or below."""

from __future__ import annotations

import pytest

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.units.instants import HOUR
from tests.api.support import Caller, problem
from tests.support.house import House


def works(house: House, secret: str) -> bool:
    return house.client.get("/v1/invoices", headers={"Authorization": f"Bearer {secret}"}).status_code == 200


def test_a_key_is_made_works_is_rotated_and_revoked(house: House) -> None:
    top = house.account("Provider")
    caller = Caller(house, top)
    house.account("Customer", top, external_id="c-1")
    answer = caller("POST", "/v1/credentials", {"kind": "api-key", "account": "c-1", "label": "till"})
    made = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/v1/credentials/{made['id']}")
    assert answer.headers["cache-control"] == "no-store"
    assert (made["scopes"], made["label"], made["secret_shown"]) == (["invoices:read"], "till", True)
    shown = caller.get(f"/v1/credentials/{made['id']}")
    assert "secret" not in shown
    assert caller.get("/v1/credentials", account="c-1")["items"] == [shown]
    assert works(house, made["secret"])
    turned = caller.post(f"/v1/credentials/{made['id']}/rotate", {"overlap_seconds": 3600})
    assert works(house, made["secret"])
    assert works(house, turned["secret"])
    house.now += HOUR
    assert not works(house, made["secret"])
    assert works(house, turned["secret"])
    revoked = caller.post(f"/v1/credentials/{made['id']}/revoke")
    assert revoked["revoked_at"] == "2026-10-31T13:00:00Z"
    assert not works(house, turned["secret"])
    house.now += HOUR
    assert caller.post(f"/v1/credentials/{made['id']}/revoke") == revoked
    problem(caller("POST", f"/v1/credentials/{made['id']}/rotate"), 409, "credential.revoked")


def test_an_expired_key_opens_nothing(house: House) -> None:
    caller = Caller(house, house.account("Provider"))
    made = caller.post("/v1/credentials", {"kind": "api-key", "expires_at": "2026-10-31T13:00:00Z"})
    house.now += HOUR - 1
    assert works(house, made["secret"])
    house.now += 1
    assert not works(house, made["secret"])
    problem(caller("POST", "/v1/credentials", {"kind": "basic", "expires_at": "2026-10-31T13:00:00Z"}), 400,
            "credential.expired", "expires")  # fmt: skip


def test_nobody_grants_or_turns_into_more_than_it_has(house: House) -> None:
    top = house.account("Provider")
    mighty, customer = Caller(house, top), house.account("Customer", top, external_id="c-1")
    weak = Caller(house, top, [Scope.CREDENTIALS_WRITE, Scope.INVOICES_READ])
    body = {"kind": "api-key", "scopes": ["invoices:read", "invoices:write"]}
    problem(weak("POST", "/v1/credentials", body), 403, "access.grant")
    # A new secret for a stronger credential would be its scopes: refused too.
    strong = mighty.post("/v1/credentials", body)
    problem(weak("POST", f"/v1/credentials/{strong['id']}/rotate"), 403, "access.grant")
    assert weak("POST", f"/v1/credentials/{strong['id']}/revoke").status_code == 200
    below = Caller(house, customer)
    above = mighty.post("/v1/credentials", {"kind": "api-key"})
    for path in (f"/v1/credentials/{above['id']}", f"/v1/credentials/{above['id']}/rotate"):
        method = "POST" if path.endswith("rotate") else "GET"
        problem(below(method, path), 404, "credential.unknown")
    problem(below("POST", "/v1/credentials", {"kind": "api-key", "account": top.id}), 400, "account.unknown", "account")
    problem(Caller(house, top, [Scope.INVOICES_READ])("GET", "/v1/credentials"), 403, "access.scope")


@pytest.mark.parametrize(("body", "where"), [
    ({"kind": "user"}, "kind"),
    ({"kind": "api-key", "scopes": []}, "scopes"),
    ({"kind": "api-key", "scopes": ["all"]}, "scopes[0]"),
    ({"kind": "api-key", "password": "correct horse"}, None),
    ({}, None),
])  # fmt: skip
def test_a_credential_that_can_not_be(sqlite_house: House, body: dict[str, object], where: str | None) -> None:
    caller = Caller(sqlite_house, sqlite_house.account("Provider"))
    problem(caller("POST", "/v1/credentials", body), 400, "input.invalid", where)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Bearer x", "Basic eDp5", "bearer  \u00e4", "Token x"])
def test_without_a_key_that_counts_everything_is_closed(sqlite_house: House, header: str | None) -> None:
    headers = {} if header is None else {b"authorization": header.encode("latin-1")}
    for path in ("/v1/invoices", "/v1/accounts", "/v1/credentials", "/v1/invoices/x"):
        answer = sqlite_house.client.get(path, headers={name.decode() if isinstance(name, bytes) else name: value
                                                        for name, value in headers.items()})  # fmt: skip
        problem(answer, 401, "access.unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("kind", [CredentialKind.BASIC, CredentialKind.OAUTH_CLIENT])
def test_other_kinds_of_credentials_are_no_api_key(sqlite_house: House, kind: CredentialKind) -> None:
    _, secret = sqlite_house.key(sqlite_house.account("Provider"), kind, list(Scope))
    assert not works(sqlite_house, secret)
