"""The store in PostgreSQL: the suite, and what is its own: many processes, commit order, partitions, failures."""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import IsolationLevel, sql

from billsmith.events.event import Event
from billsmith.metering.measure import Grain
from billsmith.metering.meter import Aggregation, Meter
from billsmith.metering.quantity import Quantity
from billsmith.units.errors import Busy, Conflict, Invalid, Unavailable
from billsmith.units.instants import DAY, HOUR, parse_instant
from billsmith.units.periods import Period
from billsmith.usage.postgres import cells, connections, copies, keeper, months, subjects, writing
from billsmith.usage.postgres.connections import Connection
from billsmith.usage.postgres.engine import PostgresStore, is_there
from billsmith.usage.postgres.schema import SCHEMA
from billsmith.usage.store import Binding, Kept, Query, Replace, Selection, UsageStore
from tests.support import postgres
from tests.support.crash import ROOT
from tests.support.usage import START
from tests.support.usage_crash import run
from tests.usage.suite import GB, PERIOD, Suite, total, used, void

KILLS = 60


def database() -> str:
    return postgres.fresh_database().replace("+psycopg", "")


class TestPostgres(Suite):
    @pytest.fixture
    def empty(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[UsageStore]:
        monkeypatch.setattr(cells, "RUN", 50)
        monkeypatch.setattr(cells, "FULL", 50 * 4**5)
        url = database()
        store = PostgresStore(url)
        yield store
        store.catch_up(1)
        assert store.faults() == []
        store.close()
        postgres.drop_database(url)

    def tidy(self, store: UsageStore, meters: Sequence[Meter]) -> None:
        """Now and then: count ahead what came since, however little, and merge."""
        assert isinstance(store, PostgresStore)
        if store.watermark() % 8 == 0:
            store.keep(meters)
            store.catch_up(1)
            assert not any("behind" in note for note in store.health().notes)


@pytest.fixture
def url() -> Iterator[str]:
    made = database()
    yield made
    postgres.drop_database(made)


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    opened = PostgresStore(url)
    opened.bind([Binding("o", "a", "A")])
    yield opened
    opened.close()


# ── seq becomes visible in commit order ──


class _Held:
    """Stops the first batch that is about to have its seqs and be committed, until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, commit: Callable[..., int]) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

        def held(*arguments: Any) -> int:
            if not self.reached.is_set():
                self.reached.set()
                assert self.go.wait(20)
            return commit(*arguments)

        monkeypatch.setattr(writing, "commit", held)


def _late_below_what_was_read(url: str, held: _Held) -> list[int]:
    """While one batch is held before its commit, a later one commits; seqs of rows that appear at or below what was read."""
    first, second = PostgresStore(url), PostgresStore(url)
    with ThreadPoolExecutor(1) as thread:
        early = thread.submit(first.ingest, [used(number) for number in range(10)])
        assert held.reached.wait(20)
        second.ingest([used(number) for number in range(100, 103)])
        read = second.watermark()
        before = {kept.seq for kept in second.events(Selection())}
        assert len(before) == 3
        held.go.set()
        early.result(20)
    late = [kept.seq for kept in second.events(Selection()) if kept.seq not in before and kept.seq <= read]
    assert second.count(Selection(as_of_seq=read)) == 3 + len(late)
    first.close()
    second.close()
    return late


def test_no_row_appears_at_or_below_a_seq_that_was_readable(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held = _Held(monkeypatch, writing.commit)
    assert _late_below_what_was_read(url, held) == []


def test_a_plain_sequence_would_let_rows_appear_late(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: seqs drawn from a sequence when a batch begins, as everybody does."""
    drawn: dict[int, int] = {}
    begin = writing._begin

    def begins(connection: Connection, *more: Any) -> tuple[int, dict[bytes, int]]:
        batch, found = begin(connection, *more)
        ((last,),) = connection.execute("SELECT setval('plain', nextval('plain') + 99)").fetchall()
        drawn[batch] = last - 100
        return batch, found

    def commits(connection: Connection, batch: int, rows: int, _live: int) -> int:
        before = drawn[batch]
        connection.execute(f"INSERT INTO {SCHEMA}.batches VALUES (%s, %s, %s, 0)", [batch, before, before + rows])
        connection.execute("COMMIT")
        return before

    PostgresStore(url).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SEQUENCE plain")
    monkeypatch.setattr(writing, "_begin", begins)
    assert len(_late_below_what_was_read(url, _Held(monkeypatch, commits))) == 10


# ── many processes ──

_SENDER = """
import random, sys
from billsmith.usage.postgres.engine import PostgresStore, is_there
from tests.usage.suite import used, void
store, chance = PostgresStore(sys.argv[1]), random.Random(int(sys.argv[2]))
accepted = duplicates = 0
for batch in range(40):
    first = chance.randrange(900)
    numbers = list(range(first, first + chance.randint(1, 100)))
    chance.shuffle(numbers)
    receipt = store.ingest([used(number) for number in numbers])
    assert not receipt.conflicts and not receipt.rejected
    accepted, duplicates = accepted + receipt.accepted, duplicates + len(receipt.duplicates)
    assert accepted <= store.watermark()
    if batch % 10 == 9:
        store.ingest([void(f"x{chance.randrange(5)}"), used(f"x{chance.randrange(5)}")])
print(accepted, duplicates)
store.close()
"""


def test_four_processes_send_overlapping_batches_and_each_event_counts_once(url: str) -> None:
    store = PostgresStore(url)
    store.bind([Binding("o", "a", "A")])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _SENDER, url, str(seed)],
            env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": os.environ.get("PATH", "")},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    said = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    accepted = sum(int(one) for one, _ in said)
    kept = [one for one in _every(store) if not one.event.id.startswith("x")]
    assert len(kept) == len({one.event.id for one in kept}) == accepted > 500
    assert total(store).value == store.count(Selection()) == store.health().events
    assert store.faults() == []
    store.close()


