"""The vendor's pages, answered by us: their examples go in by an import and come back as they were."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from billsmith.storage.database import Database
from tests.support.house import House
from tests.vendors.hostway.calls import bring_in, example, hosted

PAGE = "/accounts/test731993/invoices?filterStatus=invoice_paid&page=1&pageSize=5"


@pytest.mark.parametrize("count", [216, 220])
def test_the_pages_example_comes_back(database: Database, count: int) -> None:
    house = House(database, hostway_amounts="number")
    auth = house.hostway_user(hosted(house, count))
    expected = example("invoices-page")
    answer = house.client.get(PAGE, auth=auth)
    assert answer.status_code == 200
    body = json.loads(answer.text, parse_float=Decimal)
    assert len(body["list"]) == 5
    [record] = expected["list"]
    first = body["list"][0]
    assert {name: first[name] for name in record} == {**record, "amount": Decimal("0.87")}
    assert '"amount":0.87,' in answer.text
    assert [link["rel"] for link in body["links"]] == [link["rel"] for link in expected["links"]]
    for ours, theirs in zip(body["links"], expected["links"], strict=True):
        assert ours["href"] == theirs["href"] + "&filterStatus=invoice_paid"


@pytest.mark.parametrize(("count", "last"), [(215, 43), (216, 44), (220, 44), (221, 45)])
def test_where_the_last_page_is(sqlite_house: House, count: int, last: int) -> None:
    auth = sqlite_house.hostway_user(hosted(sqlite_house, count))
    links = sqlite_house.client.get(PAGE, auth=auth).json()["links"]
    assert f"?page={last}&" in links[-1]["href"]


def test_a_real_invoice_comes_back(house: House) -> None:
    answer = example("invoices")
    account = hosted(house)
    report = bring_in(house, answer["list"], account)
    again = bring_in(house, answer["list"], account)
    assert (report.added, again.unchanged, report.errors + again.errors) == (1, 1, [])
    body = house.client.get("/accounts/test731993/invoices", auth=house.hostway_user(account)).json()
    [expected], [record] = answer["list"], body["list"]
    assert list(record)[:8] == list(expected)
    assert {name: record[name] for name in expected} == expected
    assert list(record)[8:] == ["startDate", "endDate", "productSpecification", "serviceNumber", "type", "number"]
    assert body["links"] == [{"href": "http://127.0.0.1:8080/accounts/test731993/invoices", "rel": "self"}]


@pytest.mark.parametrize("name", ["SO-360704", "so-360704"])
@pytest.mark.parametrize("path", ["invoices", "invoces"])
def test_one_invoice(house: House, path: str, name: str) -> None:
    account = hosted(house)
    bring_in(house, example("invoices")["list"], account)
    answer = house.client.get(f"/accounts/test731993/{path}/{name}", auth=house.hostway_user(account))
    [expected] = example("invoices")["list"]
    body = answer.json()
    assert {key: body[key] for key in expected} == expected
    assert body["links"] == [{"href": f"http://127.0.0.1:8080/accounts/test731993/invoices/{name}/", "rel": "self"}]


def test_our_own_answer_goes_in_again(house: House) -> None:
    """What one billsmith serves another can import, and shows the same."""
    first = hosted(house, 2)
    bring_in(house, example("invoices")["list"], first)
    theirs = house.client.get("/accounts/test731993/invoices", auth=house.hostway_user(first)).json()
    second = house.account("Second", currency="USD", time_zone="America/Chicago")
    report = bring_in(house, theirs["list"], second)
    assert (report.added, report.errors) == (3, [])
    ours = house.client.get(f"/accounts/{second.id}/invoices", auth=house.hostway_user(second)).json()
    assert ours["list"] == theirs["list"]
