"""Cloud cost rows become documents: exact sums, rounded once, nothing doubled, nothing short."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billsmith.accounts.authorisation import CredentialKind
from billsmith.accounts.model import Account
from billsmith.invoicing.model import Invoice, InvoiceKind, InvoiceStatus, LineKind, RoundingPlace
from billsmith.storage import accounts, invoice_lists, invoices
from billsmith.storage.invoice_lists import InvoiceList, Sort
from billsmith.storage.invoices import ISSUED_BY
from billsmith.units.currency import from_minor
from billsmith.units.errors import Invalid, TooLarge
from billsmith.units.instants import parse_instant
from billsmith.units.rounding import Rounding, round_to
from billsmith.vendors.focus import load, read
from billsmith.workflows.import_invoices import Imported, ImportReport, RowError
from tests.support.house import House

REAL = Path(__file__).parents[2] / "cases" / "focus" / "focus_sample.csv"
DEMO = Path(read.__file__).parents[2] / "demo_data" / "focus.csv"
REAL_SUM = Decimal("20.52022672899")

HEADER = (
    "BilledCost,BillingCurrency,BillingPeriodEnd,BillingPeriodStart,ChargeCategory,InvoiceIssuerName,ServiceName,"
    "SubAccountId,SubAccountName"
)


def row(cost: str = "1.00", **cells: str) -> str:
    values = {
        "BilledCost": cost,
        "BillingCurrency": "USD",
        "BillingPeriodEnd": "2024-10-01 00:00:00",
        "BillingPeriodStart": "2024-09-01 00:00:00",
        "ChargeCategory": "Usage",
        "InvoiceIssuerName": "Cloud Inc.",
        "ServiceName": "Compute",
        "SubAccountId": "sub-1",
        "SubAccountName": "First",
    } | cells
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([values[name] for name in HEADER.split(",")])
    return out.getvalue()


def read_text(*rows: str, header: str = HEADER) -> list[Imported | RowError]:
    return list(read.read(io.BytesIO("\n".join([header, *rows, ""]).encode())))


def documents(house: House, issuer: Account) -> list[Invoice]:
    with house.database.read() as connection:
        rows = invoice_lists.page(connection, InvoiceList(ISSUED_BY, issuer.seq), sort=Sort.CREATED, limit=1000)
        return [each.invoice for each in invoices.with_content(connection, rows)]


def exact(invoice: Invoice) -> Decimal:
    """The sum of a document's lines before rounding."""
    assert invoice.content is not None
    return sum(
        (
            from_minor(line.amount_minor, invoice.currency) if line.exact_amount is None else line.exact_amount
            for line in invoice.content.lines
        ),
        Decimal(0),
    )


def import_real(house: House) -> tuple[Account, ImportReport]:
    account = house.account("SunBird", currency="USD", time_zone="America/New_York")
    with REAL.open("rb") as file:
        return account, load.load(house.database, account, file, now=house.now)


def test_the_real_file_comes_in_exactly_and_once(house: House) -> None:
    account, report = import_real(house)
    assert (report.added, report.errors) == (73, [])
    assert report.accounts_made == 73
    found = documents(house, account)
    assert sum((exact(each) for each in found), Decimal(0)) == REAL_SUM
    again = load.load(house.database, account, REAL.read_bytes(), now=house.now)
    assert (again.added, again.unchanged, again.moved, again.errors, again.accounts_made) == (0, 73, 0, [], 0)
    assert len(documents(house, account)) == 73


