"""The billing run: each thing billed once, to the cent, by several runs, over each database."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec
import pytest

from billsmith.ledger.postings import balances
from billsmith.ledger.wallets import Grant
from billsmith.storage import invoices, ledger, runs
from billsmith.storage.verify import verify
from billsmith.subscriptions.agreements import CouponGiven
from billsmith.subscriptions.subscription import AddAddOn, ChangePlan, ChangeQuantity, End, PlanRef
from billsmith.units.errors import Invalid
from billsmith.units.ids import derived_id
from billsmith.units.instants import parse_instant
from billsmith.usage.store import Measured, Query, UsageStore
from billsmith.workflows import billing_run, settle, wallets
from tests.support.billing import CATALOG, START, Company
from tests.support.house import House


@pytest.fixture
def company(house: House) -> Company:
    return Company(house)


class MeterBreaks:
    """A usage store that can't count one account's events."""

    def __init__(self, usage: UsageStore, account: str) -> None:
        self.usage, self.account, self.broken = usage, account, True

    def measure(self, query: Query) -> Iterator[Measured]:
        for each in self.usage.measure(query):
            fault = self.broken and each.account == self.account
            yield msgspec.structs.replace(each, error="event.no_number", message="event 7 lacks gb") if fault else each

    def watermark(self) -> int:
        return self.usage.watermark()


def lines(company: Company, place: int = -1) -> list[str]:
    content = company.invoices()[place].content
    assert content is not None
    return [f"{line.kind} {line.component} {line.amount_minor}" for line in content.lines]


def test_a_month(company: Company) -> None:
    company.subscribe("north", quantities={"seats": Decimal(2)})
    company.use("north", "2026-09-10T10:00:00Z", "150")
    company.use("north", "2026-09-11T10:00:00Z", "3", "stored")
    report = company.bill("2026-09", "2026-10-02T08:00:00Z")
    assert (report.billed, report.parked, report.totals) == (1, 0, {"EUR": 10021})
    # advance for September and October, seats in arrears, 100 x 0.10 + 50 x 0.05, 3 x 0.335; VAT on 83.51
    assert lines(company) == ["fee base 3000", "fee seats 1000", "fee base 3000", "usage calls 1250", "usage gb 101"]
    [invoice] = company.invoices()
    assert (invoice.number, invoice.batch, invoice.total_minor, invoice.tax_minor) == (
        "INV-2026-000001",
        "bill-000001",
        10021,
        1670,
    )


def test_a_run_again_is_no_run(company: Company) -> None:
    company.subscribe("north")
    company.bill("2026-09", "2026-10-02T08:00:00Z")
    again = company.bill("2026-09", "2026-10-03T08:00:00Z")
    assert (again.run, again.billed, len(company.invoices())) == ("", 0, 1)
    with company.database.read() as connection:
        assert len(runs.page(connection, company.issuer)) == 1


def test_months_in_a_row_bill_each_thing_once(company: Company) -> None:
    company.subscribe("north", quantities={"seats": Decimal(2)})
    for month, at in (
        ("2026-09", "2026-10-02T00:00:00Z"),
        ("2026-10", "2026-11-02T00:00:00Z"),
        ("2026-11", "2026-12-02T00:00:00Z"),
    ):
        company.bill(month, at)
    assert lines(company, 0) == ["fee base 3000", "fee seats 1000", "fee base 3000", "usage calls 0", "usage gb 0"]
    assert lines(company, 1) == lines(company, 2) == ["fee seats 1000", "fee base 3000", "usage calls 0", "usage gb 0"]
    assert [each.number[-6:] for each in company.invoices()] == ["000001", "000002", "000003"]


def test_what_is_learnt_later_is_a_difference_on_the_next_invoice(company: Company) -> None:
    found = company.subscribe("north", quantities={"seats": Decimal(2)})
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    at = parse_instant("2026-09-16T00:00:00Z")
    company.change(
        found, ChangeQuantity(at=at, recorded_at=parse_instant("2026-10-05T00:00:00Z"), component="seats", quantity=Decimal(4))
    )
    company.change(found, End(at=parse_instant("2026-11-01T00:00:00Z"), recorded_at=parse_instant("2026-10-06T00:00:00Z")))
    company.bill("2026-10", "2026-11-02T00:00:00Z")
    # half of September's two seats is given back and charged as four; October has four; November none
    assert lines(company) == ["credit seats -500", "fee seats 1000", "fee seats 2000", "usage calls 0", "usage gb 0"]


def test_a_change_recorded_after_the_runs_present_is_not_seen(company: Company) -> None:
    found = company.subscribe("north", quantities={"seats": Decimal(2)})
    at = parse_instant("2026-09-01T00:00:00Z")
    company.change(
        found, ChangeQuantity(at=at, recorded_at=parse_instant("2026-10-05T00:00:00Z"), component="seats", quantity=Decimal(4))
    )
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    assert "fee seats 1000" in lines(company)


def test_several_subscriptions_of_one_recipient_share_a_document(company: Company) -> None:
    company.subscribe("north", "flat")
    company.customer("south", parent=company.customers["north"])
    company.subscribe("south", "flat", recipient="north")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    [invoice] = company.invoices()
    assert invoice.content is not None
    assert (invoice.consolidated, [line.account for line in invoice.content.lines]) == (True, ["", "south"])


def test_a_plans_minimum_is_trued_up_once(company: Company) -> None:
    company.subscribe("north", "committed")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    company.bill("2026-10", "2026-11-02T00:00:00Z")
    assert lines(company, 0) == lines(company, 1) == ["fee base 1000", "true_up  1500"]


def test_an_account_with_broken_usage_is_parked_and_the_others_are_billed(company: Company) -> None:
    company.subscribe("north")
    company.subscribe("south")
    bad = MeterBreaks(company.usage, company.customers["north"].id)
    company.usage = bad  # type: ignore[assignment]
    report = company.bill("2026-09", "2026-10-02T00:00:00Z")
    assert (report.billed, report.parked) == (1, 1)
    assert [(row.name, row.state, row.code) for row in report.rows] == [("north", "parked", "event.no_number")]
    bad.broken = False
    report = company.bill("2026-09", "2026-10-03T00:00:00Z")
    assert (report.billed, report.parked, len(company.invoices())) == (1, 0, 2)


def test_a_fault_of_our_own_parks_an_account_too(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    company.subscribe("north")
    company.subscribe("south", "flat")
    from billsmith.invoicing import cases

    real = cases.assemble

    def broken(drafts, terms):  # type: ignore[no-untyped-def]
        made = real(drafts, terms)
        if len(drafts) == 1:
            return made
        totals = made.totals
        return msgspec.structs.replace(made, totals=msgspec.structs.replace(totals, total_minor=totals.total_minor + 1))

    monkeypatch.setattr(cases, "assemble", broken)
    report = company.bill("2026-09", "2026-10-02T00:00:00Z")
    assert [(row.name, row.code) for row in report.rows] == [("north", "bill.total")]
    assert company.told() == ["INV-2026-000001 south 1440"]


def test_control_without_the_look_a_wrong_total_comes_as_far_as_the_ledger(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    from billsmith.invoicing import cases

    real = cases.assemble

    def broken(drafts, terms):  # type: ignore[no-untyped-def]
        made = real(drafts, terms)
        return msgspec.structs.replace(
            made, totals=msgspec.structs.replace(made.totals, total_minor=made.totals.total_minor + 1)
        )

    company.subscribe("south", "flat")
    monkeypatch.setattr(cases, "assemble", broken)
    monkeypatch.setattr(cases, "_check", lambda *_: None)
    with pytest.raises(Invalid) as caught:  # the ledger, which doesn't balance, is the second line
        company.bill("2026-09", "2026-10-02T00:00:00Z")
    assert caught.value.code == "ledger.unbalanced"


def test_a_voided_document_frees_what_it_billed(company: Company) -> None:
    company.subscribe("north", "flat")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    company.bill("2026-10", "2026-11-02T00:00:00Z")
    company.void(0)
    report = company.bill("2026-10", "2026-11-05T00:00:00Z")
    assert (report.billed, lines(company)) == (1, ["fee base 1200"])
    first, _, again = company.invoices()
    assert (again.period, again.total_minor, again.id != first.id) == (first.period, first.total_minor, True)
    assert company.bill("2026-10", "2026-11-06T00:00:00Z").billed == 0


def test_what_stands_on_a_live_document_is_never_billed_again(company: Company) -> None:
    """The key on lines holds even where the record of what was billed is lost."""
    company.subscribe("north", "flat")
    company.subscribe("south", "flat", start="2026-10-01T00:00:00Z")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    company.forget_steps()
    report = company.bill("2026-10", "2026-11-02T00:00:00Z")
    assert [(row.name, row.code) for row in report.rows] == [("north", "bill.billed_already")]
    assert company.told() == ["INV-2026-000001 north 1440", "INV-2026-000002 south 1440"]


METERED = """  - code: metered
    alignment: calendar
    charges:
      - {meter: calls, price: {model: per_unit, unit_amount: 0.10}}
