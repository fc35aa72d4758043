"""Whatever is sent, the answer is one of the contract's; never a 500, never another shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billsmith.units.errors import BillsmithError
from billsmith.vendors.myreports.translate import read
from billsmith.workflows.import_invoices import RowError
from tests.support.house import House
from tests.vendors.myreports.test_example import bring_in, example

ODD = st.one_of(
    st.text(max_size=40),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["", "0", "-1", "9" * 400, "null", "[]", "' OR 1=1 --", "%00", "\u0661", "\ud7ff", "<script>", "../../etc"]
    ),
)
NAMES = st.sampled_from(["pageIndex", "pageSize", "pageindex", "filter", "x"])


@pytest.fixture(scope="module")
def small_house(tmp_path_factory: pytest.TempPathFactory) -> tuple[House, dict[str, str]]:
    from billsmith.storage.database import Database, sqlite_url

    house = House(Database(sqlite_url(tmp_path_factory.mktemp("house"))), tokens_per_minute=10**6)
    enterprise = house.account("Enterprise")
    bring_in(house, example(), enterprise)
    return house, house.myreports_token(enterprise)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(pairs=st.lists(st.tuples(NAMES, ODD), max_size=4), name=st.one_of(st.none(), ODD))
def test_any_query_and_any_id(
    small_house: tuple[House, dict[str, str]], pairs: list[tuple[str, str]], name: str | None
) -> None:
    from urllib.parse import quote

    house, token = small_house
    path = "/api/v1.0/billingdata" + ("" if name is None else f"/{quote(name, safe='')}")
    answer = house.client.get(path, headers=token, params=pairs)
    body = answer.json()
    if answer.status_code == 200:
        assert body["status"] == "success"
        assert body.get("page_size", len(body["data"])) == len(body["data"]) <= 7
    else:
        assert answer.status_code in (400, 404)
        assert list(body) == ["error", "message", "status", "timestamp"]
        assert (body["error"], body["status"]) == (answer.status_code, "error")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(secret=st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=60))
def test_any_credential(small_house: tuple[House, dict[str, str]], secret: str) -> None:
    house, _ = small_house
    house.now += 10**9
    for header in (f"Bearer {secret}", secret):
        answer = house.client.get("/v1.0/billingdata", headers={"Authorization": header})
        assert (answer.status_code, answer.content) == (401, b"")


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=12), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
FIELDS = ["tenantId", "invoiceid", "invoiceNumber", "customerName", "billingPeriodStart", "billingPeriodEnd", "invoiceValue"]


@settings(max_examples=150, deadline=None)
@given(field=st.sampled_from(FIELDS), value=JSON)
def test_any_value_of_any_field_in_a_file(field: str, value: Any) -> None:
    answer = example()
    answer["data"][0][field] = value
    for row in read(json.dumps(answer).encode(), currency="EUR"):
        assert not isinstance(row, RowError) or (row.where.startswith("data[0]") and row.code and row.message)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"\xff", b'{"data":{}}', b'{"data":null}', b"[" * 100, b'{"data":[' + b"[" * 99]
)
def test_what_is_no_answer_of_the_vendors(body: bytes) -> None:
    with pytest.raises(BillsmithError) as caught:
        list(read(body, currency="EUR"))
    assert caught.value.code.startswith("input.")


@pytest.mark.parametrize(("field", "value", "code"), [
    ("invoiceValue", "1e999", "number.too_many_digits"),
    ("invoiceValue", None, "number.syntax"),
    ("invoiceValue", 10**18, "import.too_large"),
    ("invoiceNumber", "", "account.empty"),
    ("invoiceNumber", "x" * 65, "account.too_long"),
    ("invoiceNumber", "a\u0000b", "account.control_character"),
    ("customerName", "\u0000", "account.control_character"),
    ("tenantId", "", "account.empty"),
    ("invoiceid", "", "account.empty"),
    ("billingPeriodStart", "2020-13-01T00:00:00.000+00:00", "time.not_an_instant"),
    ("billingPeriodEnd", "2019-12-31T23:59:59.999+00:00", "import.period"),
    ("billingPeriodEnd", "9999-12-31T23:59:59.999+00:00", "time.out_of_range"),
])  # fmt: skip
def test_a_bad_row_is_named_and_the_others_come_in(house: House, field: str, value: Any, code: str) -> None:
    enterprise = house.account("Enterprise")
    answer = example()
    answer["data"][1][field] = value
    report = bring_in(house, answer, enterprise)
    assert [(each.where.partition(".")[0], each.code) for each in report.errors] == [("data[1]", code)]
    assert report.added == 3


def test_an_id_that_belongs_elsewhere_is_that_rows_error(house: House) -> None:
    top = house.account("Top")
    mine, other = house.account("Mine", top), house.account("Other", top)
    answer = example()
    answer["data"][0]["tenantId"] = other.id
    answer["data"][1]["tenantId"] = mine.id
    report = bring_in(house, answer, mine)
    assert [(each.where, each.code) for each in report.errors] == [("data[0]", "import.account_elsewhere")]
    assert report.added == 3
    assert house.client.get("/v1.0/billingdata", headers=house.myreports_token(other)).json()["data"] == []


def test_another_amount_under_the_same_id_is_refused(house: House) -> None:
    enterprise = house.account("Enterprise")
    bring_in(house, example(), enterprise)
    answer = example()
    answer["data"][2]["invoiceValue"] = 201.0
    report = bring_in(house, answer, enterprise)
    assert [(each.where, each.code) for each in report.errors] == [("data[2]", "import.amount_changed")]
    assert report.unchanged == 3


def test_the_currency_is_said_or_the_accounts(house: House) -> None:
    enterprise = house.account("Enterprise", currency="GBP")
    report = bring_in(house, example(), enterprise, currency="KWD")
    assert report.added == 4
    with house.database.read() as connection:
        from billsmith.storage import invoices

        [found] = invoices.by_number(connection, "9000001", enterprise)
    assert (found.invoice.currency, found.invoice.total_minor) == ("KWD", 200_000)