def _every(store: PostgresStore) -> list[Kept]:
    return list(store.events(Selection(), limit=10_000))


def test_what_another_process_sent_is_corrected(store: PostgresStore, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a name that this one never met, or forgot."""
    store.ingest([used(number) for number in range(4)])
    other = PostgresStore(url)
    assert other.ingest([void(0)]).accepted == 1
    monkeypatch.setattr(subjects, "_MOST", 0)
    assert other.ingest([Replace(event=msgspec.structs.replace(used(1, "5"), account="elsewhere")), void(2)]).accepted == 2
    assert (total(store).value, store.health().events) == (1, 2)
    assert store.faults() == []
    other.close()


# ── failures ──


@pytest.mark.parametrize("seed", [20261031, random.SystemRandom().randrange(2**32)], ids=["fixed", "fresh"])
def test_kill_at_any_moment(url: str, seed: int) -> None:
    """Promise P1: what was acknowledged is there, whole, and counts once when its sender sends it again."""
    found = run("kill", url, str(KILLS // 2), str(seed))
    assert (found["kills"], found["lost"], found["faults"]) == (KILLS // 2, [], []), found
    assert found["acknowledged"] > KILLS


class _Crashing:
    """A server of its own that loses what it hasn't synced when it is stopped at once."""

    def __init__(self, folder: Path) -> None:
        self.server = postgres.another_server(folder)
        self.url = str(self.server.get_uri())

    def set(self, **settings: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for name, value in settings.items():
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
            connection.execute("SELECT pg_reload_conf()")

    def crash(self) -> None:
        os.kill(self.server.get_pid(), signal.SIGQUIT)  # as `pg_ctl -m immediate stop`

    def again(self) -> None:
        self.server.get_postmaster_info().process.wait(20)
        self.server.ensure_postgres_running()

    def restart(self, largest_file: int) -> None:
        """Stop in order, and start with a limit on the size of files."""
        os.kill(self.server.get_pid(), signal.SIGINT)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, before[1]))
        try:
            self.again()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def crashing() -> Iterator[_Crashing]:
    with tempfile.TemporaryDirectory(prefix="billsmith-pg-", ignore_cleanup_errors=True) as folder:
        made = _Crashing(Path(folder) / "data")
        yield made
        made.server.cleanup()


