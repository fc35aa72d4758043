"""``GET /InvoiceOverview``: its sixteen parameters, compared whole with a plain reading of the contract."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.storage.database import Database, sqlite_url
from tests.support import acronis_rows
from tests.support.acronis_rows import NO_ID, SORTS, answer, encode, make
from tests.support.house import House
from tests.vendors.acronis.conftest import Stocked, stock

NAMES = [row["InvoiceNumber"] for row in make(20241010, 100)]
CUSTOMERS = sorted({row["Customer"] for row in make(20241010, 100)})


def exact(text: str) -> Any:
    """JSON with its numbers' own text, so that 18.9 is not 18.90."""
    return json.loads(text, parse_float=str)


def same(stocked: Stocked, query: dict[str, Any]) -> None:
    """The answer is the plain reading's, in key order, to the letter."""
    sent = {name: str(value) for name, value in query.items()}  # a boolean goes out as `requests` writes it: True
    response = stocked.get(sent)
    assert response.status_code == 200, response.text
    expected = exact(encode(answer(stocked.rows, query)).decode())
    assert json.dumps(exact(response.text)) == json.dumps(expected)


@pytest.mark.parametrize("direction", ["Asc", "Desc", "asc", "DESC"])
@pytest.mark.parametrize("column", SORTS)
def test_every_sort_column_in_both_spellings_and_directions(stocked: Stocked, column: str, direction: str) -> None:
    same(stocked, {"SortColumn": column, "SortDirection": direction})


@pytest.mark.parametrize("column", SORTS)
def test_sort_columns_in_any_case(stocked: Stocked, column: str) -> None:
    assert stocked.get({"SortColumn": column.upper()}).text == stocked.get({"SortColumn": column}).text


def test_the_default_sort_is_by_customers_name(stocked: Stocked) -> None:
    same(stocked, {})
    assert stocked.get({}).text == stocked.get({"SortColumn": "CustomerName", "SortDirection": "Asc"}).text


FILTERS: list[dict[str, Any]] = [
    {"DeliveryMethod": True}, {"DeliveryMethod": False},
    {"DeliveryMethodByEmail": True}, {"DeliveryMethodByPost": True},
    {"DeliveryMethodByEmail": True, "DeliveryMethodByPost": True},
    {"DeliveryMethodByEmail": False, "DeliveryMethodByPost": False},
    {"DeliveryMethod": True, "DeliveryMethodByPost": True},  # nothing is both
    {"PaymentSent": True}, {"PaymentSent": False}, {"PaymentSentSent": True}, {"PaymentSentNotSent": True},
    {"PaymentSentSent": True, "PaymentSentNotSent": True},
    {"PaymentStatus": True}, {"PaymentStatus": False}, {"PaymentStatusConfirmed": True}, {"PaymentStatusNotConfirmed": True},
    {"PaymentStatusConfirmed": True, "PaymentStatusNotConfirmed": True},
    {"PaymentStatus": False, "PaymentStatusNotConfirmed": True},
    {"ShowExported": True}, {"ShowExported": False},
    {"PaymentStatusNotConfirmed": True, "ShowExported": False, "DeliveryMethod": True, "PaymentSentSent": True},
    {"Customer": CUSTOMERS[0]}, {"Customer": CUSTOMERS[1].upper()}, {"Customer": NO_ID}, {"Customer": ""},
    {"Customer": "11111111-2222-3333-4444-555555555555"},
    {"Customer": CUSTOMERS[0], "PaymentStatusConfirmed": True, "PageSize": 3, "Page": 2},
    {"InvoiceNumber": NAMES[7]}, {"InvoiceNumber": NAMES[7].upper()}, {"InvoiceNumber": "-11111-1"}, {"InvoiceNumber": "20241"},
    {"InvoiceNumber": "%"}, {"InvoiceNumber": "_"}, {"InvoiceNumber": "\\"}, {"InvoiceNumber": "' OR 1=1 --"},
    {"InvoiceNumber": ""},
]  # fmt: skip


@pytest.mark.parametrize("query", FILTERS, ids=str)
def test_filters(stocked: Stocked, query: dict[str, Any]) -> None:
    same(stocked, query)