def test_each_documents_total_is_its_exact_sum_rounded_once(sqlite_house: House) -> None:
    account, _ = import_real(sqlite_house)
    expected: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    lines: dict[tuple[str, str, str], set[tuple[str, str]]] = defaultdict(set)
    with REAL.open(newline="") as file:
        for each in csv.DictReader(file):
            key = each["SubAccountId"], each["InvoiceIssuerName"], each["BillingPeriodStart"]
            expected[key] += Decimal(each["BilledCost"])
            lines[key].add((each["ServiceName"], each["ChargeCategory"]))
    found = documents(sqlite_house, account)
    assert len(found) == len(expected) == 73
    with sqlite_house.database.read() as connection:
        names = {each.id: each for each in accounts.below(connection, account)}
    for invoice in found:
        content = invoice.content
        assert content is not None
        sub = names[invoice.recipient_id]
        start = (
            "2024-09-01 00:00:00" if invoice.period.start == parse_instant("2024-09-01T00:00:00Z") else "2024-10-01 00:00:00"
        )
        key = sub.external_id, invoice.billing_entity, start
        assert exact(invoice) == expected[key]
        assert from_minor(invoice.total_minor, "USD") == round_to(expected[key], 2, Rounding.HALF_UP)
        assert sum(line.amount_minor for line in content.lines) == invoice.total_minor
        assert {(line.component, line.dimensions["ChargeCategory"]) for line in content.lines} == lines[key]
        assert content.rounding_place is RoundingPlace.INVOICE
        assert (invoice.customer_name, sub.parent_id) == (sub.name, account.id)


def test_rounding_each_line_would_give_another_total(sqlite_house: House) -> None:
    """The negative control of the rounding place: with lines rounded one by one, cents go astray."""
    account, _ = import_real(sqlite_house)
    found = documents(sqlite_house, account)
    line_by_line = sum(
        round_to(line.exact_amount if line.exact_amount is not None else from_minor(line.amount_minor, "USD"), 2)
        for each in found
        if each.content is not None
        for line in each.content.lines
    )
    assert line_by_line != sum(from_minor(each.total_minor, "USD") for each in found)


@pytest.mark.parametrize(("costs", "total", "kind", "status"), [
    (["0.0000000004"], "0.00", InvoiceKind.INVOICE, InvoiceStatus.PAID),
    (["0.00"], "0.00", InvoiceKind.INVOICE, InvoiceStatus.PAID),
    (["1.00", "-1.00"], "0.00", InvoiceKind.INVOICE, InvoiceStatus.PAID),
    (["0.005"], "0.01", InvoiceKind.INVOICE, InvoiceStatus.ISSUED),
    (["0.004999999999"], "0.00", InvoiceKind.INVOICE, InvoiceStatus.PAID),
    (["-0.005"], "-0.01", InvoiceKind.CREDIT_NOTE, InvoiceStatus.ISSUED),
    (["2.00", "-5.25"], "-3.25", InvoiceKind.CREDIT_NOTE, InvoiceStatus.ISSUED),
    (["4.0E-10", "1e2"], "100.00", InvoiceKind.INVOICE, InvoiceStatus.ISSUED),
    (["0." + "0" * 29 + "1"], "0.00", InvoiceKind.INVOICE, InvoiceStatus.PAID),
])  # fmt: skip
def test_signs_and_borders(costs: list[str], total: str, kind: InvoiceKind, status: InvoiceStatus) -> None:
    [found] = read_text(*(row(cost, ServiceName=f"S{index}") for index, cost in enumerate(costs)))
    assert isinstance(found, Imported)
    invoice = found.invoice
    assert (from_minor(invoice.total_minor, "USD"), invoice.kind, invoice.status) == (Decimal(total), kind, status)
    assert exact(invoice) == sum(map(Decimal, costs))


def test_a_document_for_each_sub_account_issuer_currency_and_period() -> None:
    found = read_text(
        row(),
        row(ServiceName="Storage"),
        row(ServiceName="Storage", ChargeCategory="Credit", cost="-0.10"),
        row(SubAccountId="sub-2"),
        row(InvoiceIssuerName="Other Ltd"),
        row(BillingCurrency="EUR"),
        row(BillingPeriodStart="2024-10-01 00:00:00", BillingPeriodEnd="2024-11-01T00:00:00Z"),
        row(SubAccountId="NULL", SubAccountName="NULL"),
    )
    assert all(isinstance(each, Imported) for each in found)
    rows = [each for each in found if isinstance(each, Imported)]
    assert [each.recipient for each in rows] == ["sub-1", "sub-2", "sub-1", "sub-1", "sub-1", None]
    assert len({each.vendor_key for each in rows}) == 6
    content = rows[0].invoice.content
    assert content is not None
    assert [(line.description, line.kind, line.amount_minor) for line in content.lines] == [
        ("Compute", LineKind.USAGE, 100),
        ("Storage", LineKind.USAGE, 100),
        ("Storage: credit", LineKind.CREDIT, -10),
    ]
    assert content.lines[0].trace == ("BilledCost of 1 row, 1.00 before rounding",)


