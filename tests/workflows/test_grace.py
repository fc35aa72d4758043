"""Grace: a period is due some hours after its end, late usage within it is simply in it, and the clock bills it then."""

from __future__ import annotations

import threading
from decimal import Decimal

import msgspec
import pytest

from billsmith.invoicing.model import InvoiceStatus
from billsmith.storage import issuers
from billsmith.storage.verify import verify
from billsmith.subscriptions.how_billed import HowBilled
from billsmith.units.errors import Invalid
from billsmith.units.instants import parse_instant
from billsmith.units.spans import parse_span
from billsmith.workflows.computed_drafts import Drafts, compute
from billsmith.workflows.due import due
from billsmith.workflows.jobs import BILL, Ran, Tools, run_due
from tests.support.billing import Company
from tests.support.house import House


class NoUsage:
    """The usage of a company, in the hands of jobs."""

    def __init__(self, company: Company) -> None:
        self.company = company

    def catch_up(self) -> object:
        return self.company.usage


@pytest.fixture
def company(sqlite_house: House) -> Company:
    made = Company(sqlite_house)
    made.subscribe("north", quantities={"seats": Decimal(2)})
    made.subscribe("south", "flat")
    made.use("north", "2026-09-10T00:00:00Z", "50")
    bills(made, 72)
    return made


def bills(company: Company, hours: int, *, automatic: bool = False) -> None:
    with company.database.write() as connection:
        new = HowBilled(grace_hours=hours, automatic=automatic)
        issuers.set_how(connection, company.issuer, new, now=company.now, actor="test")


def drafts(company: Company, now: str, period: str = "2026-09", **more: object) -> Drafts:
    return compute(
        company.database,
        company.usage,
        company.issuer,
        parse_span(period),
        now=parse_instant(now),
        **more,  # type: ignore[arg-type]
    )


def by_the_clock(company: Company, now: str) -> list[Ran]:
    tools = Tools(database=company.database, clock=lambda: parse_instant(now), usage=NoUsage(company))  # type: ignore[arg-type]
    return run_due(tools, [BILL])


