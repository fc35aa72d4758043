"""A caller of the native API, and a small tree to call it in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from httpx2 import Response

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.accounts.model import Account
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
