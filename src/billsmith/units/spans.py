"""The spans of the calendar that people name: a year, a quarter, a month, a day."""

from __future__ import annotations

import datetime as dt
import re

import msgspec

from billsmith.units.calendar import add_months
from billsmith.units.errors import InvalidTime
from billsmith.units.instants import start_of_day
from billsmith.units.periods import Period

_SPAN = re.compile(r"([0-9]{4})(?:-Q([1-4])|-([0-9]{2})(?:-([0-9]{2}))?)?", re.ASCII)


class NamedSpan(msgspec.Struct, frozen=True):
    """Whole local days: ``first`` is in it, ``after`` is the day after the last."""

    name: str
    first: dt.date
    after: dt.date

    def end(self, zone: str) -> int:
        """The instant at which it is over in a zone."""
        return start_of_day(self.after, zone)

    def period(self, zone: str) -> Period:
        """The span in a zone."""
        return Period(start_of_day(self.first, zone), self.end(zone))


def span_before(span: NamedSpan) -> NamedSpan:
    """The span of the same kind before one.

    >>> span_before(parse_span("2026-Q1")).name, span_before(parse_span("2026-03-01")).name
    ('2025-Q4', '2026-02-28')
    """
    last = span.first - dt.timedelta(days=1)
    match = _SPAN.fullmatch(span.name)
    assert match is not None
    _, quarter, month, day = match.groups()
    if day:
        return parse_span(last.isoformat())
    if quarter:
        return parse_span(f"{last.year}-Q{(last.month + 2) // 3}")
    return parse_span(f"{last.year}-{last.month:02d}" if month else f"{last.year}")


def span_after(span: NamedSpan) -> NamedSpan:
    """The span of the same kind after one.

    >>> [span_after(parse_span(name)).name for name in ("2025", "2025-Q4", "2025-12", "2026-02-28")]
    ['2026', '2026-Q1', '2026-01', '2026-03-01']
    """
    match = _SPAN.fullmatch(span.name)
    assert match is not None
    _, quarter, month, day = match.groups()
    first = span.after
    if day:
        return parse_span(first.isoformat())
    if quarter:
        return parse_span(f"{first.year}-Q{(first.month + 2) // 3}")
    return parse_span(f"{first.year}-{first.month:02d}" if month else f"{first.year}")


def parse_span(text: str, where: str = "period") -> NamedSpan:
    """A span by its name: ``2026``, ``2026-Q3``, ``2026-10`` or ``2026-10-31``. Raises :class:`InvalidTime`.

    >>> span = parse_span("2026-Q4")
    >>> span.first.isoformat(), span.after.isoformat()
    ('2026-10-01', '2027-01-01')
    """
    match = _SPAN.fullmatch(text)
    try:
        if match is None or not "1970" <= text[:4] <= "2199":
            raise ValueError(text)
        year, quarter, month, day = (int(part) if part else 0 for part in match.groups())
        if day:
            first = dt.date(year, month, day)
            return NamedSpan(text, first, first + dt.timedelta(days=1))
        if quarter:
            first = dt.date(year, 3 * quarter - 2, 1)
            return NamedSpan(text, first, add_months(first, 3))
        first = dt.date(year, month or 1, 1)
        return NamedSpan(text, first, add_months(first, 1 if month else 12))
    except ValueError:
        raise InvalidTime(
            f"{text[:40]!r} is not a period such as 2026-10, 2026-Q4, 2026 or 2026-10-31", code="time.not_a_period", where=where
        ) from None
