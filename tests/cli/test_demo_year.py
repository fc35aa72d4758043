"""The demo's year: at a fixed present, every total to the cent; nothing parked, nothing due, the store whole."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from billsmith.accounts.model import Account
from billsmith.cli import demo_companies, demo_world, demo_year
from billsmith.storage import accounts, invoices
from billsmith.storage.database import Database, sqlite_url
from billsmith.storage.verify import verify
from billsmith.units.instants import local_date, parse_instant
from billsmith.usage.duckdb.owner import SharedStore
from billsmith.usage.store import Selection, UsageStore
from billsmith.workflows.due import due

NOW = parse_instant("2026-11-24T12:00:00Z")


class Demo:
    """A demo's store with its year."""

    def __init__(self, home: Path) -> None:
        self.database = Database(sqlite_url(home))
        self.usage: UsageStore = SharedStore(home)
        self.months: list[int] = []
        root = demo_world.root_of(self.database, NOW)
        self.billed = demo_year.live(self.database, self.usage, root, NOW, self.months.append)

    def issuer(self, id: str) -> Account:
        with self.database.read() as connection:
            return accounts.get(connection, id)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    made = Demo(tmp_path_factory.mktemp("demo"))
    yield made
    made.usage.close()
    made.database.close()


def test_each_company_billed_this_to_the_cent(demo: Demo) -> None:
    assert [(each.company, each.documents, each.events, each.total, each.currency) for each in demo.billed] == [
        ("Acme API", 36, 845, "21183.55", "EUR"),
        ("Warm Metal", 24, 868, "11572.42", "USD"),
        ("North Hosting", 36, 691, "1124.76", "EUR"),
        ("Chatty", 36, 830, "1944.67", "USD"),
    ]
    assert sum(demo.months) == demo_year.MONTHS * len(demo_companies.COMPANIES)


def test_the_same_present_gives_the_same_year(demo: Demo, tmp_path: Path) -> None:
    again = Demo(tmp_path)
    assert again.billed == demo.billed
    again.usage.close()
    again.database.close()


def test_one_invoice_is_explained_in_words(demo: Demo) -> None:
    said = "\n".join(demo_year.in_words(demo_year.told(demo.database, demo.usage)))
    # 100,000 × 0.0010 + 900,000 × 0.0008 + 107,495 × 0.0005; 49.00 + 9.00 + 873.75 + 30.63
    assert said.startswith("INV-2026-000032 of 2026-11-02 to Tall Pines: 962.38 EUR\n       49.00  Base fee\n")
    assert "1,107,495 calls: 100,000 × 0.0010 + 900,000 × 0.0008 + 107,495 × 0.0005 = 873.7475" in said
    assert "counted by calls version 1: 1117495 of 20 events" in said


def test_everything_that_is_over_is_billed_and_the_store_is_whole(demo: Demo) -> None:
    assert verify(demo.database).problems == []
    for company in demo_companies.COMPANIES:
        issuer = demo.issuer(company.id)
        ends = demo_year.months_until(NOW)[-1].end(company.zone)
        assert list(due(demo.database, issuer, at=ends, known_at=NOW)) == []


def test_the_newest_months_are_not_paid_yet(demo: Demo) -> None:
    with demo.database.read() as connection:
        found = invoices.newest(connection, demo.issuer("warm-metal"))
    dates = {each.invoice.date.isoformat()[:7] for each in found if each.invoice.due_minor}
    assert dates == {"2026-10", "2026-11"}


def test_usage_goes_up_to_now(demo: Demo) -> None:
    latest = max(each.event.time for each in demo.usage.events(Selection(), limit=10_000))
    assert NOW - 2 * 86_400_000_000_000 < latest <= NOW


@pytest.mark.parametrize(
    ("now", "first", "last"),
    [
        ("2026-11-24T12:00:00Z", "2025-11", "2026-10"),
        ("2026-01-15T00:00:00Z", "2025-01", "2025-12"),
        # a month is billed when it is over everywhere: at noon of the first day in UTC
        ("2026-11-01T11:59:59Z", "2025-10", "2026-09"),
        ("2026-11-01T12:00:00Z", "2025-11", "2026-10"),
        ("2028-03-01T12:00:00Z", "2027-03", "2028-02"),
    ],
)
def test_the_year_ends_with_the_month_before_this_one(now: str, first: str, last: str) -> None:
    months = demo_year.months_until(parse_instant(now))
    assert (months[0].name, months[-1].name, len(months)) == (first, last, 12)
    assert all(one.after == other.first for one, other in pairwise(months))
    assert months[-1].after <= local_date(parse_instant(now), "Etc/GMT+12")
