"""Pulls: a walk writes only differences; what is incomplete never moves the watermark, tells of nothing gone, deletes nothing (P15)."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from billsmith.accounts.model import Account
from billsmith.storage import invoices, sync, sync_connections
from billsmith.storage.sync import Walk, WalkState
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.errors import Busy, Unavailable
from billsmith.units.instants import HOUR, MINUTE
from billsmith.workflows import sync as workflow
from billsmith.workflows.import_invoices import Plan
from billsmith.workflows.sync_source import Ending, Piece
from tests.support import audit
from tests.support.house import House
from tests.support.vendor_lists import VendorList, connect, fresh, garbage, row


class Puller:
    """A store, its account with a vendor, and the vendor's list."""

    def __init__(self, house: House, rows: list[Any], **more: Any) -> None:
        self.house = house
        self.account: Account = house.account("Partner", external_id="partner", time_zone="UTC")
        self.list = VendorList(rows, **more)
        self.of: VendorConnection = connect(house.database, self.account, now=house.now)

    def __call__(self, since: dt.date | None = None) -> Walk:
        self.of = fresh(self.house.database, self.of)
        plan = Plan(owner=self.account, issuer=self.account, actor="sync")
        return workflow.run(self.house.database, self.of, self.list, plan, clock=lambda: self.house.now, since=since)

    @property
    def watermark(self) -> int | None:
        return fresh(self.house.database, self.of).watermark_walk

    def numbers(self) -> dict[str, tuple[int, str]]:
        with self.house.database.read() as connection:
            found = invoices.newest(connection, None, limit=10_000)
        return {each.invoice.number: (each.invoice.total_minor, each.invoice.status.word) for each in found}

    def problems(self) -> list[tuple[str | None, str]]:
        with self.house.database.read() as connection:
            return [(each.vendor_key, each.code) for each in sync.problems(connection, self.of)]

    def differences(self, walk: Walk) -> list[tuple[str, str]]:
        with self.house.database.read() as connection:
            return [(each.vendor_key, each.what) for each in sync.differences(connection, self.of, walk.seq)]


def test_a_walk_brings_the_list_in_and_the_next_one_writes_only_differences(house: House) -> None:
    pull = Puller(house, [row(number) for number in range(35)])
    first = pull()
    assert (first.state, first.counts.added, first.counts.unchanged) == (WalkState.COMPLETE, 35, 0)
    assert pull.watermark == first.seq
    pull.list.rows[3] = row(3, paid=True)
    pull.list.rows.append(row(35))
    second = pull()
    assert second.state is WalkState.COMPLETE
    assert (second.counts.added, second.counts.moved, second.counts.unchanged) == (1, 1, 34)
    assert pull.differences(second) == [(row(3).vendor_key, "status")]
    with house.database.read() as connection:
        [change] = sync.differences(connection, pull.of, second.seq)
    assert change.detail == "status: issued → paid, paid: 0.00 → 10.00, paid at: none → 2026-01-05T00:00:00Z"
    assert pull.numbers()["V-000003"] == (1000, "paid")
    assert audit.faults(house.database) == []
    third = pull()
    assert (third.counts.added, third.counts.moved, third.counts.unchanged) == (0, 0, 36)


def test_what_is_gone_at_the_vendor_is_told_and_stays_here(house: House) -> None:
    pull = Puller(house, [row(number) for number in range(5)])
    pull()
    gone = pull.list.rows.pop(2)
    second = pull()
    assert (second.state, second.counts.disappeared) == (WalkState.COMPLETE, 1)
    assert pull.differences(second) == [(gone.vendor_key, "disappeared")]
    assert len(pull.numbers()) == 5
    pull.list.rows.append(gone)
    third = pull()
    assert pull.differences(third) == [(gone.vendor_key, "back")]
    assert third.counts.disappeared == 0


def test_an_amount_that_changed_is_set_aside_and_told_once(house: House) -> None:
    pull = Puller(house, [row(number) for number in range(5)])
    pull()
    pull.list.rows[1] = row(1, "11.00")
    second = pull()
    assert second.state is WalkState.COMPLETE
    assert second.counts.set_aside == 1
    assert pull.problems() == [(row(1).vendor_key, "import.amount_changed")]
    assert pull.differences(second) == [(row(1).vendor_key, "amount")]
    assert pull.numbers()["V-000001"] == (1000, "issued")
    assert pull.differences(pull()) == []
    pull.list.rows[1] = row(1)
    pull()
    assert pull.problems() == []


CUT: list[tuple[str, Any, WalkState, str]] = [
    ("the vendor fails", Unavailable("503", code="vendor.unavailable"), WalkState.FAILED, "vendor.unavailable"),
    ("the client gives up", Ending(code="vendor.shrank", reason="the total changed"), WalkState.PARTIAL, "vendor.shrank"),
    ("a page comes again and again", "first page", WalkState.PARTIAL, "sync.circle"),
    ("a page is short", "short", WalkState.PARTIAL, "sync.count"),
    ("a record is garbage", "garbage", WalkState.PARTIAL, "sync.unreadable"),
    ("a record of a known key is garbage", "drift", WalkState.PARTIAL, "sync.unreadable"),
    ("the list is empty", "empty", WalkState.PARTIAL, "sync.empty"),
]


