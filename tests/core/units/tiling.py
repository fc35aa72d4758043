"""Promise P10: periods tile exactly, for every IANA zone and anchor day, 1970 to 2100.

The whole sweep (about 29 million boundaries) is for ``make soak``; tests take a fresh sample. Each boundary is held against
what a wall clock in the zone shows at it and one nanosecond before it, and against the calendar's own months.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Callable, Iterable
from typing import Protocol

from billsmith.units.calendar import Interval, Unit, anniversary
from billsmith.units.instants import local_reading

FIRST_YEAR, LAST_YEAR = 1970, 2100
ANCHOR_DAYS = range(1, 32)
MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Tiles(Protocol):
    def boundary(self, index: int) -> int: ...

    def index(self, instant: int) -> int: ...


def zones() -> list[str]:
    """Every zone of the tzdata package."""
    return sorted(zoneinfo.available_timezones())


def monthly(zone: str, anchor_day: int) -> Tiles:
    return anniversary(Interval(Unit.MONTH), dt.date(FIRST_YEAR, 1, anchor_day), zone)


def expected_date(month: int, anchor_day: int) -> dt.date:
    """The anchor's day in the month that is ``month`` months after January 1970, or that month's last day."""
    year, place = FIRST_YEAR + month // 12, month % 12
    leap = place == 1 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return dt.date(year, place + 1, min(anchor_day, MONTH_LENGTHS[place] + leap))


def faults(tiles: Tiles, zone: str, anchor_day: int, months: Iterable[int]) -> list[str]:
    """What is wrong with the boundaries of ``months``: a gap, an overlap, a boundary that is not the day's first instant."""
    found = []
    for month in months:
        start, end = tiles.boundary(month), tiles.boundary(month + 1)
        name = f"{zone}, day {anchor_day}, month {month}"
        if start >= end:
            found.append(f"{name}: ends before it starts")
        if (tiles.index(start), tiles.index(start - 1)) != (month, month - 1):
            found.append(f"{name}: its start is not where the period before it ends")
        midnight = (expected_date(month, anchor_day), 0)
        if not local_reading(start - 1, zone) < midnight <= local_reading(start, zone):
            found.append(f"{name}: does not start when {midnight[0]} starts")
    return found


def sweep(
    names: Iterable[str],
    days: Iterable[int] = ANCHOR_DAYS,
    years: range = range(FIRST_YEAR, LAST_YEAR + 1),
    make: Callable[[str, int], Tiles] = monthly,
) -> tuple[int, list[str]]:
    """How many periods were looked at, and what is wrong with them."""
    months = range((years.start - FIRST_YEAR) * 12, (years.stop - FIRST_YEAR) * 12)
    looked, found = 0, []
    for zone in names:
        for day in days:
            found += faults(make(zone, day), zone, day, months)
            looked += len(months)
    return looked, found
