"""Spans of time: the start belongs to one, the end doesn't."""

from __future__ import annotations

import pytest

from billsmith.units.periods import Period

TEN = Period(10, 20)


@pytest.mark.parametrize(("instant", "inside"), [(9, False), (10, True), (11, True), (19, True), (20, False), (21, False)])
def test_contains(instant: int, inside: bool) -> None:
    assert TEN.contains(instant) is inside


@pytest.mark.parametrize(("start", "end", "held", "shared"), [
    (10, 20, True, TEN),
    (12, 15, True, Period(12, 15)),
    (10, 10, True, None),
    (19, 20, True, Period(19, 20)),
    (20, 20, False, None),
    (9, 20, False, TEN),
    (10, 21, False, TEN),
    (9, 21, False, TEN),
    (19, 25, False, Period(19, 20)),
    (20, 25, False, None),
    (5, 10, False, None),
    (5, 11, False, Period(10, 11)),
    (30, 40, False, None),
])  # fmt: skip
def test_holds_and_overlap(start: int, end: int, held: bool, shared: Period | None) -> None:
    other = Period(start, end)
    assert TEN.holds(other) is held
    assert TEN.overlap(other) == shared
    assert other.overlap(TEN) == shared


def test_length_and_order() -> None:
    assert (TEN.length, Period(5, 5).length) == (10, 0)
    assert sorted([Period(10, 21), TEN, Period(9, 30)]) == [Period(9, 30), TEN, Period(10, 21)]
