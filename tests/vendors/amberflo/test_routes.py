"""Amberflo's requests: whose invoices they give, which one, in which order, and what bad ones get."""

from __future__ import annotations

import datetime as dt
import tracemalloc
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billsmith.accounts.authorisation import CredentialKind, Scope
from billsmith.accounts.model import Account, AccountStatus, Profile
from billsmith.invoicing.model import InvoiceStatus, Period
from billsmith.storage import accounts, credentials, invoice_lists, invoice_writing, invoices
from billsmith.storage.invoice_lists import InvoiceList, Sort
from billsmith.units.instants import DAY, SECOND, parse_instant
from billsmith.vendors.amberflo import routes
from billsmith.wire.face import Call
from billsmith.wire.parameters import Parameters
from billsmith.workflows.settle import mark_past_due, record_payment, void, write_off
from tests.support.house import House
from tests.vendors.acronis.test_tutorial import EXAMPLE as ACRONIS_EXAMPLE
from tests.vendors.amberflo.support import ALL_KINDS, CUSTOMER, INVOICES, PLAN, bring_in, get, key


def period(start: str, end: str) -> Period:
    return Period(parse_instant(start + "T00:00:00Z"), parse_instant(end + "T00:00:00Z"))


class Family:
    """A provider with two resellers of one customer each, and an invoice at every level."""

    def __init__(self, house: House) -> None:
        self.provider = house.account("Provider", currency="USD")
        self.reseller = house.account("Reseller", self.provider, external_id="reseller")
        self.customer = house.account("Customer", self.reseller, external_id="cust-1")
        self.sibling = house.account("Sibling", self.provider, external_id="sibling")
        self.nephew = house.account("Nephew", self.sibling, external_id="cust-2")
        self.invoice = house.invoice(self.reseller, self.customer, "10").invoice
        house.invoice(self.provider, self.reseller, "20")
        house.invoice(self.sibling, self.nephew, "40")


def totals(answer: list[dict[str, Any]]) -> list[float]:
    return [each["totalBill"]["totalPrice"] for each in answer]


def test_an_account_is_named_by_external_id_or_uuid(house: House) -> None:
    family = Family(house)
    for caller in (family.provider, family.reseller, family.customer):
        auth = key(house, caller)
        by_name = get(house, f"{INVOICES}/all", auth, customerId="cust-1")
        assert totals(by_name) == [10]
        assert get(house, f"{INVOICES}/all", auth, customerId=family.customer.id) == by_name
        assert get(house, f"{INVOICES}/all", auth, customerId=family.customer.id.upper()) == by_name
    assert totals(get(house, f"{INVOICES}/all", key(house, family.reseller), customerId="reseller")) == [20]


def answers_about_others(house: House, family: Family, path: str, query: dict[str, str]) -> set[tuple[Any, ...]]:
    """What a reseller is told of accounts that are not there, and of those that are but not its own."""
    auth = key(house, family.reseller)
    answers = set()
    for name in ("nobody", family.sibling.id, "sibling", family.nephew.id, "cust-2", family.provider.id, "provider"):
        answer = house.client.get(INVOICES + path, headers=auth, params={"customerId": name, **query})
        answers.add((answer.status_code, answer.content, tuple(sorted(answer.headers.items()))))
    return answers


LOOKS = [
    ("", {"latest": "true"}),
    ("", {"productPlanId": PLAN, "year": "2026", "month": "10", "day": "31"}),
    ("/all", {}),
    ("/all", {"latest": "true"}),
    ("/paginated", {}),
]


@pytest.mark.parametrize(("path", "query"), LOOKS)
def test_another_accounts_customer_is_as_unknown_as_none(house: House, path: str, query: dict[str, str]) -> None:
    [(status, body, _)] = answers_about_others(house, Family(house), path, query)
    empty = {"": b"null", "/all": b"null" if query else b"[]"}
    assert status == 200
    assert body == empty.get(
        path, b'{"pageInfo":{"pageNumber":1,"pageSize":50,"pageToken":"","totalPages":0,"totalResults":0},"data":[]}'
    )


