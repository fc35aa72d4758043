"""Who gets in, which accounts it reaches, and what everyone else is told."""

from __future__ import annotations

import base64

import pytest

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.accounts.model import AccountStatus
from billsmith.storage import accounts, credentials
from tests.support.house import House

NOT_FOUND = {"itemNotFound": {"guid": "", "message": "Resource not found", "code": 404, "details": ""}}


def test_basic_with_or_without_its_word(house: House) -> None:
    account = house.account("Top")
    user, secret = house.hostway_user(account)
    shown = base64.b64encode(f"{user}:{secret}".encode()).decode()
    for header in (f"Basic {shown}", f"basic {shown}", shown):
        answer = house.client.get(f"/accounts/{account.id}/invoices", headers={"Authorization": header})
        assert answer.status_code == 200, header


def test_what_does_not_open(house: House) -> None:
    account = house.account("Top")
    closed = house.account("Closed", account)
    user, secret = house.hostway_user(account)
    other, other_secret = house.hostway_user(account)
    key_id, api_key = house.key(account, CredentialKind.API_KEY)
    client_id, client_secret = house.key(account, CredentialKind.OAUTH_CLIENT)
    expired = house.key(account, CredentialKind.BASIC, expires_at=house.now + 1)
    revoked = house.hostway_user(account)
    of_closed = house.hostway_user(closed)
    with house.database.write() as connection:
        credentials.revoke(connection, revoked[0], house.now)
        accounts.change(connection, closed, now=house.now, status=AccountStatus.CLOSED)
    house.now += 1
    pairs = [
        (user, ""), (user, "wrong"), ("", secret), ("nobody", secret), (other, secret), (user, other_secret),
        (key_id, api_key), (client_id, client_secret), expired, revoked, of_closed, (user, "x" * 5000), (user, "\u00e9"),
    ]  # fmt: skip
    headers: list[dict[str, str]] = [
        {"Authorization": "Basic " + base64.b64encode(":".join(pair).encode()).decode()} for pair in pairs
    ]
    headers += [{}, {"Authorization": "Basic"}, {"Authorization": "Basic %%%"}, {"Authorization": f"Bearer {api_key}"},
                {"Authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()}]  # fmt: skip
    answers = [
        house.client.get(path, headers=each)
        for each in headers
        for path in (f"/accounts/{account.id}/invoices", f"/accounts/{account.id}", "/accounts", "/accounts/no/invoices/no")
    ]
    assert {(each.status_code, each.content) for each in answers} == {(401, answers[0].content)}
    assert answers[0].text.startswith("401 Unauthorized\n")
    assert answers[0].headers["content-type"] == "text/plain; charset=utf-8"
    assert answers[0].headers["www-authenticate"].startswith("Basic ")


def test_own_and_below_open_others_are_forbidden_and_unknown_ones_not_found(house: House) -> None:
    top = house.account("Top", external_id="top")
    me = house.account("Me", top, external_id="me")
    child = house.account("Child", me, external_id="child")
    sibling = house.account("Sibling", top, external_id="sibling")
    house.invoice(top, sibling)
    auth = house.hostway_user(me)

    def status(name: str, path: str) -> int:
        return house.client.get(f"/accounts/{name}{path}", auth=auth).status_code

    for path in ("", "/invoices", "/invoice", "/invoices/INV-2026-000001"):
        found = 404 if path.endswith("1") else 200
        assert [status(name, path) for name in ("me", me.id, "child", child.id.upper())] == [found] * 4
        for name in ("top", top.id, "sibling", sibling.id):
            answer = house.client.get(f"/accounts/{name}{path}", auth=auth)
            assert answer.status_code == 403
            assert answer.json() == {
                "forbidden": {"message": "forbidden", "code": 403, "details": "the account is not one of yours"}
            }
        for name in ("nobody", "0" * 32, "%C3%A9%20x", "x" * 200, "'%20OR%201=1--", "a%2Fb", "%00", "..%2F.."):
            answer = house.client.get(f"/accounts/{name}{path}", auth=auth)
            assert (answer.status_code, answer.json()) == (404, NOT_FOUND), name


def test_without_the_bound_on_the_look_up_others_would_open(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control of the test above."""
    top = sqlite_house.account("Top")
    me, sibling = sqlite_house.account("Me", top), sqlite_house.account("Sibling", top)
    auth = sqlite_house.hostway_user(me)
    assert sqlite_house.client.get(f"/accounts/{sibling.id}/invoices", auth=auth).status_code == 403
    find = accounts.find
    monkeypatch.setattr(accounts, "find", lambda connection, name, _within=None: find(connection, name))
    assert sqlite_house.client.get(f"/accounts/{sibling.id}/invoices", auth=auth).status_code == 200


def test_an_account_of_mine_wins_over_one_elsewhere_of_the_same_name(house: House) -> None:
    top = house.account("Top")
    me = house.account("Me", top)
    mine = house.account("Mine", me, external_id="shared")
    house.account("Theirs", top, external_id="shared")
    house.invoice(me, mine, "7.00")
    [record] = house.client.get("/accounts/shared/invoices", auth=house.hostway_user(me)).json()["list"]
    assert record["amount"] == "7.0000"


def test_a_name_that_stands_for_two_of_mine_is_refused(house: House) -> None:
    me = house.account("Me")
    for name in ("A", "B"):
        house.account("Twin", house.account(name, me), external_id="twin")
    answer = house.client.get("/accounts/twin/invoices", auth=house.hostway_user(me))
    assert answer.status_code == 400
    assert "UUID" in answer.json()["badRequest"]["message"]


def test_only_invoices_of_the_account_itself(house: House) -> None:
    """A child's invoices, and those that the account issued, are not in its own list; by id they are not there either."""
    me = house.account("Me", house.account("Top"))
    child = house.account("Child", me)
    below = house.invoice(me, child).invoice
    own = house.invoice(me, me).invoice
    auth = house.hostway_user(me)
    listed = house.client.get(f"/accounts/{me.id}/invoices", auth=auth).json()["list"]
    assert [record["invoiceNumber"] for record in listed] == [own.number]
    assert house.client.get(f"/accounts/{me.id}/invoices/{own.id}", auth=auth).status_code == 200
    for name in (below.id, below.number, "nothing", "0" * 32):
        answer = house.client.get(f"/accounts/{me.id}/invoices/{name}", auth=auth)
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
    assert house.client.get(f"/accounts/{child.id}/invoices/{below.id.upper()}", auth=auth).status_code == 200


def test_a_number_of_two_issuers_is_named_by_id(house: House) -> None:
    top = house.account("Top")
    me = house.account("Me", top)
    pair = [house.invoice(issuer, me).invoice for issuer in (top, me)]
    auth = house.hostway_user(me)
    answer = house.client.get(f"/accounts/{me.id}/invoices/{pair[0].number}", auth=auth)
    assert answer.status_code == 400
    assert all(each.id in answer.json()["badRequest"]["message"] for each in pair)


@pytest.mark.parametrize(("accept", "status"), [
    (None, 200), ("*/*", 200), ("application/json", 200), ("Application/JSON; charset=utf-8", 200), ("application/*", 200),
    ("text/html, application/json;q=0.5", 200), ("application/pdf, */*;q=0.1", 200),
    ("application/pdf", 406), ("text/html", 406), ("application/json;q=0", 406), ("nonsense", 406),
])  # fmt: skip
def test_accept(sqlite_house: House, accept: str | None, status: int) -> None:
    account = sqlite_house.account("Me")
    number = sqlite_house.invoice(account, account).invoice.number
    auth = sqlite_house.hostway_user(account)
    headers = {"Accept": accept} if accept else {"Accept": ""}
    for path in (f"/accounts/{account.id}/invoices/{number}", f"/accounts/{account.id}/invoices", "/accounts"):
        answer = sqlite_house.client.get(path, auth=auth, headers=headers)
        assert answer.status_code == status
        if status == 406:
            assert answer.json()["notAcceptable"]["code"] == 406


def test_methods_and_paths_that_there_are_not(sqlite_house: House) -> None:
    account = sqlite_house.account("Me")
    auth = sqlite_house.hostway_user(account)
    for path in ("/accounts", f"/accounts/{account.id}", f"/accounts/{account.id}/invoices"):
        answer = sqlite_house.client.delete(path, auth=auth)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert answer.json()["methodNotAllowed"]["code"] == 405
    for path in (f"/accounts/{account.id}/transactions", f"/accounts/{account.id}/invoices/1/2", "/accounts//invoices"):
        assert sqlite_house.client.get(path, auth=auth).json() == NOT_FOUND
    assert sqlite_house.client.head(f"/accounts/{account.id}/invoices", auth=auth).content == b""


def test_scopes(sqlite_house: House) -> None:
    account = sqlite_house.account("Me")
    reads_accounts = sqlite_house.key(account, CredentialKind.BASIC, [Scope.ACCOUNTS_READ])
    writes = sqlite_house.key(account, CredentialKind.BASIC, [Scope.INVOICES_WRITE])
    paths = (f"/accounts/{account.id}/invoices", f"/accounts/{account.id}", "/accounts")
    assert [sqlite_house.client.get(path, auth=reads_accounts).status_code for path in paths] == [403, 200, 200]
    assert [sqlite_house.client.get(path, auth=writes).status_code for path in paths] == [403, 403, 403]


def test_accounts(house: House) -> None:
    top = house.account("Top")
    me = house.account("Me", top, external_id="me", currency="USD")
    child = house.account("Child", me, external_id="ch/ild")
    shut = house.account("Shut", me, external_id="shut")
    with house.database.write() as connection:
        accounts.change(connection, shut, now=house.now, status=AccountStatus.SUSPENDED)
    auth = house.hostway_user(me)
    base = "http://127.0.0.1:8080/accounts"
    answer = house.client.get("/accounts", auth=auth).json()
    assert answer["links"] == [{"href": base, "rel": "self"}]
    assert [(each["accountNumber"], each["status"]) for each in answer["list"]] == [
        ("me", "open"), ("ch/ild", "open"), ("shut", "suspended")]  # fmt: skip
    for each, account in zip(answer["list"], (me, child, shut), strict=True):
        assert each["links"] == [
            {"href": f"{base}/{account.id}", "rel": "self"},
            {"href": f"{base}/{account.id}/invoices", "rel": "related"},
        ]
    one = house.client.get("/accounts/ch%2Fild", auth=auth).json()
    assert one == {
        "accountNumber": "ch/ild",
        "id": child.id,
        "createdDate": "2026-10-31",
        "currency": "USD",
        "status": "open",
        "links": [
            {"href": f"{base}/ch%2Fild", "rel": "self"},
            {"href": f"{base}/ch%2Fild/invoices", "rel": "related"},
        ],
    }
    assert house.client.get("/accounts/shut", auth=auth).json()["forbidden"]["details"] == "the account is suspended"
    assert house.client.get("/accounts/shut/invoices", auth=auth).status_code == 200
    second = house.client.get("/accounts?page=2&pageSize=2", auth=auth).json()
    assert [each["accountNumber"] for each in second["list"]] == ["shut"]
    assert house.client.get("/accounts?page=3&pageSize=2", auth=auth).headers["location"] == f"{base}?page=1&pageSize=2"


def test_links_name_the_host_that_the_caller_used_if_it_is_ours(house: House) -> None:
    account = house.account("Me")
    auth = house.hostway_user(account)
    path = f"/accounts/{account.id}/invoices"
    answer = house.client.get(path, auth=auth, headers={"Host": "localhost:9999"}).json()
    assert answer["links"] == [{"href": f"http://localhost:9999{path}", "rel": "self"}]
    assert house.client.get(path, auth=auth, headers={"Host": "evil.example"}).status_code == 400
    forwarded = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    answer = house.client.get(path, auth=auth, headers=forwarded).json()
    assert answer["links"][0]["href"].startswith("http://127.0.0.1:8080/")