def _lost_in_a_crash(crashing: _Crashing, rounds: int) -> list[str]:
    """Write while the server is stopped at once; what was acknowledged and is not there, or counts twice after a retry."""
    found: list[str] = []
    store = PostgresStore(crashing.url)
    store.bind([Binding("o", "a", "A")])
    before = 0
    for round in range(rounds):
        sent = acknowledged = 0
        thread = threading.Timer(0.15 + 0.05 * round, crashing.crash)
        thread.start()
        while True:
            batch = [used(f"{round}/{number}") for number in range(sent, sent + 10)]
            sent += 10
            try:
                store.ingest(batch)
            except (Unavailable, Busy):
                break
            acknowledged = sent
        thread.join()
        crashing.again()
        there = store.count(Selection())
        if there - before not in (acknowledged, sent):
            found.append(f"round {round}: {acknowledged} acknowledged of {sent}, {there - before} there")
        store.ingest([used(f"{round}/{number}") for number in range(sent)])
        before += sent
        if store.count(Selection()) != before:
            found.append(f"round {round}: {store.count(Selection())} after the retry of {before}")
    found += store.faults()
    store.close()
    return found


def test_a_server_that_crashes_loses_nothing_acknowledged(crashing: _Crashing) -> None:
    """Promise P1. The server's own setting is off: the store asks for durable commits whatever it says."""
    crashing.set(synchronous_commit="off", wal_writer_delay="10s")
    assert _lost_in_a_crash(crashing, 3) == []


def test_a_crash_is_seen_where_commits_are_not_durable(crashing: _Crashing, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    PostgresStore(crashing.url).close()  # the tables at least are there afterwards
    crashing.set(synchronous_commit="off", wal_writer_delay="10s", commit_delay="0")
    monkeypatch.setattr(connections, "DURABLE", "SELECT 1")
    assert any("acknowledged" in fault for fault in _lost_in_a_crash(crashing, 2))


class _Wire:
    """A proxy between the store and the server that cuts connections, before or after the next COMMIT has gone through."""

    def __init__(self, to: str) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut = ""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._to)
                for source, sink, up in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pump, args=(source, sink, up), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if up and b"COMMIT" in data and self.cut == "before":
                    break
                if up and b"COMMIT" in data and self.cut == "after":
                    self.cut = "answer"
                elif not up and self.cut == "answer":
                    break  # the server has committed, and nobody learns of it
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize(("cut", "came_through"), [("before", False), ("after", True)])
def test_a_connection_that_is_cut_at_the_commit(url: str, cut: str, came_through: bool) -> None:
    """Whether it came through or not, the sender is told no, and sending again counts once."""
    info = psycopg.conninfo.conninfo_to_dict(url)
    wire = _Wire(f"{info['host']}/.s.PGSQL.{info.get('port', 5432)}")
    through = PostgresStore(f"postgresql://{info['user']}@127.0.0.1:{wire.port}/{info['dbname']}?sslmode=disable")
    direct = PostgresStore(url)
    direct.bind([Binding("o", "a", "A")])
    through.ingest([used(0)])
    for number in range(1, 4):
        wire.cut = cut
        with pytest.raises(Unavailable) as error:
            through.ingest([used(number), used(f"{number}/b")])
        assert error.value.code == "usage.cannot_write"
        wire.cut = ""
        _until(lambda: _sessions(url) == 0)
        assert direct.count(Selection()) == 1 + 2 * (number - 1 + came_through)
        again = through.ingest([used(number), used(f"{number}/b")])
        assert (again.accepted, len(again.duplicates)) == ((0, 2) if came_through else (2, 0))
    assert total(direct).value == 7
    assert direct.faults() == []
    through.close()
    direct.close()
    wire.close()


def _sessions(url: str) -> int:
    """Transactions of others that are under way."""
    with psycopg.connect(url) as connection:
        ((count,),) = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND xact_start IS NOT NULL AND backend_type = 'client backend'"
        ).fetchall()
        return int(count)


