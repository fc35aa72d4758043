"""Many at once give what one by one gives: times and whole values."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billsmith.events.columns import EventColumns, whole_of
from billsmith.events.event import Event
from billsmith.events.limits import LARGEST
from billsmith.events.times import parse_instants
from billsmith.units.errors import InvalidTime
from billsmith.units.instants import parse_instant

_fields = st.tuples(
    st.sampled_from((0, 1, 1899, 1969, 1970, 1972, 2000, 2026, 2099, 2100, 2101, 9999)) | st.integers(0, 9999),
    st.integers(0, 13),
    st.integers(0, 32),
    st.integers(0, 24),
    st.integers(0, 60),
    st.integers(0, 61),
)
_ends = st.sampled_from(
    ("Z", ".Z", ".5Z", ".123456789Z", ".000000001Z", ".1234567890Z", "", "z", "+02:00", ".25-11:30", "Z ", ".1x3Z", "é")
)


@st.composite
def _texts(draw: st.DrawFn) -> str:
    year, month, day, hour, minute, second = draw(_fields)
    text = f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}{draw(_ends)}"
    if draw(st.integers(0, 4)) == 0:  # a letter that is another
        place = draw(st.integers(0, len(text) - 1))
        text = text[:place] + draw(st.sampled_from("0/:9-T tZ.+")) + text[place + 1 :]
    return text


def one_by_one(texts: list[str]) -> list[int] | str:
    try:
        return [parse_instant(text) for text in texts]
    except InvalidTime as error:
        return error.message


@settings(max_examples=400)
@given(st.lists(_texts(), min_size=1, max_size=4))
@example(["2024-02-29T23:59:59.999999999Z", "2100-12-31T23:59:59Z", "1970-01-01T00:00:00Z"])
@example(["2023-02-29T00:00:00Z"])
@example(["2026-10-31T12:00:60Z"])
@example(["x" * 1_000, "2026-10-31T12:00:00Z"])
@example(["2026-10-31T12:00:00.Z"])
@example(["2026-10-31T12:00:00Z" + "\0" * 3])
def test_many_times_are_read_as_each_of_them_is(texts: list[str]) -> None:
    try:
        found: list[int] | str = parse_instants(texts).tolist()
    except InvalidTime as error:
        found = error.message
    assert found == one_by_one(texts)


def test_every_day_of_the_years_that_are_kept_is_read() -> None:
    texts = [
        f"{year}-{month:02d}-{day:02d}T00:00:01Z"
        for year in range(1970, 2101)
        for month in range(1, 13)
        for day in range(1, 32)
        if day < 29 or isinstance(one_by_one([f"{year}-{month:02d}-{day:02d}T00:00:01Z"]), list)
    ]
    found = parse_instants(texts)
    assert len(found) == 47_847
    assert set((found[1:] - found[:-1]).tolist()) == {86_400 * 10**9}


@pytest.mark.parametrize(("value", "whole"), [
    ("1.5", 1_500_000_000_000), ("-0.000000000001", -1), ("0.0000000000010", 1), ("1e24", 10**36), ("-1e24", -(10**36)), ("1e3", 10**15),
    ("-0.0", 0), ("0e-400", 0), ("999999999999999999999999.999999999999", 10**36 - 1),
    ("0.0000000000001", None), ("1.0000000000001", None), ("1000000000000000000000000.000000000001", None), ("-1.1e24", None),
    ("1e999999", None), ("1e-999999", None), ("9" * 60, None),
])  # fmt: skip
def test_a_value_is_made_whole_exactly_or_not_at_all(value: str, whole: int | None) -> None:
    if whole is None:
        with pytest.raises(ArithmeticError):
            whole_of([Decimal(1), Decimal(value)])
    else:
        assert whole_of([Decimal(value)]) == [whole]
        assert abs(Decimal(value)) <= LARGEST


def test_columns_give_the_events_that_they_are_of() -> None:
    events = [
        Event(
            owner="o", source="s", id=str(n), type="t", account=f"a{n}", time=n, value=Decimal(n) / 2, dimensions={"n": str(n)}
        )
        for n in range(4)
    ]
    columns = EventColumns.of(events)
    assert (list(columns), columns[-1], columns[1:3], len(columns)) == (events, events[-1], events[1:3], 4)
    assert EventColumns.of(columns) is columns