PAGES: list[dict[str, Any]] = [
    {"Page": 1, "PageSize": 50}, {"Page": 2, "PageSize": 50}, {"Page": 3, "PageSize": 50},
    {"Page": 0, "PageSize": 7}, {"Page": -3, "PageSize": 7}, {"PageSize": 7}, {"Page": 15, "PageSize": 7},
    {"Page": 1}, {"Page": 2}, {"PageSize": 0}, {"Page": 5, "PageSize": 0},
    {"PageSize": 99}, {"PageSize": 100}, {"PageSize": 101}, {"Page": 2, "PageSize": 99}, {"Page": 2, "PageSize": 100},
    {"PageSize": 2**31 - 1}, {"Page": 2**31 - 1, "PageSize": 2**31 - 1}, {"Page": 2**31 - 1, "PageSize": 1},
]  # fmt: skip


@pytest.mark.parametrize("query", PAGES, ids=str)
def test_pages(stocked: Stocked, query: dict[str, Any]) -> None:
    same(stocked, query)


def test_pages_tile_exactly_under_every_sort(stocked: Stocked) -> None:
    for column in SORTS:
        for direction in ("Asc", "Desc"):
            ids = []
            for page in range(1, 16):
                query = {"SortColumn": column, "SortDirection": direction, "Page": page, "PageSize": 7}
                ids += [row["Id"] for row in stocked.get(query).json()["Invoices"]]
            assert sorted(ids) == sorted(row["Id"] for row in stocked.rows)


_yes_no = st.booleans()
QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "Page": st.integers(-1, 6),
        "PageSize": st.integers(0, 30),
        "Customer": st.sampled_from([*CUSTOMERS, NO_ID, "11111111-2222-3333-4444-555555555555"]),
        "InvoiceNumber": st.sampled_from([*NAMES[:3], "1", "-0-", "a", "2024"]),
        "DeliveryMethod": _yes_no, "DeliveryMethodByEmail": _yes_no, "DeliveryMethodByPost": _yes_no,
        "PaymentSent": _yes_no, "PaymentSentNotSent": _yes_no, "PaymentSentSent": _yes_no,
        "PaymentStatus": _yes_no, "PaymentStatusConfirmed": _yes_no, "PaymentStatusNotConfirmed": _yes_no,
        "ShowExported": _yes_no,
        "SortColumn": st.sampled_from(sorted(SORTS)),
        "SortDirection": st.sampled_from(["Asc", "Desc"]),
    },
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(query=QUERIES)
def test_any_combination_is_the_plain_reading(stocked: Stocked, query: dict[str, Any]) -> None:
    same(stocked, query)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 25), queries=st.lists(QUERIES, min_size=8, max_size=8))
def test_any_invoices_are_listed_so(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, queries: list[dict[str, Any]]
) -> None:
    database = Database(sqlite_url(tmp_path_factory.mktemp("drawn")))
    try:
        drawn = stock(House(database), make(seed, count))
        for query in queries:
            same(drawn, query)
    finally:
        database.close()


def test_no_invoices(house: House) -> None:
    empty = stock(house, [])
    for query in ({}, {"Page": 1, "PageSize": 50}, {"PaymentStatus": "True"}):
        expected = {
            "Invoices": [],
            "Paging": {"AmountTotalItems": 0, "AmountRecordsFound": 0, "AmountOfPages": 0},
            "Batches": [],
        }
        assert empty.get(query).json() == expected


BOOLEANS = [
    ("true", 200), ("True", 200), ("TRUE", 200), ("1", 200), ("false", 200), ("False", 200), ("0", 200), ("", 200),
    ("yes", 400), ("2", 400), ("null", 400), ("tru", 400), (" true", 400), ("١", 400), ("true\x00", 400), ("x" * 2000, 400),
]  # fmt: skip
BOOLEAN_PARAMETERS = [name for _, *names in acronis_rows._FILTERS for name in names if name]


@pytest.mark.parametrize(("text", "status"), BOOLEANS)
def test_how_a_boolean_may_be_written(stocked: Stocked, text: str, status: int) -> None:
    for name in BOOLEAN_PARAMETERS:
        assert stocked.get({name: text}).status_code == status, name


