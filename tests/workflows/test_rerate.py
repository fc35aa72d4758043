"""Late usage: the exact note, once, naming the lines that it corrects."""

from __future__ import annotations

from decimal import Decimal

import pytest

from billsmith.storage.verify import verify
from billsmith.subscriptions.agreements import CouponGiven
from billsmith.subscriptions.subscription import ChangePlan, PlanRef
from billsmith.units.errors import Conflict
from billsmith.units.ids import derived_id
from billsmith.units.instants import parse_instant
from billsmith.units.spans import parse_span
from billsmith.usage.store import Binding, Void
from billsmith.workflows import wallets
from billsmith.workflows.billing_report import Report
from billsmith.workflows.rerate import rerate
from tests.support.billing import Company
from tests.support.house import House


@pytest.fixture
def company(house: House) -> Company:
    made = Company(house)
    made.subscribe("north", quantities={"seats": Decimal(2)})
    made.use("north", "2026-09-10T10:00:00Z", "150")
    made.bill("2026-09", "2026-10-02T00:00:00Z")
    return made


def again(company: Company, at: str = "2026-10-20T00:00:00Z", **more: object) -> Report:
    return rerate(
        company.database, company.usage, company.issuer, parse_span("2026-09"), at=parse_instant(at), actor="test", **more
    )  # type: ignore[arg-type]


def notes(company: Company) -> list[tuple[str, int, list[tuple[int, str]]]]:
    return [
        (each.number, each.total_minor, [(line.amount_minor, line.corrects) for line in each.content.lines])  # type: ignore[union-attr]
        for each in company.invoices()[1:]
    ]


def test_nothing_late_leaves_nothing(company: Company) -> None:
    assert (again(company).run, notes(company)) == ("", [])


def test_late_usage_is_a_debit_note_once(company: Company) -> None:
    company.use("north", "2026-09-11T10:00:00Z", "20")
    assert again(company).totals == {"EUR": 120}
    assert notes(company) == [("DN-2026-000001", 120, [(100, "INV-2026-000001#3")])]
    assert again(company).run == ""
    assert len(company.invoices()) == 2
    assert verify(company.database).problems == []


def test_usage_taken_back_is_a_credit_note_that_pays_the_next_invoice(company: Company) -> None:
    company.usage.ingest([Void(owner="provider", source="test", id="north/2026-09-10T10:00:00Z/call")])
    again(company)
    assert notes(company) == [("CN-2026-000001", -1500, [(-1250, "INV-2026-000001#3")])]
    company.bill("2026-10", "2026-11-02T00:00:00Z")
    note, invoice = company.invoices()[1:]
    assert (note.paid_minor, note.status.word, invoice.paid_minor) == (-1500, "paid", 1500)
    assert verify(company.database).problems == []


def test_the_sum_of_all_is_what_one_invoice_would_have_been(company: Company) -> None:
    for number, value in enumerate(("7", "13.5", "0.001", "900")):
        company.use("north", f"2026-09-12T10:0{number}:00Z", value)
        again(company, f"2026-10-2{number}T00:00:00Z")
    # 1,070.501 calls: 100 x 0.10 + 970.501 x 0.05 = 58.52505; 30 + 30 + 10 + 58.53 = 128.53, and 20 %
    assert sum(each.total_minor for each in company.invoices()) == 12853 + 2571


def test_control_a_note_made_by_hand_of_the_late_usage_alone_is_wrong() -> None:
    assert round(Decimal("13.5") * Decimal("0.05"), 2) + round(Decimal("0.001") * Decimal("0.05"), 2) != round(
        Decimal("13.501") * Decimal("0.05"), 3
    )


def test_a_coupon_holds_as_it_did(house: House) -> None:
    company = Company(house)
    company.subscribe("north", "basic")
    with company.database.write() as connection:
        coupon = CouponGiven(at=company.now, catalog="acme", coupon="TEN", version=1)
        wallets.agree(
            connection, company.issuer, company.customers["north"], coupon, id=derived_id("c"), now=company.now, actor="test"
        )
    for month, at in (
        ("2026-09", "2026-10-02T00:00:00Z"),
        ("2026-10", "2026-11-02T00:00:00Z"),
        ("2026-11", "2026-12-02T00:00:00Z"),
    ):
        company.bill(month, at)
    assert [each.total_minor for each in company.invoices()] == [7020, 3780, 4200]
    company.use("north", "2026-09-11T10:00:00Z", "20")
    again(company, "2026-12-03T00:00:00Z")
    assert notes(company)[-1] == ("DN-2026-000001", 216, [(200, "INV-2026-000001#3"), (-20, "INV-2026-000001#5")])


def test_usage_under_a_plan_that_was_changed_back_then_is_priced_anew(company: Company) -> None:
    with company.database.read() as connection:
        from billsmith.storage import subscriptions

        [found] = subscriptions.page(connection)
    recorded = parse_instant("2026-10-05T00:00:00Z")
    change = ChangePlan(at=parse_instant("2026-09-01T00:00:00Z"), recorded_at=recorded, plan=PlanRef("flat"))
    company.change(found, change)
    again(company)
    # the calls are given back by the note; the fees are a difference that the next run bills
    assert notes(company) == [("CN-2026-000001", -1500, [(-1250, "INV-2026-000001#3")])]
    company.bill("2026-10", "2026-11-02T00:00:00Z")
    last = company.invoices()[-1].content
    assert last is not None
    assert [
        (line.kind, line.amount_minor)
        for line in last.lines
        if line.period and line.period.end <= parse_instant("2026-10-01T00:00:00Z")
    ] == [
        ("credit", -3000),
        ("credit", -1000),
        ("fee", 1200),
    ]


def test_a_dry_run_writes_nothing(company: Company) -> None:
    company.use("north", "2026-09-11T10:00:00Z", "20")
    report = again(company, dry_run=True)
    assert ([row.total_minor for row in report.rows], notes(company)) == ([120], [])


def test_an_invoice_with_a_note_is_not_voided_under_it(company: Company) -> None:
    company.use("north", "2026-09-11T10:00:00Z", "20")
    again(company)
    with pytest.raises(Conflict) as caught:
        company.void(0)
    assert caught.value.code == "invoice.has_notes"
    company.void(1)
    company.void(0)
    company.bill("2026-10", "2026-11-05T00:00:00Z")
    # billed again, now with the usage that was late, and October's
    assert sum(each.total_minor for each in company.invoices() if each.voided_at is None) == (7000 + 1350 + 4000) * 12 // 10


def test_usage_whose_account_was_not_known_yet_is_late_usage_too(house: House) -> None:
    """A reference that is bound after the run changes what was used, without any new event."""
    company = Company(house)
    company.subscribe("north", "basic")
    company.customers["nickname"] = company.customers["north"]
    company.use("nickname", "2026-09-10T10:00:00Z", "50")
    company.bill("2026-09", "2026-10-02T00:00:00Z")
    company.usage.bind([Binding("provider", "nickname", company.customers["north"].id)])
    again(company)
    assert [total for _, total, _ in notes(company)] == [600]