def _until(holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("it never came to hold")


def _sent_until_refused(store: PostgresStore, sent: int) -> tuple[int, list[Event], str]:
    """How many were taken, the batch that wasn't, and why."""
    while True:
        batch = [used(number, region=f"{number}".ljust(1_000, "x")) for number in range(sent, sent + 2_000)]
        try:
            store.ingest(batch)
        except Unavailable as error:
            return sent, batch, error.code
        sent += 2_000


def test_a_full_disk_refuses_writes_serves_reads_and_loses_nothing(crashing: _Crashing) -> None:
    """Promise P13; a limit on file sizes stands for the disk."""
    store = PostgresStore(crashing.url)
    store.bind([Binding("o", "a", "A")])
    sent = 0
    for limit in (17_000_000, 19_000_000):
        crashing.restart(limit)
        sent, batch, code = _sent_until_refused(store, sent)
        assert code == "usage.cannot_write"
        assert store.count(Selection()) == sent > 0
        crashing.restart(resource.RLIM_INFINITY)
        assert store.ingest(batch).accepted == 2_000
        sent += 2_000
    assert store.count(Selection()) == sent
    assert store.faults() == []
    store.close()


@pytest.mark.parametrize(
    ("error", "wanted", "says"),
    [
        (psycopg.errors.DiskFull("could not extend file"), Unavailable, "Make room on the database's disk"),
        (psycopg.errors.IoError("could not read block"), Unavailable, "doctor"),
        (psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT"), Unavailable, "doctor"),
        (psycopg.errors.AdminShutdown("terminating connection"), Unavailable, "doctor"),
        (psycopg.OperationalError("connection refused"), Unavailable, "doctor"),
        (psycopg.errors.QueryCanceled("statement timeout"), Busy, "ask for less"),
        (psycopg.errors.LockNotAvailable("lock timeout"), Busy, "Try again"),
        (psycopg.errors.TooManyConnections("sorry"), Busy, "Try again"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_the_database_says_is_told_as_ours(error: psycopg.Error, wanted: type[Exception], says: str) -> None:
    with pytest.raises(wanted, match=says), connections.translated("write", "usage.cannot_write"):
        raise error


def test_questions_beyond_the_pool_are_told_to_come_again(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.05)
    store.ingest([used(number) for number in range(3)])
    open_questions = [store.measure(Query(meters=(GB,), periods=(PERIOD,))) for _ in range(connections.READERS)]
    for question in open_questions:
        next(question)
    with pytest.raises(Busy):
        store.watermark()
    del open_questions, question
    assert store.watermark() == 3


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as error:
        PostgresStore(f"postgresql://nobody@/none?host={tmp_path}")
    assert error.value.code == "usage.cannot_open"


def test_a_store_of_a_newer_form_is_refused(url: str) -> None:
    PostgresStore(url).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"UPDATE {SCHEMA}.store SET version = version + 1")
    with pytest.raises(Unavailable) as error:
        PostgresStore(url)
    assert error.value.code == "usage.too_new"


# ── the tables ──


def test_rows_never_change(store: PostgresStore, url: str) -> None:
    store.ingest([used(1)])
    with psycopg.connect(url, autocommit=True) as connection:
        for change in ("UPDATE {} SET value = 2", "DELETE FROM {}", "TRUNCATE {}"):
            with pytest.raises(psycopg.errors.RaiseException):
                connection.execute(change.format(f"{SCHEMA}.events"))
    assert total(store).value == 1


def _partitions(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        return dict(
            connection.execute(
                f"SELECT tableoid::regclass::text, count(*) FROM {SCHEMA}.events GROUP BY 1 ORDER BY 1"
            ).fetchall()
        )


def test_months_have_partitions_and_far_ones_share_one(store: PostgresStore, url: str) -> None:
    instants = ("1970-01-01T00:00:00Z", "2026-09-30T23:59:59.999999999Z", "2026-10-01T00:00:00Z", "2099-01-01T00:00:00Z")
    store.ingest([used(number, time=parse_instant(text)) for number, text in enumerate(instants)])
    store.ingest([used("last", time=parse_instant("2026-10-31T23:59:59Z"))])
    assert _partitions(url) == {f"{SCHEMA}.events_2026_09": 1, f"{SCHEMA}.events_2026_10": 2, f"{SCHEMA}.events_default": 2}
    # the same identity in another month is still the same identity
    again = store.ingest([used(0, time=parse_instant("2026-10-05T00:00:00Z"))])
    assert [clash.stored.time for clash in again.conflicts] == [0]


def test_a_month_that_is_made_late_takes_its_rows_from_the_default(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(months, "_AHEAD", -10_000)
        store = PostgresStore(url)
        store.bind([Binding("o", "a", "A")])
        store.ingest([used(1), used(2, time=0)])
        assert _partitions(url) == {f"{SCHEMA}.events_default": 2}
        store.close()
    store = PostgresStore(url)
    store.ingest([used(3), void(1)])
    assert _partitions(url) == {f"{SCHEMA}.events_2026_10": 3, f"{SCHEMA}.events_default": 1}
    assert total(store).value == 1
    assert store.faults() == []
    store.close()


def test_processes_that_open_an_empty_database_at_once_make_one_store(url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        stores = list(threads.map(PostgresStore, [url] * 4))
    assert _run(url, f"SELECT count(*) FROM {SCHEMA}.store") == [(1,)]
    assert [len(store.ingest([used(1)]).duplicates) for store in stores] == [0, 1, 1, 1]
    for store in stores:
        store.close()


# ── roll-ups ──

BY_REGION = Meter(code="r", event_type="used", group_by=("region",))


def _run(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_answers_come_from_roll_ups_and_verify_sees_a_wrong_one(store: PostgresStore, url: str) -> None:
    """The control of every test that finds roll-ups equal to rows."""
    store.keep([GB])
    store.ingest([used(1, "5"), used(2, "7", START + DAY + HOUR)])
    store.catch_up(1)
    late = store.ingest([used(3, "1")])
    assert total(store) == Quantity(Decimal(13), events=3)
    assert store.faults() == []
    _run(url, f"UPDATE {SCHEMA}.cells SET value = value + 1 WHERE length = {DAY} AND time = {START}")
    assert total(store).value == 14
    assert total(store, as_of_seq=late.seq - 1).value == 13
    assert total(store, as_of_seq=late.seq - 2).value == 5  # before the roll-up: from rows
    (fault,) = store.faults()
    assert fault.startswith("1 roll-ups of used differ")


def _counted_while_a_batch_is_committed(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Between a step's look at what there is to count and its count of it; what is wrong then."""
    fill, late = cells._fill_alike, [used("late")]

    def filled(*arguments: Any) -> None:
        if late:
            store.ingest([late.pop()])
        fill(*arguments)

    store.keep([GB])
    store.ingest([used(1), used(2)])
    monkeypatch.setattr(cells, "_fill_alike", filled)
    store.catch_up(1)
    assert not late
    assert store.watermark() == 3
    return store.faults()


def test_a_step_of_the_background_is_of_one_snapshot(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _counted_while_a_batch_is_committed(store, monkeypatch) == []
    assert total(store).value == 3


def test_a_snapshot_for_each_statement_would_count_twice(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    monkeypatch.setattr(keeper, "ISOLATION", IsolationLevel.READ_COMMITTED)
    store = PostgresStore(url)
    store.bind([Binding("o", "a", "A")])
    (fault,) = _counted_while_a_batch_is_committed(store, monkeypatch)
    assert fault.startswith("2 roll-ups of used differ")
    assert total(store).value == 4
    store.close()


def test_a_step_sees_all_of_the_step_before_it(store: PostgresStore, url: str) -> None:
    """Two processes do steps in turn: none is done twice."""
    store.keep([GB])
    stores = [store, PostgresStore(url), PostgresStore(url)]
    with ThreadPoolExecutor(3) as threads:
        for part in range(20):
            store.ingest([used(f"{part}/{number}") for number in range(10)])
            list(threads.map(lambda one: one.catch_up(1), stores))
    assert not [note for one in stores for note in one.health().notes if "behind" in note]
    assert store.faults() == []
    assert total(store).value == 200
    for one in stores[1:]:
        one.close()


def test_corrections_reach_roll_ups_of_the_past(store: PostgresStore) -> None:
    store.keep([GB, BY_REGION])
    first = store.ingest([used(1, "5", region="eu"), used(2, "7", region="us")])
    store.catch_up(1)
    store.ingest([void(1)])
    for _ in range(2):
        assert (total(store).value, total(store, as_of_seq=first.seq).value) == (7, 12)
        (found,) = store.measure(Query(meters=(BY_REGION,), periods=(PERIOD,)))
        assert found.quantities == (Quantity(Decimal(7), dimensions={"region": "us"}),)
        store.catch_up(1)
    assert store.faults() == []


def test_meters_that_come_later_are_filled_from_the_rows_and_those_that_go_take_their_roll_ups(
    store: PostgresStore, url: str
) -> None:
    for batch in range(5):
        store.ingest([used(f"{batch}/{number}", region="eu") for number in range(20)])
        store.catch_up(1)
    levels = Meter(code="l", event_type="used", aggregation=Aggregation.TIME_WEIGHTED_SUM)
    store.keep([GB, BY_REGION, levels])
    store.catch_up(1)
    assert _run(url, f'SELECT names, moments, seq FROM {SCHEMA}.families ORDER BY names COLLATE "C", moments') == [
        ('["region"]', False, 100),
        ("[]", False, 100),
        ("[]", True, 100),
    ]
    assert store.faults() == []
    store.keep([BY_REGION])
    store.catch_up(1)
    assert _run(url, f"SELECT names FROM {SCHEMA}.families") == [('["region"]',)]
    assert total(store) == Quantity(Decimal(100), events=100)


@pytest.mark.parametrize(
    ("texts", "kept", "hourly"),
    [
        pytest.param(4, True, True, id="few"),
        pytest.param(100, True, False, id="too many for hours"),
        pytest.param(10_000, False, True, id="too many"),
    ],
)
def test_dimensions_of_too_many_values_are_not_counted_ahead(
    store: PostgresStore, url: str, monkeypatch: pytest.MonkeyPatch, texts: int, kept: bool, hourly: bool
) -> None:
    monkeypatch.setattr(cells, "ENOUGH", 200)
    monkeypatch.setattr(cells, "RUN", 50)
    store.keep([BY_REGION])
    for part in range(4):
        numbers = range(part * 100, part * 100 + 100)
        store.ingest([used(number, time=START + number % 19 * HOUR, region=number % texts) for number in numbers])
        store.catch_up(1)
    assert _run(url, f"SELECT reason = '', hourly FROM {SCHEMA}.families") == [(kept, hourly)]
    assert sum("used by region" in note for note in store.health().notes) == (not kept)
    (found,) = store.measure(Query(meters=(BY_REGION,), periods=(Period(START + HOUR, START + 5 * HOUR),)))
    assert sum(quantity.events for quantity in found.quantities) == 84
    assert store.faults() == []


def test_a_million_of_the_largest_sum_exactly(store: PostgresStore, url: str) -> None:
    """Straight into the table, as senders would need a while; from rows, and from roll-ups."""
    store.ingest([used("x", "0.000000000001")])
    _run(
        url,
        f"INSERT INTO {SCHEMA}.events (batch, place, sign, subject, time, value, type, source, id, dims)"
        f" SELECT 1000, i, 1, 1, {START} + i, 1e24, 'used', 's', i::text, '{{}}' FROM generate_series(1, 1000000) i;"
        f" INSERT INTO {SCHEMA}.batches VALUES (1000, 1, 1000001, 1000001)",
    )
    levels = Meter(code="l", event_type="used", aggregation=Aggregation.TIME_WEIGHTED_SUM)
    wanted = Quantity(Decimal("1000000000000000000000000000000.000000000001"), events=1_000_001)
    assert total(store) == wanted
    by_rows = total(store, levels)
    store.keep([GB, levels])
    store.catch_up(1)
    assert _run(url, f"SELECT count(*) FROM {SCHEMA}.families WHERE seq = 1000001") == [(2,)]
    assert total(store) == wanted
    assert total(store, levels) == by_rows


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Australia/Lord_Howe"])
def test_days_from_roll_ups_and_rows(store: PostgresStore, zone: str) -> None:
    """Two hundred days, so that days that begin within an hour are more spans than are named one by one."""
    store.ingest([used(number, time=START + number * 7 * HOUR // 2) for number in range(1_000)])
    query = Query(meters=(GB,), periods=(Period(START, START + 200 * DAY),), grain=Grain.DAY, zone=zone)
    from_rows = list(store.measure(query))
    store.keep([GB])
    store.catch_up(1)
    assert list(store.measure(query)) == from_rows
    assert sum(one.events for one in from_rows[0].quantities) == 1_000


# ── copies and checks ──


def test_a_backup_is_a_store(store: PostgresStore, tmp_path: Path) -> None:
    store.ingest([used(1, "5"), used(2), void(2), Replace(event=used(1, "6"))])
    store.backup(tmp_path / "copy")
    store.ingest([used(3)])
    other = database()
    with copies.replacing(other, tmp_path / "copy", force=False):
        pass
    copy = PostgresStore(other)
    assert copy.faults() == []
    assert (total(copy).value, copy.health().events) == (6, 1)
    assert copy.ingest([used(1, "5"), used(3), used(4, account="b")]).duplicates == (0,)
    assert copy.faults() == []
    with pytest.raises(Conflict, match="--force"), copies.replacing(other, tmp_path / "copy", force=False):
        pass
    with pytest.raises(Conflict, match="stop it first"), copies.replacing(other, tmp_path / "copy", force=True):
        pass
    copy.close()
    postgres.drop_database(other)


@pytest.mark.parametrize("harm", ["cut", "other"])
def test_a_spoilt_copy_is_refused_and_leaves_nothing(store: PostgresStore, tmp_path: Path, harm: str) -> None:
    store.ingest([used(number) for number in range(100)])
    file = tmp_path / "copy"
    store.backup(file)
    file.write_bytes(file.read_bytes()[:-200] if harm == "cut" else b"something else")
    other = database()
    copy = PostgresStore(other)
    copy.ingest([used(1)])
    copy.close()
    with pytest.raises(Invalid), copies.replacing(other, file, force=True):
        raise AssertionError("a spoilt copy is refused before anything else is done")
    copy = PostgresStore(other)
    assert (copy.watermark(), copy.ingest([used(1)]).duplicates) == (1, (0,))
    copy.close()
    postgres.drop_database(other)


def test_a_copy_is_put_in_place_only_when_the_rest_was_restored(store: PostgresStore, url: str, tmp_path: Path) -> None:
    store.ingest([used(1)])
    store.backup(tmp_path / "copy")
    store.ingest([used(2)])
    store.close()
    with pytest.raises(RuntimeError), copies.replacing(url, tmp_path / "copy", force=True):
        raise RuntimeError("the database could not be restored")
    copy = PostgresStore(url)
    assert copy.watermark() == 2
    copy.close()
    with copies.replacing(url, tmp_path / "copy", force=True):
        pass
    copy = PostgresStore(url)
    assert (copy.watermark(), copy.faults()) == (1, [])
    copy.close()
    with copies.replacing(url, None, force=True):
        pass
    assert not is_there(url)


def test_a_process_whose_store_was_replaced_writes_no_more(store: PostgresStore, url: str, tmp_path: Path) -> None:
    """It knows the names' numbers as they were: nothing is written with them into another store."""

    def by(account: str, number: int) -> Event:
        return msgspec.structs.replace(used(number), account=account)

    store.ingest([used(1)])
    store.backup(tmp_path / "copy")
    store.ingest([by("later", 2)])
    ended = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    _run(url, ended)  # else it would be seen to have the store open
    with copies.replacing(url, tmp_path / "copy", force=True):
        pass
    for _ in range(2):
        with pytest.raises(Unavailable) as error:
            store.ingest([by("later", 3)])
        assert error.value.code == "usage.replaced"
    fresh = PostgresStore(url)
    assert fresh.ingest([by("other", 4)]).accepted == 1
    assert {kept.event.account for kept in fresh.events(Selection())} == {"a", "other"}
    assert fresh.faults() == []
    fresh.close()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("DELETE FROM {}.identities", "not among the identities"),
        ("UPDATE {}.identities SET body = body + 4", "another body"),
        ("UPDATE {}.batches SET before = before + 1, last = last + 1 WHERE batch > 0", "begin where"),
        ("UPDATE {}.batches SET live = live + 1 WHERE batch > 0", "other sums"),
        ("DELETE FROM {}.amendments", "isn't there"),
        ("DELETE FROM {}.subjects", "name nobody"),
        ("UPDATE {}.amendments SET undone_place = NULL", "in force twice"),
    ],
)
def test_verify_sees(store: PostgresStore, url: str, harm: str, says: str) -> None:
    """The control: what the other tests find in order is found when it is not."""
    store.ingest([used(1), used(2)])
    store.ingest([Replace(event=used(2, "3"))])
    assert store.faults() == []
    _run(url, harm.format(SCHEMA))
    assert any(says in fault for fault in store.faults())
