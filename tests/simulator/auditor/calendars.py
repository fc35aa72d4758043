"""Days and periods in a zone, from the zone's clock alone. Instants are seconds UTC."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterator
from functools import lru_cache
from zoneinfo import ZoneInfo

_EPOCH = dt.datetime(1970, 1, 1)
_SECOND = dt.timedelta(seconds=1)
_UTC = dt.UTC


@lru_cache(maxsize=1_000_000)
def clock(instant: int, zone: str) -> dt.datetime:
    """What the zone's clocks show."""
    return (_EPOCH + instant * _SECOND).replace(tzinfo=_UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@lru_cache(maxsize=1_000_000)
def first_at(reading: dt.datetime, zone: str) -> int:
    """The first instant at which clocks show a reading; where they jump over it, that of the jump."""
    naive = (reading - _EPOCH) // _SECOND
    offsets = {(clock(naive + hours * 3600, zone) - _EPOCH) // _SECOND - naive - hours * 3600 for hours in range(-30, 31, 3)}
    hits = [naive - offset for offset in offsets if clock(naive - offset, zone) == reading]
    if hits:
        return min(hits)
    low, high = naive - max(offsets), naive - min(offsets)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if clock(middle, zone) >= reading else (middle, high)
    return low if clock(low, zone) >= reading else high


def midnight(day: dt.date, zone: str) -> int:
    """When a day begins."""
    return first_at(dt.datetime.combine(day, dt.time()), zone)


@lru_cache(maxsize=1_000_000)
def day_of(instant: int, zone: str) -> dt.date:
    """The day that began last."""
    day = clock(instant, zone).date() + dt.timedelta(days=1)
    while midnight(day, zone) > instant:
        day -= dt.timedelta(days=1)
    return day


def days(start: int, end: int, zone: str) -> int:
    """Days from one instant to another: each belongs to what holds at its end."""
    return (day_of(end, zone) - day_of(start, zone)).days


def month_end(month: str, zone: str) -> int:
    """When a month, such as 2023-09, is over."""
    return midnight(later(dt.date.fromisoformat(month + "-01"), 1), zone)


def later(day: dt.date, months: int, wanted: int = 0) -> dt.date:
    """So many months later, on the same day (or the one wanted), or on the month's last."""
    count = day.year * 12 + day.month - 1 + months
    year, month = count // 12, count % 12 + 1
    return dt.date(year, month, min(wanted or day.day, calendar.monthrange(year, month)[1]))


@lru_cache(maxsize=200_000)
def periods(anchor: dt.date, months: int, wanted: int, zone: str, start: int, end: int) -> tuple[tuple[int, int], ...]:
    """The periods of so many months, counted from an anchor, that share time with ``[start, end)``."""
    return tuple(_periods(anchor, months, wanted, zone, start, end))


def _periods(anchor: dt.date, months: int, wanted: int, zone: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    if start >= end:
        return
    near = clock(start, zone).date()
    index = ((near.year - anchor.year) * 12 + near.month - anchor.month) // months - 2
    while True:
        opening = midnight(later(anchor, index * months, wanted), zone)
        closing = midnight(later(anchor, (index + 1) * months, wanted), zone)
        if opening >= end:
            return
        if closing > start:
            yield opening, closing
        index += 1
