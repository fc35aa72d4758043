"""Calendar steps from an anchor that never drift: where billing periods begin and end.

A :class:`Schedule` cuts all of time into periods of one interval, back to back, in a zone. Every boundary is counted from the
original anchor, never from the boundary before it, so 31 January → 29 February → 31 March. A boundary is the first instant at
which the zone's clocks read the anchor's time on that date, or later (see :func:`billsmith.units.instants.local_instant`);
so boundaries never go backwards, whatever clocks do, and the end of a period *is* the start of the next.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache

import msgspec

from billsmith.units.errors import InvalidTime
from billsmith.units.instants import HOUR, local_instant, local_reading, start_of_day
from billsmith.units.periods import Period


class Unit(StrEnum):
    """What an interval counts. Hours are elapsed time; all others are steps on the zone's calendar."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


_MONTHS = {Unit.MONTH: 1, Unit.QUARTER: 3, Unit.YEAR: 12}
_DAYS = {Unit.DAY: 1, Unit.WEEK: 7}

#: Where calendar periods are counted from: months and years from a January, weeks from a Monday.
_CALENDAR_ANCHOR = dt.date(1970, 1, 1)
_CALENDAR_MONDAY = dt.date(1969, 12, 29)

_UTC = "UTC"


class Interval(msgspec.Struct, frozen=True):
    """``count`` units, e.g. three months. Raises :class:`InvalidTime` unless the count is 1 to 10,000."""

    unit: Unit
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.count <= 10_000:
            raise InvalidTime(
                f"an interval of {self.count} {self.unit}s; the count is 1 to 10,000", code="time.interval", where="count"
            )


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """Periods of one interval, back to back, from an anchor. Made by :func:`calendar_schedule` or :func:`anniversary`.

    ``date`` and ``time`` (nanoseconds after midnight) are what the zone's clocks read at the anchor; for hours they are read
    in UTC. ``day`` is the day of the month that every step returns to where the month has it (1 to 31); 0 is the anchor's own.

    >>> from billsmith.units.instants import local_date
    >>> monthly = anniversary(Interval(Unit.MONTH), dt.date(2024, 1, 31), "Europe/Amsterdam")
    >>> [local_date(monthly.boundary(index), "Europe/Amsterdam").isoformat() for index in range(4)]
    ['2024-01-31', '2024-02-29', '2024-03-31', '2024-04-30']
    """

    interval: Interval
    zone: str
    date: dt.date
    time: int = 0
    day: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.day <= 31:
            raise InvalidTime(f"day {self.day} of a month; a billing day is 1 to 31", code="time.billing_day", where="day")

    def boundary(self, index: int) -> int:
        """The instant at which period ``index`` starts and period ``index - 1`` ends. Any index, also below zero.

        Raises :class:`InvalidTime` outside the range of instants (1677 to 2262).
        """
        return _boundary(self, index)

    def index(self, instant: int) -> int:
        """The index of the period that contains the instant."""
        index = self._estimate(instant)
        while self.boundary(index) > instant:
            index -= 1
        while self.boundary(index + 1) <= instant:
            index += 1
        return index

    def period(self, index: int) -> Period:
        """Period ``index``. It is empty where a zone skipped the whole of a day and the interval is that day."""
        return Period(self.boundary(index), self.boundary(index + 1))

    def containing(self, instant: int) -> Period:
        """The period that contains the instant."""
        return self.period(self.index(instant))

    def between(self, start: int, end: int) -> Iterator[Period]:
        """The periods that share time with ``[start, end)``, in order, whole."""
        if start >= end:
            return
        index = self.index(start)
        opening = self.boundary(index)
        while opening < end:
            index += 1
            closing = self.boundary(index)
            if closing > opening:
                yield Period(opening, closing)
            opening = closing

    def _estimate(self, instant: int) -> int:
        """The period by the calendar alone; the clocks' reading may move it by one."""
        unit, count = self.interval.unit, self.interval.count
        if unit is Unit.HOUR:
            return (instant - self.boundary(0)) // (count * HOUR)
        day, _ = local_reading(instant, self.zone)
        if unit in _DAYS:
            return (day.toordinal() - self.date.toordinal()) // (count * _DAYS[unit])
        months = (day.year - self.date.year) * 12 + day.month - self.date.month
        return months // (count * _MONTHS[unit])


