"""What every usage store must do: one suite, run over each of them and over the reference.

A store's test module makes a class of :class:`Suite` and overrides ``store``. What differs by engine (crashes, files,
processes) stands in that module.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billsmith.events.canonical import canonical
from billsmith.events.event import Event
from billsmith.metering.measure import Grain
from billsmith.metering.meter import Aggregation, Meter
from billsmith.metering.quantity import Quantity
from billsmith.units.errors import Invalid, TooLarge
from billsmith.units.instants import HOUR, MINUTE, parse_instant
from billsmith.units.periods import Period
from billsmith.usage.store import (
    MAX_BATCH,
    Binding,
    Clash,
    Measured,
    Query,
    Replace,
    Selection,
    Unknown,
    UsageStore,
    Void,
)
from tests.support import usage
from tests.support.events import event
from tests.support.usage import END, START

#: Runs of the differential test in ``make test``; ``make soak`` takes more.
RUNS = int(os.environ.get("USAGE_RUNS", "2000"))

GB = Meter(code="gb", event_type="used")
PERIOD = Period(START, END)
_salts = itertools.count(1)


def fresh_salt() -> str:
    """Another one each time: scenarios that share a store don't meet."""
    return f"{os.getpid()}.{next(_salts)}:"


def total(store: UsageStore, meter: Meter = GB, account: str = "A", as_of_seq: int | None = None) -> Quantity:
    """The one quantity of a meter for an account."""
    query = Query(meters=(meter,), periods=(PERIOD,), accounts=(account,), as_of_seq=as_of_seq)
    (measured,) = store.measure(query)
    assert not measured.error, measured
    (quantity,) = measured.quantities
    return quantity


def used(name: int | str, value: str = "1", time: int = START, **more: str) -> Event:
    """An event in the period."""
    return event(name, time, value, **more)


def void(name: int | str) -> Void:
    return Void(owner="o", source="s", id=str(name))


