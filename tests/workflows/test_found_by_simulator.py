"""What companies' simulated lives brought to light (``tests/simulator``), each as the smallest case that shows it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from billsmith.ledger.postings import balances
from billsmith.ledger.wallets import Grant
from billsmith.storage import agreements, invoices, ledger
from billsmith.subscriptions.agreements import CouponGiven
from billsmith.subscriptions.subscription import AddAddOn, ChangePlan, Pause, PlanRef, Resume
from billsmith.units.ids import derived_id
from billsmith.units.instants import parse_instant
from billsmith.units.spans import parse_span
from billsmith.usage.store import Void
from billsmith.workflows import settle, wallets
from billsmith.workflows.billing_run import Report
from billsmith.workflows.due import due
from billsmith.workflows.explain import explain
from billsmith.workflows.rerate import rerate
from tests.support.billing import Company
from tests.support.house import House

CATALOG = """
code: acme
currency: EUR
meters: [{code: calls, event_type: call, unit: calls}]
plans:
  - code: basic
    alignment: calendar
    fees: [{code: base, price: {model: flat, amount: 30.00}}]
    charges: [{meter: calls, price: {model: per_unit, unit_amount: 0.10}}]
  - code: yearly
    alignment: calendar
    interval: year
    charges: [{meter: calls, interval: month, price: {model: per_unit, unit_amount: 1.00}}]
    minimum: {amount: 100.00, true_up: true}
  - code: promised
    fees: [{code: base, price: {model: flat, amount: 10.00}}]
    minimum: {amount: 31.00, true_up: true}
  - code: dollars
    currency: USD
    alignment: calendar
    fees: [{code: base, timing: arrears, price: {model: flat, amount: 10.00}}]