def _fault(pull: Puller, what: Any, index: int) -> Piece | Ending | None:
    rows = pull.list.rows
    if isinstance(what, Exception) and index == 1:
        raise what
    if isinstance(what, Ending):
        return what if index == 1 else None
    if what == "first page":
        pull.list.endless = True
        return Piece(rows=rows[:10], where="page 1", mark="1", stated_total=30)
    if what == "short" and index == 2:
        return Piece(rows=rows[20:25], where="page 3", mark="3", stated_total=30)
    if what == "garbage" and index == 2:
        return Piece(rows=[*rows[20:29], garbage(29)], where="page 3", mark="3", stated_total=30)
    if what == "drift" and index == 2:
        bad = garbage(29, vendor_key=row(29).vendor_key)
        return Piece(rows=[*rows[20:29], bad], where="page 3", mark="3", stated_total=30)
    if what == "empty":
        return (
            Piece(rows=[], where="page 1", mark="1", stated_total=0) if index == 0 else Piece(rows=[], where="", stated_total=0)
        )
    return None


@pytest.mark.parametrize(("name", "what", "state", "code"), CUT, ids=[name for name, *_ in CUT])
def test_what_is_not_whole_moves_no_watermark_and_tells_of_nothing_gone(
    house: House, name: str, what: Any, state: WalkState, code: str
) -> None:
    pull = Puller(house, [row(number) for number in range(30)])
    first = pull()
    pull.list.fault = lambda index: _fault(pull, what, index)
    walk = pull()
    assert (walk.state, walk.code) == (state, code)
    assert pull.watermark == first.seq
    assert walk.counts.disappeared == 0
    assert pull.differences(walk) == []
    assert len(pull.numbers()) == 30
    pull.list.fault, pull.list.endless = lambda _index: None, False
    mended = pull()
    assert (mended.state, pull.watermark) == (WalkState.COMPLETE, mended.seq)
    assert pull.problems() == []


@pytest.mark.parametrize(("name", "what", "state", "code"), CUT[:-1], ids=[name for name, *_ in CUT[:-1]])
def test_the_check_can_see(
    sqlite_house: House, monkeypatch: pytest.MonkeyPatch, name: str, what: Any, state: WalkState, code: str
) -> None:
    """The negative control: with the protection off, the same faults move the watermark."""
    house = sqlite_house
    pull = Puller(house, [row(number) for number in range(30)])
    first = pull()
    pull.list.fault = lambda index: _fault(pull, what, index)
    monkeypatch.setattr(workflow._Pull, "shortcoming", lambda *_: ("", ""))
    monkeypatch.setattr(workflow._Pull, "end", lambda self, *_: self.end_whole())
    walk = pull()
    assert pull.watermark == walk.seq != first.seq


def test_garbage_is_set_aside_with_its_place_and_the_rest_comes_in(house: House) -> None:
    pull = Puller(house, [row(0), garbage(1), row(2), garbage(3, vendor_key="known")])
    walk = pull()
    assert (walk.state, walk.counts.added, walk.counts.set_aside) == (WalkState.PARTIAL, 2, 2)
    with house.database.read() as connection:
        found = sync.problems(connection, pull.of)
    assert [(each.place, each.path) for each in found] == [
        ("?page 1: rows[1]", "page 1: rows[1]"),
        ("known", "page 1: rows[3]"),
    ]
    pull.list.rows = [row(0), row(1), row(2), row(3)]
    assert pull().state is WalkState.COMPLETE
    assert pull.problems() == []


def test_what_is_not_final_yet_is_no_fault_of_the_list(sqlite_house: House) -> None:
    house = sqlite_house
    pull = Puller(house, [row(0), garbage(1, vendor_key=row(1).vendor_key, code="import.not_final")])
    walk = pull()
    assert (walk.state, walk.counts.set_aside) == (WalkState.COMPLETE, 1)
    pull.list.rows[1] = row(1)
    assert (pull().counts.added, pull.problems()) == (1, [])


def test_since_looks_at_a_part_and_says_so(sqlite_house: House) -> None:
    house = sqlite_house
    pull = Puller(house, [row(number) for number in range(30)])
    walk = pull(since=dt.date(2026, 1, 21))
    assert (walk.state, walk.code, walk.counts.added) == (WalkState.PARTIAL, "sync.since", 10)
    assert pull.list.since == dt.date(2026, 1, 21)
    assert pull.watermark is None


def test_two_runs_at_once(house: House) -> None:
    pull = Puller(house, [row(number) for number in range(30)])
    seen = []

    def meanwhile(index: int) -> None:
        if index == 1:
            with pytest.raises(Busy, match="another run"):
                pull()
            seen.append(index)

    pull.list.fault = meanwhile  # type: ignore[assignment]
    assert pull().state is WalkState.COMPLETE
    assert seen == [1]


