"""A period as people write it: a day, a month, a quarter, a year, or from one day to another, in a time zone."""

from __future__ import annotations

import datetime as dt
import re

from billsmith.units.calendar import add_months
from billsmith.units.errors import InvalidTime
from billsmith.units.instants import parse_date, start_of_day
from billsmith.units.periods import Period

_YEAR = re.compile(r"([0-9]{4})", re.ASCII)
_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})", re.ASCII)
_QUARTER = re.compile(r"([0-9]{4})-?[Qq]([1-4])", re.ASCII)


def parse_period(text: str, time_zone: str, *, where: str | None = None) -> Period:
    """Read ``2026-07``, ``2026-Q3``, ``2026``, ``2026-07-14`` or ``2026-07-01..2026-07-31`` (both days included).

    Raises :class:`InvalidTime`.

    >>> parse_period("2026-07", "UTC") == parse_period("2026-07-01..2026-07-31", "UTC")
    True
    """
    first, after = _days(text.strip(), where)
    return Period(start_of_day(first, time_zone), start_of_day(after, time_zone))


def _days(text: str, where: str | None) -> tuple[dt.date, dt.date]:
    """The first day, and the one after the last."""
    try:
        if match := _YEAR.fullmatch(text):
            return _months(int(match[1]), 1, 12)
        if match := _MONTH.fullmatch(text):
            return _months(int(match[1]), int(match[2]), 1)
        if match := _QUARTER.fullmatch(text):
            return _months(int(match[1]), 3 * int(match[2]) - 2, 3)
        first, dots, last = text.partition("..")
        start = parse_date(first, where=where)
        end = parse_date(last, where=where) if dots else start
        after = end + dt.timedelta(days=1)
    except (ValueError, OverflowError):
        raise InvalidTime(
            f"{text[:40]!r} is not a period such as 2026-07, 2026-Q3 or 2026-07-01..2026-07-31",
            code="time.period_words",
            where=where,
        ) from None
    if after <= start:
        raise InvalidTime(f"{text[:40]!r} ends before it starts", code="time.period", where=where)
    return start, after


def _months(year: int, month: int, count: int) -> tuple[dt.date, dt.date]:
    first = dt.date(year, month, 1)
    return first, add_months(first, count)