coupons:"""


def test_usage_on_a_live_document_is_never_billed_again(company: Company) -> None:
    """Also where only one of the lines that are billed together stands there."""
    company.apply(CATALOG.replace("coupons:", METERED))
    found = company.subscribe("north", "metered")
    company.subscribe("south", "metered")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    more = METERED.replace("coupons:", "      - {meter: gb, price: {model: per_unit, unit_amount: 1}}\ncoupons:")
    company.apply(CATALOG.replace("coupons:", more))
    company.change(found, ChangePlan(at=parse_instant(START), recorded_at=company.now, plan=PlanRef("metered", 2)))
    company.forget_steps()
    report = company.bill("2026-10", "2026-11-02T00:00:00Z")
    assert [(row.name, row.code) for row in report.rows] == [(name, "bill.billed_already") for name in ("north", "south")]
    assert report.billed == 0


def test_one_line_twice_on_a_document_parks_it(company: Company) -> None:
    add_on = "add_ons: [{code: metered, charges: [{meter: calls, price: {model: per_unit, unit_amount: 1}}]}]\ncoupons:"
    company.apply(CATALOG.replace("coupons:", METERED))
    found = company.subscribe("north", "metered")
    company.apply(CATALOG.replace("coupons:", add_on))  # in a catalog of its own it may have the plan's code
    company.change(found, AddAddOn(at=parse_instant(START), recorded_at=company.now, add_on=PlanRef("metered")))
    report = company.bill("2026-09", "2026-10-02T00:00:00Z")
    assert [(row.name, row.code) for row in report.rows] == [("north", "bill.line_twice")]


def test_control_without_the_key_it_would_be(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    company.subscribe("north", "flat")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    company.forget_steps()
    monkeypatch.setattr(runs, "add_lines", lambda *_: None)
    company.bill("2026-10", "2026-11-02T00:00:00Z")
    assert lines(company) == ["fee base 1200", "fee base 1200"]


def test_the_ledger_has_every_document_and_the_store_verifies(company: Company) -> None:
    company.subscribe("north", quantities={"seats": Decimal(2)})
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    with company.database.read() as connection:
        [entry] = ledger.entries(connection)
    assert [(posting.account.partition(":")[0], posting.amount_minor) for posting in entry.transaction.postings] == [
        ("receivable", 8400),
        ("revenue", -7000),
        ("tax", -1400),
    ]
    assert verify(company.database).problems == []


def test_a_period_that_is_not_over_is_refused(company: Company) -> None:
    company.subscribe("north")
    with pytest.raises(Invalid) as caught:
        company.bill("2026-10", "2026-10-31T23:59:59Z")
    assert caught.value.code == "bill.period_not_over"


def test_whose_own_period_is_not_over_waits(company: Company) -> None:
    company.customer("west", time_zone="America/New_York")
    company.subscribe("west", "flat", start="2026-09-01T04:00:00Z")
    assert company.bill("2026-09", "2026-10-01T02:00:00Z").run == ""
    assert company.bill("2026-09", "2026-10-01T04:00:00Z").billed == 1


def test_a_dry_run_tells_and_writes_nothing(company: Company) -> None:
    company.subscribe("north", "flat")
    report = company.bill("2026-09", "2026-10-02T00:00:00Z", dry_run=True)
    assert [(row.state, row.total_minor) for row in report.rows] == [("billed", 1440)]
    assert company.invoices() == []
    with company.database.read() as connection:
        assert runs.page(connection, company.issuer) == []


def test_in_other_processes_the_same_comes_out(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(billing_run, "FEW", 2)
    monkeypatch.setattr(billing_run, "CHUNK", 3)
    for name in ("a", "b", "c", "d", "e"):
        company.subscribe(name, quantities={"seats": Decimal(2)})
    expected = [(row.name, row.total_minor) for row in company.bill("2026-09", "2026-10-02T00:00:00Z", dry_run=True).rows]
    company.bill("2026-09", "2026-10-02T00:00:00Z", processes=2)
    assert [(each.customer_name, each.total_minor) for each in company.invoices()] == expected


def test_what_happens_to_an_invoice_is_booked_and_the_books_come_to_nothing_owed(company: Company) -> None:
    company.subscribe("north", "flat")
    company.subscribe("south", "flat")
    company.subscribe("west", "flat")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    now = parse_instant("2026-10-05T00:00:00Z")
    with company.database.write() as connection:
        first, second, third = (invoices.get(connection, each.id, None) for each in company.invoices())
        settle.record_payment(connection, first, amount_minor=1440, reference="bank", now=now, actor="test")
        settle.record_payment(connection, first, amount_minor=1440, reference="bank", now=now, actor="test")
        settle.void(connection, second, now=now, actor="test")
        settle.write_off(connection, third, now=now, actor="test")
    with company.database.read() as connection:
        held = balances(entry.transaction for entry in ledger.entries(connection))
    assert held == {
        ("cash", "EUR"): 1440,
        ("revenue", "EUR"): -2400,
        ("tax::VAT", "EUR"): -480,
        ("written-off", "EUR"): 1440,
    }
    assert verify(company.database).problems == []


def test_credit_bought_after_the_period_pays_and_what_came_with_the_plan_pays_first(house: House) -> None:
    company = Company(
        house, CATALOG.replace("  - code: flat\n", "  - code: flat\n    credits: [{amount: 2.00, priority: 1}]\n")
    )
    company.subscribe("north", "flat")
    bought = parse_instant("2026-10-05T00:00:00Z")
    with company.database.write() as connection:
        grant = Grant(id=derived_id("bought"), amount=Decimal(20), priority=5, effective_at=bought)
        wallets.give(connection, company.issuer, company.customers["north"], grant, "EUR", now=bought, actor="test")
    company.bill("2026-09", "2026-10-06T00:00:00Z")
    company.bill("2026-10", "2026-11-02T00:00:00Z")
    first, second = company.invoices()
    assert (first.paid_minor, first.status.word, second.paid_minor) == (1440, "paid", 200 + 760)
    with company.database.read() as connection:
        [left] = wallets.balances(connection, company.issuer, company.customers["north"], parse_instant("2026-11-03T00:00:00Z"))
        held = balances(entry.transaction for entry in ledger.entries(connection))
    assert left.left == 0
    assert not [account for account, _ in held if account.startswith("wallet:")]
    assert verify(company.database).problems == []


def test_a_voided_document_gives_back_what_it_used_of_a_coupon(company: Company) -> None:
    company.subscribe("north", "flat")
    with company.database.write() as connection:
        coupon = CouponGiven(at=company.now, catalog="acme", coupon="TEN", version=1)
        wallets.agree(
            connection, company.issuer, company.customers["north"], coupon, id=derived_id("c"), now=company.now, actor="test"
        )
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    company.void(0)
    company.bill("2026-10", "2026-11-05T00:00:00Z")
    company.bill("2026-11", "2026-12-05T00:00:00Z")
    # the coupon holds for two documents; the voided one is none
    assert [each.total_minor for each in company.invoices()] == [1296, 2592, 1296]


def test_who_has_ended_is_left_alone(company: Company) -> None:
    found = company.subscribe("north", "flat")
    company.subscribe("south", "flat", start="2027-03-01T00:00:00Z")
    company.change(found, End(at=parse_instant("2026-09-20T00:00:00Z"), recorded_at=company.now))
    assert company.bill("2026-09", "2026-10-02T00:00:00Z").billed == 1
    report = company.bill("2026-10", "2026-11-02T00:00:00Z")
    assert (report.run, report.nothing) == ("", 0)
    late = parse_instant("2026-11-03T00:00:00Z")
    company.change(found, End(at=parse_instant("2026-09-25T00:00:00Z"), recorded_at=late))
    company.bill("2026-11", "2026-12-02T00:00:00Z")
    assert lines(company) == ["fee base 200"]
