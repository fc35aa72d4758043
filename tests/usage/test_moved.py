"""A copy of one engine becomes a store of the other: the same states by the same seqs, the same identities, the same answers."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billsmith.events.event import Event
from billsmith.metering.meter import Aggregation, Meter
from billsmith.units.errors import Invalid
from billsmith.units.instants import DAY, HOUR, parse_instant
from billsmith.units.periods import Period
from billsmith.usage.duckdb import checks
from billsmith.usage.duckdb import moved as embedded
from billsmith.usage.duckdb.engine import DuckDBStore
from billsmith.usage.duckdb.names import FILE
from billsmith.usage.postgres import copies, moved
from billsmith.usage.postgres.engine import PostgresStore, is_there
from billsmith.usage.store import Binding, Item, Query, Receipt, Replace, Selection, UsageStore, Void
from tests.support import postgres
from tests.support.usage import START, comparable, said

Kept = DuckDBStore | PostgresStore

_METERS = (
    Meter(code="sum", event_type="used"),
    Meter(code="by", event_type="used", group_by=("region",)),
    Meter(code="last", event_type="used", aggregation=Aggregation.LATEST),
    Meter(code="level", event_type="used", aggregation=Aggregation.TIME_WEIGHTED_SUM),
)
_VALUES = ("1", "0", "-2.5", "1e24", "0.000000000001", "-999999999999999999999999.999999999999", "12345.678")
_TEXTS = ("eu", "", "ключ", "a'b\"c\\;--", "tab\tand\nline")
_TIMES = (0, START, START + HOUR, START + 30 * HOUR, START + 2 * DAY - 1, parse_instant("2100-01-01T00:00:00Z") - 1)


def _events(chance: random.Random, count: int) -> list[Event]:
    """Of few identities, so that they repeat and contradict each other."""
    return [
        Event(
            owner=chance.choice("op"),
            source=chance.choice(("s", "späte\tQuelle")),
            id=chance.choice((*"1234567", "\\N", _TEXTS[3])),
            type=chance.choice(("used", "used", "seen\\")),
            account=chance.choice(("r1", "r2", "nobody")),
            time=chance.choice(_TIMES),
            value=Decimal(chance.choice(_VALUES)),
            dimensions={"region": chance.choice(_TEXTS), "a-longer-name": chance.choice(_TEXTS)},
        )
        for _ in range(count)
    ]


def _items(chance: random.Random, count: int) -> list[Item]:
    made: list[Item] = []
    for event in _events(chance, count):
        kinds: tuple[Item, ...] = (event, Void(owner=event.owner, source=event.source, id=event.id), Replace(event=event))
        made.append(chance.choices(kinds, (6, 1, 2))[0])
    return made


@contextmanager
def _in_postgresql(copy: Any = None) -> Iterator[PostgresStore]:
    url = postgres.fresh_database().replace("+psycopg", "")
    with copies.replacing(url, copy, force=False):
        pass
    try:
        with closing(PostgresStore(url)) as store:
            yield store
    finally:
        postgres.drop_database(url)


@contextmanager
def _moved(store: Kept, folder: Path) -> Iterator[Kept]:
    """The store's copy on the other engine."""
    folder.mkdir()
    if isinstance(store, DuckDBStore):
        checks.backup(store, folder / "copy")
        with embedded.read(folder / "copy") as copied, _in_postgresql(copied) as made:
            yield made
    else:
        store.backup(folder / "copy")
        with moved.read(folder / "copy") as copied:
            embedded.write(copied, folder / FILE)
        with closing(DuckDBStore(folder)) as own:
            yield own


def _faults(store: Kept) -> list[str]:
    return list(checks.faults(store)) if isinstance(store, DuckDBStore) else store.faults()


def _told(store: UsageStore, events: Sequence[Event], seqs: Sequence[int]) -> dict[str, Any]:
    """All that a store says."""
    periods = (Period(START, START + DAY), Period(START + DAY, START + 3 * DAY))
    told: dict[str, Any] = {
        "watermark": store.watermark(),
        "events": store.events(Selection(), limit=10_000),
        "waiting": sorted(store.waiting()),
        "in force": store.health().events,  # type: ignore[attr-defined]
        "histories": [store.history(*identity) for identity in sorted({event.identity for event in events})],
    }
    for seq in seqs:
        query = Query(meters=_METERS, periods=periods, as_of_seq=seq)
        told[f"answers as of {seq}"] = comparable(store.measure(query))
        told[f"events as of {seq}"] = store.events(Selection(as_of_seq=seq), limit=10_000)
    return told