@lru_cache(maxsize=65_536)
def _boundary(schedule: Schedule, index: int) -> int:
    unit, steps = schedule.interval.unit, index * schedule.interval.count
    if unit is Unit.HOUR:
        return start_of_day(schedule.date, _UTC) + schedule.time + steps * HOUR
    try:
        if unit in _DAYS:
            day = dt.date.fromordinal(schedule.date.toordinal() + steps * _DAYS[unit])
        else:
            day = add_months(schedule.date, steps * _MONTHS[unit], schedule.day)
        return local_instant(day, schedule.time, schedule.zone)
    except (ValueError, OverflowError):
        raise InvalidTime(
            f"period {index} from {schedule.date} lies outside the range of instants", code="time.out_of_range"
        ) from None


def calendar_schedule(interval: Interval, zone: str) -> Schedule:
    """Periods that begin with the calendar's own: days at midnight, weeks on Monday, months on the 1st, years in January.

    Several units count from 1970 (weeks from its first Monday's week, hours from its first midnight in the zone).

    >>> from billsmith.units.instants import format_instant, parse_instant
    >>> week = calendar_schedule(Interval(Unit.WEEK), "UTC").containing(parse_instant("2024-02-29T10:00:00Z"))
    >>> format_instant(week.start)
    '2024-02-26T00:00:00Z'
    """
    if interval.unit is Unit.HOUR:
        return anniversary_at(interval, start_of_day(_CALENDAR_ANCHOR, zone), zone)
    return Schedule(interval=interval, zone=zone, date=_CALENDAR_MONDAY if interval.unit is Unit.WEEK else _CALENDAR_ANCHOR)


def anniversary(interval: Interval, date: dt.date, zone: str, *, day: int = 0) -> Schedule:
    """Periods that begin at the start of the anchor's date and of its anniversaries."""
    if interval.unit is Unit.HOUR:
        return anniversary_at(interval, start_of_day(date, zone), zone)
    return Schedule(interval=interval, zone=zone, date=date, day=day)


def anniversary_at(interval: Interval, instant: int, zone: str, *, day: int = 0) -> Schedule:
    """Periods that begin at the anchor's instant and when the zone's clocks read the same time on its anniversaries."""
    date, time = local_reading(instant, _UTC if interval.unit is Unit.HOUR else zone)
    return Schedule(interval=interval, zone=zone, date=date, time=time, day=day)


def add_months(date: dt.date, months: int, day: int = 0) -> dt.date:
    """The date ``months`` later on the same day of the month, or on its last where the month is shorter.

    ``day`` (1 to 31) is the day to return to; 0 is the date's own. Raises :class:`ValueError` outside the years 1 to 9999.

    >>> add_months(dt.date(2024, 1, 31), 1), add_months(dt.date(2024, 2, 29), 1, day=31)
    (datetime.date(2024, 2, 29), datetime.date(2024, 3, 31))
    """
    year, month = divmod(date.year * 12 + date.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return dt.date(year, month + 1, min(day or date.day, last))


def billing_day(instant: int, zone: str) -> dt.date:
    """The civil date whose start is the last one at or before the instant.

    This is the clocks' date, except where they go back over midnight: then the day that has begun goes on.

    >>> from billsmith.units.instants import parse_instant
    >>> billing_day(parse_instant("2024-12-31T23:30:00Z"), "Europe/Amsterdam")
    datetime.date(2025, 1, 1)
    """
    day, _ = local_reading(instant, zone)
    following = day + dt.timedelta(days=1)
    return following if start_of_day(following, zone) <= instant else day
