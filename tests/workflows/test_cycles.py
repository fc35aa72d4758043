"""The clock bills each subscription as its billing period ends, whatever the interval and the zone, without anybody naming it."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from sqlalchemy import select

from billsmith.storage import issuers
from billsmith.storage.database import Database, sqlite_url
from billsmith.storage.schema import invoice
from billsmith.storage.subscriptions import Stored
from billsmith.storage.verify import verify
from billsmith.subscriptions.how_billed import HowBilled
from billsmith.subscriptions.subscription import End
from billsmith.units.instants import HOUR, SECOND, parse_instant
from billsmith.workflows import billing_run
from billsmith.workflows.due import due
from billsmith.workflows.jobs import BILL, RUNS, Ran, Tools, run_due
from tests.support.billing import Company
from tests.support.house import House

DAY = dt.timedelta(days=1)


def plan(code: str, interval: str, alignment: str, more: str = "") -> str:
    fee = "fees: [{code: base, timing: arrears, price: {model: flat, amount: 10.00}}]"
    return f"  - {{code: {code}, interval: {interval}, alignment: {alignment}, {more or fee}}}\n"


CATALOG = (
    "code: acme\ncurrency: EUR\nmeters: [{code: calls, event_type: call, unit: calls}]\nplans:\n"
    + plan("daily", "day", "calendar")
    + plan("weekly", "week", "calendar")
    + plan("monthly", "month", "calendar")
    + plan("quarterly", "quarter", "calendar")
    + plan("yearly", "year", "calendar")
    + plan("own-week", "week", "anniversary")
    + plan("own-month", "month", "anniversary")
    + plan("own-year", "year", "anniversary")
    + plan("fortnight", "2 weeks", "anniversary")
    + plan("ten-days", "10 days", "anniversary")
    + plan(
        "ahead",
        "week",
        "calendar",
        "fees: [{code: base, price: {model: flat, amount: 10.00}}], minimum: {amount: 25.00, true_up: true}, "
        "charges: [{meter: calls, name: Calls, price: {model: per_unit, unit_amount: 0.10}}]",
    )
)


def days(step: int) -> Callable[[dt.date], Iterator[dt.date]]:
    """Every so many days from the start."""
    return lambda first: (first + number * step * DAY for number in range(1, 400))


def months(step: int) -> Callable[[dt.date], Iterator[dt.date]]:
    """The day of the start every so many months; the last of the month where it has no such day."""

    def found(first: dt.date) -> Iterator[dt.date]:
        for number in range(step, 30, step):
            year, month = divmod(first.year * 12 + first.month - 1 + number, 12)
            after = dt.date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1)
            yield min(dt.date(year, month + 1, 1) + (first.day - 1) * DAY, after - DAY)

    return found


def calendar(is_end: Callable[[dt.date], bool]) -> Callable[[dt.date], Iterator[dt.date]]:
    """The days after the start on which the calendar begins anew."""
    return lambda first: (day for day in (first + number * DAY for number in range(1, 400)) if is_end(day))


#: Plan, zone, first day, and on which days periods end (the day after the last), found without the engine.
CASES = [
    ("daily", "Pacific/Auckland", "2027-07-20", days(1)),
    ("weekly", "America/Los_Angeles", "2026-09-03", calendar(lambda day: day.weekday() == 0)),
    ("weekly", "Australia/Lord_Howe", "2026-09-14", calendar(lambda day: day.weekday() == 0)),
    ("monthly", "Asia/Kathmandu", "2026-09-10", calendar(lambda day: day.day == 1)),
    ("quarterly", "Europe/Amsterdam", "2026-09-10", calendar(lambda day: day.day == 1 and day.month % 3 == 1)),
    ("yearly", "UTC", "2026-09-10", calendar(lambda day: (day.day, day.month) == (1, 1))),
    ("own-week", "Europe/Amsterdam", "2026-09-02", days(7)),
    ("own-month", "America/Sao_Paulo", "2026-10-31", months(1)),
    ("own-month", "Pacific/Kiritimati", "2026-09-15", months(1)),
    ("own-year", "Europe/Lisbon", "2026-09-05", months(12)),
    ("fortnight", "Africa/Casablanca", "2026-09-09", days(14)),
    ("ten-days", "America/St_Johns", "2026-09-21", days(10)),
]  # fmt: skip

BEGIN, END = parse_instant("2026-08-31T00:00:00Z"), parse_instant("2027-09-08T00:00:00Z")
STEP, GRACE = 12 * HOUR, 5


class NoUsage:
    """The company's usage store, in the place of an installation's."""

    def __init__(self, company: Company) -> None:
        self.company = company

    def catch_up(self) -> object:
        return self.company.usage


class Clock:
    """A company whose periods are billed by a clock that the test turns."""

    def __init__(self, house: House, grace_hours: int = GRACE) -> None:
        self.company = Company(house, CATALOG)
        self.now = BEGIN
        self.tools = Tools(database=house.database, clock=lambda: self.now, usage=NoUsage(self.company))  # type: ignore[arg-type]
        with house.database.write() as connection:
            how = HowBilled(grace_hours=grace_hours, automatic=True)
            issuers.set_how(connection, self.company.issuer, how, now=self.company.now, actor="test")

    def subscribe(self, name: str, plan: str, zone: str, first: str) -> Stored:
        self.company.customer(name, time_zone=zone)
        return self.company.subscribe(name, plan, start=utc(dt.date.fromisoformat(first), zone))

    def documents(self) -> Sequence[Any]:
        """The rows of all documents, by number."""
        with self.company.database.read() as connection:
            return connection.execute(select(invoice).order_by(invoice.c.number_key)).all()

    def look(self, now: int) -> list[Ran]:
        self.now = now
        return run_due(self.tools, [RUNS, BILL])


def instant(day: dt.date, zone: str) -> int:
    """When a day begins, by the standard library's zones."""
    return int(dt.datetime.combine(day, dt.time(), ZoneInfo(zone)).timestamp()) * SECOND


