"""How the embedded store answers: roll-ups, sorted runs, and what is done in the background."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billsmith.events.limits import LATEST
from billsmith.metering.aggregations import REFERENCE, Span
from billsmith.metering.measure import Grain
from billsmith.metering.meter import Aggregation, Meter
from billsmith.metering.quantity import Quantity
from billsmith.units.instants import DAY, HOUR
from billsmith.units.periods import Period
from billsmith.usage import tally
from billsmith.usage.duckdb import cells, checks, runs
from billsmith.usage.duckdb.engine import DuckDBStore
from billsmith.usage.limbs import LIMB
from billsmith.usage.pieces import ROWS, cut
from billsmith.usage.store import Binding, Query
from tests.support.events import event
from tests.support.usage import START
from tests.support.usage_crash import run
from tests.usage.suite import GB, PERIOD, total, used, void

BY_REGION = Meter(code="r", event_type="used", group_by=("region",))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    opened = DuckDBStore(tmp_path)
    opened.bind([Binding("o", "a", "A")])
    yield opened
    opened.close()


def rows(store: DuckDBStore, sql: str) -> list[tuple[object, ...]]:
    with store.reading() as cursor:
        return cursor.execute(sql).fetchall()


# ── pieces ──


@given(st.integers(0, LATEST), st.integers(0, 3 * DAY), st.sampled_from([(), (DAY,), (DAY, HOUR), (HOUR,)]))
def test_pieces_tile_a_span_in_whole_units(start: int, length: int, lengths: tuple[int, ...]) -> None:
    pieces = list(cut(start, start + length, lengths))
    assert [piece.start for piece in pieces[1:]] == [piece.end for piece in pieces[:-1]]
    assert not length or (pieces[0].start, pieces[-1].end) == (start, start + length)
    assert all(piece.start % piece.length == piece.end % piece.length == 0 for piece in pieces if piece.length != ROWS)
    rest = sum(piece.end - piece.start for piece in pieces if piece.length == ROWS)
    assert not lengths or rest < 2 * lengths[-1]


# ── roll-ups ──


def test_answers_come_from_roll_ups_and_verify_sees_a_wrong_one(store: DuckDBStore) -> None:
    """The control of every test that finds roll-ups equal to rows."""
    store.keep([GB])
    store.ingest([used(1, "5"), used(2, "7", START + DAY + HOUR)])
    store.catch_up(1)
    late = store.ingest([used(3, "1")])
    assert total(store) == Quantity(Decimal(13), events=3)
    assert list(checks.faults(store)) == []
    rows(store, f"UPDATE cells SET low = low + 1000000000000 WHERE length = {DAY} AND time = {START}")
    assert total(store).value == 14
    assert total(store, as_of_seq=late.seq - 1).value == 13
    assert total(store, as_of_seq=late.seq - 2).value == 5  # before the roll-up: from rows
    (fault,) = checks.faults(store)
    assert fault.startswith("1 roll-ups of used differ")


def test_corrections_reach_roll_ups_of_the_past(store: DuckDBStore) -> None:
    store.keep([GB, BY_REGION])
    first = store.ingest([used(1, "5", region="eu"), used(2, "7", region="us")])
    store.catch_up(1)
    store.ingest([void(1)])
    for _ in range(2):
        assert (total(store).value, total(store, as_of_seq=first.seq).value) == (7, 12)
        (found,) = store.measure(Query(meters=(BY_REGION,), periods=(PERIOD,)))
        assert found.quantities == (Quantity(Decimal(7), dimensions={"region": "us"}),)
        store.catch_up(1)
    assert list(checks.faults(store)) == []


def test_a_run_whose_days_come_to_nothing_still_has_its_hours(store: DuckDBStore) -> None:
    store.keep([GB])
    store.ingest([used(1, "5")])
    store.catch_up(1)
    rows(store, "DELETE FROM cells")
    rows(store, "UPDATE families SET seq = 1")
    store.ingest([void(1), used(2, "5", START + HOUR)])
    store.catch_up(1)
    assert rows(store, "SELECT length, time, n FROM cells ORDER BY time, length") == [
        (HOUR, START, -1),
        (HOUR, START + HOUR, 1),
    ]
    assert store.health().notes == ()


def test_meters_that_come_later_are_filled_from_the_rows_and_those_that_go_take_their_roll_ups(store: DuckDBStore) -> None:
    for batch in range(5):
        store.ingest([used(f"{batch}/{number}", region="eu") for number in range(20)])
        store.catch_up(1)
    levels = Meter(code="l", event_type="used", aggregation=Aggregation.TIME_WEIGHTED_SUM)
    store.keep([GB, BY_REGION, levels])
    store.catch_up(1)
    assert rows(store, "SELECT names, moments, seq FROM families ORDER BY names, moments") == [
        ('["region"]', False, 100),
        ("[]", False, 100),
        ("[]", True, 100),
    ]
    assert list(checks.faults(store)) == []
    store.keep([BY_REGION])
    store.catch_up(1)
    assert rows(store, "SELECT DISTINCT family FROM cells") == rows(store, "SELECT family FROM families WHERE names <> '[]'")
    assert total(store) == Quantity(Decimal(100), events=100)


def test_roll_ups_outlive_the_process(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path)
    store.keep([GB])
    store.bind([Binding("o", "a", "A")])
    store.ingest([used(1, "5")])
    store.catch_up(1)
    store.close()
    store = DuckDBStore(tmp_path)
    assert rows(store, "SELECT sum(n) FROM cells") == [(2,)]  # an hour and a day
    assert total(store).value == 5
    store.close()


@pytest.mark.parametrize(
    ("texts", "kept", "hourly"),
    [
        pytest.param(4, True, True, id="few"),
        pytest.param(100, True, False, id="too many for hours"),
        pytest.param(10_000, False, True, id="too many"),
    ],
)
def test_dimensions_of_too_many_values_are_not_counted_ahead(
    store: DuckDBStore, monkeypatch: pytest.MonkeyPatch, texts: int, kept: bool, hourly: bool
) -> None:
    monkeypatch.setattr(cells, "ENOUGH", 300)
    store.keep([BY_REGION])
    store.ingest([used(number, time=START + number % 19 * HOUR, region=number % texts) for number in range(400)])
    store.catch_up(1)
    assert rows(store, "SELECT reason = '', hourly FROM families") == [(kept, hourly)]
    notes = store.health().notes
    assert len(notes) == (not kept)
    assert all("used by region" in note for note in notes)
    (found,) = store.measure(Query(meters=(BY_REGION,), periods=(Period(START + HOUR, START + 5 * HOUR),)))
    assert sum(quantity.events for quantity in found.quantities) == 84
    assert list(checks.faults(store)) == []


def test_a_million_of_the_largest_sum_exactly(store: DuckDBStore) -> None:
    """Straight into the table, as senders would need a while; from rows, and from roll-ups."""
    largest = 10**36
    store.ingest([used("x", "0.000000000001")])
    rows(
        store,
        f"INSERT INTO events SELECT 1 + i, 1, 0, 1, 'used', 's', i::VARCHAR, {START} + i, {largest // LIMB}, {largest % LIMB},"
        " '{}' FROM range(1, 1000001) r(i)",
    )
    store._seq = 1_000_001
    levels = Meter(code="l", event_type="used", aggregation=Aggregation.TIME_WEIGHTED_SUM)
    wanted = Quantity(Decimal("1000000000000000000000000000000.000000000001"), events=1_000_001)
    assert total(store) == wanted
    by_rows = total(store, levels)
    store.keep([GB, levels])
    store.catch_up(1)
    assert rows(store, "SELECT count(*) FROM families WHERE seq = 1000001") == [(2,)]
    assert total(store) == wanted
    assert total(store, levels) == by_rows


# ── runs ──


@given(st.lists(st.integers(1, runs.RUN * runs.FAN_IN), min_size=1, max_size=300))
def test_runs_stay_few_and_rows_are_written_a_few_times(sizes: list[int]) -> None:
    sealed: list[int] = []
    written = high = 0
    for size in sizes:
        high += max(size, runs.RUN)
        sealed.append(high)
        while found := runs.to_merge(sealed):
            first, last = found
            rows = sealed[last - 1] - (sealed[first - 1] if first else 0)
            assert last - first >= 2
            assert rows < 2 * runs.FULL
            written += rows
            sealed[first:last] = sealed[last - 1 : last]
    assert len(sealed) <= high // runs.FULL + 2 * runs.FAN_IN * 3
    assert written <= 2 * high


def test_rows_of_a_run_lie_by_subject_type_and_time(store: DuckDBStore) -> None:
    store.ingest([used(number, time=START + number * 7 % 50, type=f"t{number % 3}") for number in range(50)])
    store.catch_up(1)
    store.ingest([used("later", time=0, type="t0")])
    found = rows(store, "SELECT subject, type, time, seq FROM events ORDER BY rowid")
    assert found[:-1] == sorted(found[:-1])
    assert sorted(seq for *_, seq in found) == list(range(1, 52))


def test_a_step_that_fails_changes_nothing_and_is_told(store: DuckDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise duckdb.IOException("No space left on device")

    store.keep([GB])
    store.ingest([used(1, "5")])
    with monkeypatch.context() as patch:
        patch.setattr(cells, "fill", fails)
        until = time.monotonic() + 30
        while not (notes := store.health().notes):  # the look that a store takes in the background when it opens may end later
            assert time.monotonic() < until
            store.catch_up(1)
    assert "No space left" in notes[0]
    assert rows(store, "SELECT count(*) FROM runs") == [(0,)]
    assert total(store).value == 5
    store.catch_up(1)
    assert store.health().notes == ()
    assert rows(store, "SELECT high FROM runs") == [(1,)]


def test_sorting_in_two_transactions_would_lose_events(tmp_path: Path) -> None:
    """The control of kills during sorting: the kill test sees rows that are nowhere for a moment."""
    assert run("kill-torn", str(tmp_path), "12", "20261031")["lost"]


# ── tallies ──

_TALLIED = [
    Meter(code="m", event_type="used", aggregation=Aggregation.COUNT),
    Meter(code="m", event_type="used"),
    Meter(code="m", event_type="used", field="n"),
    Meter(code="m", event_type="used", aggregation=Aggregation.AVERAGE),
    Meter(code="m", event_type="used", aggregation=Aggregation.MAX),
    Meter(code="m", event_type="used", aggregation=Aggregation.MIN, field="n"),
    Meter(code="m", event_type="used", aggregation=Aggregation.UNIQUE_COUNT, field="n"),
    Meter(code="m", event_type="used", aggregation=Aggregation.EXPRESSION, expression="value / 3 + n"),
    *(Meter(code="m", event_type="used", aggregation=Aggregation.PERCENTILE, percentile=Decimal(p)) for p in (0, 50, 95, 100)),
]


@pytest.mark.parametrize("meter", _TALLIED, ids=lambda meter: f"{meter.aggregation} {meter.field}")
@given(kinds=st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 3), st.integers(1, 4)), max_size=6))
def test_a_tally_is_as_its_events_one_by_one(meter: Meter, kinds: list[tuple[int, int, int]]) -> None:
    alike = [(event(place, 0, str(value), n=n), times) for place, (value, n, times) in enumerate(kinds)]
    events = [one for one, times in alike for _ in range(times)]
    found = tally.quantity(meter, alike, {}, None)
    assert (found.value, found.events) == (REFERENCE[meter.aggregation](events, meter, Span(PERIOD)), len(events))


def test_hours_that_begin_within_an_hour_are_counted_from_rows(store: DuckDBStore) -> None:
    store.keep([GB])
    store.ingest([used(number, time=START + number * HOUR // 4) for number in range(16)])
    store.catch_up(1)
    period = Period(START + HOUR // 2, START + 3 * HOUR)
    (found,) = store.measure(Query(meters=(GB,), periods=(period,), grain=Grain.HOUR))
    assert [(quantity.start, quantity.events) for quantity in found.quantities] == [
        (period.start, 4),
        (period.start + HOUR, 4),
        (period.start + 2 * HOUR, 2),
    ]
