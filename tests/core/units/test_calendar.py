"""Calendar steps: clamped to the month's end, back to the anchor's day, tiled in every zone."""

from __future__ import annotations

import datetime as dt
import itertools
import random
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.units.calendar import (
    Interval,
    Schedule,
    Unit,
    add_months,
    anniversary,
    anniversary_at,
    billing_day,
    calendar_schedule,
)
from billsmith.units.errors import InvalidTime
from billsmith.units.instants import DAY, HOUR, SECOND, format_instant, local_date, parse_instant, start_of_day
from billsmith.units.periods import Period
from tests.core.units.tiling import ANCHOR_DAYS, monthly, sweep, zones
from tests.support.laws import EXAMPLES

ZONES = zones()


@pytest.mark.parametrize(
    ("date", "months", "day", "expected"),
    [
        ("2026-01-31", 1, 31, "2026-02-28"),
        ("2024-01-31", 1, 31, "2024-02-29"),
        ("2026-02-28", 1, 31, "2026-03-31"),
        ("2026-02-28", 1, 0, "2026-03-28"),
        ("2026-12-31", 1, 31, "2027-01-31"),
        ("2026-01-31", -2, 0, "2025-11-30"),
        ("2024-02-29", 12, 0, "2025-02-28"),
        ("2024-02-29", 48, 0, "2028-02-29"),
        ("2024-02-29", -24, 0, "2022-02-28"),
        ("2024-01-30", 0, 31, "2024-01-31"),
    ],
)
def test_add_months(date, months, day, expected):
    assert add_months(dt.date.fromisoformat(date), months, day) == dt.date.fromisoformat(expected)


@pytest.mark.parametrize(
    ("unit", "count", "anchor", "expected"),
    [
        (Unit.DAY, 1, "2024-02-28", ["2024-02-28", "2024-02-29", "2024-03-01"]),
        (Unit.DAY, 30, "2024-02-01", ["2024-02-01", "2024-03-02", "2024-04-01"]),
        (Unit.WEEK, 2, "2024-12-30", ["2024-12-30", "2025-01-13", "2025-01-27"]),
        (Unit.MONTH, 1, "2023-12-31", ["2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31"]),
        (Unit.MONTH, 1, "2024-01-29", ["2024-01-29", "2024-02-29", "2024-03-29"]),
        (Unit.MONTH, 1, "2023-01-29", ["2023-01-29", "2023-02-28", "2023-03-29"]),
        (Unit.MONTH, 5, "2024-09-30", ["2024-09-30", "2025-02-28", "2025-07-30"]),
        (Unit.QUARTER, 1, "2023-11-30", ["2023-11-30", "2024-02-29", "2024-05-30"]),
        (Unit.YEAR, 1, "2024-02-29", ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]),
    ],
)
def test_anniversaries(unit, count, anchor, expected):
    schedule = anniversary(Interval(unit, count), dt.date.fromisoformat(anchor), "Europe/Amsterdam")
    dates = [local_date(schedule.boundary(index), "Europe/Amsterdam").isoformat() for index in range(len(expected))]
    assert dates == expected


@pytest.mark.parametrize(
    ("unit", "count", "instant", "start", "end"),
    [
        (Unit.HOUR, 1, "2024-03-31T00:59:59Z", "2024-03-31T00:00:00Z", "2024-03-31T01:00:00Z"),
        (Unit.DAY, 1, "2024-03-31T12:00:00Z", "2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z"),  # 23 hours
        (Unit.DAY, 1, "2024-10-27T12:00:00Z", "2024-10-26T22:00:00Z", "2024-10-27T23:00:00Z"),  # 25 hours
        (Unit.WEEK, 1, "2024-03-31T21:59:59Z", "2024-03-24T23:00:00Z", "2024-03-31T22:00:00Z"),  # Monday to Monday
        (Unit.MONTH, 1, "2024-02-29T22:59:59.999999999Z", "2024-01-31T23:00:00Z", "2024-02-29T23:00:00Z"),
        (Unit.MONTH, 1, "2024-02-29T23:00:00Z", "2024-02-29T23:00:00Z", "2024-03-31T22:00:00Z"),
        (Unit.MONTH, 2, "2024-04-15T00:00:00Z", "2024-02-29T23:00:00Z", "2024-04-30T22:00:00Z"),
        (Unit.QUARTER, 1, "2024-05-15T00:00:00Z", "2024-03-31T22:00:00Z", "2024-06-30T22:00:00Z"),
        (Unit.YEAR, 1, "2024-12-31T22:59:59Z", "2023-12-31T23:00:00Z", "2024-12-31T23:00:00Z"),
    ],
)
def test_calendar_periods(unit, count, instant, start, end):
    period = calendar_schedule(Interval(unit, count), "Europe/Amsterdam").containing(parse_instant(instant))
    assert (format_instant(period.start), format_instant(period.end)) == (start, end)