def utc(day: dt.date, zone: str) -> str:
    return dt.datetime.fromtimestamp(instant(day, zone) // SECOND, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seen_first(at: int) -> int:
    """The first look at or after an instant."""
    return BEGIN + -(-(at - BEGIN) // STEP) * STEP


def test_a_year_of_every_interval_in_many_zones(sqlite_house: House) -> None:
    """Each period of each subscription gets one invoice, at the first look after its end and the grace, and no other."""
    clock = Clock(sqlite_house)
    for number, (code, zone, first, _) in enumerate(CASES):
        clock.subscribe(f"{number} {code}", code, zone, first)
    now = BEGIN
    while now < END:
        assert all(not ran.code for ran in clock.look(now)), now
        now += STEP
    found: dict[str, list[tuple[int, int, int]]] = {}
    for row in clock.documents():
        assert row.total_minor == 1000 or row.customer_name not in found  # the first period may be a part of one
        found.setdefault(row.customer_name, []).append((row.period_start, row.period_end, row.created_at))
    for number, (code, zone, first, ends) in enumerate(CASES):
        start, wanted = dt.date.fromisoformat(first), []
        for end in ends(start):
            # a month's run waits until the month is over where the issuer is, and looks at who was early once a day
            issued = seen_first(instant(end, zone) + GRACE * HOUR)
            if issued < END:
                wanted.append((instant(start, zone), instant(end, zone), issued))
            start = end
        got = found[f"{number} {code}"]
        assert [each[:2] for each in got] == [each[:2] for each in wanted][: len(got)], code
        assert len(got) >= len(wanted) - 3
        for (_, end, at), (_, _, expected) in zip(got, wanted, strict=False):
            ends_month = dt.datetime.fromtimestamp(end // SECOND, ZoneInfo(zone)).day == 1
            assert (expected <= at <= expected + 34 * HOUR) if ends_month else (at == expected), (code, end)
    assert verify(sqlite_house.database).problems == []


def told(clock: Clock) -> list[str]:
    return [f"{row.batch} {row.customer_name} {row.total_minor}" for row in clock.documents()]


def test_what_the_clock_bills_comes_to_what_months_come_to(house: House, tmp_path: Path) -> None:
    """A week's fee in advance, its usage and its minimum, over the ends of months: in the end each customer owes the same."""
    (tmp_path / "by-months").mkdir()
    elsewhere = House(Database(sqlite_url(tmp_path / "by-months")))
    clock, months = Clock(house), Clock(elsewhere)
    for each in (clock, months):
        for name, zone in (("north", "Europe/Amsterdam"), ("south", "America/Los_Angeles")):
            found = each.subscribe(name, "ahead", zone, "2026-09-03")
            november = instant(dt.date(2026, 11, 1), zone)
            each.company.change(found, End(at=november, recorded_at=each.company.now))
            for day in range(3, 28, 3):
                each.company.use(name, f"2026-09-{day:02d}T23:30:00Z", str(10 * day))
    for day in range(1, 65):
        clock.look(instant(dt.date(2026, 9, 1) + day * DAY, "Etc/GMT+10"))
    months.company.bill("2026-09", "2026-10-02T00:00:00Z")
    months.company.bill("2026-10", "2026-11-02T00:00:00Z")
    owed = [
        {name: sum(row.total_minor for row in each.documents() if row.customer_name == name) for name in ("north", "south")}
        for each in (clock, months)
    ]
    assert owed[0] == owed[1]
    assert (len(clock.documents()), len(months.documents())) == (2 * 9, 4)
    assert verify(house.database).problems == []
    at = parse_instant("2026-11-01T00:00:00Z")
    assert list(due(house.database, clock.company.issuer, at=at, known_at=clock.now)) == []
    elsewhere.close()
    elsewhere.database.close()


def test_who_looks_late_bills_each_period_for_itself(sqlite_house: House) -> None:
    clock = Clock(sqlite_house, grace_hours=0)
    clock.subscribe("north", "weekly", "UTC", "2026-09-07")
    clock.subscribe("south", "monthly", "UTC", "2026-09-01")
    clock.look(parse_instant("2026-10-01T00:00:00Z"))
    before = len(told(clock))
    clock.look(parse_instant("2026-11-13T00:00:00Z"))
    weeks = [row.period_end for row in clock.documents()[before:] if row.customer_name == "north"]
    assert weeks == [instant(dt.date(2026, 10, 5) + number * 7 * DAY, "UTC") for number in range(6)]
    assert [each.split()[0].partition("-")[0] for each in told(clock)[before:]] == ["cycle"] * 4 + ["bill", "cycle", "cycle"]
    assert clock.look(parse_instant("2026-11-13T00:01:00Z")) == []


def test_others_of_the_same_recipient_wait_for_theirs(sqlite_house: House) -> None:
    clock = Clock(sqlite_house, grace_hours=0)
    clock.subscribe("north", "weekly", "UTC", "2026-09-07")
    clock.company.subscribe("north", "monthly", start="2026-09-01T00:00:00Z")
    for day in ("09-14", "09-21", "09-28", "10-01"):
        clock.look(parse_instant(f"2026-{day}T00:00:00Z"))
    assert told(clock) == [
        "cycle-000001 north 1000",
        "cycle-000002 north 1000",
        "cycle-000003 north 1000",
        "bill-000004 north 1000",
    ]


def test_what_was_parked_is_tried_again_once_a_day(sqlite_house: House) -> None:
    clock = Clock(sqlite_house, grace_hours=0)
    for name in ("north", "south"):
        clock.subscribe(name, "weekly", "UTC", "2026-09-07")

    def is_now(status: str) -> None:
        with sqlite_house.database.write() as connection:
            connection.exec_driver_sql(f"UPDATE account SET status = '{status}' WHERE external_id = 'south'")

    is_now("closed")
    assert clock.look(parse_instant("2026-09-14T00:00:00Z")) == [Ran(job="bill", done=1)]
    is_now("open")
    assert clock.look(parse_instant("2026-09-14T23:59:59Z")) == []
    assert clock.look(parse_instant("2026-09-15T01:00:00Z")) == [Ran(job="bill", done=1)]
    assert told(clock) == ["cycle-000001 north 1000", "cycle-000002 south 1000"]


def test_a_run_that_was_killed_is_gone_on_with(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(billing_run, "CHUNK", 1)
    clock = Clock(sqlite_house, grace_hours=0)
    for name in ("a", "b", "c"):
        clock.subscribe(name, "weekly", "UTC", "2026-09-07")
        clock.company.subscribe(name, "monthly", start="2026-09-01T00:00:00Z")

    def die(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    calm, clock.tools = clock.tools, msgspec.structs.replace(clock.tools, check=die)
    with pytest.raises(KeyboardInterrupt):
        clock.look(parse_instant("2026-09-14T00:00:00Z"))
    assert told(clock) == ["cycle-000001 a 1000"]
    clock.tools = calm
    assert clock.look(parse_instant("2026-09-14T01:00:00Z")) == [Ran(job="runs", done=2)]
    assert told(clock) == [f"cycle-000001 {name} 1000" for name in ("a", "b", "c")]


def test_two_clocks_at_once_bill_each_period_once(house: House) -> None:
    clock = Clock(house, grace_hours=0)
    for name in ("a", "b", "c"):
        clock.subscribe(name, "weekly", "UTC", "2026-09-07")
    clock.now = parse_instant("2026-09-22T00:00:00Z")
    threads = [
        threading.Thread(target=run_due, args=(msgspec.structs.replace(clock.tools, looked={}), [BILL])) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.partition(" ")[2] for each in told(clock)) == [f"{name} 1000" for name in "aabbcc"]
    assert verify(house.database).problems == []
