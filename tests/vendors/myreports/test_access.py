"""Who gets in, with what, and what everyone else is told."""

from __future__ import annotations

import base64

import pytest

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.accounts.model import AccountStatus
from billsmith.storage import accounts, credentials
from billsmith.units.instants import HOUR, SECOND
from tests.support.house import House

PATH = "/api/v1.0/billingdata"


def test_a_token_lasts_an_hour(house: House) -> None:
    account = house.account("Top")
    client_id, secret = house.key(account, CredentialKind.OAUTH_CLIENT)
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret, "scope": "openid other"}
    answer = house.client.post("/connect/token", data=form)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert list(body) == ["access_token", "expires_in", "token_type"]
    assert (body["expires_in"], body["token_type"]) == (3600, "Bearer")
    bearer = {"Authorization": f"Bearer {body['access_token']}"}
    house.now += HOUR - SECOND
    assert house.client.get(PATH, headers=bearer).status_code == 200
    house.now += SECOND
    assert house.client.get(PATH, headers=bearer).status_code == 401


@pytest.mark.parametrize(("form", "status", "error"), [
    ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ({"grant_type": "authorization_code", "code": "x"}, 400, "unsupported_grant_type"),
    ({"grant_type": "refresh_token", "refresh_token": "x"}, 400, "unsupported_grant_type"),
    ({"grant_type": ""}, 400, "invalid_request"),
    ({}, 400, "invalid_request"),
    ({"grant_type": ["client_credentials", "client_credentials"]}, 400, "invalid_request"),
    ({"grant_type": "client_credentials"}, 401, "invalid_client"),
    ({"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}, 401, "invalid_client"),
])  # fmt: skip
def test_the_token_endpoints_errors(sqlite_house: House, form: dict[str, str], status: int, error: str) -> None:
    answer = sqlite_house.client.post(
        "/connect/token", data=form, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert ("www-authenticate" in answer.headers) == (status == 401)


def test_other_bodies_are_no_form(sqlite_house: House) -> None:
    for content in (b'{"grant_type":"client_credentials"}', b"\xff\xfe"):
        for kind in ("application/json", "application/x-www-form-urlencoded"):
            answer = sqlite_house.client.post("/connect/token", content=content, headers={"Content-Type": kind})
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_what_opens_the_list(house: House) -> None:
    account = house.account("Top")
    token = house.myreports_token(account)["Authorization"]
    _, api_key = house.key(account, CredentialKind.API_KEY)
    opening = [
        {"Authorization": token},
        {"Authorization": token.replace("Bearer", "bearer")},
        {"Authorisation": token},
        {"Authorization": f"Bearer {api_key}"},
        {"Authorisation": f"Bearer {api_key}"},
    ]
    assert [house.client.get(PATH, headers=each).status_code for each in opening] == [200] * len(opening)


def test_what_does_not(house: House) -> None:
    account = house.account("Top")
    closed = house.account("Closed", account)
    token = house.myreports_token(account)["Authorization"]
    elsewhere = house.acronis_token(account)["Authorization"]
    _, oauth_secret = house.key(account, CredentialKind.OAUTH_CLIENT)
    user, basic_secret = house.key(account, CredentialKind.BASIC)
    expired_id, expired = house.key(account, CredentialKind.API_KEY, expires_at=house.now + 1)
    revoked_id, revoked = house.key(account, CredentialKind.API_KEY)
    _, of_closed = house.key(closed, CredentialKind.API_KEY)
    with house.database.write() as connection:
        credentials.revoke(connection, revoked_id, house.now)
        accounts.change(connection, closed, now=house.now, status=AccountStatus.CLOSED)
    house.now += 1
    basic = base64.b64encode(f"{user}:{basic_secret}".encode()).decode()
    shut = [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": f"Bearer {'x' * 5000}"},
        {"Authorization": f"Basic {basic}"},
        {"Authorization": f"Bearer {basic_secret}"},
        {"Authorization": f"Bearer {oauth_secret}"},
        {"Authorization": f"Bearer {expired}"},
        {"Authorization": f"Bearer {revoked}"},
        {"Authorization": f"Bearer {of_closed}"},
        {"Authorization": elsewhere},
        {"Authorization": "Bearer nonsense", "Authorisation": token},
    ]
    for headers in shut:
        for path in (PATH, "/v1.0/billingdata", f"{PATH}/{0:024x}"):
            answer = house.client.get(path, headers=headers)
            assert (answer.status_code, answer.content) == (401, b""), headers
            assert answer.headers["www-authenticate"] == "Bearer"
    assert expired_id != revoked_id


def test_a_key_without_the_scope_is_forbidden(sqlite_house: House) -> None:
    _, secret = sqlite_house.key(sqlite_house.account("Top"), CredentialKind.API_KEY, [Scope.ACCOUNTS_READ])
    answer = sqlite_house.client.get(PATH, headers={"Authorization": f"Bearer {secret}"})
    assert (answer.status_code, answer.json()["message"]) == (403, "Forbidden")


def test_no_invoice_of_another_account_can_be_told_from_none(house: House) -> None:
    """Own and child's open; parent's, sibling's, grandchild's and unknown ones are the same 404, byte for byte."""
    top = house.account("Top")
    me = house.account("Me", top)
    child = house.account("Child", me)
    grandchild = house.account("Grandchild", child)
    sibling = house.account("Sibling", top)

    def short(issuer: object, recipient: object) -> str:
        return house.invoice(issuer, recipient).invoice.id.replace("-", "")[:24]  # type: ignore[arg-type]

    token = house.myreports_token(me)
    opened = [short(top, me), short(me, child), short(me, me)]
    hidden = [short(top, sibling), short(top, top), short(me, grandchild), short(child, grandchild), short(top, child)]
    malformed = ["0" * 24, "0" * 23, "0" * 25, "g" * 24, "%C3%A9", "'%20OR%201=1--", house.invoice(me, me).invoice.id]
    for name in opened:
        assert house.client.get(f"{PATH}/{name}", headers=token).status_code == 200
    bodies = {house.client.get(f"{PATH}/{name}", headers=token).content for name in [*hidden, *malformed]}
    assert bodies == {b'{"error":404,"message":"Not Found","status":"error","timestamp":"2026-10-31T12:00:00.0000000Z"}'}


def test_without_the_look_at_whose_they_are_others_would_open(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control of the test above."""
    from billsmith.vendors.myreports import routes

    me = sqlite_house.account("Me")
    grandchild = sqlite_house.account("Grandchild", sqlite_house.account("Child", me))
    name = sqlite_house.invoice(me, grandchild).invoice.id.replace("-", "")[:24]
    token = sqlite_house.myreports_token(me)
    assert sqlite_house.client.get(f"{PATH}/{name}", headers=token).status_code == 404
    monkeypatch.setattr(routes, "_is_billed", lambda *_: True)
    assert sqlite_house.client.get(f"{PATH}/{name}", headers=token).status_code == 200


def test_paths_and_methods_that_there_are_not(sqlite_house: House) -> None:
    token = sqlite_house.myreports_token(sqlite_house.account("Top"))
    for path in ("/api/v1.0/nothing", "/v1.0/accounts", f"{PATH}/a/b"):
        answer = sqlite_house.client.get(path, headers=token)
        assert (answer.status_code, answer.json()["error"]) == (404, 404)
    answer = sqlite_house.client.post(PATH, headers=token)
    assert (answer.status_code, answer.json()["message"], answer.headers["allow"]) == (
        405,
        "Method Not Allowed",
        "GET, HEAD, OPTIONS",
    )
    assert sqlite_house.client.head(PATH, headers=token).content == b""


def test_guessing_is_slowed_down(sqlite_house: House) -> None:
    from billsmith.server.settings import Settings, services

    settings = Settings(home=sqlite_house.settings.home, failed_credentials_per_minute=3)
    sqlite_house.app.services = services(settings, sqlite_house.database, lambda: sqlite_house.now)
    answers = [sqlite_house.client.get(PATH, headers={"Authorization": "Bearer no"}) for _ in range(5)]
    assert [each.status_code for each in answers] == [401, 401, 401, 429, 429]
    assert answers[-1].json()["error"] == 429
    assert int(answers[-1].headers["retry-after"]) > 0