def test_hours_are_elapsed_time_when_clocks_go_back():
    hourly = anniversary(Interval(Unit.HOUR, 6), dt.date(2024, 10, 27), "Europe/Amsterdam")
    lengths = {hourly.period(index).length for index in range(-8, 8)}
    assert lengths == {6 * HOUR}
    assert hourly.boundary(0) == start_of_day(dt.date(2024, 10, 27), "Europe/Amsterdam")


def test_hours_are_counted_from_the_anchors_instant_also_in_the_repeated_hour():
    second_time = parse_instant("2024-10-27T01:30:00Z")  # 02:30 for the second time
    assert anniversary_at(Interval(Unit.HOUR, 5), second_time, "Europe/Amsterdam").boundary(0) == second_time


def test_the_time_of_day_is_the_anchors():
    schedule = anniversary_at(Interval(Unit.MONTH), parse_instant("2025-01-31T15:00:00Z"), "UTC")
    period = schedule.containing(parse_instant("2025-08-13T20:00:00Z"))
    assert [format_instant(period.start), format_instant(period.end)] == ["2025-07-31T15:00:00Z", "2025-08-31T15:00:00Z"]


def test_the_billing_day_is_returned_to():
    schedule = anniversary(Interval(Unit.MONTH), dt.date(2024, 2, 29), "UTC", day=31)
    assert [local_date(schedule.boundary(index), "UTC").day for index in range(4)] == [29, 31, 30, 31]


def test_a_day_that_a_zone_skipped_is_no_period():
    daily = calendar_schedule(Interval(Unit.DAY), "Pacific/Apia")  # 30 December 2011 did not exist
    week = list(daily.between(parse_instant("2011-12-29T10:00:00Z"), parse_instant("2012-01-01T09:59:59Z")))
    assert [local_date(period.start, "Pacific/Apia").isoformat() for period in week] == [
        "2011-12-29",
        "2011-12-31",
        "2012-01-01",
    ]
    assert all(earlier.end == later.start for earlier, later in itertools.pairwise(week))


def test_a_day_starts_where_clocks_jump_over_midnight():
    # Beirut 2024-03-31: 00:00 became 01:00
    assert format_instant(start_of_day(dt.date(2024, 3, 31), "Asia/Beirut")) == "2024-03-30T22:00:00Z"


def test_the_billing_day_goes_on_when_clocks_go_back_over_midnight():
    # St John's 2006-10-29: at 00:01 clocks went back to 23:01 of the 28th
    before, after = parse_instant("2006-10-29T02:30:59Z"), parse_instant("2006-10-29T02:31:00Z")
    assert local_date(before, "America/St_Johns") == dt.date(2006, 10, 29)
    assert local_date(after, "America/St_Johns") == dt.date(2006, 10, 28)
    assert billing_day(after, "America/St_Johns") == billing_day(before, "America/St_Johns") == dt.date(2006, 10, 29)


def test_between_gives_whole_periods_and_none_for_an_empty_span():
    schedule = calendar_schedule(Interval(Unit.DAY), "UTC")
    assert list(schedule.between(5, 5)) == []
    assert list(schedule.between(DAY - 1, DAY)) == [Period(0, DAY)]
    assert list(schedule.between(DAY - 1, DAY + 1)) == [Period(0, DAY), Period(DAY, 2 * DAY)]


@pytest.mark.parametrize("make", [lambda: Interval(Unit.DAY, 0), lambda: Interval(Unit.DAY, 10_001)])
def test_an_interval_has_a_count(make):
    with pytest.raises(InvalidTime, match="1 to 10,000"):
        make()


@pytest.mark.parametrize("day", [-1, 32])
def test_a_billing_day_is_a_day_of_a_month(day):
    with pytest.raises(InvalidTime, match="1 to 31"):
        anniversary(Interval(Unit.MONTH), dt.date(2024, 1, 1), "UTC", day=day)


