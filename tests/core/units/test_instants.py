"""Instants in and out: seven and nine digits, offsets, sentinels' year, days where clocks jump."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billsmith.units.errors import InvalidTime
from billsmith.units.instants import (
    DAY,
    EARLIEST,
    HOUR,
    LATEST,
    MINUTE,
    SECOND,
    format_instant,
    local_date,
    local_instant,
    local_reading,
    parse_date,
    parse_instant,
    start_of_day,
    zone,
)


@pytest.mark.parametrize(("text", "again"), [
    ("2024-10-10T07:55:09.3546699+00:00", "2024-10-10T07:55:09.3546699Z"),
    ("2024-10-10T07:55:09+02:00", "2024-10-10T05:55:09Z"),
    ("1677-09-22T00:00:00Z", "1677-09-22T00:00:00Z"),
    ("2262-04-09T23:59:59.999999999Z", "2262-04-09T23:59:59.999999999Z"),
    ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
    ("1969-12-31 23:59:59.5-00:00", "1969-12-31T23:59:59.5Z"),
])  # fmt: skip
def test_an_instant_is_read_and_written(text: str, again: str) -> None:
    assert format_instant(parse_instant(text)) == again


@pytest.mark.parametrize("text", [
    "", "2024-10-10", "2024-10-10T07:55:09", "2024-13-01T00:00:00Z", "2023-02-29T00:00:00Z", "2024-01-01T24:00:00Z",
    "2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00.1234567890Z", "0000-01-01T00:00:00Z", "٢٠٢٤-01-01T00:00:00Z", "2024-01-01T00:00:61Z",
    "0001-01-01T00:00:00Z", "1677-09-20T00:00:00Z", "2262-04-12T00:00:00Z", "9999-12-31T23:59:59Z",
])  # fmt: skip
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(InvalidTime):
        parse_instant(text)


@given(st.integers(EARLIEST + 100, LATEST))
def test_writing_and_reading_again(instant: int) -> None:
    assert parse_instant(format_instant(instant)) == instant
    assert parse_instant(format_instant(instant, digits=7, offset="+00:00")) == instant // 100 * 100


def test_text_without_an_offset_is_read_in_the_zone_that_is_named() -> None:
    assert parse_instant("2024-07-01T00:00:00", zone_missing="Europe/Amsterdam") == parse_instant("2024-06-30T22:00:00Z")
    assert parse_instant("2024-07-01T00:00:00", zone_missing="UTC") == parse_instant("2024-07-01T00:00:00Z")


@pytest.mark.parametrize(("day", "name", "start", "hours"), [
    ("2024-03-31", "Europe/Amsterdam", "2024-03-30T23:00:00Z", 23),
    ("2024-10-27", "Europe/Amsterdam", "2024-10-26T22:00:00Z", 25),
    ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z", 23),  # midnight did not exist: the day began at one
    ("2024-04-07", "Australia/Lord_Howe", "2024-04-06T13:00:00Z", 24.5),
    ("2024-06-01", "UTC", "2024-06-01T00:00:00Z", 24),
])  # fmt: skip
def test_a_day_starts_where_its_zone_says(day: str, name: str, start: str, hours: float) -> None:
    date = parse_date(day)
    began = start_of_day(date, name)
    assert format_instant(began) == start
    assert start_of_day(date + dt.timedelta(days=1), name) - began == int(hours * HOUR)
    assert local_date(began, name) == date
    assert local_date(began - 1, name) == date - dt.timedelta(days=1)


def test_a_day_that_a_zone_skipped_has_no_length() -> None:
    skipped = dt.date(2011, 12, 30)  # Samoa moved over the date line
    assert start_of_day(skipped, "Pacific/Apia") == start_of_day(dt.date(2011, 12, 31), "Pacific/Apia")


def test_unknown_zones_and_dates_are_refused() -> None:
    for name in ("Mars/Olympus", "", "../etc/passwd", "Europe/Amsterdam\0"):
        with pytest.raises(InvalidTime):
            zone(name)
    for text in ("2024-02-30", "24-01-01", "2024-1-1", ""):
        with pytest.raises(InvalidTime):
            parse_date(text)
    assert DAY == 86_400_000_000_000


# --- borders, to the nanosecond and to the word


@pytest.mark.parametrize(("text", "instant"), [
    ("1970-01-01T00:00:00Z", 0),
    ("1970-01-01t00:00:00z", 0),
    ("1970-01-01 00:00:00Z", 0),
    ("1970-01-01T00:00:00.000000001Z", 1),
    ("1970-01-01T00:00:00.1Z", 100_000_000),
    ("1970-01-01T00:00:00.10Z", 100_000_000),
    ("1969-12-31T23:59:59.999999999Z", -1),
    ("1970-01-01T23:59:59Z", 86_399 * SECOND),
    ("1970-01-01T01:02:03Z", 3_723 * SECOND),
    ("1970-01-01T00:00:60Z", 59 * SECOND),
    ("1970-01-01T00:00:60.5Z", 59 * SECOND + SECOND // 2),
    ("1970-01-01T00:00:00+23:59", -(86_400 - 60) * SECOND),
    ("1970-01-01T00:00:00-23:59", (86_400 - 60) * SECOND),
    ("1970-01-01T00:00:00+01:30", -90 * MINUTE),
    ("1970-01-01T00:00:00.25-12:34", 12 * HOUR + 34 * MINUTE + SECOND // 4),
    ("1970-12-31T00:00:00Z", 364 * DAY),
    ("1971-01-01T00:00:00Z", 365 * DAY),
    ("1972-02-29T00:00:00Z", (365 * 2 + 31 + 28) * DAY),
    ("2262-04-11T23:47:16.854775807Z", LATEST),
    ("1677-09-21T00:12:43.145224192Z", EARLIEST),
    ("2262-04-12T00:47:16.854775807+01:00", LATEST),
])  # fmt: skip
def test_an_instant_is_so_many_nanoseconds(text: str, instant: int) -> None:
    assert parse_instant(text) == instant
    assert parse_instant(text, zone_missing="Asia/Tokyo") == instant  # what the text says counts


@pytest.mark.parametrize(("text", "name", "instant"), [
    ("1970-01-01T00:00:00.5", "UTC", SECOND // 2),
    ("1970-01-01T09:00:00.5", "Asia/Tokyo", SECOND // 2),
    ("1970-01-01T09:00:60", "Asia/Tokyo", 59 * SECOND),
    ("1970-01-01T00:00:60", "UTC", 59 * SECOND),
    ("1970-01-02T10:02:03.000000004", "Asia/Tokyo", DAY + HOUR + 2 * MINUTE + 3 * SECOND + 4),
    ("1972-03-01T00:00:00", "Asia/Tokyo", (365 * 2 + 31 + 29) * DAY - 9 * HOUR),
])  # fmt: skip
def test_an_instant_without_an_offset_is_read_in_a_zone(text: str, name: str, instant: int) -> None:
    assert parse_instant(text, zone_missing=name) == instant


LONG = "2024-10-10T07:55:09 and so on, for more than forty characters"


@pytest.mark.parametrize(("text", "words"), [
    ("2024-10-10", "'2024-10-10' is not an instant such as 2026-10-31T12:00:00Z [time.not_an_instant]"),
    (LONG, f"{LONG[:40]!r} is not an instant such as 2026-10-31T12:00:00Z [time.not_an_instant]"),
    ("2024-10-10T07:55:09",
     "'2024-10-10T07:55:09' is not an instant such as 2024-10-10T07:55:09Z (the offset is missing) [time.not_an_instant]"),
    ("2023-02-29T00:00:00Z", "'2023-02-29T00:00:00Z' is not a time of any calendar day [time.not_an_instant]"),
    ("0000-01-01T00:00:00Z", "'0000-01-01T00:00:00Z' is not a time of any calendar day [time.not_an_instant]"),
    ("2024-01-01T24:00:00Z", "'2024-01-01T24:00:00Z' is not a time of any calendar day [time.not_an_instant]"),
    ("2024-01-01T00:60:00Z", "'2024-01-01T00:60:00Z' is not a time of any calendar day [time.not_an_instant]"),
    ("2024-01-01T00:00:61Z", "'2024-01-01T00:00:61Z' is not a time of any calendar day [time.not_an_instant]"),
    ("2024-01-01T00:00:00+24:00", "'2024-01-01T00:00:00+24:00' has an offset that can't be [time.not_an_instant]"),
    ("2024-01-01T00:00:00-00:60", "'2024-01-01T00:00:00-00:60' has an offset that can't be [time.not_an_instant]"),
    ("2262-04-11T23:47:16.854775808Z", "'2262-04-11T23:47:16.854775808Z' is not between 1677-09-22 and 2262-04-10 [time.out_of_range]"),
    ("1677-09-21T00:12:43.145224191Z", "'1677-09-21T00:12:43.145224191Z' is not between 1677-09-22 and 2262-04-10 [time.out_of_range]"),
])  # fmt: skip
def test_what_is_no_instant_is_refused_in_words(text: str, words: str) -> None:
    for place in (None, "rows[3].at"):
        with pytest.raises(InvalidTime) as caught:
            parse_instant(text, where=place)
        assert str(caught.value) == (f"{place}: {words}" if place else words)


@pytest.mark.parametrize("text", ["2024-02-30", "24-01-01", "0000-01-01", "2024-10-10T07:55:09Z" * 3])
def test_what_is_no_date_is_refused_in_words(text: str) -> None:
    for place in (None, "from"):
        with pytest.raises(InvalidTime) as caught:
            parse_date(text, where=place)
        words = f"{text[:40]!r} is not a date such as 2026-10-31 [time.not_a_date]"
        assert str(caught.value) == (f"{place}: {words}" if place else words)


def test_an_unknown_zone_is_refused_in_words() -> None:
    name = "Mars/" + "Olympus" * 10
    with pytest.raises(InvalidTime) as caught:
        zone(name)
    assert (
        str(caught.value) == f"time_zone: {name[:60]!r} is not an IANA time zone such as Europe/Amsterdam [time.unknown_zone]"
    )


@pytest.mark.parametrize(("instant", "digits", "offset", "text"), [
    (1, None, "Z", "1970-01-01T00:00:00.000000001Z"),
    (120_000_000, None, "Z", "1970-01-01T00:00:00.12Z"),
    (129_000_000, 2, "Z", "1970-01-01T00:00:00.12Z"),
    (129_000_000, 0, "", "1970-01-01T00:00:00"),
    (0, 3, "+00:00", "1970-01-01T00:00:00.000+00:00"),
    (-1, 9, "Z", "1969-12-31T23:59:59.999999999Z"),
    (45_296 * SECOND, None, "Z", "1970-01-01T12:34:56Z"),
    (3_723 * SECOND, None, "Z", "1970-01-01T01:02:03Z"),
    (86_399 * SECOND, None, "Z", "1970-01-01T23:59:59Z"),
    (-62_135_596_800 * SECOND, None, "Z", "0001-01-01T00:00:00Z"),
    (253_402_300_800 * SECOND - 1, None, "Z", "9999-12-31T23:59:59.999999999Z"),
])  # fmt: skip
def test_an_instant_is_written(instant: int, digits: int | None, offset: str, text: str) -> None:
    assert format_instant(instant, digits=digits, offset=offset) == text


@pytest.mark.parametrize("instant", [-62_135_596_800 * SECOND - 1, 253_402_300_800 * SECOND, 10**40, -(10**40)])
def test_an_instant_beyond_the_calendar_is_not_written(instant: int) -> None:
    with pytest.raises(InvalidTime) as caught:
        format_instant(instant)
    assert str(caught.value) == f"{instant} ns is outside the years 1 to 9999 [time.out_of_range]"


@pytest.mark.parametrize(("instant", "name", "day", "clock"), [
    ("2024-12-31T23:30:00Z", "Europe/Amsterdam", "2025-01-01", 30 * MINUTE),
    ("2024-12-31T22:59:59.999999999Z", "Europe/Amsterdam", "2024-12-31", DAY - 1),
    ("2024-12-31T23:00:00Z", "Europe/Amsterdam", "2025-01-01", 0),
    ("2024-07-01T10:20:30.000000040Z", "Asia/Kolkata", "2024-07-01", 15 * HOUR + 50 * MINUTE + 30 * SECOND + 40),
    ("1969-12-31T23:59:59.999999999Z", "UTC", "1969-12-31", DAY - 1),
    ("1970-01-01T00:00:00Z", "America/New_York", "1969-12-31", 19 * HOUR),
])  # fmt: skip
def test_what_clocks_show(instant: str, name: str, day: str, clock: int) -> None:
    moment = parse_instant(instant)
    assert local_reading(moment, name) == (dt.date.fromisoformat(day), clock)
    assert local_date(moment, name) == dt.date.fromisoformat(day)
    assert local_instant(dt.date.fromisoformat(day), clock, name) == moment


def test_the_machines_own_zone_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = parse_instant("2024-12-31T23:30:00Z")
    try:
        for own in ("Asia/Tokyo", "America/New_York"):
            monkeypatch.setenv("TZ", own)
            time.tzset()
            assert local_date(moment, "Europe/Amsterdam") == dt.date(2025, 1, 1)
            assert local_reading(moment, "Europe/Amsterdam") == (dt.date(2025, 1, 1), 30 * MINUTE)
            assert start_of_day(dt.date(2025, 1, 1), "Europe/Amsterdam") == moment - 30 * MINUTE
    finally:
        monkeypatch.undo()
        time.tzset()


NIGHT = 2 * HOUR + 30 * MINUTE


@pytest.mark.parametrize(("day", "clock", "name", "instant"), [
    # Amsterdam: 02:00 became 03:00; what clocks jumped over is the instant of the jump
    ("2024-03-31", 2 * HOUR - 1, "Europe/Amsterdam", "2024-03-31T00:59:59.999999999Z"),
    ("2024-03-31", 2 * HOUR, "Europe/Amsterdam", "2024-03-31T01:00:00Z"),
    ("2024-03-31", 2 * HOUR + 1, "Europe/Amsterdam", "2024-03-31T01:00:00Z"),
    ("2024-03-31", NIGHT, "Europe/Amsterdam", "2024-03-31T01:00:00Z"),
    ("2024-03-31", 3 * HOUR - 1, "Europe/Amsterdam", "2024-03-31T01:00:00Z"),
    ("2024-03-31", 3 * HOUR, "Europe/Amsterdam", "2024-03-31T01:00:00Z"),
    ("2024-03-31", 3 * HOUR + 1, "Europe/Amsterdam", "2024-03-31T01:00:00.000000001Z"),
    # and back: 02:30 comes twice, the first counts
    ("2024-10-27", NIGHT + 7, "Europe/Amsterdam", "2024-10-27T00:30:00.000000007Z"),
    ("2024-10-27", 3 * HOUR, "Europe/Amsterdam", "2024-10-27T02:00:00Z"),
    # half an hour, a midnight, a whole day
    ("2024-10-06", 2 * HOUR + 15 * MINUTE, "Australia/Lord_Howe", "2024-10-05T15:30:00Z"),
    ("2018-11-04", 0, "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("2018-11-04", 59 * MINUTE, "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("2011-12-30", 0, "Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("2011-12-30", 13 * HOUR + 1, "Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("2011-12-30", DAY - 1, "Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("2011-12-31", 0, "Pacific/Apia", "2011-12-30T10:00:00Z"),
])  # fmt: skip
def test_a_reading_that_clocks_jump_over_or_show_twice(day: str, clock: int, name: str, instant: str) -> None:
    assert format_instant(local_instant(dt.date.fromisoformat(day), clock, name)) == instant


def test_readings_never_go_backwards_over_a_jump() -> None:
    found = [local_instant(dt.date(2024, 3, 31), minute * MINUTE, "Europe/Amsterdam") for minute in range(24 * 60)]
    assert found == sorted(found)
    assert len(set(found)) == 23 * 60


@pytest.mark.parametrize(("day", "name"), [
    (dt.date.min, "Asia/Tokyo"), (dt.date.max, "America/Los_Angeles"), (dt.date(1677, 9, 21), "UTC"), (dt.date(2262, 4, 12), "UTC"),
])  # fmt: skip
def test_a_day_that_is_too_far_away_is_refused(day: dt.date, name: str) -> None:
    with pytest.raises(InvalidTime) as caught:
        start_of_day(day, name)
    assert str(caught.value) == f"'{day.isoformat()}' is not between 1677-09-22 and 2262-04-10 [time.out_of_range]"


def test_the_first_and_the_last_day_begin() -> None:
    assert start_of_day(dt.date(1677, 9, 22), "UTC") == parse_instant("1677-09-22T00:00:00Z")
    assert start_of_day(dt.date(2262, 4, 11), "UTC") == parse_instant("2262-04-11T00:00:00Z")
