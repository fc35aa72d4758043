"""What part of a period is charged.

An instant at which something changes belongs to what comes after it; by day, so does the whole local day in which it lies. So
parts of a period always sum to it, however it is cut.
"""

from __future__ import annotations

import datetime as dt
from fractions import Fraction

from billsmith.catalog.offer import Proration
from billsmith.units.calendar import billing_day
from billsmith.units.errors import InvalidTime
from billsmith.units.exact import Exact, multiply, simplest
from billsmith.units.instants import start_of_day
from billsmith.units.periods import Period


def share(part: Period, whole: Period, by: Proration, zone: str) -> Fraction:
    """The share of ``whole`` that ``part`` is: of its local days, or of its elapsed time; 1 where nothing is prorated.

    Raises :class:`InvalidTime` where the whole period has no day (or no time) to share.

    >>> from billsmith.units.instants import parse_instant
    >>> january = Period(parse_instant("2024-01-01T00:00:00Z"), parse_instant("2024-02-01T00:00:00Z"))
    >>> share(Period(january.start, parse_instant("2024-01-15T09:30:00Z")), january, Proration.DAY, "UTC")
    Fraction(14, 31)
    """
    if by is Proration.NONE:
        return Fraction(1)
    if by is Proration.SECOND:
        return of_whole(part.length, whole.length)
    return of_whole(days_between(part.start, part.end, zone), days_between(whole.start, whole.end, zone))


def of_whole(part: int, whole: int) -> Fraction:
    """``part`` of ``whole`` days, seconds or anything else that is counted.

    >>> of_whole(8, 28)
    Fraction(2, 7)
    """
    if whole <= 0:
        raise InvalidTime(
            f"a period of {whole} can't be shared. Prorate periods shorter than a day by second",
            code="time.nothing_to_share",
            where="proration",
        )
    return Fraction(part, whole)


def days_between(start: int, end: int, zone: str) -> int:
    """How many local days begin after ``start`` and at or before ``end``: the day of an instant belongs to what follows it.

    >>> from billsmith.units.instants import parse_instant
    >>> days_between(parse_instant("2024-11-02T00:00:00Z"), parse_instant("2024-11-04T00:00:00Z"), "America/New_York")
    2
    """
    return (billing_day(end, zone) - billing_day(start, zone)).days


def end_of_day(instant: int, zone: str) -> int:
    """Where the local day of an instant ends: the exclusive end of a service whose last day counts."""
    return start_of_day(billing_day(instant, zone) + dt.timedelta(days=1), zone)


def prorate(amount: Exact, part: Exact) -> Exact:
    """A part of an amount, exactly.

    >>> from decimal import Decimal
    >>> prorate(Decimal(100), Fraction(1, 4)), prorate(Decimal(100), Fraction(1, 3))
    (Decimal('25'), Fraction(100, 3))
    """
    return simplest(multiply(amount, part))
