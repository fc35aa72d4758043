"""Instants in and out: seven and nine digits, offsets, sentinels' year, days where clocks jump."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billsmith.units.errors import InvalidTime
from billsmith.units.instants import (
    DAY,
    EARLIEST,
    HOUR,
    LATEST,
    format_instant,
    local_date,
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
