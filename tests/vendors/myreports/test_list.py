"""Which invoices the list holds, in which order, and how it is paged."""

from __future__ import annotations

from typing import Any

import pytest

from billsmith.accounts.model import Account
from billsmith.invoicing.model import Period
from billsmith.units.instants import DAY
from billsmith.vendors.myreports import routes
from billsmith.workflows import settle
from tests.support.house import House

PATH = "/api/v1.0/billingdata"


def rows(house: House, account: Account, **query: Any) -> list[dict[str, Any]]:
    answer = house.client.get(PATH, headers=house.myreports_token(account), params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body["page_size"] == len(body["data"])
    return body["data"]  # type: ignore[no-any-return]


def bill(house: House, issuer: Account, recipient: Account, day: int, amount: str = "1.00") -> str:
    return house.invoice(issuer, recipient, amount, period=Period(day * DAY, (day + 1) * DAY)).invoice.number


def test_whose_invoices(house: House) -> None:
    top = house.account("Top")
    enterprise = house.account("Enterprise", top)
    reseller = house.account("Reseller", enterprise)
    customer = house.account("Customer", reseller)
    sibling = house.account("Sibling", top)
    for index, (issuer, recipient) in enumerate([
        (top, enterprise), (top, sibling), (top, reseller), (enterprise, enterprise), (enterprise, reseller),
        (enterprise, customer), (reseller, customer),
    ]):  # fmt: skip
        bill(house, issuer, recipient, 10 - index, f"{index + 1}.00")
    seen = {account.name: [row["invoiceValue"] for row in rows(house, account)] for account in (
        top, enterprise, reseller, customer, sibling)}  # fmt: skip
    assert seen == {
        "Top": [2.0, 1.0],
        "Enterprise": [5.0, 4.0, 1.0],
        "Reseller": [7.0, 5.0, 3.0],
        "Customer": [7.0, 6.0],
        "Sibling": [2.0],
    }


def test_an_account_is_named_by_its_external_guid_or_its_uuid(house: House) -> None:
    top = house.account("Top")
    guid = "0A1B2C3D-0000-4000-8000-00000000CAFE"
    for index, more in enumerate([{"external_id": guid}, {"external_id": "R-2"}, {}]):
        bill(house, top, house.account(f"Reseller {index}", top, **more), index)
    ids = [row["tenantId"] for row in rows(house, top)]
    assert ids[0] == guid
    assert ids[1] != "R-2"
    assert all(len(each) == 36 for each in ids)


@pytest.mark.parametrize(("query", "expected", "index"), [
    ({"pageIndex": 0, "pageSize": 2}, [1, 2], 0),
    ({"pageIndex": 1, "pageSize": 2}, [3, 4], 1),
    ({"pageIndex": 2, "pageSize": 2}, [5], 2),
    ({"pageIndex": 3, "pageSize": 2}, [], 3),
    ({"pageIndex": 10**30, "pageSize": 2}, [], 2**31),
    ({"pageSize": 3}, [1, 2, 3], 0),
    ({"pageSize": 5_000}, [1, 2, 3, 4, 5], 0),
    ({"pageIndex": 0}, [1, 2, 3, 4, 5], 0),
    ({"pageIndex": 1}, [], 1),
])  # fmt: skip
def test_pages(house: House, query: dict[str, int], expected: list[int], index: int) -> None:
    top = house.account("Top")
    middle = house.account("Middle", top)
    child = house.account("Child", middle)
    for day in (4, 2, 5):
        bill(house, middle, child, day, f"{day}.00")
    for day in (3, 1):
        bill(house, top, middle, day, f"{day}.00")
    answer = house.client.get(PATH, headers=house.myreports_token(middle), params=query).json()
    assert list(answer) == ["page_size", "page_index", "data", "status", "timestamp"]
    assert answer["page_index"] == index
    assert answer["page_size"] == len(expected)
    assert [row["invoiceValue"] for row in answer["data"]] == expected


@pytest.mark.parametrize(("query", "value"), [
    ("pageSize=0", "'0'"), ("pageSize=-1", "'-1'"), ("pageIndex=-1", "'-1'"), ("pageIndex=one", "'one'"), ("pageSize=1.5", "'1.5'"),
    ("pageSize=", "''"), ("pageIndex=%EF%BC%91", "'１'"), ("pageSize=1%20OR%201=1", "'1 OR 1=1'"),
])  # fmt: skip
def test_values_that_are_not_valid(sqlite_house: House, query: str, value: str) -> None:
    token = sqlite_house.myreports_token(sqlite_house.account("Top"))
    answer = sqlite_house.client.get(f"{PATH}?{query}", headers=token)
    assert answer.status_code == 400
    assert answer.json() == {
        "error": 400,
        "message": f"The value {value} is not valid.",
        "status": "error",
        "timestamp": "2026-10-31T12:00:00.0000000Z",
    }


def test_unknown_parameters_are_ignored_and_repeated_ones_refused(sqlite_house: House) -> None:
    token = sqlite_house.myreports_token(sqlite_house.account("Top"))
    assert sqlite_house.client.get(f"{PATH}?filter=x", headers=token).json()["data"] == []
    assert sqlite_house.client.get(f"{PATH}?pageSize=1&pageSize=2", headers=token).status_code == 400


def test_a_long_list_is_streamed_with_its_length_first(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    top = house.account("Top")
    middle = house.account("Middle", top)
    child = house.account("Child", middle)
    for day in range(7):
        bill(house, middle, child, day)
        bill(house, top, middle, day)
    token = house.myreports_token(middle)
    held = house.client.get(PATH, headers=token)
    monkeypatch.setattr(routes, "MAX_HELD", 5)
    streamed = house.client.get(PATH, headers=token, params={"unknown": "so that no kept answer serves"})
    assert "content-length" in held.headers
    assert "content-length" not in streamed.headers
    assert streamed.text == held.text
    assert streamed.json()["page_size"] == 14


def test_exact_values_and_what_happens_elsewhere(house: House) -> None:
    top = house.account("Top")
    yen = house.account("Yen", top, currency="JPY")
    bill(house, top, yen, 1, "200")
    paid = house.invoice(top, house.account("Euro", top), "0.125", period=Period(2 * DAY, 3 * DAY))
    with house.database.write() as connection:
        settle.void(connection, paid, now=house.now, actor="test")
    text = house.client.get(PATH, headers=house.myreports_token(top)).text
    assert '"invoiceValue":200.0}' in text
    assert '"invoiceValue":0.13}' in text, "void, and shown all the same: the vendor has no such state"