@pytest.mark.parametrize("unit", [Unit.DAY, Unit.WEEK, Unit.MONTH, Unit.YEAR])
def test_outside_the_range_of_instants_there_is_no_boundary(unit):
    schedule = calendar_schedule(Interval(unit), "UTC")
    for index in (-1_000_000, -110_000, 110_000, 5_000_000):
        with pytest.raises(InvalidTime) as caught:
            schedule.boundary(index)
        assert caught.value.code == "time.out_of_range"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Interval(Unit.DAY, 0), "count: an interval of 0 days; the count is 1 to 10,000 [time.interval]"),
        (lambda: Interval(Unit.HOUR, 10_001), "count: an interval of 10001 hours; the count is 1 to 10,000 [time.interval]"),
        (
            lambda: anniversary(Interval(Unit.MONTH), dt.date(2024, 1, 1), "UTC", day=32),
            "day: day 32 of a month; a billing day is 1 to 31 [time.billing_day]",
        ),
        (
            lambda: calendar_schedule(Interval(Unit.MONTH), "UTC").boundary(3_600),
            "'2270-01-01' is not between 1677-09-22 and 2262-04-10 [time.out_of_range]",
        ),
        (
            lambda: calendar_schedule(Interval(Unit.DAY), "UTC").boundary(5_000_000),
            "period 5000000 from 1970-01-01 lies outside the range of instants [time.out_of_range]",
        ),
        (
            lambda: calendar_schedule(Interval(Unit.YEAR), "UTC").boundary(-5_000),
            "period -5000 from 1970-01-01 lies outside the range of instants [time.out_of_range]",
        ),
    ],
)
def test_what_can_not_be_scheduled_is_refused_in_words(make, words):
    with pytest.raises(InvalidTime) as caught:
        make()
    assert str(caught.value) == words


def test_the_widest_interval_and_days():
    assert [Interval(Unit.DAY, count).count for count in (1, 10_000)] == [1, 10_000]
    assert Interval(Unit.DAY).count == 1
    assert [anniversary(Interval(Unit.MONTH), dt.date(2024, 1, 1), "UTC", day=day).day for day in (0, 1, 31)] == [0, 1, 31]


@pytest.mark.parametrize("unit", Unit)
def test_a_schedule_keeps_its_zone(unit):
    made = [
        calendar_schedule(Interval(unit), "Asia/Kolkata"),
        anniversary(Interval(unit), dt.date(2024, 1, 31), "Asia/Kolkata"),
    ]
    assert [schedule.zone for schedule in made] == ["Asia/Kolkata"] * 2
    assert [schedule.interval for schedule in made] == [Interval(unit)] * 2


@pytest.mark.parametrize(
    ("make", "index", "instant"),
    [
        (lambda: calendar_schedule(Interval(Unit.HOUR, 5), "Asia/Kolkata"), 0, "1969-12-31T18:30:00Z"),
        (lambda: calendar_schedule(Interval(Unit.HOUR, 5), "Asia/Kolkata"), -2, "1969-12-31T08:30:00Z"),
        (lambda: calendar_schedule(Interval(Unit.DAY, 3), "Asia/Kolkata"), 1, "1970-01-03T18:30:00Z"),
        (lambda: calendar_schedule(Interval(Unit.WEEK), "UTC"), 0, "1969-12-29T00:00:00Z"),
        (lambda: calendar_schedule(Interval(Unit.WEEK, 2), "UTC"), -1, "1969-12-15T00:00:00Z"),
        (lambda: calendar_schedule(Interval(Unit.MONTH, 5), "UTC"), 1, "1970-06-01T00:00:00Z"),
        (lambda: calendar_schedule(Interval(Unit.QUARTER), "UTC"), 3, "1970-10-01T00:00:00Z"),
        (lambda: calendar_schedule(Interval(Unit.YEAR, 3), "UTC"), 2, "1976-01-01T00:00:00Z"),
        (lambda: anniversary(Interval(Unit.HOUR, 2), dt.date(2024, 7, 1), "Asia/Kolkata"), 1, "2024-06-30T20:30:00Z"),
        (lambda: anniversary(Interval(Unit.MONTH), dt.date(2024, 4, 30), "Asia/Kolkata", day=31), 1, "2024-05-30T18:30:00Z"),
        (lambda: anniversary_at(Interval(Unit.HOUR), 5, "Asia/Kolkata"), 1, "1970-01-01T01:00:00.000000005Z"),
        (lambda: anniversary_at(Interval(Unit.DAY), 5, "Asia/Kolkata"), 1, "1970-01-02T00:00:00.000000005Z"),
        (lambda: anniversary_at(Interval(Unit.MONTH), parse_instant("2024-04-30T20:00:00Z"), "Asia/Kolkata", day=3), 1, "2024-06-02T20:00:00Z"),
    ],
)  # fmt: skip
def test_where_periods_are_counted_from(make, index, instant):
    schedule = make()
    assert format_instant(schedule.boundary(index)) == instant
    assert schedule.index(parse_instant(instant)) == index
    assert schedule.index(parse_instant(instant) - 1) == index - 1
    assert schedule.period(index) == Period(schedule.boundary(index), schedule.boundary(index + 1))


