"""Periods as people write them."""

from __future__ import annotations

import pytest

from billsmith.units.errors import InvalidTime
from billsmith.units.instants import format_instant
from billsmith.units.period_words import parse_period

CASES = [
    ("2026-07", "UTC", "2026-07-01T00:00:00Z", "2026-08-01T00:00:00Z"),
    ("2026-12", "UTC", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ("2028-02", "UTC", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
    ("2026-Q3", "UTC", "2026-07-01T00:00:00Z", "2026-10-01T00:00:00Z"),
    ("2026q4", "UTC", "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ("2026", "UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ("2026-07-14", "UTC", "2026-07-14T00:00:00Z", "2026-07-15T00:00:00Z"),
    ("2026-07-01..2026-07-31", "UTC", "2026-07-01T00:00:00Z", "2026-08-01T00:00:00Z"),
    ("2026-03", "Europe/Amsterdam", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
]


@pytest.mark.parametrize(("text", "zone", "start", "end"), CASES, ids=[case[0] for case in CASES])
def test_words(text: str, zone: str, start: str, end: str) -> None:
    period = parse_period(text, zone)
    assert (format_instant(period.start), format_instant(period.end)) == (start, end)


@pytest.mark.parametrize(
    "text",
    ["", "july", "2026-13", "2026-00", "2026-Q5", "2026-07-32", "2026-07-31..2026-07-01", "2026-07..2026-08", "0000", "9999"],
)
def test_what_is_no_period(text: str) -> None:
    with pytest.raises(InvalidTime):
        parse_period(text, "UTC")