BAD = [
    ("Page", "x"), ("Page", "1.5"), ("Page", "1e3"), ("Page", "+"), ("Page", "-"), ("Page", "１"), ("Page", "1_000"),
    ("Page", str(2**31)), ("Page", str(-(2**31) - 1)), ("Page", "9" * 30), ("Page", "9" * 2000), ("Page", "1\x00"),
    ("PageSize", "x"), ("PageSize", "-1"), ("PageSize", "NaN"), ("PageSize", "0x10"), ("PageSize", str(2**63)),
    ("Customer", "not-a-guid"), ("Customer", "ce570f06-f444-426b-b9b0"), ("Customer", "{ce570f06-f444-426b-b9b0-3aa8ef9b951e}"),
    ("Customer", "' OR 1=1 --"), ("Customer", "x" * 2000), ("Customer", "a\x00b"), ("Customer", "日本"),
    ("InvoiceNumber", "x" * 2000), ("InvoiceNumber", "a\nb"), ("InvoiceNumber", "a\x00"), ("InvoiceNumber", "\x7f"),
    ("SortColumn", "Nope"), ("SortColumn", "customer_name"), ("SortColumn", "name; DROP TABLE invoice"), ("SortColumn", "\x01"),
    ("SortDirection", "up"), ("SortDirection", "Asc,Desc"), ("SortDirection", "1"),
]  # fmt: skip


def assert_refused(response: Any, parameter: str) -> None:
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert set(error) == {"code", "message", "details", "context", "domain"}
    assert (error["code"], error["domain"], error["details"]["info"]) == (400, "PlatformAccountServer", parameter)
    assert response.headers["content-type"] == "application/json"
    assert len(response.content) < 1500, "a caller's text comes back cut"


@pytest.mark.parametrize(("parameter", "value"), BAD)
def test_a_bad_value_names_its_parameter(stocked: Stocked, parameter: str, value: str) -> None:
    assert_refused(stocked.get({parameter: value}), parameter)


ALL_PARAMETERS = [
    "Page", "PageSize", "Customer", "InvoiceNumber", "DeliveryMethod", "DeliveryMethodByEmail", "DeliveryMethodByPost",
    "PaymentSent", "PaymentSentNotSent", "PaymentSentSent", "PaymentStatus", "PaymentStatusConfirmed",
    "PaymentStatusNotConfirmed", "ShowExported", "SortColumn", "SortDirection",
]  # fmt: skip


@pytest.mark.parametrize("parameter", ALL_PARAMETERS)
def test_a_parameter_may_stand_once(stocked: Stocked, parameter: str) -> None:
    assert_refused(stocked.get([(parameter, "1"), (parameter, "1")]), parameter)


@pytest.mark.parametrize("parameter", ALL_PARAMETERS)
def test_an_empty_parameter_counts_as_absent(stocked: Stocked, parameter: str) -> None:
    assert stocked.get({parameter: ""}).text == stocked.get({}).text


@pytest.mark.parametrize("name", ["page", "tenant_id", "limit", "'", "Page[]", "\x00", "日本"])
def test_unknown_parameters_are_ignored(stocked: Stocked, name: str) -> None:
    assert stocked.get({name: "7"}).text == stocked.get({}).text


def test_a_trailing_slash_and_head(stocked: Stocked) -> None:
    client, path = stocked.house.client, "/api/advanced-automation/v1/InvoiceOverview"
    assert client.get(path + "/", headers=stocked.auth).text == stocked.get({}).text
    head = client.head(path, headers=stocked.auth)
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "BREW"])
def test_methods_that_the_list_lacks(stocked: Stocked, method: str) -> None:
    answer = stocked.house.client.build_request(method, "/api/advanced-automation/v1/InvoiceOverview", headers=stocked.auth)
    answer.method = method
    response = stocked.house.client.send(answer)
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert response.json()["error"]["domain"] == "PlatformAccountServer"


def test_options_tells_what_there_is(stocked: Stocked) -> None:
    response = stocked.house.client.options("/api/2/idp/token")
    assert (response.status_code, response.headers["allow"]) == (204, "OPTIONS, POST")


@pytest.mark.parametrize(
    "path", ["/api/advanced-automation/v1/Invoices", "/api/advanced-automation/v2/InvoiceOverview", "/api/2/x"]
)
def test_a_path_that_the_vendor_lacks(stocked: Stocked, path: str) -> None:
    response = stocked.house.client.get(path, headers=stocked.auth)
    assert response.status_code == 404
    assert set(response.json()["error"]) == {"code", "message", "details", "context", "domain"}
