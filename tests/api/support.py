"""A caller of the native API, and a small tree to call it in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from httpx2 import Response

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.accounts.model import Account
from billsmith.api.operations import Operation
from tests.support.house import House

ALL = list(Scope)


class Caller:
    """Calls the API with one api-key."""

    def __init__(self, house: House, account: Account, scopes: Sequence[Scope] = ALL) -> None:
        self.house = house
        self.account = account
        self.credential_id, secret = house.key(account, CredentialKind.API_KEY, scopes)
        self.headers = {"Authorization": f"Bearer {secret}"}

    def __call__(self, method: str, path: str, body: Any = None, *, key: str | None = None, **more: Any) -> Response:
        headers = {**self.headers, **more.pop("headers", {})}
        if key is not None:
            headers["Idempotency-Key"] = key
        if body is not None:
            more["json"] = body
        return self.house.client.request(method, path, headers=headers, **more)

    def get(self, path: str, **parameters: Any) -> Any:
        """A 200's JSON."""
        answer = self("GET", path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """A 2xx's JSON."""
        answer = self("POST", path, body, key=key)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def pages(self, path: str, **parameters: Any) -> list[list[Any]]:
        """Every page of a list."""
        pages, cursor = [], None
        while True:
            page = self.get(path, **parameters, **({"cursor": cursor} if cursor else {}))
            pages.append(page["items"])
            cursor = page["next_cursor"]
            if cursor is None:
                return pages
            assert len(pages) < 2000, "the pages don't end"

    def all(self, path: str, **parameters: Any) -> list[Any]:
        """Every item of a list."""
        return [item for page in self.pages(path, **parameters) for item in page]


def problem(answer: Response, status: int, code: str, where: str | None = None) -> None:
    """Assert that an answer is this problem."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json().get("where") == where, answer.text


def random_tree(house: House, seed: int, size: int = 12, invoices: int = 40) -> tuple[list[Account], set[str]]:
    """Accounts in random places under two roots, and invoices from any of them to any at or below it."""
    draw = random.Random(seed)
    accounts = [house.account("Root A"), house.account("Root B")]
    for number in range(size - 2):
        accounts.append(house.account(f"Account {number}", draw.choice(accounts)))
    ids = set()
    for _ in range(invoices):
        issuer = draw.choice(accounts)
        recipient = draw.choice([each for each in accounts if each.is_at_or_below(issuer)])
        house.now += draw.choice([0, 0, 1, 10**9])
        ids.add(house.invoice(issuer, recipient, amount=f"{draw.randint(1, 99)}.00").invoice.id)
    return accounts, ids


def made_first(caller: Caller) -> dict[str, str]:
    """What the examples of the OpenAPI document speak of, and the ids that paths name from the start."""
    made = caller.post("/v1/accounts", {"name": "Acme", "external_id": "other"})["id"]
    caller.post("/v1/accounts", {"name": "Acme", "external_id": "acme", "parent": made})
    return {"account": made, "catalog": "acme", "credential": caller.post("/v1/credentials", {"kind": "basic"})["id"]}


def made_for(caller: Caller, operation: Operation) -> dict[str, str]:
    """The ids of what an operation's path names, made anew for it."""
    ids = {}
    if "{invoice}" in operation.path:
        new = {"recipient": "acme", "lines": [{"description": "x", "amount": 50}], "draft": operation.id.endswith("Draft")}
        ids["invoice"] = caller.post("/v1/invoices", new)["id"]
    if "{subscription}" in operation.path:
        ids["subscription"] = caller.post("/v1/subscriptions", {"account": "acme", "plan": "starter"})["id"]
    if "{agreement}" in operation.path:
        ids["agreement"] = caller.post("/v1/agreements", {"account": "acme", "terms": {}})["id"]
    if "{grant}" in operation.path:
        ids["grant"] = caller.post("/v1/wallets", {"account": "acme", "amount": 5})["id"]
    if "{connection}" in operation.path:
        vendor = {"vendor": "amberflo", "name": operation.id, "url": "https://vendor.example", "secret": "correct horse"}
        ids["connection"] = caller.post("/v1/connections", vendor)["id"]
    if operation.id == "retryMail":
        lost = caller.post("/v1/accounts", {"name": "Lost", "external_id": "lost"})["id"]
        caller.post("/v1/invoices", {"recipient": lost, "lines": [{"description": "x", "amount": 1}], "send_by_email": True})
        caller("PATCH", f"/v1/accounts/{lost}", {"profile": {"email": "found@shop.example"}})
        ids["mail"] = caller.get("/v1/mails")["items"][0]["id"]
    return ids