def _filled(store: UsageStore, chance: random.Random) -> list[Event]:
    store.bind([Binding("o", "r1", "A"), Binding("o", "r2", "B"), Binding("p", "r1", "A"), Binding("p", "later", "C")])
    events = []
    for _ in range(6):
        items = _items(chance, 12)
        store.ingest(items)
        events += [item for item in items if isinstance(item, Event)]
    return events


@pytest.fixture(params=["from duckdb", "from postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    monkeypatch.setattr(moved, "BATCH", 7)
    monkeypatch.setattr(moved, "_PUT_IN_PLACE", moved._PUT_IN_PLACE.replace("50000", "7"))
    monkeypatch.setattr(moved, "CHUNK", 5)
    monkeypatch.setattr(embedded, "CHUNK", 5)
    if request.param == "from duckdb":
        (tmp_path / "store").mkdir()
        with closing(DuckDBStore(tmp_path / "store")) as own:
            yield own
    else:
        with _in_postgresql() as made:
            yield made


@pytest.mark.parametrize("seed", range(4))
def test_a_copy_on_the_other_engine_says_the_same(store: Kept, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    events = _filled(store, chance)
    seqs = [0, *sorted(chance.sample(range(1, store.watermark()), 4)), store.watermark()]
    with _moved(store, tmp_path / "there") as there:
        assert _faults(there) == []
        assert _told(there, events, seqs) == _told(store, events, seqs)
        with _moved(there, tmp_path / "back") as back:
            assert _told(back, events, seqs) == _told(store, events, seqs)
        # what comes next finds the same identities: duplicates, conflicts with both bodies, corrections; and new names
        later = [*_events(chance, 30), *events, *_items(chance, 30)]
        later.append(Event(owner="o", source="s", id="new", type="used", account="newcomer", time=START))
        assert _both(there.ingest(later)) == _both(store.ingest(later))
        seqs.append(store.watermark())
        assert _told(there, events, seqs) == _told(store, events, seqs)
        assert _faults(there) == []


def _both(receipt: Receipt) -> tuple[Any, ...]:
    assert receipt.conflicts
    assert receipt.duplicates
    return (*said(receipt), receipt.seq)


def test_nothing_is_moved_as_nothing(store: Kept, tmp_path: Path) -> None:
    with _moved(store, tmp_path / "there") as there:
        assert (there.watermark(), there.events(Selection()), _faults(there)) == (0, (), [])
        assert there.ingest(_events(random.Random(1), 1)).seq == 1


# ── what is no copy ──


def _without_a_row(folder: Path) -> Path:
    """A copy of three rows, one of which is gone."""
    folder.mkdir()
    with closing(DuckDBStore(folder)) as store:
        store.ingest([Event(owner="o", source="s", id=str(number), type="used", account="a", time=0) for number in range(3)])
        with store.reading() as cursor:
            cursor.execute("DELETE FROM events WHERE seq = 2")
        checks.backup(store, folder / "copy")
    return folder / "copy"


def test_a_copy_that_lacks_a_row_is_refused(tmp_path: Path) -> None:
    url = postgres.fresh_database().replace("+psycopg", "")
    with (
        embedded.read(_without_a_row(tmp_path / "store")) as copied,
        pytest.raises(Invalid, match="2 rows for 3 seqs"),
        copies.replacing(url, copied, force=False),
    ):
        raise AssertionError("it is refused before anything else is done")
    assert not is_there(url)
    postgres.drop_database(url)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-200])


def _other(file: Path) -> None:
    file.write_bytes(b"something else" * 1_000)


def _shorter(file: Path) -> None:
    """A table that ends in the middle of a row."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part[:-9] if name == "events.copy" else part)


def _newer(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in {**parts, "form.json": b'{"version": 99}'}.items():
            archive.writestr(name, part)


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (_cut, "usage.copy_unreadable"),
        (_other, "usage.copy_unreadable"),
        (_shorter, "usage.copy_unreadable"),
        (_newer, "usage.copy_form"),
    ],
)
def test_a_spoilt_copy_of_postgresql_is_refused(tmp_path: Path, harm: Callable[[Path], None], code: str) -> None:
    with _in_postgresql() as store:
        _filled(store, random.Random(1))
        store.backup(tmp_path / "copy")
    harm(tmp_path / "copy")
    with pytest.raises(Invalid) as error, moved.read(tmp_path / "copy") as copied:
        embedded.write(copied, tmp_path / FILE)
    assert error.value.code == code


def test_a_spoilt_copy_of_the_embedded_store_is_refused(tmp_path: Path) -> None:
    _other(tmp_path / "copy")
    with pytest.raises(Invalid) as error, embedded.read(tmp_path / "copy"):
        raise AssertionError("it can't be opened")
    assert error.value.code == "usage.copy_unreadable"