def test_without_the_look_up_below_the_caller_others_would_show(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: with accounts found anywhere, the same question is answered in more than one way."""
    family = Family(sqlite_house)
    find = accounts.find
    monkeypatch.setattr(accounts, "find", lambda connection, name, _within: find(connection, name))
    assert len(answers_about_others(sqlite_house, family, "/all", {})) > 1


def test_customers_are_the_accounts_strictly_below(house: House) -> None:
    family = Family(house)
    auth = key(house, family.provider)
    listed = get(house, "/customers", auth)
    assert [each["customerId"] for each in listed] == ["reseller", "cust-1", "sibling", "cust-2"]
    assert get(house, "/customers/", auth) == listed
    for each in listed:
        assert get(house, "/customers/", auth, customerId=each["customerId"]) == each
        assert get(house, f"/customers/{each['id']}", auth) == each
        assert each["id"] == each["customerId"]
        assert (each["createTime"], each["updateTime"]) == (house.now // 1_000_000,) * 2
    assert [each["customerId"] for each in get(house, "/customers", key(house, family.reseller))] == ["cust-1"]
    assert get(house, "/customers", key(house, family.customer)) == []


def test_a_customer_who_is_not_below_is_an_empty_object(house: House) -> None:
    family = Family(house)
    auth = key(house, family.reseller)
    for name in ("nobody", "reseller", family.reseller.id, "cust-2", family.nephew.id, family.provider.id):
        assert get(house, "/customers", auth, customerId=name) == {}
        assert get(house, f"/customers/{name}", auth) == {}
    assert get(house, "/customers", auth, customerId="") == {}


def test_a_name_that_two_accounts_share_gives_way_to_the_uuid(house: House) -> None:
    family = Family(house)
    twin = house.account("Twin", family.sibling, external_id="cust-1")
    auth = key(house, family.provider)
    listed = {each["customerName"]: each["customerId"] for each in get(house, "/customers", auth)}
    assert listed == {
        "Reseller": "reseller",
        "Customer": family.customer.id,
        "Sibling": "sibling",
        "Nephew": "cust-2",
        "Twin": twin.id,
    }
    for name, id in listed.items():
        assert get(house, "/customers", auth, customerId=id)["customerName"] == name
    ambiguous = house.client.get(f"{INVOICES}/all", headers=auth, params={"customerId": "cust-1"})
    assert ambiguous.status_code == 400
    assert "UUID" in ambiguous.json()["errorMessage"]
    # Below one reseller the name is that customer's own.
    assert [each["customerId"] for each in get(house, "/customers", key(house, family.sibling))] == ["cust-2", "cust-1"]


def test_address_and_mail_are_for_keys_that_read_accounts(house: House) -> None:
    account = house.account("Acme")
    profile = Profile(line1="Kade 1", city="Delft", postal_code="2611", country="NL", email="a@example.org")
    house.account("Cust", account, external_id="cust-1", profile=profile)
    shown = get(house, "/customers/cust-1", key(house, account, Scope.INVOICES_READ, Scope.ACCOUNTS_READ))
    assert (shown["customerEmail"], shown["address"]["city"]) == ("a@example.org", "Delft")
    hidden = get(house, "/customers/cust-1", key(house, account, Scope.INVOICES_READ))
    assert (hidden["customerEmail"], set(hidden["address"].values())) == ("", {""})


def test_a_closed_customer_is_off_board(house: House) -> None:
    account = house.account("Acme")
    customer = house.account("Cust", account, external_id="cust-1")
    with house.database.write() as connection:
        accounts.change(connection, customer, now=house.now + SECOND, status=AccountStatus.CLOSED)
    shown = get(house, "/customers/cust-1", key(house, account))
    assert (shown["enabled"], shown["lifecycleStage"]) == (False, "offboarded")
    assert shown["updateTime"] == shown["createTime"] + 1000


def test_many_customers_are_streamed_in_pieces(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    account = house.account("Acme")
    for index in range(7):
        house.account(f"Cust {index}", account, external_id=f"cust-{index}")
    auth = key(house, account)
    whole = house.client.get("/customers", headers=auth).content
    for size in (1, 2, 7, 8, 9):
        monkeypatch.setattr(routes, "CUSTOMERS_A_PIECE", size)
        assert house.client.get("/customers", headers=auth).content == whole


def months(house: House, account: Account, customer: Account) -> None:
    for month in (3, 1, 2):
        house.invoice(account, customer, str(month), period=period(f"2026-0{month}-01", f"2026-0{month + 1}-01"))


def test_newest_first_and_the_latest(house: House) -> None:
    account = house.account("Acme", time_zone="UTC")
    customer = house.account("Cust", account, external_id="cust-1")
    months(house, account, customer)
    auth = key(house, account)
    listed = get(house, f"{INVOICES}/all", auth, customerId="cust-1")
    assert totals(listed) == [3, 2, 1]
    assert get(house, f"{INVOICES}/all/", auth, customerId="cust-1") == listed
    assert get(house, INVOICES, auth, customerId="cust-1", latest="true") == listed[0]
    assert get(house, f"{INVOICES}/", auth, customerId="cust-1", latest="True") == listed[0]
    assert get(house, f"{INVOICES}/all", auth, customerId="cust-1", latest="true") == listed[0]


def test_every_invoice_is_found_by_its_own_key(house: House) -> None:
    account = house.account("Acme")
    bring_in(house, account)
    with house.database.read() as connection:
        customer = accounts.get(connection, CUSTOMER, account)
    months(house, account, customer)
    house.invoice(account, customer, "7")
    house.invoice(account, customer, "8")
    auth = key(house, account)
    listed = get(house, f"{INVOICES}/all", auth, customerId=CUSTOMER)
    assert len(listed) == len({each["invoiceUri"] for each in listed}) == 7
    for each in listed:
        found = {
            name: each["invoiceKey"][name] for name in ("customerId", "productId", "productPlanId", "year", "month", "day")
        }
        assert get(house, INVOICES, auth, **found) == each
        assert get(house, INVOICES, auth, **{**found, "day": found["day"] % 28 + 1}) is None
        assert get(house, INVOICES, auth, **{**found, "productId": "2"}) is None


def test_an_invoice_is_not_found_under_another_customer(house: House) -> None:
    family = Family(house)
    auth = key(house, family.provider)
    [row] = get(house, f"{INVOICES}/all", auth, customerId="cust-1")
    found = {name: row["invoiceKey"][name] for name in ("productPlanId", "year", "month", "day")}
    assert get(house, INVOICES, auth, customerId="cust-1", **found) == row
    assert get(house, INVOICES, auth, customerId="reseller", **found) is None


def test_an_imported_invoice_is_found_after_its_customer_was_renamed(house: House) -> None:
    account = house.account("Acme")
    bring_in(house, account)
    with house.database.write() as connection:
        accounts.change(connection, accounts.get(connection, CUSTOMER, account), now=house.now, external_id="atlas/2")
    auth = key(house, account)
    row = get(house, INVOICES, auth, customerId="atlas/2", productPlanId=PLAN, year=2026, month=8, day=1)
    assert row["invoiceKey"]["customerId"] == "atlas/2"
    assert "/customer_id=atlas%2F2/" in row["invoiceUri"]
    assert get(house, f"/customers/{quote('atlas/2', safe='')}", auth)["customerId"] == "atlas/2"


def test_pages_tile(house: House) -> None:
    account = house.account("Acme", time_zone="UTC")
    customer = house.account("Cust", account, external_id="cust-1")
    months(house, account, customer)
    auth = key(house, account)
    whole = totals(get(house, f"{INVOICES}/all", auth, customerId="cust-1"))
    seen: list[float] = []
    token = ""
    for number in (1, 2):
        query = {"pageToken": token} if token else {}
        answer = get(house, f"{INVOICES}/paginated", auth, customerId="cust-1", pageSize=2, **query)
        by_number = get(house, f"{INVOICES}/paginated/", auth, customerId="cust-1", pageSize=2, pageNumber=number)
        assert answer == by_number
        token = answer["pageInfo"].pop("pageToken")
        assert answer["pageInfo"] == {"pageNumber": number, "pageSize": 2, "totalPages": 2, "totalResults": 3}
        seen += totals(answer["data"])
    assert (seen, token) == (whole, "")
    beyond = get(house, f"{INVOICES}/paginated", auth, customerId="cust-1", pageNumber=2**31 - 1)
    assert beyond["data"] == []


def test_a_long_list_is_streamed_and_says_the_same(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    account = house.account("Acme", time_zone="UTC")
    customer = house.account("Cust", account, external_id="cust-1")
    months(house, account, customer)
    auth = key(house, account)
    whole = house.client.get(f"{INVOICES}/all", headers=auth, params={"customerId": "cust-1"})
    assert "content-length" in whole.headers
    monkeypatch.setattr(routes, "MAX_HELD", 2)
    streamed = house.client.get(f"{INVOICES}/all", headers=auth, params={"customerId": "cust-1"})
    assert "content-length" not in streamed.headers
    assert streamed.content == whole.content


@pytest.mark.parametrize(("what", "payment", "price"), [
    ("issued", "pending", "price_locked"),
    ("partly paid", "pending", "price_locked"),
    ("paid", "settled", "price_locked"),
    ("zero", "not_needed", "price_locked"),
    ("past due", "failed", "price_locked"),
    ("void", "not_needed", "price_locked"),
    ("written off", "failed", "price_locked"),
    ("draft", "pre_payment", "open"),
    ("grace", "pre_payment", "grace_period"),
])  # fmt: skip
def test_every_status_has_its_words(house: House, what: str, payment: str, price: str) -> None:
    account = house.account("Acme")
    customer = house.account("Cust", account, external_id="cust-1")
    due = dt.date(2026, 11, 1) if what == "past due" else None
    found = house.invoice(account, customer, "0" if what == "zero" else "100", due_date=due)
    with house.database.write() as connection:
        if what in ("partly paid", "paid"):
            amount = 1_00 if what == "partly paid" else 100_00
            record_payment(connection, found, amount_minor=amount, reference="r", now=house.now, actor="test")
        elif what == "void":
            void(connection, found, now=house.now, actor="test")
        elif what == "written off":
            write_off(connection, found, now=house.now, actor="test")
        elif what in ("draft", "grace"):
            status = InvoiceStatus.DRAFT if what == "draft" else InvoiceStatus.GRACE
            invoice_writing.move(connection, found, what="test", actor="test", at=house.now, status=status)
    if what == "past due":
        assert mark_past_due(house.database, house.now + 3 * DAY) == 1
    auth = key(house, account)
    row = get(house, INVOICES, auth, customerId="cust-1", latest="true")
    assert (row["paymentStatus"], row["invoicePriceStatus"]) == (payment, price)
    assert row["paymentCreatedInSeconds"] == (house.now // SECOND if what in ("paid", "zero") else 0)
    for word in ("False", "false", "0"):
        unasked = get(house, INVOICES, auth, customerId="cust-1", latest="true", withPaymentStatus=word)
        assert unasked["paymentStatus"] == "unknown"
    asked = get(house, INVOICES, auth, customerId="cust-1", latest="true", withPaymentStatus="True", fromCache="TRUE")
    assert asked == row


def test_doors_are_one_house(house: House) -> None:
    """An invoice that came in from Acronis shows here; paid, it is paid in both."""
    from billsmith.vendors.acronis import load

    partner = house.account("Partner", currency="USD")
    load.load(house.database, partner, ACRONIS_EXAMPLE.read_bytes(), now=house.now, currency="USD")
    auth = key(house, partner)
    [customer] = get(house, "/customers", auth)
    rows = get(house, f"{INVOICES}/all", auth, customerId=customer["customerId"])
    assert sorted(totals(rows)) == [18.9, 100.16, 123.75]
    plan = rows[0]["invoiceKey"]["productPlanId"]
    assert {row["paymentStatus"] for row in rows} == {"pending"}
    with house.database.write() as connection:
        found = invoices.get(connection, plan, partner)
        record_payment(connection, found, amount_minor=found.invoice.total_minor, reference="r", now=house.now, actor="test")
    assert get(house, f"{INVOICES}/all", auth, customerId=customer["customerId"])[0]["paymentStatus"] == "settled"
    overview = house.client.get("/api/advanced-automation/v1/InvoiceOverview", headers=house.acronis_token(partner)).json()
    assert [row["InvoiceNumber"] for row in overview["Invoices"] if row["PaymentStatus"]] == [rows[0]["planName"]]


def test_the_length_of_a_period_in_the_customers_calendar(house: House) -> None:
    account = house.account("Acme", time_zone="Europe/Amsterdam")
    customer = house.account("Cust", account, external_id="cust-1")
    midnight = parse_instant("2026-09-30T22:00:00Z")
    expected = {
        Period(midnight, parse_instant("2026-10-31T23:00:00Z")): ("month", 1),
        Period(midnight, parse_instant("2026-12-31T23:00:00Z")): ("month", 3),
        Period(midnight, parse_instant("2027-09-30T22:00:00Z")): ("year", 1),
        Period(midnight, midnight + 7 * DAY): ("day", 7),
        Period(midnight, midnight + 1): ("day", 1),
    }
    auth = key(house, account)
    for span, (interval, count) in expected.items():
        found = house.invoice(account, customer, period=span)
        row = get(house, INVOICES, auth, customerId="cust-1", productPlanId=found.invoice.id, year=2026, month=9, day=30)
        assert row["planBillingPeriod"] == {"interval": interval, "intervalsCount": count}


@pytest.mark.parametrize(("path", "query", "word"), [
    ("/all", {}, "customerId"),
    ("/all", {"customerId": ""}, "customerId"),
    ("/paginated", {}, "customerId"),
    ("", {}, "customerId"),
    ("", {"customerId": "c"}, "latest"),
    ("", {"customerId": "c", "latest": "false"}, "latest"),
    ("", {"customerId": "c", "productPlanId": "p", "year": "2026", "month": "1"}, "day"),
    ("", {"customerId": "c", "productPlanId": "p", "year": "2026", "month": "13", "day": "1"}, "month"),
    ("", {"customerId": "c", "productPlanId": "p", "year": "2026", "month": "2", "day": "30"}, "no day"),
    ("", {"customerId": "c", "productPlanId": "p", "year": "0", "month": "2", "day": "3"}, "year"),
    ("", {"customerId": "c", "productPlanId": "p", "year": "²", "month": "2", "day": "3"}, "year"),
    ("/all", {"customerId": "c", "fromCache": "yes"}, "fromCache"),
    ("/all", {"customerId": "c", "withPaymentStatus": "2"}, "withPaymentStatus"),
    ("/all", {"customerId": "c", "latest": "x"}, "latest"),
    ("/all", {"customerId": "c" * 1025}, "customerId"),
    ("/all", {"customerId": "a\x00b"}, "customerId"),
    ("/all", {"customerId": ["a", "b"]}, "customerId"),
    ("/paginated", {"customerId": "c", "pageSize": "0"}, "pageSize"),
    ("/paginated", {"customerId": "c", "pageSize": "501"}, "pageSize"),
    ("/paginated", {"customerId": "c", "pageNumber": "0"}, "pageNumber"),
    ("/paginated", {"customerId": "c", "pageNumber": "1.5"}, "pageNumber"),
    ("/paginated", {"customerId": "c", "pageToken": "x"}, "pageToken"),
    ("/paginated", {"customerId": "c", "pageToken": "0"}, "pageToken"),
    ("/paginated", {"customerId": "c", "pageToken": "2", "pageNumber": "2"}, "pageToken"),
])  # fmt: skip
def test_a_bad_parameter_is_named(sqlite_house: House, path: str, query: dict[str, Any], word: str) -> None:
    auth = key(sqlite_house, sqlite_house.account("Acme"))
    answer = sqlite_house.client.get(INVOICES + path, headers=auth, params=query)
    assert answer.status_code == 400
    assert list(answer.json()) == ["errorMessage"]
    assert word in answer.json()["errorMessage"]


NAMES = (
    "customerId", "productId", "fromCache", "withPaymentStatus", "latest", "productPlanId", "year", "month", "day",
    "pageNumber", "pageSize", "pageToken", "unknown",
)  # fmt: skip
WORDS = st.one_of(
    st.text(max_size=40),
    st.integers().map(str),
    st.sampled_from([
        "", "cust-1", "true", "False", "1", "0", "-1", "9" * 19, "1e3", "NaN", "null", "' OR 1=1 --", "%", "_", "../..", "{}",
        "\u202e", "\U0001f600", "\x00", "2026", PLAN,
    ]),
)  # fmt: skip


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    path=st.sampled_from(["", "/", "/all", "/all/", "/paginated", "/other"]),
    pairs=st.lists(st.tuples(st.sampled_from(NAMES), WORDS), max_size=8),
)
def test_no_query_ends_in_a_500(house: House, path: str, pairs: list[tuple[str, str]]) -> None:
    if not hasattr(house, "acme"):
        house.acme = house.account("Acme")  # type: ignore[attr-defined]
        house.invoice(house.acme, house.account("Cust", house.acme, external_id="cust-1"))  # type: ignore[attr-defined]
        house.auth = key(house, house.acme)  # type: ignore[attr-defined]
    answer = house.client.get(INVOICES + path, headers=house.auth, params=pairs)  # type: ignore[attr-defined]
    assert answer.status_code in (200, 400, 404)
    if answer.status_code != 200:
        assert list(answer.json()) == ["errorMessage"]
    customers = house.client.get("/customers", headers=house.auth, params=pairs)  # type: ignore[attr-defined]
    assert customers.status_code in (200, 400)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(name=WORDS)
def test_no_customers_name_ends_in_a_500(sqlite_house: House, name: str) -> None:
    if not hasattr(sqlite_house, "auth"):
        sqlite_house.auth = key(sqlite_house, sqlite_house.account("Acme"))  # type: ignore[attr-defined]
    path = f"/customers/{quote(name.encode('utf-8', 'replace'), safe='')}"
    answer = sqlite_house.client.get(path, headers=sqlite_house.auth)  # type: ignore[attr-defined]
    assert answer.status_code in (200, 400, 404)
    if answer.status_code != 200:
        assert list(answer.json()) == ["errorMessage"]


@pytest.mark.parametrize("path", [INVOICES, f"{INVOICES}/all", f"{INVOICES}/paginated", "/customers", "/customers/x"])
def test_only_a_living_api_key_that_may_read_invoices_opens(house: House, path: str) -> None:
    account = house.account("Acme")
    _, basic = house.key(account, CredentialKind.BASIC)
    revoked_id, revoked = house.key(account, CredentialKind.API_KEY)
    _, expired = house.key(account, CredentialKind.API_KEY, expires_at=house.now + SECOND)
    with house.database.write() as connection:
        credentials.revoke(connection, revoked_id, house.now)
    house.now += SECOND
    query = {"customerId": "x", "latest": "true"}
    bodies = set()
    for headers in (
        {},
        {"X-API-KEY": ""},
        {"X-API-KEY": "wrong"},
        {"X-API-KEY": basic},
        {"X-API-KEY": revoked},
        {"X-API-KEY": expired},
        {"Authorization": f"Bearer {house.key(account, CredentialKind.API_KEY)[1]}"},
    ):
        answer = house.client.get(path, headers=headers, params=query)
        assert answer.status_code == 401
        assert list(answer.json()) == ["errorMessage"]
        bodies.add((bool(headers.get("X-API-KEY")), answer.content))
    assert len(bodies) == 2  # missing, and everything else
    lacking = house.client.get(path, headers=key(house, account, Scope.ACCOUNTS_READ), params=query)
    assert (lacking.status_code, list(lacking.json())) == (403, ["errorMessage"])
    opened = house.client.get(path, headers={"x-api-key": key(house, account)["X-API-KEY"]}, params=query)
    assert opened.status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_method_that_a_path_lacks(sqlite_house: House, method: str) -> None:
    answer = sqlite_house.client.request(method, f"{INVOICES}/all")
    assert (answer.status_code, answer.headers["allow"], list(answer.json())) == (405, "GET, HEAD, OPTIONS", ["errorMessage"])


def test_a_path_that_amberflo_has_and_we_lack(sqlite_house: House) -> None:
    answer = sqlite_house.client.get("/payments/pricing/amberflo/customer-pricing")
    assert (answer.status_code, list(answer.json())) == (404, ["errorMessage"])


def test_a_total_of_any_size_is_written_in_digits(sqlite_house: House) -> None:
    account = sqlite_house.account("Acme")
    customer = sqlite_house.account("Cust", account, external_id="cust-1")
    sqlite_house.invoice(account, customer, "900000000000000.01")
    answer = sqlite_house.client.get(f"{INVOICES}/all", headers=key(sqlite_house, account), params={"customerId": "cust-1"})
    assert b'"totalPrice":900000000000000.01,' in answer.content


def peak(house: House, account: Account, held: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes that a stream of the customer's list takes at most while it is consumed."""
    monkeypatch.setattr(routes, "MAX_HELD", held)
    call = Call(
        services=house.services, method="GET", path="", base_url="", address="", headers={}, parameters=Parameters([]),
        path_values={}, body=b"", query="",
    )  # fmt: skip
    query = routes.Query(customer="cust-1", product="1", with_status=True, latest=False)
    of = InvoiceList(invoices.ISSUED_TO, account.seq)
    tracemalloc.start()
    for piece in routes._pieces(call, account, query, invoice_lists.walk(house.database, of, sort=Sort.PERIOD)):
        assert piece
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_a_stream_takes_little_memory_however_long(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house = sqlite_house
    account = house.account("Acme")
    customer = house.account("Cust", account, external_id="cust-1")
    for _ in range(120):
        house.invoice(account, customer, lines=ALL_KINDS * 10)
    few = peak(house, customer, 4, monkeypatch)
    # The negative control: all documents of a piece at once.
    assert peak(house, customer, 1000, monkeypatch) > 4 * few
