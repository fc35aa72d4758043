"""Every key of the vendor's invoice, with its type, whatever the invoice; and bills whose parts make their sums."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billsmith.invoicing.model import RoundingPlace
from billsmith.vendors.amberflo.bills import Parts, bill, minus
from billsmith.vendors.amberflo.shapes import Bill
from tests.support.house import VAT, House
from tests.vendors.amberflo.support import ALL_KINDS, CUSTOMER, INVOICES, SHAPE, bring_in, get, key

#: What the reference page prints as "" and is a map.
MAPS = {"dimensions", "itemDimensions", "meteredUnitsPerTier"}
#: What we send beside the page's keys.
BESIDE = {"entityId"}


def check(shape: Any, value: Any, path: str = "$") -> None:
    """Whether a value has the keys of the shape, in its order, and their types."""
    if path.rpartition(".")[2] in MAPS:
        assert isinstance(value, dict), path
    elif isinstance(shape, dict):
        assert [name for name in value if name not in BESIDE] == list(shape), path
        for name, part in shape.items():
            check(part, value[name], f"{path}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), path
        for index, part in enumerate(value):
            check(shape[0], part, f"{path}[{index}]")
    elif isinstance(shape, int) and not isinstance(shape, bool):
        whole = "TimeIn" in path.rpartition(".")[2] or path.endswith((".year", ".month", ".day", "Hours", "Count", "InSeconds"))
        assert type(value) is int if whole else type(value) in (int, float), path
    else:
        assert type(value) is type(shape), path


EXPECTED = json.loads(SHAPE.read_text())


@pytest.mark.parametrize("currency", ["USD", "EUR", "JPY"])
def test_an_invoice_of_every_kind_of_line_has_the_shape(house: House, currency: str) -> None:
    account = house.account("Acme", currency=currency)
    customer = house.account("Cust", account, external_id="cust-1")
    house.invoice(account, customer, lines=ALL_KINDS, taxes=[VAT])
    house.invoice(account, customer, amount="-3")
    answer = get(house, f"{INVOICES}/all", key(house, account), customerId="cust-1")
    check(EXPECTED, answer)
    rich = max(answer, key=lambda each: len(each["productItemInvoices"]))
    for name in (
        "appliedCommitments",
        "appliedInvoiceBasedFees",
        "appliedPromotions",
        "productItemInvoices",
        "productPlanFees",
    ):
        assert rich[name], name


def test_an_imported_invoice_has_the_shape(sqlite_house: House) -> None:
    account = sqlite_house.account("Acme")
    bring_in(sqlite_house, account)
    check(EXPECTED, get(sqlite_house, f"{INVOICES}/all", key(sqlite_house, account), customerId=CUSTOMER))


def test_the_check_of_the_shape_can_fail() -> None:
    """The negative control: a missing key, a text for a number and "" for a map are all seen."""
    for broken in (
        {**EXPECTED[0], "totalBill": {}},
        {**EXPECTED[0], "gracePeriodInHours": "0"},
        {**EXPECTED[0], "invoiceStartTimeInSeconds": 0.5},
        EXPECTED[0],
    ):
        with pytest.raises(AssertionError):
            check(EXPECTED, [broken])


def test_paginated_rows_have_a_uuid_after_the_uri(sqlite_house: House) -> None:
    account = sqlite_house.account("Acme")
    bring_in(sqlite_house, account)
    answer = get(sqlite_house, f"{INVOICES}/paginated", key(sqlite_house, account), customerId=CUSTOMER)
    names = list(answer["data"][0])
    assert names[names.index("invoiceUri") + 1] == "uuid"
    for each in answer["data"]:
        del each["uuid"]
    check(EXPECTED, answer["data"])


def closed(shown: Bill) -> bool:
    """Whether a bill's parts make its sums."""
    return (
        shown.totalPriceBeforeDiscount == shown.itemPrice + shown.fixPrice
        and shown.discountableBasePrice == shown.itemPrice + shown.discountableFixPrice
        and shown.totalPriceBeforeCommitments == shown.totalPriceBeforeDiscount - shown.totalDiscount + shown.invoiceBasedFees
        and shown.totalPriceBeforePrepaid == shown.totalPriceBeforeCommitments + shown.commitmentsFees
        and shown.totalPrice == shown.totalPriceBeforePrepaid - shown.prepaid
    )


