"""``POST /api/2/idp/token`` and ``GET /api/2/clients/{id}``: the forms a client may use, and OAuth's errors."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.units.instants import HOUR, SECOND
from tests.support.house import House
from tests.vendors.acronis.conftest import LIST

TOKEN = "/api/2/idp/token"
FORM = "application/x-www-form-urlencoded"
GRANT = {"grant_type": "client_credentials"}


def client_of(house: House) -> tuple[str, str]:
    return house.key(house.account("Partner"), CredentialKind.OAUTH_CLIENT)


def test_the_answer_has_what_clients_read(sqlite_house: House) -> None:
    client = client_of(sqlite_house)
    response = sqlite_house.client.post(TOKEN, data=GRANT, auth=client)
    body = response.json()
    assert set(body) == {"access_token", "expires_in", "expires_on", "id_token", "token_type"}
    assert (body["token_type"], body["expires_in"]) == ("bearer", 7200)
    assert body["expires_on"] == (sqlite_house.now + 2 * HOUR) // SECOND
    assert response.headers["cache-control"] == "no-store"


def shown(house: House, client: tuple[str, str]) -> list[dict[str, Any]]:
    """The same credential in every way that is right."""
    id, secret = client
    pair = base64.b64encode(f"{id}:{secret}".encode()).decode()
    return [
        {"data": GRANT, "auth": client},
        {"data": {**GRANT, "client_id": id, "client_secret": secret}},
        {"data": {**GRANT, "client_id": id.upper(), "client_secret": secret}},
        {"data": GRANT, "headers": {"Authorization": f"basic {pair}"}},
        {"data": {**GRANT, "client_id": id, "client_secret": "of the form"}, "auth": client},
        {"data": {**GRANT, "scope": "urn:acronis.com::advanced_automation::advanced_automation_finance"}, "auth": client},
        {"content": b"grant_type=client_credentials", "headers": {"Content-Type": f"{FORM}; charset=UTF-8"}, "auth": client},
        {"content": b"grant_type=client%5Fcredentials", "headers": {"Content-Type": FORM.upper()}, "auth": client},
    ]


def test_every_right_way_to_ask(house: House) -> None:
    client = client_of(house)
    for way in shown(house, client):
        response = house.client.post(TOKEN, **way)
        assert response.status_code == 200, (way, response.text)
        auth = {"Authorization": f"Bearer {response.json()['access_token']}"}
        assert house.client.get(LIST, headers=auth).status_code == 200
        assert (
            house.client.get(LIST, headers={"Authorization": auth["Authorization"].replace("Bearer", "bearer")}).status_code
            == 200
        )


def form(text: bytes) -> dict[str, Any]:
    return {"content": text, "headers": {"Content-Type": FORM}}


WRONG: list[tuple[dict[str, Any], int, str]] = [
    (form(b""), 400, "invalid_request"),
    (form(b"grant_type="), 400, "unsupported_grant_type"),
    (form(b"grant_type=password&username=a&password=b"), 400, "unsupported_grant_type"),
    (form(b"grant_type=implicit"), 400, "unsupported_grant_type"),
    (form(b"grant_type=authorization_code&code=x"), 400, "unsupported_grant_type"),
    (form(b"grant_type=refresh_token&refresh_token=x"), 400, "unsupported_grant_type"),
    (form(b"grant_type=Client_Credentials"), 400, "unsupported_grant_type"),
    (form(b"grant_type=client_credentials&grant_type=client_credentials"), 400, "invalid_request"),
    (form(b"grant_type=client_credentials"), 401, "invalid_client"),
    (form(b"grant_type=client_credentials&client_id=&client_secret="), 401, "invalid_client"),
    (form(b"grant_type=client_credentials&client_id=a&client_secret=b"), 401, "invalid_client"),
    (form(b"grant_type=client_credentials&client_id=%00&client_secret=b"), 400, "invalid_request"),
    (form(b"grant_type=client_credentials&client_id=%ff&client_secret=%ff"), 401, "invalid_client"),
    (form(b"\xff\xfe"), 400, "invalid_request"),
    (form(b"&".join(b"a=b" for _ in range(40))), 400, "invalid_request"),
    (form(b"grant_type=client_credentials&client_secret=" + b"x" * 2000), 400, "invalid_request"),
    ({"json": GRANT}, 400, "invalid_request"),
    ({"content": b"grant_type=client_credentials"}, 400, "invalid_request"),
    ({"data": GRANT, "headers": {"Authorization": "Basic"}}, 401, "invalid_client"),
    ({"data": GRANT, "headers": {"Authorization": "Basic !!!"}}, 401, "invalid_client"),
    ({"data": GRANT, "headers": {"Authorization": "Basic " + base64.b64encode(b"nocolon").decode()}}, 401, "invalid_client"),
    ({"data": GRANT, "headers": {"Authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()}}, 401, "invalid_client"),
    ({"data": GRANT, "auth": ("x" * 3000, "y" * 3000)}, 401, "invalid_client"),
    ({"data": GRANT, "auth": ("ede9f834-70b3-476c-83d9-736f9f8c7dae", "bs_guess")}, 401, "invalid_client"),
]


@pytest.mark.parametrize(("way", "status", "name"), WRONG, ids=lambda value: str(value)[:60])
def test_every_wrong_way_to_ask(sqlite_house: House, way: dict[str, Any], status: int, name: str) -> None:
    client_of(sqlite_house)
    response = sqlite_house.client.post(TOKEN, **way)
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error", "error_description"}
    assert response.json()["error"] == name
    assert ("www-authenticate" in response.headers) == (status == 401)


@pytest.mark.parametrize("kind", [CredentialKind.API_KEY, CredentialKind.BASIC])
def test_only_an_oauth_client_gets_a_token(sqlite_house: House, kind: CredentialKind) -> None:
    response = sqlite_house.client.post(TOKEN, data=GRANT, auth=sqlite_house.key(sqlite_house.account("P"), kind))
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_a_client_id_goes_with_its_own_secret_only(sqlite_house: House) -> None:
    account = sqlite_house.account("Partner")
    one, two = (sqlite_house.key(account, CredentialKind.OAUTH_CLIENT) for _ in range(2))
    assert sqlite_house.client.post(TOKEN, data=GRANT, auth=(one[0], two[1])).status_code == 401


def test_the_client_names_its_tenant(house: House) -> None:
    account = house.account("Partner")
    id, secret = house.key(account, CredentialKind.OAUTH_CLIENT)
    token = house.client.post(TOKEN, data=GRANT, auth=(id, secret)).json()["access_token"]
    auth = {"Authorization": f"Bearer {token}"}
    for spelling in (id, id.upper(), id.replace("-", "")):
        answer = house.client.get(f"/api/2/clients/{spelling}", headers=auth)
        assert (answer.status_code, answer.json()["tenant_id"], answer.json()["client_id"]) == (200, account.id, id)
    other, _ = house.key(house.account("Other"), CredentialKind.OAUTH_CLIENT)
    foreign = house.client.get(f"/api/2/clients/{other}", headers=auth)
    unknown = house.client.get("/api/2/clients/11111111-2222-3333-4444-555555555555", headers=auth)
    assert (foreign.status_code, foreign.content, dict(foreign.headers)) == (404, unknown.content, dict(unknown.headers))


def test_a_client_without_the_scope_may_not_list(sqlite_house: House) -> None:
    account = sqlite_house.account("Partner")
    client = sqlite_house.key(account, CredentialKind.OAUTH_CLIENT, scopes=[Scope.ACCOUNTS_READ])
    token = sqlite_house.client.post(TOKEN, data=GRANT, auth=client).json()["access_token"]
    response = sqlite_house.client.get(LIST, headers={"Authorization": f"Bearer {token}"})
    assert (response.status_code, response.json()["error"]["code"]) == (403, 403)
