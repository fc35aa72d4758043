"""``billsmith sync run`` against a running billsmith: each vendor's face pulled by that vendor's client, over real HTTP, into a
second store, which then serves the same answers; and the same again changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from billsmith.accounts.authorisation import CredentialKind
from billsmith.workflows.sealing import new_key
from tests.cli.run import Program
from tests.support import mirror
from tests.support.served import Running, serving

COUNT = 60
#: Amberflo counts seconds from 1970 on.
SINCE_1971 = 719_528


def _acronis(running: Running, client: tuple[str, str]) -> Any:
    token = requests.post(
        f"{running.url}/api/2/idp/token", data={"grant_type": "client_credentials"}, auth=client, timeout=30
    ).json()["access_token"]
    answer = requests.get(
        f"{running.url}/api/advanced-automation/v1/InvoiceOverview",
        headers={"Authorization": f"Bearer {token}"},
        params={"PageSize": 1000, "Page": 1},
        timeout=30,
    )
    return answer.json()["Invoices"]


def _myreports(running: Running, client: tuple[str, str]) -> Any:
    token = requests.post(
        f"{running.url}/connect/token", data={"grant_type": "client_credentials"}, auth=client, timeout=30
    ).json()["access_token"]
    answer = requests.get(f"{running.url}/api/v1.0/billingdata", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    return answer.json()["data"]


def _hostway(running: Running, client: tuple[str, str]) -> Any:
    return requests.get(
        f"{running.url}/accounts/cust-0/invoices", params={"page": 1, "pageSize": 400}, auth=client, timeout=30
    ).json()["list"]


def _amberflo(running: Running, client: tuple[str, str]) -> Any:
    answer = requests.get(
        f"{running.url}/payments/billing/customer-product-invoice/all",
        params={"customerId": "cust-0", "productId": "1"},
        headers={"X-API-KEY": client[1]},
        timeout=30,
    )
    return answer.json()


VENDORS: dict[str, tuple[CredentialKind, list[str], Callable[[Running, tuple[str, str]], Any], tuple[str, ...]]] = {
    "acronis": (CredentialKind.OAUTH_CLIENT, ["--datacenter-url", "$URL", "--client-id", "$ID"], _acronis, ("EUR",)),
    "myreports": (
        CredentialKind.OAUTH_CLIENT,
        ["--url", "$URL", "--login-url", "$URL", "--client-id", "$ID"],
        _myreports,
        ("EUR",),
    ),
    "hostway": (CredentialKind.BASIC, ["--url", "$URL", "--user", "$ID"], _hostway, ("EUR", "USD")),
    "amberflo": (CredentialKind.API_KEY, ["--url", "$URL", "--customer", "cust-0"], _amberflo, ("EUR", "USD")),
}


@pytest.mark.parametrize("vendor", list(VENDORS))
def test_the_whole_way(vendor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, options, listed, currencies = VENDORS[vendor]
    first = SINCE_1971 + 366 if vendor == "amberflo" else mirror.FIRST
    mirror.filled(tmp_path / "a", COUNT, seed=7, customers=1, currencies=currencies, lines=vendor == "amberflo", first=first)
    client = mirror.key(tmp_path / "a", kind)
    program = Program(tmp_path / "b", "", monkeypatch)
    assert program("init").code == 0
    program.json("accounts", "create", "msp", "--external-id", "msp", "--currency", "EUR", "--timezone", mirror.ZONE)
    monkeypatch.setenv("BILLSMITH_SECRET_KEY", new_key())
    monkeypatch.setenv("VENDOR_SECRET", client[1])
    with serving(tmp_path / "a") as running:
        monkeypatch.setenv("BILLSMITH_ALLOW_PRIVATE", running.url)
        given = [{"$URL": running.url, "$ID": client[0]}.get(word, word) for word in options]
        added = program("sync", "add", vendor, *given, "--account", "msp", "--secret-env", "VENDOR_SECRET")
        assert added.code == 0, added.err
        ran = program("sync", "run", "--json")
        assert ran.code == 0, ran.err
        assert (ran.json[0]["state"], ran.json[0]["added"]) == ("complete", COUNT)
        again = program("sync", "run", "--json")
        assert (again.json[0]["state"], again.json[0]["unchanged"], again.json[0]["added"]) == ("complete", COUNT, 0)
        theirs = listed(running, client)
    reconciled = program("reconcile", vendor, "--json")
    assert (reconciled.code, reconciled.json["connections"][0]["matched"]) == (0, COUNT), reconciled.out
    mine = mirror.key(tmp_path / "b", kind)
    with serving(tmp_path / "b") as running:
        ours = listed(running, mine)
    assert len(theirs) == COUNT
    by_text = sorted(map(repr, _without_links(theirs))), sorted(map(repr, _without_links(ours)))
    assert by_text[0] == by_text[1]
    assert os.environ["VENDOR_SECRET"] not in (program("sync", "list", "--json").out + added.out)


def _without_links(rows: Any) -> Any:
    """Rows without the addresses of the server that made them."""
    return [{name: value for name, value in row.items() if name != "links"} for row in rows]


def test_a_private_address_is_refused_unless_the_operator_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P19: a connection can't make us ask our own network."""
    program = Program(tmp_path / "b", "", monkeypatch)
    assert program("init").code == 0
    program.json("accounts", "create", "msp", "--external-id", "msp", "--currency", "EUR", "--timezone", "UTC")
    monkeypatch.setenv("VENDOR_SECRET", "secret")
    words = ["--url", "https://127.0.0.1:9", "--account", "msp", "--secret-env", "VENDOR_SECRET", "--by-reference"]
    assert program("sync", "add", "amberflo", *words).code == 0
    ran = program("sync", "run", "--json")
    assert (ran.code, ran.json[0]["state"]) == (1, "failed")
    assert ran.json[0]["code"].startswith("outbound.")
