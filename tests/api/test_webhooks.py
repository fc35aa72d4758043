"""Webhooks over HTTP: made, changed, ended; a secret that is shown once; what was tried."""

from __future__ import annotations

import pytest

from billsmith.accounts.authorisation import Scope
from billsmith.storage import webhooks
from billsmith.storage.webhooks import Attempt
from billsmith.workflows import webhooks as workflow
from tests.api.support import Caller, problem
from tests.support.house import House

BODY = {"url": "https://shop.example/hooks", "kinds": ["invoice.*"], "description": "The shop"}


@pytest.fixture
def caller(house: House) -> Caller:
    return Caller(house, house.account("Provider", external_id="p"))


def test_a_webhook_from_making_to_ending(caller: Caller) -> None:
    made = caller.post("/v1/webhooks", BODY, key="one")
    assert made["secret"].startswith("whsec_")
    again = caller.post("/v1/webhooks", BODY, key="one")
    assert again == {key: value for key, value in made.items() if key != "secret"} | {"secret_shown": False}
    here = f"/v1/webhooks/{made['id']}"
    shown = caller.get(here)
    assert shown == {key: value for key, value in made.items() if key not in ("secret", "secret_shown")}
    assert (shown["url"], shown["kinds"], shown["state"], shown["due_at"]) == (BODY["url"], ["invoice.*"], "open", None)
    assert caller("PATCH", here, {"kinds": [], "url": "https://shop.example/"}).json()["kinds"] == []
    rotated = caller.post(f"{here}/rotate", {"overlap_seconds": 60}, key="two")
    assert rotated["secret"] != made["secret"]
    assert "secret" not in caller.post(f"{here}/rotate", {"overlap_seconds": 60}, key="two")
    assert caller.post(f"{here}/disable", {"reason": "moved"})["reason"] == "moved"
    problem(caller("POST", f"{here}/test", {}), 409, "webhook.disabled")
    assert caller.post(f"{here}/enable", {})["state"] == "open"
    other = caller.post("/v1/webhooks", {"url": "https://other.example"})
    assert [each["id"] for each in caller.all("/v1/webhooks", limit=1)] == [made["id"], other["id"]]


@pytest.mark.parametrize(
    ("body", "code", "where"),
    [
        ({"url": "http://user:word@shop.example/"}, "outbound.address", None),
        ({"url": "gopher://shop.example/"}, "outbound.address", "url"),
        ({"url": "https://shop.example/", "kinds": ["invoice.eaten"]}, "change.unknown_kind", "kinds"),
        ({"url": "https://shop.example/", "account": "nobody"}, "account.unknown", "account"),
    ],
)
def test_what_can_not_be_told(sqlite_house: House, body: dict[str, object], code: str, where: str | None) -> None:
    caller = Caller(sqlite_house, sqlite_house.account("Provider"))
    problem(caller("POST", "/v1/webhooks", body), 400, code, where)


def test_who_makes_one_may_read_changes(sqlite_house: House) -> None:
    top = sqlite_house.account("Provider")
    writer = Caller(sqlite_house, top, [Scope.WEBHOOKS_WRITE])
    problem(writer("POST", "/v1/webhooks", BODY), 403, "access.scope")
    both = Caller(sqlite_house, top, [Scope.WEBHOOKS_WRITE, Scope.CHANGES_READ])
    here = f"/v1/webhooks/{both.post('/v1/webhooks', BODY)['id']}"
    for method, path in (("PATCH", here), ("POST", f"{here}/rotate")):
        problem(writer(method, path, {"kinds": []} if method == "PATCH" else {}), 403, "access.scope")
    problem(both("GET", here), 403, "access.scope")


def test_deliveries_are_listed_last_first(caller: Caller) -> None:
    made = caller.post("/v1/webhooks", BODY)
    with caller.house.database.write() as connection:
        of = workflow.get(connection, made["id"], None)
        tried = [
            Attempt(1, caller.house.now, 12, 500, "webhook.refused", "answered 500."),
            Attempt(1, caller.house.now, 9, 204, "", ""),
        ]
        webhooks.add_attempts(connection, of, tried, caller.house.now)
    path = f"/v1/webhooks/{made['id']}/deliveries"
    found = caller.get(path)
    assert [(each["number"], each["status"], each["arrived"], each["kind"]) for each in found["items"]] == [
        (2, 204, True, "account.created"),
        (1, 500, False, "account.created"),
    ]
    assert caller.get(path, limit=1) == {"items": found["items"][:1], "more": True}
    assert caller.get(path, before=2) == {"items": found["items"][1:], "more": False}


def test_attempts_are_kept_for_thirty_days(caller: Caller) -> None:
    made = caller.post("/v1/webhooks", BODY)
    with caller.house.database.write() as connection:
        of = workflow.get(connection, made["id"], None)
        for at in (0, webhooks.KEPT, webhooks.KEPT + 1):
            webhooks.add_attempts(connection, of, [Attempt(1, at, 1, 204, "", "")], at)
        assert [each.number for each in webhooks.attempts(connection, of, limit=9)] == [3, 2]


def test_an_account_has_so_many_and_no_more(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "MAX_WEBHOOKS", 2)
    caller = Caller(sqlite_house, sqlite_house.account("Provider"))
    for _ in range(2):
        caller.post("/v1/webhooks", BODY)
    problem(caller("POST", "/v1/webhooks", BODY), 409, "webhook.too_many")