def differential(runs: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A test of random scenarios and questions, run so many times."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        random = given(scenario=usage.scenarios(), asked=usage.queries().map(lambda query: [query]))
        return settings(max_examples=runs, deadline=None, suppress_health_check=list(HealthCheck))(random(test))

    return decorate


class Suite:
    """The tests; ``store`` gives an empty store in which ``(o, a)`` is bound to the account A."""

    @pytest.fixture
    def empty(self) -> Iterator[UsageStore]:
        raise NotImplementedError

    @pytest.fixture
    def store(self, empty: UsageStore) -> UsageStore:
        empty.bind([Binding("o", "a", "A")])
        return empty

    @pytest.fixture
    def shared(self, empty: UsageStore) -> UsageStore:
        """A store that scenarios share."""
        return empty

    def tidy(self, store: UsageStore, meters: Sequence[Meter]) -> None:
        """What a store does in the background, done now; the meters will be asked for."""

    # ── identity ──

    def test_what_came_in_comes_out(self, store: UsageStore) -> None:
        sent = used("ключ", "12.50", START + 7, region='"eu"', **{"a.b": "\\'; --", "": ""})
        receipt = store.ingest([sent])
        assert (receipt.accepted, receipt.duplicates, receipt.conflicts, receipt.rejected) == (1, (), (), ())
        assert receipt.seq == store.watermark() > 0
        (kept,) = store.events(Selection())
        assert (kept.event, kept.account) == (canonical(sent), "A")
        assert kept.event.dimensions == sent.dimensions

    def test_the_same_body_again_counts_once(self, store: UsageStore) -> None:
        store.ingest([used(1, "3.10"), used(1, "3.1")])
        again = store.ingest([used(1, "3.100"), used(2)])
        assert (again.accepted, again.duplicates) == (1, (0,))
        assert total(store) == Quantity(Decimal("4.1"), events=2)

    def test_a_batch_of_duplicates_alone(self, store: UsageStore) -> None:
        first = store.ingest([used(1), used(2)])
        again = store.ingest([used(1), used(2)])
        assert (again.accepted, again.duplicates, again.seq) == (0, (0, 1), first.seq)

    def test_an_empty_batch(self, store: UsageStore) -> None:
        assert store.ingest([]).accepted == 0

    def test_another_body_is_a_conflict_with_both_told(self, store: UsageStore) -> None:
        store.ingest([used(1, "1")])
        receipt = store.ingest([used(2), used(1, "2"), used(2, "3")])
        assert receipt.accepted == 1
        assert receipt.conflicts == (Clash(1, used(1, "2"), used(1, "1")), Clash(2, used(2, "3"), used(2)))
        assert total(store).value == 2

    @pytest.mark.parametrize("field", ["type", "account", "time", "value", "dimensions"])
    def test_any_part_of_the_body_makes_a_conflict(self, store: UsageStore, field: str) -> None:
        first = used(1, region="eu")
        other: dict[str, object] = {"type": "x", "account": "b", "time": START + 1, "value": Decimal("1.1"), "dimensions": {}}
        store.ingest([first])
        fields = {name: getattr(first, name) for name in first.__struct_fields__} | {field: other[field]}
        assert [clash.index for clash in store.ingest([Event(**fields)]).conflicts] == [0]

    def test_the_same_id_of_another_owner_or_source_is_another_event(self, store: UsageStore) -> None:
        theirs = Event(owner="x", source="s", id="1", type="used", account="a", time=START, value=Decimal(100))
        assert store.ingest([used(1), theirs, used(1, source="S")]).accepted == 3
        assert total(store).value == 2

    def test_too_many_items(self, store: UsageStore) -> None:
        with pytest.raises(TooLarge):
            store.ingest([used(1)] * (MAX_BATCH + 1))

    # ── corrections ──

    def test_void_and_again(self, store: UsageStore) -> None:
        before = store.ingest([used(1, "5"), used(2)])
        voided = store.ingest([void(1)])
        assert (voided.accepted, voided.duplicates) == (1, ())
        assert store.ingest([void(1)]).duplicates == (0,)
        assert total(store).value == 1
        assert total(store, as_of_seq=before.seq).value == 6
        assert total(store, as_of_seq=0).value == 0

    def test_a_correction_of_nothing_is_rejected(self, store: UsageStore) -> None:
        receipt = store.ingest([void(1), Replace(event=used(2)), used(1), void(1)])
        assert receipt.accepted == 2
        assert [(one.index, one.code) for one in receipt.rejected] == [(0, "event.unknown"), (1, "event.unknown")]

    def test_replace_moves_an_event_in_time_type_account_and_value(self, store: UsageStore) -> None:
        store.bind([Binding("o", "b", "B")])
        store.ingest([used(1, "5")])
        other = Event(owner="o", source="s", id="1", type="used", account="b", time=START + 9, value=Decimal(7))
        assert store.ingest([Replace(event=other)]).accepted == 1
        assert store.ingest([Replace(event=other)]).duplicates == (0,)
        assert (total(store).value, total(store, account="B").value) == (0, 7)
        assert [(entry.sign, entry.event) for entry in store.history("o", "s", "1")] == [
            (+1, used(1, "5")),
            (-1, used(1, "5")),
            (+1, other),
        ]

    def test_a_void_event_lives_again_by_replace(self, store: UsageStore) -> None:
        store.ingest([used(1, "5"), void(1), Replace(event=used(1, "5"))])
        assert total(store).value == 5

    def test_a_correction_of_a_state_does_nothing_later(self, store: UsageStore) -> None:
        """Sent again, or late, it doesn't undo what followed it."""
        state = store.ingest([used(1, "3"), used(2, "4")]).seq
        back = [Void(owner="o", source="s", id=id, as_of_seq=state) for id in ("1", "2")]
        assert store.ingest(back).accepted == 2
        assert store.ingest([Replace(event=used(1, "5"))]).accepted == 1
        late = store.ingest([*back, Replace(event=used(2, "9"), as_of_seq=state)])
        assert (late.accepted, late.duplicates, total(store).value) == (0, (0, 1, 2), 5)

    def test_a_correction_of_the_newest_state_is_made_once(self, store: UsageStore) -> None:
        store.ingest([used(1, "3"), void(1)])
        now = store.watermark()
        again = store.ingest([Replace(event=used(1, "5"), as_of_seq=now), Replace(event=used(1, "6"), as_of_seq=now)])
        assert (again.accepted, again.duplicates, total(store).value) == (1, (1,), 5)
        # the control: without the state both are made
        assert store.ingest([Replace(event=used(1, "7")), Replace(event=used(1, "8"))]).accepted == 2

    def test_histories_of_several(self, store: UsageStore) -> None:
        store.ingest([used(1), used(2), used(3), used(2, source="z"), void(2)])
        found = store.histories("o", [("s", "2"), ("s", "3"), ("s", "9")])
        assert [(each.sign, each.event.id, each.event.source) for each in found] == [
            (1, "2", "s"),
            (1, "3", "s"),
            (-1, "2", "s"),
        ]
        assert store.histories("p", [("s", "2")]) == ()

    def test_a_retry_after_a_correction_is_a_duplicate_and_changes_nothing(self, store: UsageStore) -> None:
        store.ingest([used(1, "5"), used(2, "1"), void(1), Replace(event=used(2, "3"))])
        receipt = store.ingest([used(1, "5"), used(2, "1"), used(2, "3"), used(2, "4"), used(1, "6")])
        assert receipt.duplicates == (0, 1, 2)
        assert [(clash.index, clash.stored) for clash in receipt.conflicts] == [(3, used(2, "3")), (4, used(1, "5"))]
        assert total(store).value == 3

    # ── who is billed ──

    def test_an_unknown_account_is_kept_aside_and_counted_once_it_is_bound(self, store: UsageStore) -> None:
        late = Event(owner="o", source="s", id="1", type="used", account="späti", time=START, value=Decimal(4))
        store.ingest([late, used(2)])
        (seen,) = store.unknown({"used"})
        assert (seen.owner, seen.reference, seen.account, seen.type, seen.events) == ("o", "späti", None, "used", 1)
        assert total(store, account="L").value == 0
        store.bind([Binding("o", "späti", "L")])
        assert store.unknown({"used"}) == ()
        assert total(store, account="L").value == 4

    def test_the_first_binding_stands(self, store: UsageStore) -> None:
        store.bind([Binding("o", "a", "Z")])
        store.ingest([used(1)])
        assert (total(store).value, total(store, account="Z").value) == (1, 0)

    def test_a_type_that_no_meter_counts_is_visible(self, store: UsageStore) -> None:
        store.ingest([used(1), used(2, type="seen"), used(3, type="seen"), void(3)])
        (seen,) = store.unknown({"used"})
        assert (seen.owner, seen.reference, seen.account, seen.type, seen.events) == ("o", "a", "A", "seen", 1)

    def test_unknown_events_in_force_by_their_sender(self, store: UsageStore) -> None:
        """The first of them by time, source and id; what was taken back, and what others sent, doesn't count."""
        times = {"1": 9, "2": 5, "3": 5, "4": 1, "5": 20}
        store.ingest([used(id, time=START + time, type="seen") for id, time in times.items()])
        store.ingest([void("4"), void("5"), msgspec.structs.replace(used("6", type="seen"), owner="p")])
        mine = Unknown(
            owner="o", reference="a", account="A", type="seen", events=3, first=START + 5, last=START + 9, source="s", id="2"
        )
        assert store.unknown({"used"}, owners=["o"]) == (mine,)
        assert store.unknown({"used", "seen"}, owners=["o"]) == store.unknown((), owners=[]) == ()
        assert [one.owner for one in store.unknown({"used"})] == ["o", "p"]
        assert store.unknown({"used"}, limit=1) == (mine,)

    def test_two_references_of_one_account_count_together(self, store: UsageStore) -> None:
        store.bind([Binding("o", "b", "A")])
        seats = Meter(code="seats", event_type="used", aggregation=Aggregation.UNIQUE_COUNT, field="who")
        other = Event(owner="o", source="s", id="2", type="used", account="b", time=START, dimensions={"who": "ann"})
        store.ingest([used(1, who="ann"), other])
        assert total(store, seats).value == 1

    # ── answers ──

    def test_an_event_without_its_number_parks_its_account_alone(self, store: UsageStore) -> None:
        store.bind([Binding("o", "b", "B")])
        meter = Meter(code="n", event_type="used", field="n")
        good = Event(owner="o", source="s", id="2", type="used", account="b", time=START, dimensions={"n": "1.50"})
        store.ingest([used(1), good])
        answers = list(store.measure(Query(meters=(meter,), periods=(PERIOD,))))
        assert [(one.account, one.error) for one in answers] == [("A", "event.no_number"), ("B", "")]
        assert answers[0].message
        assert answers[1].quantities == (Quantity(Decimal("1.5")),)

    def test_a_thousand_of_the_largest_sum_exactly(self, store: UsageStore) -> None:
        largest = [used(number, "1e24") for number in range(999)]
        store.ingest([*largest, used("x", "0.000000000001"), *(used(f"-{n}", "-1e24", region="x") for n in range(2))])
        assert total(store) == Quantity(Decimal("997000000000000000000000000.000000000001"), events=1002)

    def test_the_latest_of_equal_times_is_the_last_by_source_and_id(self, store: UsageStore) -> None:
        """Promise P3: never by arrival."""
        latest = Meter(code="l", event_type="used", aggregation=Aggregation.LATEST)
        store.ingest([used("b", "2"), used("é", "4", source="S"), used("a", "3"), used("z", "9", START - 1)])
        assert total(store, latest).value == 2
        store.ingest([used("0", "7", source="t")])
        assert total(store, latest).value == 7

    def test_nanoseconds_from_1970_to_2100(self, store: UsageStore) -> None:
        last = parse_instant("2100-12-31T23:59:59.999999999Z")
        times = [0, 1, HOUR - 1, START, START + 1, last - 1, last]
        store.ingest([used(f"{time}/é", "-0.000000000001", time) for time in times])
        assert [kept.event.time for kept in store.events(Selection())] == times

        def measured(period: Period, grain: Grain = Grain.TOTAL) -> list[tuple[int | None, int]]:
            (found,) = store.measure(Query(meters=(GB,), periods=(period,), accounts=("A",), grain=grain))
            return [(quantity.start, quantity.events) for quantity in found.quantities]

        assert measured(Period(0, last)) == [(None, 6)]
        assert measured(Period(1, last + 1)) == [(None, 6)]
        assert measured(Period(0, HOUR), Grain.MINUTE) == [(0, 2), (59 * MINUTE, 1)]
        assert measured(Period(last - 1, last + 1), Grain.DAY) == [(last - 1, 2)]

    def test_days_where_clocks_change_and_where_they_are_half_an_hour_off(self, store: UsageStore) -> None:
        """The 25th of October 2026 has 25 hours in Amsterdam; days in Kolkata begin at half past."""
        store.ingest([used(number, time=START + number * HOUR) for number in range(72)])
        for zone, events in (("Europe/Amsterdam", [22, 25, 24, 1]), ("Asia/Kolkata", [19, 24, 24, 5]), ("UTC", [24] * 3)):
            query = Query(meters=(GB,), periods=(PERIOD,), accounts=("A",), grain=Grain.DAY, zone=zone)
            (found,) = store.measure(query)
            assert [quantity.events for quantity in found.quantities] == events, zone

    def test_answers_by_account_and_period_in_order(self, store: UsageStore) -> None:
        store.bind([Binding("o", "b", "B")])
        store.ingest([used(1), Event(owner="o", source="s", id="2", type="used", account="b", time=END)])
        periods = (PERIOD, Period(END, END + 1))
        found = list(store.measure(Query(meters=(GB, GB), periods=periods)))
        assert [(one.meter, one.account, one.period) for one in found] == [
            (0, "A", periods[0]),
            (0, "B", periods[1]),
            (1, "A", periods[0]),
            (1, "B", periods[1]),
        ]

    def test_an_account_that_was_asked_for_always_has_an_answer(self, store: UsageStore) -> None:
        query = Query(meters=(GB,), periods=(PERIOD,), accounts=("nobody",))
        assert list(store.measure(query)) == [
            Measured(meter=0, account="nobody", period=PERIOD, quantities=(Quantity(Decimal(0), events=0),))
        ]

    def test_windows_of_a_prorated_count_are_refused(self) -> None:
        meter = Meter(code="p", event_type="used", aggregation=Aggregation.UNIQUE_COUNT_PRORATED, field="who")
        with pytest.raises(Invalid):
            Query(meters=(meter,), periods=(PERIOD,), grain=Grain.DAY)

    def test_more_windows_than_are_answered(self) -> None:
        Query(meters=(GB,), periods=(Period(0, 100_000 * usage.MINUTE),), grain=Grain.MINUTE)
        with pytest.raises(TooLarge):
            Query(meters=(GB,), periods=(Period(0, 100_000 * usage.MINUTE + 1),), grain=Grain.MINUTE)

    # ── raw events ──

    def test_raw_events_page_by_page(self, store: UsageStore) -> None:
        sent = [used(number, time=START + number // 3, source="sS"[number % 2]) for number in range(20)]
        store.ingest(sent[::-1])
        selection, pages, after = Selection(type="used"), [], None
        while page := store.events(selection, after=after, limit=7):
            pages.append(len(page))
            last = page[-1].event
            after = (last.time, last.source, last.id, last.owner)
        assert pages == [7, 7, 6]
        assert [one.event for one in store.events(selection)] == sorted(sent, key=lambda one: (one.time, one.source, one.id))
        assert store.count(selection) == 20

    def test_raw_events_by_every_condition(self, store: UsageStore) -> None:
        seq = store.ingest([used(1, region="eu"), used(2, region="us", type="seen"), used(3, source="S")]).seq
        store.ingest([void(1), used(4, time=END)])
        found = {
            "type": Selection(type="seen"),
            "source": Selection(source="S"),
            "region": Selection(where={"region": ("eu", "us")}),
            "no region": Selection(unless={"region": ("eu", "us")}),
            "period": Selection(period=PERIOD),
            "as of": Selection(as_of_seq=seq),
            "reference": Selection(reference="a"),
            "owner": Selection(owner="x"),
            "account": Selection(accounts=("A",)),
            "nobody": Selection(accounts=()),
        }
        assert {name: [one.event.id for one in store.events(one)] for name, one in found.items()} == {
            "type": ["2"],
            "source": ["3"],
            "region": ["2"],
            "no region": ["3", "4"],
            "period": ["3", "2"],
            "as of": ["3", "1", "2"],
            "reference": ["3", "2", "4"],
            "owner": [],
            "account": ["3", "2", "4"],
            "nobody": [],
        }
        assert [store.count(one) for one in found.values()] == [1, 1, 1, 2, 2, 3, 3, 0, 3, 0]

    def test_what_is_readable_is_whole(self, store: UsageStore) -> None:
        """While batches of ten come in, no reader sees part of one, and the watermark never goes back."""
        stop, seen, marks = threading.Event(), set(), [0]

        def read() -> None:
            while not stop.is_set():
                seen.add(int(total(store).value))
                marks.append(store.watermark())

        reader = threading.Thread(target=read)
        reader.start()
        for batch in range(30):
            store.ingest([used(f"{batch}/{number}") for number in range(10)])
        stop.set()
        reader.join()
        assert all(count % 10 == 0 for count in seen)
        assert marks == sorted(marks)

    def test_many_clients_send_the_same_at_once(self, store: UsageStore) -> None:
        batches = [[used(f"{first + number}") for number in range(20)] for first in (0, 10, 20, 30)] * 4
        with ThreadPoolExecutor(8) as pool:
            receipts = list(pool.map(store.ingest, batches))
        assert sum(receipt.accepted for receipt in receipts) == 50
        assert sum(receipt.accepted + len(receipt.duplicates) for receipt in receipts) == 320
        assert total(store).value == 50

    def test_health(self, store: UsageStore) -> None:
        store.ingest([used(1), used(2), void(1)])
        health = store.health()
        assert (health.seq, health.events, health.writable, health.reason) == (store.watermark(), 1, True, "")

    # ── the judge ──

    @pytest.mark.long
    @differential(RUNS)
    def test_the_same_as_the_reference(self, shared: UsageStore, scenario: usage.Scenario, asked: list[Query]) -> None:
        """Duplicates, conflicts, late events, corrections, many clients, zones, every aggregation, every state in the past."""
        found = usage.differences(shared, fresh_salt(), scenario, asked, lambda meters: self.tidy(shared, meters))
        assert not found, "\n".join(found)

    @given(scenario=usage.scenarios(), query=usage.queries(), chance=st.randoms(use_true_random=False))
    @settings(
        max_examples=max(RUNS // 10, 20),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow],
    )
    def test_order_repetition_and_batches_leave_no_trace(
        self, shared: UsageStore, scenario: usage.Scenario, query: Query, chance: object
    ) -> None:
        """Promise P3: the same set of events, sent in another order, again, and in other batches, gives the same bytes."""
        assert usage.same_in_any_order(shared, (fresh_salt(), fresh_salt()), scenario, query, chance)