@pytest.mark.parametrize(("at", "code"), [
    ("2026-09-30T23:59:59Z", "bill.period_not_over"), ("2026-10-01T00:00:00Z", "bill.in_grace"), ("2026-10-03T23:59:59Z", "bill.in_grace"),
])  # fmt: skip
def test_a_period_is_not_billed_before_its_grace_has_ended(company: Company, at: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        company.bill("2026-09", at)
    assert (caught.value.code, company.told()) == (code, [])
    instant = parse_instant(at)
    # but for what was due in advance before
    found = [each.components for each in due(company.database, company.issuer, at=instant, known_at=instant)]
    assert found == [("base",)]


def test_it_is_due_as_the_grace_ends_and_late_usage_is_in_it(company: Company) -> None:
    before = drafts(company, "2026-10-02T00:00:00Z").documents[0].total_minor
    company.use("north", "2026-09-20T00:00:00Z", "10")
    at = parse_instant("2026-10-04T00:00:00Z")
    assert len(list(due(company.database, company.issuer, at=at, known_at=at))) == 3
    assert company.bill("2026-09", "2026-10-04T00:00:00Z").billed == 2
    assert company.invoices()[0].total_minor == before + 120
    assert list(due(company.database, company.issuer, at=at, known_at=at)) == []


@pytest.mark.parametrize(("now", "status"), [
    ("2026-09-15T00:00:00Z", InvoiceStatus.DRAFT), ("2026-09-30T23:59:59Z", InvoiceStatus.DRAFT), ("2026-10-01T00:00:00Z", InvoiceStatus.GRACE),
])  # fmt: skip
def test_a_draft_is_what_the_run_then_makes(company: Company, now: str, status: InvoiceStatus) -> None:
    found = drafts(company, now)
    assert found.due_at == parse_instant("2026-10-04T00:00:00Z")
    assert [(each.customer_name, each.status, each.number) for each in found.documents] == [
        ("north", status, ""),
        ("south", status, ""),
    ]
    assert company.told() == []
    company.bill("2026-09", "2026-10-04T00:00:00Z")
    assert [(each.total_minor, each.content) for each in company.invoices()] == [
        (each.total_minor, each.content) for each in found.documents
    ]
    assert drafts(company, "2026-10-05T00:00:00Z").documents == []


def test_drafts_come_page_by_page_and_say_who_can_not_be_billed(company: Company) -> None:
    first = drafts(company, "2026-10-02T00:00:00Z", limit=1)
    second = drafts(company, "2026-10-02T00:00:00Z", limit=1, after=first.last)
    assert [each.customer_name for page in (first, second) for each in page.documents] == ["north", "south"]
    assert drafts(company, "2026-10-02T00:00:00Z", limit=1, after=second.last).last is None
    only = drafts(company, "2026-10-02T00:00:00Z", scope=company.customers["south"])
    assert [each.customer_name for each in only.documents] == ["south"]
    with company.database.write() as connection:
        connection.exec_driver_sql("UPDATE account SET status = 'closed' WHERE external_id = 'south'")
    assert [(each.account.name, each.code) for each in drafts(company, "2026-10-02T00:00:00Z").parked] == [
        ("south", "account.closed")
    ]


def test_the_clock_bills_month_after_month(company: Company) -> None:
    bills(company, 72, automatic=True)
    early = parse_instant("2026-10-03T23:59:59Z")  # August's grace is over, and nothing of August is there
    tools = Tools(database=company.database, clock=lambda: early, usage=NoUsage(company))  # type: ignore[arg-type]
    assert [run_due(tools, [BILL]) for _ in range(2)] == [[Ran(job="bill", done=0)], []]
    assert by_the_clock(company, "2026-10-04T00:00:00Z") == [Ran(job="bill", done=2)]
    assert by_the_clock(company, "2026-10-04T00:01:00Z") == []
    # nobody looked for two months: each is billed for itself
    assert by_the_clock(company, "2026-12-20T00:00:00Z") == [Ran(job="bill", done=4)]
    assert [each.batch for each in company.invoices()] == ["bill-000001"] * 2 + ["bill-000002"] * 2 + ["bill-000003"] * 2
    assert verify(company.database).problems == []


def test_the_clock_bills_nobody_who_did_not_ask_for_it(company: Company) -> None:
    assert by_the_clock(company, "2026-12-20T00:00:00Z") == []


def test_the_clock_begins_with_the_last_month_where_nothing_was_billed(company: Company) -> None:
    bills(company, 0, automatic=True)
    by_the_clock(company, "2026-12-01T00:00:00Z")
    assert [len(each.content.lines) > 0 for each in company.invoices() if each.content] == [True, True]
    assert {each.batch for each in company.invoices()} == {"bill-000001"}


def test_what_was_parked_is_tried_again_once_a_day(company: Company) -> None:
    bills(company, 0, automatic=True)
    with company.database.write() as connection:
        connection.exec_driver_sql("UPDATE account SET status = 'closed' WHERE external_id = 'south'")
    assert by_the_clock(company, "2026-10-01T00:00:00Z") == [Ran(job="bill", done=1)]
    with company.database.write() as connection:
        connection.exec_driver_sql("UPDATE account SET status = 'open' WHERE external_id = 'south'")
    assert by_the_clock(company, "2026-10-01T23:59:59Z") == []
    assert by_the_clock(company, "2026-10-02T00:00:00Z") == [Ran(job="bill", done=1)]
    assert [each.split()[1] for each in company.told()] == ["north", "south"]


def test_two_clocks_at_once_bill_each_thing_once(company: Company) -> None:
    bills(company, 0, automatic=True)
    threads = [threading.Thread(target=by_the_clock, args=(company, "2026-10-01T00:00:00Z")) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.split()[:2] for each in company.told()] == [["INV-2026-000001", "north"], ["INV-2026-000002", "south"]]
    assert verify(company.database).problems == []


@pytest.mark.parametrize("hours", [-1, 673])
def test_a_grace_has_borders(hours: int) -> None:
    with pytest.raises(Invalid, match="a grace is 0 to 672 hours"):
        HowBilled(grace_hours=hours)
    assert msgspec.structs.asdict(HowBilled(grace_hours=672)) == {"grace_hours": 672, "automatic": False}