@pytest.mark.parametrize(("bad", "code"), [
    (row("abc"), "number.syntax"),
    (row("NULL"), "focus.absent"),
    (row("NaN"), "number.syntax"),
    (row("1e999"), "number.too_many_digits"),
    (row("0." + "0" * 30 + "1"), "number.too_many_places"),
    (row("9" * 39), "number.too_many_digits"),
    (row(ServiceName="NULL"), "focus.absent"),
    (row(ServiceName="x" * 201), "input.too_long"),
    (row(ChargeCategory="usage"), "focus.charge_category"),
    (row(SubAccountName="a\x07b"), "input.control_character"),
])  # fmt: skip
def test_a_row_that_cant_be_read_refuses_its_document_and_no_other(bad: str, code: str) -> None:
    found = read_text(row(), bad, row(SubAccountId="sub-2"))
    assert next(each.where for each in found if isinstance(each, RowError)).startswith("line 3")
    assert [each.code for each in found if isinstance(each, RowError)] == [code, "focus.document_refused"]
    assert [each.recipient for each in found if isinstance(each, Imported)] == ["sub-2"]


@pytest.mark.parametrize(("bad", "refused"), [
    (row(BillingCurrency="XXX"), ["sub-1", "sub-1"]),
    (row(BillingCurrency="NULL"), ["sub-1", "sub-1"]),
    (row(BillingPeriodStart="2024-13-01 00:00:00"), ["sub-1"]),
    (row(BillingPeriodEnd="2024-08-01 00:00:00"), []),
    (row(InvoiceIssuerName="NULL"), ["sub-1"]),
    (row(SubAccountId="x" * 129), ["sub-1", "sub-2"]),
    ("1,2,3", ["sub-1", "sub-1", "sub-2"]),
])  # fmt: skip
def test_a_row_whose_document_is_unknown_refuses_all_that_it_may_belong_to(bad: str, refused: list[str]) -> None:
    rows = [row(), row(BillingCurrency="EUR"), row(SubAccountId="sub-2")]
    found = read_text(*rows, bad)
    came = [each.recipient for each in found if isinstance(each, Imported)]
    assert sorted([*came, *refused]) == ["sub-1", "sub-1", "sub-2"]


def test_without_the_refusal_a_document_would_come_in_short() -> None:
    """The negative control: read without its bad row, the same document has another total."""
    whole, short = read_text(row("1.00"), row("2.00")), read_text(row("1.00"))
    refused = read_text(row("1.00"), row("2.OO"))
    assert isinstance(whole[0], Imported)
    assert isinstance(short[0], Imported)
    assert whole[0].invoice.total_minor != short[0].invoice.total_minor
    assert not [each for each in refused if isinstance(each, Imported)]


@pytest.mark.parametrize(("text", "code"), [
    ("", "focus.columns"),
    ("a,b\n1,2\n", "focus.columns"),
    (HEADER.replace("BilledCost", "Cost") + "\n", "focus.columns"),
    (HEADER + ",BilledCost\n", "focus.columns"),
    (",".join(f"c{index}" for index in range(501)) + "\n", "focus.too_many_columns"),
    (HEADER + "\n" + "x" * (1024 * 1024 + 1), "focus.row_too_long"),
    (HEADER + '\n"' + "x\n" * 100_000, "focus.not_csv"),
    (HEADER + '\n"a"b,2\n', "focus.not_csv"),
])  # fmt: skip
def test_what_is_no_focus_file_is_refused_as_a_whole(text: str, code: str) -> None:
    with pytest.raises((Invalid, TooLarge)) as caught:
        list(read.read(io.BytesIO(text.encode())))
    assert caught.value.code == code


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(Invalid) as caught:
        list(read.read(io.BytesIO(HEADER.encode() + b"\n\xff\xfe")))
    assert caught.value.code == "focus.not_text"