@pytest.mark.parametrize(
    ("instant", "zone", "day"),
    [
        ("2024-12-31T22:59:59.999999999Z", "Europe/Amsterdam", "2024-12-31"),
        ("2024-12-31T23:00:00Z", "Europe/Amsterdam", "2025-01-01"),
        ("2025-01-01T22:59:59Z", "Europe/Amsterdam", "2025-01-01"),
        ("2006-10-29T02:29:59.999999999Z", "America/St_Johns", "2006-10-28"),
        ("2006-10-29T02:30:00Z", "America/St_Johns", "2006-10-29"),  # the day's first instant, before clocks go back
        ("2006-10-29T02:31:00Z", "America/St_Johns", "2006-10-29"),
        ("2006-10-30T03:29:59Z", "America/St_Johns", "2006-10-29"),
        ("2006-10-30T03:30:00Z", "America/St_Johns", "2006-10-30"),
    ],
)
def test_the_billing_day_is_the_last_that_began(instant, zone, day):
    assert billing_day(parse_instant(instant), zone) == dt.date.fromisoformat(day)


# --- P10: periods tile, every zone and anchor day; the whole sweep runs in make soak


def test_a_fresh_sample_of_zones_and_anchor_days_tiles():
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    looked = 0
    for zone in [*chance.sample(ZONES, 12), "Pacific/Apia", "Australia/Lord_Howe", "Africa/Casablanca", "America/St_Johns"]:
        count, found = sweep([zone], chance.sample(ANCHOR_DAYS, 1))
        assert found == [], f"seed {seed}"
        looked += count
    assert looked == 16 * 131 * 12


class Drifting(Schedule, frozen=True):
    """The negative control: each boundary is a month after the one before it."""

    def boundary(self, index):
        date = add_months(self.date, min(index, 0))
        for _ in range(index):
            date = add_months(date, 1)
        return start_of_day(date, self.zone)


@pytest.mark.parametrize(
    "make",
    [
        lambda zone, day: Drifting(interval=Interval(Unit.MONTH), zone=zone, date=dt.date(1970, 1, day)),
        lambda zone, day: monthly("UTC", day),  # boundaries in another zone
        lambda zone, day: monthly(zone, max(day - 1, 1)),  # a day too early
    ],
)
def test_the_sweep_sees_a_schedule_that_drifts(make):
    assert sweep(["America/New_York"], [31], range(1970, 1972))[1] == []
    assert sweep(["America/New_York"], [31], range(1970, 1972), make)[1] != []


instants = st.integers(0, 130 * 365 * DAY)
schedules = st.builds(
    anniversary_at,
    st.builds(Interval, st.sampled_from(Unit), st.integers(1, 6)),  # 20 of 6 years still end before 2262
    instants,
    st.sampled_from(ZONES),
    day=st.integers(0, 31),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(schedules, instants)
def test_every_instant_lies_in_exactly_one_period(schedule, instant):
    index = schedule.index(instant)
    assert abs(schedule._estimate(instant) - index) <= 1  # found at once, not by walking from afar
    assert schedule.period(index).contains(instant)
    assert schedule.boundary(index - 1) <= schedule.boundary(index) < schedule.boundary(index + 1)
    assert schedule.period(index).end == schedule.period(index + 1).start
    assert schedule.containing(schedule.boundary(index) - 1).end == schedule.boundary(index)


@settings(max_examples=EXAMPLES, deadline=None)
@given(schedules, instants, st.integers(1, 100))
def test_periods_between_two_instants_cover_them_without_gap(schedule, start, periods):
    end = schedule.boundary(schedule.index(start) + min(periods, 20)) + SECOND
    found = list(schedule.between(start, end))
    assert found[0].start <= start < found[0].end
    assert found[-1].start < end <= found[-1].end
    assert all(earlier.end == later.start for earlier, later in itertools.pairwise(found))