money = st.decimals(min_value=-(10**6), max_value=10**6, places=6)


@given(money, money, money, money, money, money)
def test_every_bill_is_closed(
    usage: Decimal, fees: Decimal, discounts: Decimal, support: Decimal, more: Decimal, card: Decimal
) -> None:
    parts = Parts(usage=usage, fees=fees, discounts=discounts, invoice_fees=support, commitments=more, prepaid=card)
    shown = bill(parts, 0, 1)
    assert closed(shown)
    assert Fraction(shown.totalPrice) == sum(map(Fraction, (usage, fees, -discounts, support, more, -card)))
    assert closed(bill(parts.converted(lambda amount: amount * 3), 0, 1))


@given(money.filter(bool))
def test_a_bill_that_is_off_by_a_part_is_seen(off: Decimal) -> None:
    """The negative control of the algebra."""
    shown = bill(Parts(usage=Decimal(1)), 0, 1)
    assert not closed(msgspec.structs.replace(shown, totalPrice=shown.totalPrice + off))
    assert not closed(msgspec.structs.replace(shown, itemPrice=shown.itemPrice + off))


def bill_of(answer: dict[str, Any], name: str) -> Bill:
    numbers = {field: Decimal(str(value)) for field, value in answer[name].items()}
    times = {field: int(numbers.pop(field)) for field in ("startTimeInSeconds", "endTimeInSeconds")}
    return Bill(**numbers, **times)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", list(RoundingPlace))
def test_the_bills_of_an_invoice_are_closed_and_its_total_is_the_invoices(sqlite_house: House, place: RoundingPlace) -> None:
    house = sqlite_house
    account = house.account("Acme", currency="USD")
    customer = house.account("Cust", account, external_id="cust-1")
    found = house.invoice(account, customer, lines=ALL_KINDS, taxes=[VAT], rounding_place=place)
    [row] = get(house, f"{INVOICES}/all", key(house, account), customerId="cust-1")
    total = bill_of(row, "totalBill")
    assert closed(total)
    assert total == bill_of(row, "invoiceBillInBaseCurrency")
    assert total.totalPrice == Decimal(found.invoice.total_minor) / 100
    assert total.itemPrice == sum(Decimal(str(item["totalBill"]["price"])) for item in row["productItemInvoices"])
    assert total.fixPrice == sum(Decimal(str(fee["cost"])) for fee in row["productPlanFees"])
    assert total.totalDiscount == sum(Decimal(str(each["discount"])) for each in row["appliedPromotions"]) == 13
    assert total.invoiceBasedFees == sum(Decimal(str(fee["feeAmount"])) for fee in row["appliedInvoiceBasedFees"])
    assert [fee["feeName"] for fee in row["appliedInvoiceBasedFees"]] == ["Goodwill", "VAT"]
    assert (total.commitmentsFees, total.prepaid) == (20, 30)
    assert bill_of(row, "invoiceBillInCredits").totalPrice == 0


def test_no_rate_is_made_up_for_another_currency(sqlite_house: House) -> None:
    account = sqlite_house.account("Acme", currency="EUR")
    customer = sqlite_house.account("Cust", account, external_id="cust-1")
    sqlite_house.invoice(account, customer, "12.50")
    [row] = get(sqlite_house, f"{INVOICES}/all", key(sqlite_house, account), customerId="cust-1")
    assert row["totalBill"]["totalPrice"] == 12.5
    assert row["invoiceBillInBaseCurrency"]["totalPrice"] == 0
    assert row["paymentCurrencyInfo"] == {
        "basePlanCurrency": {"currencyCode": "EUR"},
        "exchangeRate": 1,
        "paymentCurrency": {"currencyCode": "EUR"},
    }


def test_zero_has_no_sign() -> None:
    assert str(minus(Decimal(0))) == "0"