add_ons: [{code: more, charges: [{meter: calls, code: extra, price: {model: per_unit, unit_amount: 0.01}}]}]
coupons: [{code: ONCE, percent: 50, periods: 1}]
"""


@pytest.fixture
def company(sqlite_house: House) -> Company:
    return Company(sqlite_house, CATALOG)


def rated_anew(company: Company, period: str, at: str) -> Report:
    return rerate(company.database, company.usage, company.issuer, parse_span(period), at=parse_instant(at), actor="test")


def true_ups(company: Company) -> list[int]:
    return [
        line.amount_minor
        for each in company.invoices()
        if each.voided_at is None and each.content is not None
        for line in each.content.lines
        if line.kind == "true_up"
    ]


def give(company: Company, name: str, coupon: str) -> None:
    given = CouponGiven(at=company.now, catalog="acme", coupon=coupon, version=1)
    with company.database.write() as connection:
        wallets.agree(
            connection, company.issuer, company.customers[name], given, id=derived_id(name), now=company.now, actor="test"
        )


def test_credit_that_was_taken_back_before_the_run_pays_nothing(company: Company) -> None:
    company.subscribe("north")
    given, taken = parse_instant("2026-09-10T00:00:00Z"), parse_instant("2026-10-01T12:00:00Z")
    grant = Grant(id=derived_id("given"), amount=Decimal(20), effective_at=given)
    with company.database.write() as connection:
        stored = wallets.give(connection, company.issuer, company.customers["north"], grant, "EUR", now=given, actor="test")
        wallets.take_back(connection, stored, now=taken, actor="test")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    with company.database.read() as connection:
        held = balances(entry.transaction for entry in ledger.entries(connection))
        assert len(agreements.movements(connection, [stored.account_seq])[stored.account_seq]) == 1
    assert company.invoices()[0].paid_minor == 0
    assert not [account for account, _ in held if account.startswith("wallet:")]


def test_a_yearly_minimum_counts_the_usage_that_was_billed_month_by_month(company: Company) -> None:
    company.subscribe("north", "yearly", start="2026-11-01T00:00:00Z")
    company.use("north", "2026-11-10T10:00:00Z", "9")
    company.use("north", "2026-12-10T10:00:00Z", "3")
    company.bill("2026-11", "2026-12-02T00:00:00Z")
    company.bill("2026-12", "2027-01-02T00:00:00Z")
    share = Decimal(100) * (30 + 31) / 365  # of the year, in which fees could run
    assert true_ups(company) == [round((share - 12) * 100)]
    company.use("north", "2026-11-11T10:00:00Z", "1")
    rated_anew(company, "2026-11", "2027-01-20T00:00:00Z")
    rated_anew(company, "2026-12", "2027-01-20T00:00:00Z")
    assert sum(true_ups(company)) == round((share - 13) * 100)


def test_two_months_on_one_document_count_a_fee_in_advance_once(company: Company) -> None:
    company.subscribe("north", "promised", start="2026-09-15T00:00:00Z")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    company.void(0)
    company.bill("2026-10", "2026-11-05T00:00:00Z")
    assert true_ups(company) == [2100]


def test_the_minimum_of_a_period_cut_short_is_for_what_was_served(company: Company) -> None:
    found = company.subscribe("north", "promised", start="2026-10-01T00:00:00Z")
    change = ChangePlan(at=parse_instant("2026-10-11T00:00:00Z"), recorded_at=company.now, plan=PlanRef("basic"))
    company.change(found, change)
    company.bill("2026-10", "2026-11-02T00:00:00Z")
    # ten days of 31: 10.00 are promised; of the fee of 10.00 that is 3.23, to the cent on its own line
    assert true_ups(company) == [677]


def test_who_lives_elsewhere_is_rated_anew_with_his_own_month(company: Company) -> None:
    company.customer("west", time_zone="America/New_York")
    company.subscribe("west", start="2026-10-01T04:00:00Z")
    company.bill("2026-10", "2026-11-02T00:00:00Z")
    company.use("west", "2026-10-10T10:00:00Z", "10")
    assert rated_anew(company, "2026-09", "2026-11-03T00:00:00Z").billed == 0
    assert rated_anew(company, "2026-11", "2026-11-03T00:00:00Z").billed == 0
    assert rated_anew(company, "2026-10", "2026-11-03T00:00:00Z").totals == {"EUR": 100}


def test_a_document_is_rated_anew_and_explained_after_its_plan_has_a_new_version(company: Company) -> None:
    found = company.subscribe("north")
    company.use("north", "2026-09-10T10:00:00Z", "10")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    company.apply(CATALOG.replace("unit_amount: 0.10", "unit_amount: 0.20"))
    recorded = parse_instant("2026-10-05T00:00:00Z")
    company.change(found, ChangePlan(at=parse_instant("2026-09-01T00:00:00Z"), recorded_at=recorded, plan=PlanRef("basic", 2)))
    report = rated_anew(company, "2026-09", "2026-10-20T00:00:00Z")
    assert (report.parked, report.totals) == (0, {"EUR": 100})
    with company.database.read() as connection:
        [document] = invoices.with_content(connection, invoices.by_number(connection, "INV-2026-000001", None))
        assert len(explain(connection, company.usage, document)) == 3


def test_usage_that_a_change_brought_later_is_a_notes_to_bill_and_not_due(company: Company) -> None:
    found = company.subscribe("north")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    recorded = parse_instant("2026-10-05T00:00:00Z")
    company.change(found, AddAddOn(at=parse_instant("2026-09-11T00:00:00Z"), recorded_at=recorded, add_on=PlanRef("more")))
    end, now = parse_instant("2026-10-01T00:00:00Z"), parse_instant("2026-10-20T00:00:00Z")
    assert list(due(company.database, company.issuer, at=end, known_at=now)) == []
    company.void(0)
    unbilled = due(company.database, company.issuer, at=end, known_at=now)
    assert [each.components for each in unbilled] == [("base", "calls"), ("base",)]


def test_a_coupon_for_a_period_is_for_all_its_documents_and_stays_on_them(company: Company) -> None:
    company.subscribe("north")
    company.subscribe("north", "dollars")
    give(company, "north", "ONCE")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    company.bill("2026-10", "2026-11-02T00:00:00Z")
    assert [(each.currency, each.total_minor) for each in company.invoices()] == [
        ("EUR", 3000),
        ("USD", 500),
        ("EUR", 3000),
        ("USD", 1000),
    ]
    company.void(0)
    assert rated_anew(company, "2026-09", "2026-11-05T00:00:00Z").billed == 0
    assert rated_anew(company, "2026-10", "2026-11-05T00:00:00Z").billed == 0


def test_what_a_rating_anew_gave_back_whole_is_still_rated(company: Company) -> None:
    company.subscribe("north", "dollars")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    company.subscribe("south", "yearly", start="2026-10-01T00:00:00Z")
    company.use("south", "2026-10-10T10:00:00Z", "7")
    company.bill("2026-10", "2026-11-02T00:00:00Z")
    company.usage.ingest([Void(owner="provider", source="test", id="south/2026-10-10T10:00:00Z/call")])
    assert rated_anew(company, "2026-10", "2026-11-03T00:00:00Z").totals == {"EUR": -700}
    company.use("south", "2026-10-12T10:00:00Z", "2")
    assert rated_anew(company, "2026-10", "2026-11-04T00:00:00Z").totals == {"EUR": 200}


def test_a_fee_that_goes_on_after_a_pause_is_one_line_whatever_else_changes(company: Company) -> None:
    found = company.subscribe("north", start="2026-10-01T00:00:00Z")
    for change in (
        Pause(at=parse_instant("2026-10-06T00:00:00Z"), recorded_at=company.now),
        Resume(at=parse_instant("2026-10-11T00:00:00Z"), recorded_at=company.now),
        AddAddOn(at=parse_instant("2026-10-17T00:00:00Z"), recorded_at=company.now, add_on=PlanRef("more")),
    ):
        company.change(found, change)
    company.bill("2026-10", "2026-11-02T00:00:00Z")
    content = company.invoices()[0].content
    assert content is not None
    # 5 days of 31, then 21, not 6 and 15 (5.81 + 14.52); and November in advance
    assert [line.amount_minor for line in content.lines if line.component == "base"] == [484, 2032, 3000]


def test_a_document_that_was_written_off_and_is_void_leaves_nothing_in_the_books(company: Company) -> None:
    company.subscribe("north", "dollars")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    with company.database.write() as connection:
        found = invoices.get(connection, company.invoices()[0].id, None)
        settle.write_off(connection, found, now=parse_instant("2026-10-20T00:00:00Z"), actor="test")
    company.void(0)
    with company.database.read() as connection:
        assert balances(entry.transaction for entry in ledger.entries(connection)) == {}
