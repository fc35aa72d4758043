"""``import amberflo``: the total is authoritative, nothing doubles, nothing that can't be read comes in."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billsmith.invoicing.model import Invoice, InvoiceKind, InvoiceStatus, LineKind
from billsmith.storage import accounts, invoices
from billsmith.units.currency import to_minor
from billsmith.units.errors import BillsmithError, Invalid
from billsmith.vendors.amberflo import extras, read
from billsmith.vendors.amberflo.translate import VendorKey, parse_key
from billsmith.workflows.import_invoices import Imported, RowError
from tests.support.house import House
from tests.vendors.amberflo.support import CUSTOMER, DEMO, INVOICES, PLAN, SHAPE, bring_in, get, key

EXAMPLES: list[dict[str, Any]] = json.loads(DEMO.read_text())
#: Detail that is not kept: each item's hours, and its units by tier.
NOT_KEPT = {"hourlyBillInfos", "meteredUnitsPerTier"}


def without_detail(value: Any) -> Any:
    """The same with what is not kept taken out, and "" for a map as a map."""
    if isinstance(value, dict):
        return {
            name: {} if name in ("dimensions", "itemDimensions") and part == "" else without_detail(part)
            for name, part in value.items()
            if name not in NOT_KEPT and name != "entityId"
        }
    return [without_detail(part) for part in value] if isinstance(value, list) else value


def one(**changes: Any) -> Imported:
    """The second example with other values, as it is read."""
    found = first(**changes)
    assert isinstance(found, Imported), found
    return found


def first(**changes: Any) -> Imported | RowError:
    row = {**EXAMPLES[1], **changes}
    [found] = read.read(json.dumps([{name: value for name, value in row.items() if value is not ...}]).encode(), currency="EUR")
    return found


def bill(**numbers: Any) -> dict[str, Any]:
    return dict.fromkeys(EXAMPLES[1]["totalBill"], 0) | numbers


EMPTY: dict[str, Any] = {
    "productItemInvoices": [],
    "productPlanFees": [],
    "appliedPromotions": [],
    "appliedCommitments": [],
    "appliedInvoiceBasedFees": [],
}


def lines(invoice: Invoice) -> list[tuple[LineKind, int]]:
    assert invoice.content is not None
    return [(line.kind, line.amount_minor) for line in invoice.content.lines]


def test_an_imported_invoice_gives_all_of_its_numbers_back(house: House) -> None:
    account = house.account("Acme", currency="EUR")
    report = bring_in(house, account)
    assert (report.added, report.accounts_made, report.errors) == (2, 1, [])
    answer = get(house, f"{INVOICES}/all", key(house, account), customerId=CUSTOMER)
    assert without_detail(answer) == without_detail(EXAMPLES)


def test_twice_is_once(house: House) -> None:
    account = house.account("Acme")
    bring_in(house, account)
    again = bring_in(house, account)
    assert (again.added, again.moved, again.unchanged, again.accounts_made, again.errors) == (0, 0, 2, 0, [])
    other = house.account("Other")
    assert bring_in(house, other).added == 2, "another account has a name space of its own"


def test_what_was_imported_can_be_exported_and_imported_again(house: House) -> None:
    """Our own answer, as a list or as a page, is a file that changes nothing."""
    account = house.account("Acme")
    bring_in(house, account)
    auth = key(house, account)
    for path in ("/all", "/paginated"):
        body = house.client.get(INVOICES + path, headers=auth, params={"customerId": CUSTOMER}).content
        report = bring_in(house, account, body)
        assert (report.added, report.unchanged, report.errors) == (0, 2, [])


def test_a_later_statement_moves_the_status_and_no_amount(house: House) -> None:
    account = house.account("Acme")
    bring_in(house, account)
    later = [{**EXAMPLES[0], "paymentStatus": "settled", "paymentCreatedInSeconds": 1_790_900_000}, EXAMPLES[1]]
    report = bring_in(house, account, json.dumps(later).encode())
    assert (report.moved, report.unchanged) == (1, 1)
    row = get(house, INVOICES, key(house, account), customerId=CUSTOMER, latest="true")
    assert (row["paymentStatus"], row["paymentCreatedInSeconds"]) == ("settled", 1_790_900_000)
    changed = [{**EXAMPLES[1], "totalBill": {**EXAMPLES[1]["totalBill"], "totalPrice": 1}}]
    report = bring_in(house, account, json.dumps(changed).encode())
    assert [error.code for error in report.errors] == ["import.amount_changed"]


def test_nothing_but_single_fields_is_kept(house: House) -> None:
    account = house.account("Acme")
    bring_in(house, account)
    auth = key(house, account)
    plan = get(house, f"{INVOICES}/paginated", auth, customerId=CUSTOMER)["data"][0]["uuid"]
    with house.database.read() as connection:
        invoice = invoices.get(connection, plan, account).invoice
    kept = invoice.extras[extras.VENDOR]
    assert set(kept) <= {
        "accountId", "availablePayAsYouGoMoney", "availablePayAsYouGoMoneyInBaseCurrency",
        "availablePayAsYouGoMoneyInCredits", "availablePrepaidLeft", "availablePrepaidLeftBaseCurrency",
        "availablePrepaidLeftInCredits", "creditUnit", "externalSystemStatus", "gracePeriodInHours",
        "paymentCreatedInSeconds", "planBillingPeriod", "planName",
    }  # fmt: skip
    assert len(b"".join(bytes(raw) for raw in kept.values())) < 600


def test_the_total_is_authoritative_and_the_rest_is_unexplained() -> None:
    plain = {**EMPTY, "productPlanFees": [{"name": "Fee", "cost": 10}]}
    assert lines(one(**plain, totalBill=bill(fixPrice=10, totalPrice=10)).invoice) == [(LineKind.FEE, 1000)]
    more = one(**plain, totalBill=bill(fixPrice=10, totalPrice=12.5)).invoice
    assert lines(more) == [(LineKind.FEE, 1000), (LineKind.UNEXPLAINED, 250)]
    assert more.total_minor == 1250


def test_without_lines_there_is_one_as_stated() -> None:
    invoice = one(**EMPTY, totalBill=bill(totalPrice=18.905)).invoice
    assert lines(invoice) == [(LineKind.STATED, 1891)]
    assert invoice.stated_total == Decimal("18.905")


def test_an_empty_list_whose_bill_has_an_amount_is_one_line() -> None:
    numbers = {"itemPrice": 50, "fixPrice": 20, "totalDiscount": 7, "invoiceBasedFees": 2, "commitmentsFees": 5, "prepaid": 10}
    invoice = one(**EMPTY, totalBill=bill(**numbers, totalPrice=60)).invoice
    assert lines(invoice) == [
        (LineKind.USAGE, 5000), (LineKind.FEE, 2000), (LineKind.DISCOUNT, -700), (LineKind.TRUE_UP, 500),
        (LineKind.ADJUSTMENT, 200), (LineKind.CREDIT, -1000),
    ]  # fmt: skip


def test_lines_are_rounded_together_so_that_no_cent_is_unexplained() -> None:
    fees = [{"name": name, "cost": 0.333} for name in "abc"]
    invoice = one(**{**EMPTY, "productPlanFees": fees}, totalBill=bill(fixPrice=0.999, totalPrice=0.999)).invoice
    assert [amount for _, amount in lines(invoice)] == [34, 33, 33]
    assert {kind for kind, _ in lines(invoice)} == {LineKind.FEE}


def test_variants_that_do_not_add_up_give_way_to_their_item() -> None:
    item = {
        "meterApiName": "m",
        "productItemId": "i",
        "productItemVariants": [{"itemDimensions": {"a": "b"}, "totalBill": {"price": 1}}],
        "totalBill": {"price": 3, "meterUnits": 30},
    }
    invoice = one(**{**EMPTY, "productItemInvoices": [item]}, totalBill=bill(itemPrice=3, totalPrice=3)).invoice
    assert lines(invoice) == [(LineKind.USAGE, 300)]
    assert invoice.content is not None
    assert (invoice.content.lines[0].quantity, invoice.content.lines[0].dimensions) == (30, {})


def test_a_double_is_read_to_its_last_digit() -> None:
    text = json.dumps([{**EXAMPLES[1], **EMPTY, "totalBill": bill(totalPrice=987654)}]).encode()
    for number in ("0.30000000000000004", "1.2345678901234567e-7", "1e2", "-5.5"):
        body = text.replace(b'"totalPrice": 987654', b'"totalPrice": ' + number.encode())
        [found] = read.read(body, currency="EUR")
        assert isinstance(found, Imported)
        assert found.invoice.stated_total == Decimal(number)
        assert found.invoice.kind is (InvoiceKind.CREDIT_NOTE if number[0] == "-" else InvoiceKind.INVOICE)


@pytest.mark.parametrize(("payment", "status"), [
    ("settled", InvoiceStatus.PAID),
    ("SETTLED", InvoiceStatus.PAID),
    ("not_needed", InvoiceStatus.PAID),
    ("failed", InvoiceStatus.PAST_DUE),
    ("pending", InvoiceStatus.ISSUED),
    ("requires_action", InvoiceStatus.ISSUED),
    ("pre_payment", InvoiceStatus.ISSUED),
    ("unknown", InvoiceStatus.ISSUED),
    ("", InvoiceStatus.ISSUED),
    (None, InvoiceStatus.ISSUED),
])  # fmt: skip
def test_payment_statuses(payment: str | None, status: InvoiceStatus) -> None:
    invoice = one(paymentStatus=payment).invoice
    assert invoice.status is status
    assert invoice.paid_minor == (invoice.total_minor if status is InvoiceStatus.PAID else 0)


@pytest.mark.parametrize("status", ["open", "grace_period", "GRACE_PERIOD"])
def test_an_invoice_whose_price_is_not_final_does_not_come_in(status: str) -> None:
    found = first(invoicePriceStatus=status)
    assert isinstance(found, RowError)
    assert (found.where, found.code) == ("[0].invoicePriceStatus", "import.not_final")


@pytest.mark.parametrize(("info", "currency"), [
    ({"basePlanCurrency": {"currencyCode": "GBP"}, "exchangeRate": 1, "paymentCurrency": {"currencyCode": "GBP"}}, "GBP"),
    ({"basePlanCurrency": {"currencyCode": "usd"}, "paymentCurrency": {"currencyCode": "JPY"}, "exchangeRate": 150.5}, "USD"),
    ({"basePlanCurrency": {"currencyCode": ""}, "paymentCurrency": {"currencyCode": "CHF"}}, "CHF"),
    ({"basePlanCurrency": {"currencyCode": ""}, "exchangeRate": 0, "paymentCurrency": {"currencyCode": ""}}, "EUR"),
    ({"basePlanCurrency": None}, "EUR"),
    (None, "EUR"),
    (..., "EUR"),
])  # fmt: skip
def test_the_currency(info: Any, currency: str) -> None:
    assert one(paymentCurrencyInfo=info).invoice.currency == currency


def test_another_currency_of_payment_is_kept(house: House) -> None:
    info = {"basePlanCurrency": {"currencyCode": "USD"}, "exchangeRate": 150.5, "paymentCurrency": {"currencyCode": "JPY"}}
    account = house.account("Acme")
    bring_in(house, account, json.dumps([{**EXAMPLES[0], "paymentCurrencyInfo": info}]).encode())
    row = get(house, INVOICES, key(house, account), customerId=CUSTOMER, latest="true")
    assert row["paymentCurrencyInfo"] == info


def test_the_command_lines_currency_goes_before_the_accounts(sqlite_house: House) -> None:
    from billsmith.vendors.amberflo import load

    account = sqlite_house.account("Acme", currency="EUR")
    body = json.dumps([{**EXAMPLES[0], "paymentCurrencyInfo": None}]).encode()
    load.load(sqlite_house.database, account, body, now=sqlite_house.now, currency="CHF")
    row = get(sqlite_house, INVOICES, key(sqlite_house, account), customerId=CUSTOMER, latest="true")
    assert row["paymentCurrencyInfo"]["paymentCurrency"]["currencyCode"] == "CHF"


def test_the_pages_own_example_comes_in_once_its_customer_has_a_name(house: House) -> None:
    """All zeros and empty texts, maps written as "": what the reference page shows."""
    account = house.account("Acme")
    [row] = json.loads(SHAPE.read_text())
    row["invoiceKey"] |= {"customerId": "cust-1", "productPlanId": "plan-1", "year": 2022, "month": 2, "day": 6}
    report = bring_in(house, account, json.dumps([row]).encode())
    assert (report.added, report.errors) == (1, [])
    found = get(house, INVOICES, key(house, account), customerId="cust-1", productPlanId="plan-1", year=2022, month=2, day=6)
    assert found["invoiceStartTimeInSeconds"] == 1_644_105_600
    assert found["productItemInvoices"][0]["productItemVariants"][0]["itemDimensions"] == {}
    row["invoiceKey"]["customerId"] = ""
    report = bring_in(house, account, json.dumps([row]).encode())
    assert [(error.where, error.code) for error in report.errors] == [("[0].invoiceKey.customerId", "import.id")]


@pytest.mark.parametrize(("changes", "code"), [
    ({"totalBill": ...}, "input.invalid"),
    ({"totalBill": {"totalPrice": "x"}}, "number.syntax"),
    ({"totalBill": {"totalPrice": "12.5"}}, "number.syntax"),
    ({"totalBill": {"totalPrice": {}}}, "number.syntax"),
    ({"totalBill": {"totalPrice": 10**36}}, "invoice.too_large"),
    ({"invoiceKey": ...}, "input.invalid"),
    ({"invoiceKey": {"customerId": "a\x00"}}, "input.control_character"),
    ({"invoiceKey": {"customerId": "a" * 129}}, "input.too_long"),
    ({"invoiceKey": {"customerId": "a", "productId": "2"}}, "amberflo.product"),
    ({"invoiceKey": {"customerId": "a", "year": 2026, "month": 2, "day": 30}}, "import.period"),
    ({"invoiceKey": {"customerId": "a", "year": 2025, "month": 2, "day": 3}}, "import.period"),
    ({"invoiceKey": {"customerId": "%" * 100, "productPlanId": "p"}}, "import.id"),
    ({"invoiceEndTimeInSeconds": 1}, "import.period"),
    ({"invoiceStartTimeInSeconds": -1}, "time.out_of_range"),
    ({"invoiceEndTimeInSeconds": 10**12}, "time.out_of_range"),
    ({"invoiceEndTimeInSeconds": 1.5}, "input.invalid"),
    ({"gracePeriodInHours": -1}, "input.out_of_range"),
    ({"planName": "x" * 201}, "input.too_long"),
    ({"paymentCurrencyInfo": {"basePlanCurrency": {"currencyCode": "XXX"}}}, "currency.unknown"),
    ({"productItemInvoices": [{"productItemVariants": [{"itemDimensions": "text"}]}]}, "input.invalid"),
    ({"productPlanFees": [{"cost": 1}] * 10_001}, "invoice.too_many_lines"),
    ({"productPlanFees": "x"}, "input.invalid"),
])  # fmt: skip
def test_a_row_that_cant_be_read_is_an_error_of_its_own(changes: dict[str, Any], code: str) -> None:
    found = first(**changes)
    assert isinstance(found, RowError)
    assert (found.code, found.where[:3]) == (code, "[0]")


@pytest.mark.parametrize("body", [b"", b"x", b"3", b'"a"', b"[", b'{"data":3}', b"[" * 40 + b"]" * 40, b"\xff"])
def test_what_is_no_answer_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(BillsmithError):
        list(read.read(body, currency="EUR"))


def test_the_forms_of_an_answer() -> None:
    single = json.dumps(EXAMPLES[0]).encode()
    assert [each.where for each in read.read(single, currency="EUR")] == [""]
    page = json.dumps({"pageInfo": {}, "data": EXAMPLES}).encode()
    assert [each.where for each in read.read(page, currency="EUR")] == ["data[0]", "data[1]"]
    assert list(read.read(b"null", currency="EUR")) == []
    assert list(read.read(b"[]", currency="EUR")) == []


def test_a_customer_elsewhere_is_an_error_of_its_row(house: House) -> None:
    account, other = house.account("Acme"), house.account("Other")
    rows = [{**EXAMPLES[0], "invoiceKey": {**EXAMPLES[0]["invoiceKey"], "customerId": other.id}}, EXAMPLES[1]]
    report = bring_in(house, account, json.dumps(rows).encode())
    assert (report.added, [error.code for error in report.errors]) == (1, ["import.account_elsewhere"])


def test_a_customer_that_is_there_is_used_by_either_name(house: House) -> None:
    account = house.account("Acme")
    customer = house.account("Atlas", account, external_id=CUSTOMER)
    row = {**EXAMPLES[0], "invoiceKey": {**EXAMPLES[0]["invoiceKey"], "customerId": customer.id}}
    report = bring_in(house, account, json.dumps([row, EXAMPLES[1]]).encode())
    assert (report.added, report.accounts_made) == (2, 0)
    auth = key(house, account)
    assert len(get(house, f"{INVOICES}/all", auth, customerId=CUSTOMER)) == 2
    found = get(house, INVOICES, auth, customerId=CUSTOMER, productPlanId=PLAN, year=2026, month=9, day=1)
    assert found["invoiceKey"]["customerId"] == CUSTOMER
    with house.database.read() as connection:
        assert len(accounts.below(connection, account)) == 2


cents = st.decimals(min_value=-(10**6), max_value=10**6, places=7)


@given(st.lists(cents, max_size=8), st.lists(cents, max_size=8), cents)
def test_lines_always_sum_to_the_stated_total(usage: list[Decimal], fees: list[Decimal], stated: Decimal) -> None:
    row = {
        **EXAMPLES[1],
        **EMPTY,
        "productItemInvoices": [{"totalBill": {"price": f"<{price}>"}} for price in usage],
        "productPlanFees": [{"cost": f"<{price}>"} for price in fees],
        "totalBill": bill(totalPrice=f"<{stated}>"),
    }
    body = json.dumps(row).replace('"<', "").replace('>"', "").encode()
    [found] = read.read(body, currency="EUR")
    assert isinstance(found, Imported)
    invoice = found.invoice
    assert invoice.stated_total == stated
    assert sum(amount for _, amount in lines(invoice)) == invoice.total_minor
    unexplained = [amount for kind, amount in lines(invoice) if kind is LineKind.UNEXPLAINED]
    differs = to_minor(sum([*usage, *fees], Decimal(0)), "USD") != invoice.total_minor
    assert bool(unexplained) is (differs and bool(usage or fees))


@given(st.text(min_size=1), st.text(), st.dates())
def test_a_key_is_read_as_it_was_written(customer: str, plan: str, date: Any) -> None:
    written = VendorKey(customer, "1", plan, date)
    assert parse_key(written.text()) == written
    assert written.text().endswith("/" + VendorKey("other", "1", plan, date).ending)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(EXAMPLES[0])), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(EXAMPLES[0])), JSON, max_size=4))
def test_any_values_are_read_or_refused(changes: dict[str, Any]) -> None:
    try:
        found = first(**changes)
    except Invalid:  # the whole text is no JSON that we read
        return
    assert isinstance(found, Imported | RowError)