def test_only_so_many_bad_rows_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "MAX_ERRORS", 3)
    with pytest.raises(TooLarge):
        read_text(*["1,2,3"] * 4)


def test_only_so_many_lines_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "MAX_SUMS", 3)
    assert len(read_text(*(row(ServiceName=f"S{index}") for index in range(3)))) == 1
    with pytest.raises(TooLarge):
        read_text(*(row(ServiceName=f"S{index}") for index in range(4)))


def test_a_sub_account_elsewhere_is_an_error_of_its_document(sqlite_house: House) -> None:
    house = sqlite_house
    account, other = house.account("Ours", currency="USD"), house.account("Theirs", currency="USD")
    body = "\n".join([HEADER, row(SubAccountId=other.id), row(SubAccountId="sub-2"), ""]).encode()
    report = load.load(house.database, account, body, now=house.now)
    assert (report.added, [error.code for error in report.errors]) == (1, ["import.account_elsewhere"])
    with house.database.read() as connection:
        assert not invoice_lists.count(connection, InvoiceList(invoices.ISSUED_TO, other.seq))


def test_a_changed_amount_is_an_error_for_issued_is_issued(sqlite_house: House) -> None:
    account = sqlite_house.account("Ours", currency="USD")
    first, second = (("\n".join([HEADER, row(cost), ""])).encode() for cost in ("1.00", "2.00"))
    load.load(sqlite_house.database, account, first, now=sqlite_house.now)
    report = load.load(sqlite_house.database, account, second, now=sqlite_house.now)
    assert [error.code for error in report.errors] == ["import.amount_changed"]


def test_documents_show_in_another_door(sqlite_house: House) -> None:
    house = sqlite_house
    account = house.account("Ours", currency="USD")
    load.load(house.database, account, "\n".join([HEADER, row("12.346"), ""]).encode(), now=house.now)
    _, key = house.key(account, CredentialKind.API_KEY)
    answer = house.client.get(
        "/payments/billing/customer-product-invoice/all", headers={"X-API-KEY": key}, params={"customerId": "sub-1"}
    )
    assert [each["totalBill"]["totalPrice"] for each in answer.json()] == [12.35]


def test_the_demos_rows_come_in(sqlite_house: House) -> None:
    account = sqlite_house.account("Demo", currency="USD")
    report = load.load(sqlite_house.database, account, DEMO.read_bytes(), now=sqlite_house.now)
    assert report.errors == []
    found = documents(sqlite_house, account)
    with DEMO.open(newline="") as file:
        assert sum(map(exact, found)) == sum(Decimal(each["BilledCost"]) for each in csv.DictReader(file))
    assert {each.kind for each in found} == {InvoiceKind.INVOICE, InvoiceKind.CREDIT_NOTE}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.decimals(min_value=-1000, max_value=1000, places=12), min_size=1, max_size=30), st.randoms())
def test_the_order_of_rows_does_not_matter_and_lines_sum_to_the_total(costs: list[Decimal], random: object) -> None:
    rows = [row(format(cost, "f"), ServiceName=f"S{index % 4}") for index, cost in enumerate(costs)]
    [first] = read_text(*rows)
    [second] = read_text(*reversed(rows))
    assert isinstance(first, Imported)
    assert isinstance(second, Imported)
    assert first.invoice.total_minor == second.invoice.total_minor
    assert exact(first.invoice) == exact(second.invoice) == sum(costs)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text(max_size=20), min_size=9, max_size=9))
def test_any_cells_are_read_or_refused(cells: list[str]) -> None:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    try:
        found = list(read.read(io.BytesIO((HEADER + "\n" + out.getvalue()).encode("utf-8", "surrogatepass"))))
    except (Invalid, TooLarge):
        return
    assert all(isinstance(each, Imported | RowError) for each in found)