def test_a_run_that_lost_its_lease_writes_nothing_more(house: House) -> None:
    pull = Puller(house, [row(number) for number in range(30)])

    def stolen(index: int) -> None:
        if index == 1:
            house.now += HOUR
            with house.database.write() as connection:
                sync_connections.take_lease(connection, pull.of, "another:1:a", house.now)

    pull.list.fault = stolen  # type: ignore[assignment]
    with pytest.raises(Busy, match="took over"):
        pull()
    assert len(pull.numbers()) == 10


def test_an_interrupted_walk_goes_on_where_it_stopped(house: House) -> None:
    pull = Puller(house, [row(number) for number in range(50)])

    def stop(index: int) -> None:
        if index == 3:
            raise KeyboardInterrupt

    pull.list.fault = stop  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        pull()
    assert len(pull.numbers()) == 30
    pull.list.fault = lambda _index: None
    walk = pull()
    assert (walk.state, walk.counts.added, walk.resumed) == (WalkState.COMPLETE, 50, 1)
    assert pull.list.asked == [0, 1, 2, 3, 3, 4]


@pytest.mark.parametrize(("endless", "code"), [(False, ""), (True, "sync.circle")])
def test_what_is_read_again_after_an_interruption_is_no_circle(sqlite_house: House, endless: bool, code: str) -> None:
    """A list without marks is read from its beginning again: only what comes a third time goes in a circle."""
    pull = Puller(sqlite_house, [row(number) for number in range(80)])

    def unmarked(index: int, stop: int) -> Piece:
        if index == stop:
            raise KeyboardInterrupt
        first = 10 * (index % 6 if endless else index)
        return Piece(rows=pull.list.rows[first : first + 10], where=f"page {index + 1}")

    pull.list.fault = lambda index: unmarked(index, 6)
    with pytest.raises(KeyboardInterrupt):
        pull()
    pull.list.fault, pull.list.endless = lambda index: unmarked(index, 99), endless
    walk = pull()
    assert (walk.code, walk.resumed, walk.counts.added) == (code, 1, 60 if endless else 80)
    assert len(pull.list.asked) == 7 + (9 if endless else 8)


def test_a_walk_with_an_interruption_tells_of_nothing_gone_unless_the_vendor_counts(house: House) -> None:
    pull = Puller(house, [row(number) for number in range(30)], states_total=False)
    pull()
    pull.list.fault = lambda index: (_ for _ in ()).throw(KeyboardInterrupt()) if index == 1 else None
    with pytest.raises(KeyboardInterrupt):
        pull()
    # While nobody looked, a row before the mark went away, and all behind it moved one place up.
    missed = pull.list.rows[10].vendor_key
    del pull.list.rows[0]
    pull.list.fault = lambda _index: None
    walk = pull()
    assert walk.counts.disappeared == 0
    assert missed not in [key for key, _ in pull.differences(walk)]


def test_overlapping_pages_are_counted_once(sqlite_house: House) -> None:
    house = sqlite_house
    rows = [row(number) for number in range(20)]
    pull = Puller(house, [*rows[:10], *rows[5:15], *rows[15:]], states_total=False)
    walk = pull()
    assert (walk.state, walk.counts.added, walk.counts.unchanged, walk.counts.seen) == (WalkState.COMPLETE, 20, 0, 20)


def test_a_schedule(sqlite_house: House) -> None:
    house = sqlite_house
    pull = Puller(house, [row(0)])
    hourly = connect(house.database, pull.account, "hourly", now=house.now, every_minutes=240)
    with house.database.read() as connection:
        assert [each.name for each in sync_connections.due(connection, house.now)] == ["hourly"]
    pull.of = hourly
    pull()
    assert fresh(house.database, hourly).due_at == house.now + 240 * MINUTE
    pull.list.fault = lambda _index: (_ for _ in ()).throw(Unavailable("down", code="vendor.down"))
    pull()
    assert fresh(house.database, hourly).due_at == house.now + 60 * MINUTE


def test_removing_a_connection_leaves_the_invoices(house: House) -> None:
    pull = Puller(house, [row(0), garbage(1)])
    pull()
    with house.database.write() as connection:
        sync_connections.remove(connection, pull.of, house.now, "test")
    assert len(pull.numbers()) == 1
    again = connect(house.database, pull.account, now=house.now)
    pull.of = again
    pull.list.rows = [row(0)]
    assert pull().counts.unchanged == 1


def test_problems_are_bounded(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house = sqlite_house
    monkeypatch.setattr(sync, "MAX_PROBLEMS", 15)
    pull = Puller(house, [garbage(number) for number in range(40)], page=10, states_total=False)
    walk = pull()
    assert walk.counts.set_aside == 40
    assert len(pull.problems()) == 15
    pull()
    assert len(pull.problems()) == 15


def test_a_hash_sees_everything_but_the_place() -> None:
    base = row(1)
    assert workflow.content_hash(base) == workflow.content_hash(msgspec.structs.replace(base, where="elsewhere"))
    changed = [
        row(1, paid=True),
        row(1, "10.01"),
        row(1, stated_total=Decimal("10.000")),
        row(1, extras={"acronis": {"x": msgspec.Raw(b"1")}}),
    ]
    assert len({workflow.content_hash(each) for each in [base, *changed]}) == 5
