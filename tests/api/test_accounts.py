"""Accounts over the native API."""

from __future__ import annotations

from typing import Any

import pytest

from billsmith.accounts.authorisation import Scope
from tests.api.support import Caller, problem
from tests.support.house import House


def test_an_account_is_made_read_changed_and_closed(house: House) -> None:
    caller = Caller(house, house.account("Provider"))
    answer = caller(
        "POST",
        "/v1/accounts",
        {"name": " Acme ", "external_id": "acme", "currency": "USD", "profile": {"city": "Oslo", "tax_ids": ["NO 1"]}},
    )
    made = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/v1/accounts/{made['id']}")
    assert (made["name"], made["currency"], made["time_zone"]) == ("Acme", "USD", "Europe/Amsterdam")
    assert (made["parent_id"], made["status"]) == (caller.account.id, "open")
    assert caller.get("/v1/accounts/acme") == caller.get(f"/v1/accounts/{made['id'].upper()}") == made
    house.now += 10**9
    changed = caller("PATCH", "/v1/accounts/acme", {"name": "Acme Ltd", "profile": {"country": "NO"}}).json()
    assert changed["name"] == "Acme Ltd"
    assert (changed["profile"]["city"], changed["profile"]["country"], changed["profile"]["tax_ids"]) == (
        "Oslo",
        "NO",
        ["NO 1"],
    )
    assert changed["updated_at"] > made["updated_at"]
    child = Caller(house, house.account("Child of Acme", house_account(house, made["id"]), external_id="child"))
    problem(caller("POST", "/v1/accounts/acme/close"), 409, "account.has_children")
    assert caller.post("/v1/accounts/child/close")["status"] == "closed"
    assert child("GET", "/v1/invoices").status_code == 401
    assert caller.post("/v1/accounts/acme/close")["status"] == caller.post("/v1/accounts/acme/close")["status"] == "closed"
    problem(caller("POST", "/v1/accounts", {"name": "x", "parent": "acme"}), 400, "account.parent_closed")
    line = {"description": "x", "amount": 1}
    problem(caller("POST", "/v1/invoices", {"recipient": "acme", "lines": [line]}), 409, "account.closed")


def house_account(house: House, id: str) -> Any:
    from billsmith.storage import accounts

    with house.database.read() as connection:
        return accounts.by_id(connection, id)


@pytest.mark.parametrize(("body", "code", "where"), [
    ({}, "input.invalid", None),
    ({"name": ""}, "input.invalid", "name"),
    ({"name": "  "}, "account.empty", "name"),
    ({"name": "x" * 201}, "input.invalid", "name"),
    ({"name": 5}, "input.invalid", "name"),
    ({"name": "a\u001b[31m"}, "input.control_character", "name"),
    ({"name": "x", "id": "11111111-1111-1111-1111-111111111111"}, "input.invalid", None),
    ({"name": "x", "parent": "nobody"}, "account.unknown", "parent"),
    ({"name": "x", "currency": "eur"}, "currency.unknown", "currency"),
    ({"name": "x", "currency": "XXX"}, "currency.unknown", "currency"),
    ({"name": "x", "time_zone": "Mars/Olympus"}, "time.unknown_zone", "time_zone"),
    ({"name": "x", "time_zone": "../../etc/passwd"}, "time.unknown_zone", "time_zone"),
    ({"name": "x", "profile": {"country": "Norway"}}, "input.invalid", "profile.country"),
    ({"name": "x", "profile": {"planet": "Mars"}}, "input.invalid", "profile"),
    ({"name": "x", "profile": {"tax_ids": ["a\u0000"]}}, "input.control_character", "profile.tax_ids[0]"),
])  # fmt: skip
def test_an_account_that_can_not_be(sqlite_house: House, body: Any, code: str, where: str | None) -> None:
    caller = Caller(sqlite_house, sqlite_house.account("Provider"))
    problem(caller("POST", "/v1/accounts", body), 400, code, where)
    assert len(caller.get("/v1/accounts")["items"]) == 1


def test_a_name_taken_among_siblings_is_a_conflict_even_at_the_same_moment(house: House) -> None:
    from concurrent.futures import ThreadPoolExecutor

    caller = Caller(house, house.account("Provider"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: caller("POST", "/v1/accounts", {"name": "x", "external_id": "same"}), range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    caller.post("/v1/accounts", {"name": "y", "external_id": "other"})
    problem(caller("PATCH", "/v1/accounts/other", {"external_id": "same"}), 409, "account.external_id_taken", "external_id")


def test_an_account_neither_closes_itself_nor_takes_a_name_from_its_siblings(house: House) -> None:
    """Its siblings are none of its business: a conflict would tell that there is one of that name."""
    top = house.account("Provider")
    caller = Caller(house, house.account("A", top, external_id="a"))
    house.account("B", top, external_id="b")
    for name in ("b", "free"):
        problem(caller("PATCH", "/v1/accounts/a", {"external_id": name}), 403, "account.own")
    problem(caller("POST", "/v1/accounts/a/close"), 403, "account.own")
    assert caller("PATCH", "/v1/accounts/a", {"name": "A2"}).json()["parent_id"] is None
    problem(caller("PATCH", "/v1/accounts/a", {}), 400, "account.no_change")


def test_scopes(house: House) -> None:
    top = house.account("Provider", external_id="top")
    reader, writer = Caller(house, top, [Scope.ACCOUNTS_READ]), Caller(house, top, [Scope.ACCOUNTS_WRITE])
    assert reader("GET", "/v1/accounts/top").status_code == 200
    problem(writer("GET", "/v1/accounts"), 403, "access.scope")
    problem(reader("POST", "/v1/accounts", {"name": "x"}), 403, "access.scope")
    problem(reader("PATCH", "/v1/accounts/top", {"name": "x"}), 403, "access.scope")
    problem(reader("POST", "/v1/accounts/top/close"), 403, "access.scope")
    assert writer("POST", "/v1/accounts", {"name": "x"}).status_code == 201


def test_an_ambiguous_external_id_is_an_error(house: House) -> None:
    top = house.account("Provider")
    for name in ("P", "Q"):
        house.account("Twin", house.account(name, top), external_id="twin")
    problem(Caller(house, top)("GET", "/v1/accounts/twin"), 400, "account.ambiguous")
