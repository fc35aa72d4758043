"""Shares of a period by local day and by elapsed time: however a period is cut, its parts sum to it."""

import itertools
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.catalog.offer import Proration
from billsmith.subscriptions.proration import days_between, end_of_day, of_whole, prorate, share
from billsmith.units.calendar import Interval, Unit, anniversary_at
from billsmith.units.errors import InvalidTime
from billsmith.units.instants import DAY, HOUR, format_instant, parse_instant
from billsmith.units.periods import Period
from tests.core.units.tiling import zones
from tests.support.laws import EXAMPLES
from tests.support.numbers import decimals

ZONES = zones()
AMSTERDAM = "Europe/Amsterdam"


def span(start, end):
    return Period(parse_instant(f"{start}Z"), parse_instant(f"{end}Z"))


OCTOBER = span("2026-09-30T22:00:00", "2026-10-31T23:00:00")  # in Amsterdam: 31 days, 745 hours


@pytest.mark.parametrize(
    ("part", "by", "expected"),
    [
        (OCTOBER, Proration.DAY, "1"),
        (OCTOBER, Proration.SECOND, "1"),
        (OCTOBER, Proration.NONE, "1"),
        # the day of a change belongs to what follows it
        (Period(OCTOBER.start, parse_instant("2026-10-15T12:00:00Z")), Proration.DAY, "14/31"),
        (Period(parse_instant("2026-10-15T12:00:00Z"), OCTOBER.end), Proration.DAY, "17/31"),
        # last instant of the 14th, first of the 15th, in Amsterdam
        (Period(OCTOBER.start, parse_instant("2026-10-14T21:59:59.999999999Z")), Proration.DAY, "13/31"),
        (Period(OCTOBER.start, parse_instant("2026-10-14T22:00:00Z")), Proration.DAY, "14/31"),
        # two changes on one day: nothing between them
        (span("2026-10-15T08:00:00", "2026-10-15T18:00:00"), Proration.DAY, "0"),
        # the clocks go back on the 25th: 25 hours, one day
        (span("2026-10-24T22:00:00", "2026-10-25T23:00:00"), Proration.DAY, "1/31"),
        (span("2026-10-24T22:00:00", "2026-10-25T23:00:00"), Proration.SECOND, "25/745"),
        (span("2026-10-15T08:00:00", "2026-10-15T08:00:00"), Proration.SECOND, "0"),
    ],
)
def test_share(part, by, expected):
    assert share(part, OCTOBER, by, AMSTERDAM) == Fraction(expected)


@pytest.mark.parametrize(
    ("start", "end", "zone", "days"),
    [
        ("2024-11-02T00:00:00", "2024-11-04T00:00:00", "America/New_York", 2),
        ("2024-07-15T12:30:00", "2024-07-16T08:15:00", "Asia/Tokyo", 1),
        ("2024-02-28T12:00:00", "2024-03-01T12:00:00", "UTC", 2),
        ("2023-02-28T12:00:00", "2023-03-01T12:00:00", "UTC", 1),
        ("2011-12-29T12:00:00", "2011-12-31T12:00:00", "Pacific/Apia", 3),  # a date that was skipped is still counted
        ("2024-01-01T00:00:00", "2024-01-01T23:59:59.999999999", "UTC", 0),
    ],
)
def test_days_between(start, end, zone, days):
    period = span(start, end)
    assert days_between(period.start, period.end, zone) == days


@pytest.mark.parametrize(
    ("instant", "end"),
    [
        ("2026-10-25T00:30:00Z", "2026-10-25T23:00:00Z"),
        ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ("2026-10-24T21:59:59Z", "2026-10-24T22:00:00Z"),
    ],
)
def test_the_day_of_an_end_may_count(instant, end):
    assert format_instant(end_of_day(parse_instant(instant), AMSTERDAM)) == end


@pytest.mark.parametrize("make", [lambda: of_whole(0, 0), lambda: of_whole(1, -1)])
def test_nothing_can_not_be_shared(make):
    with pytest.raises(InvalidTime) as caught:
        make()
    assert caught.value.code == "time.nothing_to_share"


def test_an_hour_has_no_day_to_share():
    hour = Period(DAY, DAY + HOUR)
    assert share(hour, hour, Proration.SECOND, "UTC") == 1
    with pytest.raises(InvalidTime, match="by second"):
        share(hour, hour, Proration.DAY, "UTC")


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.integers(0, 120 * 365 * DAY),
    st.sampled_from([Unit.DAY, Unit.WEEK, Unit.MONTH, Unit.QUARTER, Unit.YEAR]),
    st.lists(st.integers(0, 366 * DAY), max_size=6),
    st.sampled_from([Proration.DAY, Proration.SECOND]),
    decimals(0, 10_000, places=2),
)
def test_a_period_cut_at_any_instants_sums_to_the_whole(zone, anchor, unit, cuts, by, amount):
    whole = anniversary_at(Interval(unit), anchor, zone).period(0)
    points = sorted({whole.start, whole.end, *(min(whole.start + cut, whole.end) for cut in cuts)})
    shares = [share(Period(start, end), whole, by, zone) for start, end in itertools.pairwise(points)]
    assert sum(shares) == 1
    assert all(each >= 0 for each in shares)
    assert sum(Fraction(prorate(amount, each)) for each in shares) == Fraction(amount)


def test_the_law_of_cuts_sees_a_rule_that_counts_the_day_of_a_change_twice():
    """The negative control: with inclusive ends the parts do not sum to the whole."""
    cut = parse_instant("2026-10-15T12:00:00Z")
    parts = [Period(OCTOBER.start, end_of_day(cut, AMSTERDAM)), Period(cut, OCTOBER.end)]
    assert sum(share(part, OCTOBER, Proration.DAY, AMSTERDAM) for part in parts) != 1


@pytest.mark.parametrize("amount", [0.1, 10.0])
def test_no_float_passes(amount):
    with pytest.raises(Exception, match="float"):
        prorate(amount, Fraction(1, 3))
    assert prorate(Decimal("0.1"), Fraction(1, 3)) == Fraction(1, 30)
