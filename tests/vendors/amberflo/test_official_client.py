"""The vendor's own client, its package files untouched, against our server over real HTTP."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from metering.customer import CustomerApiClient
from metering.customer_product_invoice import (
    CustomerProductInvoiceApiClient,
    create_all_invoices_query,
    create_invoice_query,
    create_latest_invoice_query,
)
from metering.exceptions import ApiError
from metering.session import ApiSession

from billsmith.accounts.authorisation import CredentialKind
from tests.support.house import House
from tests.vendors.amberflo.support import CUSTOMER, PLAN, bring_in, running


@pytest.fixture
def secret(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An api-key of an account with two imported invoices, and the client pointed at a running server."""
    account = house.account("Acme", currency="USD")
    assert bring_in(house, account).added == 2
    house.account("Other Customer", account, external_id="other/customer")
    with running(house) as url:
        monkeypatch.setattr(ApiSession, "root_url", url)
        yield house.key(account, CredentialKind.API_KEY)[1]


def test_it_lists_and_reads_invoices(secret: str) -> None:
    client = CustomerProductInvoiceApiClient(secret)
    listed = client.get_all(create_all_invoices_query(CUSTOMER))
    assert [each["totalBill"]["totalPrice"] for each in listed] == [153.8068427, 192.24037435]
    latest = client.get(create_latest_invoice_query(CUSTOMER))
    assert latest == listed[0]
    august = client.get(create_invoice_query(CUSTOMER, PLAN, dt.date(2026, 8, 1)))
    assert august == listed[1]
    assert client.get(create_invoice_query(CUSTOMER, PLAN, dt.date(2026, 7, 1))) is None
    assert client.get_all(create_all_invoices_query("nobody")) == []


def test_it_lists_and_reads_customers(secret: str) -> None:
    client = CustomerApiClient(secret)
    listed = client.list()
    assert [each["customerId"] for each in listed] == [CUSTOMER, "other/customer"]
    for each in listed:
        assert client.get(each["customerId"]) == each
    assert client.get("nobody") == {}


def test_a_wrong_key_is_an_error_of_the_client(secret: str) -> None:
    with pytest.raises(ApiError, match="401"):
        CustomerProductInvoiceApiClient("wrong").get_all(create_all_invoices_query(CUSTOMER))
    with pytest.raises(ApiError, match="401"):
        CustomerApiClient(secret + "x").list()
