"""A commitment is drawn once, whatever is voided, billed again or rated anew: all documents come to what one right year would have."""

from __future__ import annotations

from decimal import Decimal

import pytest

from billsmith.storage.verify import verify
from billsmith.subscriptions.agreements import CommitmentAgreed
from billsmith.units.ids import derived_id
from billsmith.units.instants import parse_instant
from billsmith.units.spans import parse_span
from billsmith.usage.store import Void
from billsmith.workflows import wallets
from billsmith.workflows.rerate import rerate
from tests.support.billing import Company
from tests.support.house import House

CATALOG = """
code: acme
currency: EUR
meters: [{code: calls, event_type: call, unit: calls}]
plans:
  - {code: basic, alignment: calendar, charges: [{meter: calls, name: Calls, price: {model: per_unit, unit_amount: 1.00}}]}
"""

MONTHS = ("2026-09", "2026-10", "2026-11")
#: The day after each month, on which it is billed.
BILLED = {"2026-09": "2026-10-01T06:00:00Z", "2026-10": "2026-11-01T06:00:00Z", "2026-11": "2026-12-01T06:00:00Z"}
LATER = "2026-12-05T00:00:00Z"


class Year:
    """North, who is committed to 100.00 for three months and uses 60, 60 and 20 calls of 1.00 each."""

    def __init__(self, house: House, *, prepaid: bool = False, factor: str = "2") -> None:
        self.company = Company(house, CATALOG)
        self.company.subscribe("north")
        agreed = CommitmentAgreed(
            at=self.company.now,
            amount=Decimal(100),
            currency="EUR",
            ends_at=parse_instant("2026-12-01T00:00:00Z"),
            prepaid=prepaid,
            overage_factor=Decimal(factor),
        )
        with house.database.write() as connection:
            wallets.agree(
                connection,
                self.company.issuer,
                self.company.customers["north"],
                agreed,
                id=derived_id("commitment"),
                now=self.company.now,
                actor="test",
            )
        for month, calls in zip(MONTHS, ("60", "60", "20"), strict=True):
            self.company.use("north", f"{month}-10T00:00:00Z", calls)

    def bill(self, *months: str) -> None:
        for month in months:
            self.company.bill(month, BILLED[month])

    def again(self, *months: str) -> None:
        for month in months:
            rerate(
                self.company.database,
                self.company.usage,
                self.company.issuer,
                parse_span(month),
                at=parse_instant(LATER),
                actor="test",
            )

    def owed(self) -> int:
        """What all documents that stand come to."""
        return sum(each.total_minor for each in self.company.invoices() if each.voided_at is None)


@pytest.fixture(params=[False, True], ids=["promised", "prepaid"])
def year(request: pytest.FixtureRequest, sqlite_house: House) -> Year:
    return Year(sqlite_house, prepaid=request.param)


def right(year: Year, calls: int) -> int:
    """What so many calls cost in one right sequence: beyond the 100.00 twice the price; what was prepaid is not asked for."""
    return max(calls - 100, 0) * 200 + (0 if _is_prepaid(year) else 10_000)


def _is_prepaid(year: Year) -> bool:
    with year.company.database.read() as connection:
        return '"prepaid":true' in connection.exec_driver_sql("SELECT body FROM agreement").scalar_one()


def test_undisturbed(year: Year) -> None:
    year.bill(*MONTHS)
    assert year.owed() == right(year, 140)
    year.again(*MONTHS)
    assert (year.owed(), len(year.company.invoices())) == (right(year, 140), 3), "nothing changed, so there is no note"


def test_voided_and_billed_again(year: Year) -> None:
    """The invoice billed anew comes after the one that drew the rest; rated anew, that one draws no more."""
    year.bill("2026-09", "2026-10")
    year.company.void(0)
    year.bill("2026-11")
    assert year.owed() == right(year, 140)
    year.again(*MONTHS)
    year.again(*MONTHS)
    assert year.owed() == right(year, 140)
    assert verify(year.company.database).problems == []


def test_usage_that_was_taken_back_is_drawn_by_a_later_invoice(year: Year) -> None:
    year.bill(*MONTHS)
    event = "north/2026-09-10T00:00:00Z/call"
    year.company.usage.ingest([Void(owner="provider", source="test", id=event)])
    year.again("2026-09")
    year.again("2026-10", "2026-11")
    assert year.owed() == right(year, 80)


def test_late_usage_of_an_earlier_month(year: Year) -> None:
    year.bill(*MONTHS)
    year.company.use("north", "2026-09-20T00:00:00Z", "15")
    year.again("2026-09", "2026-10", "2026-11")
    assert year.owed() == right(year, 155)
    count = len(year.company.invoices())
    year.again(*MONTHS)
    assert len(year.company.invoices()) == count


def test_several_in_one_run_draw_it_once(year: Year) -> None:
    year.bill(*MONTHS)
    for month in MONTHS[1:]:
        year.company.use("north", f"{month}-20T00:00:00Z", "100")
    year.company.usage.ingest([Void(owner="provider", source="test", id="north/2026-09-10T00:00:00Z/call")])
    year.again("2026")
    year.again("2026")
    assert year.owed() == right(year, 280)
