"""The vendor's tutorial typed as it stands, with `requests`, on a really running server; and an answer too long to hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from billsmith.accounts.authorisation import CredentialKind
from billsmith.storage.database import Database, sqlite_url
from billsmith.vendors.acronis.load import load
from tests.support import acronis_rows, served
from tests.support.house import House
from tests.vendors.acronis.conftest import Stocked, stock
from tests.vendors.acronis.test_tutorial import EXAMPLE


@pytest.fixture(autouse=True)
def straight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def test_the_tutorial(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    house = House(database)
    partner = house.account("Partner", id="ede9f834-70b3-476c-83d9-736f9f8c7dae", currency="USD")
    load(database, partner, EXAMPLE.read_bytes(), now=house.now)
    client_id, client_secret = house.key(partner, CredentialKind.OAUTH_CLIENT)
    database.close()
    with served.serving(tmp_path) as running:
        datacenter_url = running.url
        # -- authenticate to the cloud platform
        base_url = f"{datacenter_url}/api/2"
        response = requests.post(
            f"{base_url}/idp/token",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            auth=(client_id, client_secret),
            data={"grant_type": "client_credentials"},
        )
        token_info = response.json()
        auth = {"Authorization": "Bearer " + token_info["access_token"]}
        tenant_id = requests.get(f"{base_url}/clients/{client_id}", headers=auth).json()["tenant_id"]
        assert tenant_id == "ede9f834-70b3-476c-83d9-736f9f8c7dae"
        base_url = f"{datacenter_url}/api/advanced-automation/v1"
        # -- fetch a list of invoices
        params = {
            "Page": 1,
            "PageSize": 50,
            "PaymentStatusNotConfirmed": True,
        }
        response = requests.get(f"{base_url}/InvoiceOverview", headers=auth, params=params)
        assert response.status_code == 200
        assert response.json() == json.loads(EXAMPLE.read_text())
        exact = json.loads(response.text, parse_float=str)
        assert json.dumps(exact) == json.dumps(json.loads(EXAMPLE.read_text(), parse_float=str))


ROWS = 1_203


@pytest.fixture
def long(house: House) -> Stocked:
    return stock(house, acronis_rows.make(seed=7, count=ROWS, customers=9))


def rows_of(stocked: Stocked, query: dict[str, Any]) -> list[Any]:
    found: list[Any] = stocked.get(query).json()["Invoices"]
    return found


def test_an_answer_too_long_to_hold_is_the_pages_together(long: Stocked) -> None:
    query = {"SortColumn": "InvoiceTotal", "SortDirection": "Desc"}
    pages = [row for page in range(1, 14) for row in rows_of(long, {**query, "Page": str(page), "PageSize": "100"})]
    assert len(pages) == ROWS
    for size in ({}, {"PageSize": "0"}, {"PageSize": str(ROWS)}, {"PageSize": str(2**31 - 1)}):
        streamed = long.get({**query, **size})
        assert "content-length" not in streamed.headers
        assert streamed.json()["Invoices"] == pages
        assert streamed.json() == json.loads(
            acronis_rows.encode(acronis_rows.answer(long.rows, {**query, "PageSize": int(size.get("PageSize", 0))}))
        )


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_page_longer_than_what_is_held_is_cut_and_counted_like_any_other(long: Stocked, page: int) -> None:
    query = {"Page": page, "PageSize": 1_100, "SortColumn": "CreationDate"}
    expected = json.loads(acronis_rows.encode(acronis_rows.answer(long.rows, query)))
    assert long.get(query).json() == expected


def test_head_of_a_long_answer_is_short(long: Stocked) -> None:
    head = long.house.client.head("/api/advanced-automation/v1/InvoiceOverview", headers=long.auth)
    assert (head.status_code, head.content) == (200, b"")
