"""The embedded store: the suite, and what is its own: its index, its file, its owner, failures to write."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import duckdb
import numpy as np
import pytest

from billsmith.metering.meter import Meter
from billsmith.units.errors import Busy, Unavailable
from billsmith.usage.duckdb import checks, engine, file, index, memory, runs
from billsmith.usage.duckdb.engine import DuckDBStore
from billsmith.usage.duckdb.index import IdentityIndex
from billsmith.usage.duckdb.owner import Client, SharedStore
from billsmith.usage.duckdb.prepare import Batch, Prepared, prepare
from billsmith.usage.hashing import Hashes, Hashing, Words
from billsmith.usage.singly import ABSENT, CORRECTED
from billsmith.usage.store import Binding, Clash, Query, Receipt, Replace, UsageStore
from billsmith.usage.writer import Writer
from tests.support import usage, usage_memory
from tests.support.crash import ROOT, compiler
from tests.support.usage_crash import run
from tests.usage.suite import Suite, differential, fresh_salt, total, used, void

KILLS = 60


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    opened = DuckDBStore(tmp_path)
    yield opened
    opened.close()


class TestDuckDB(Suite):
    @pytest.fixture
    def empty(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UsageStore]:
        monkeypatch.setattr(runs, "RUN", 50)
        monkeypatch.setattr(runs, "FULL", 50 * 4**5)
        store = DuckDBStore(tmp_path)
        yield store
        store.catch_up(1)
        assert list(checks.faults(store)) == []
        store.close()

    def tidy(self, store: UsageStore, meters: Sequence[Meter]) -> None:
        """Now and then: count ahead, sort what came since, however little, and merge."""
        assert isinstance(store, DuckDBStore)
        if store.watermark() % 8 == 0:
            store.keep(meters)
            store.catch_up(1)
            assert store.health().notes == ()


class TestThroughTheSocket(Suite):
    """The same answers for a process that isn't the owner."""

    @pytest.fixture
    def empty(self, tmp_path: Path) -> Iterator[UsageStore]:
        owner = SharedStore(tmp_path)
        assert owner.owns
        yield Client(tmp_path)
        owner.close()

    test_order_repetition_and_batches_leave_no_trace = None  # the engine's own

    @differential(60)
    def test_the_same_as_the_reference(self, shared: UsageStore, scenario: usage.Scenario, asked: list[Query]) -> None:
        """Few runs: the engine behind has had the others; here every value passes the wire."""
        found = usage.differences(shared, fresh_salt(), scenario, asked)
        assert not found, "\n".join(found)


# ── deciding ──


def test_rows_are_read_for_clashes_and_corrections_alone(store: DuckDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a body is sent again, in one batch or later, no row is searched for."""
    read: list[object] = []
    histories = store._histories
    monkeypatch.setattr(store, "_histories", lambda identities: read.append(identities) or histories(identities))
    assert store.ingest([used(1), used(2), used(1), used(3), used(1)]).duplicates == (2, 4)
    assert store.ingest([used(4), used(1), used(1), used(4)]).duplicates == (1, 2, 3)
    assert store.ingest([used(5), used(5, "2")]).conflicts == (Clash(1, used(5, "2"), used(5)),)
    assert read == []
    assert store.ingest([used(1, "2"), used(1)]).duplicates == (1,)
    assert store.ingest([void(1), void(1)]).duplicates == (1,)
    assert read == [{("o", "s", "1")}] * 2


# ── the index ──


def _arrays(entries: dict[bytes, int]) -> tuple[Hashes, Words]:
    hashes = np.frombuffer(b"".join(entries), "<u8").reshape(-1, 2).T.astype(np.uint64)
    return hashes, np.array(list(entries.values()), np.uint64)


def test_the_index_finds_what_it_was_given_through_runs_and_merges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MEMORY_LIMIT", 500)
    monkeypatch.setattr(index, "SLICE", 700)
    chance = random.Random(20261031)
    known: dict[bytes, int] = {}
    kept = IdentityIndex(tmp_path)
    for seq in range(1, 100):
        new = {chance.randbytes(16): chance.randrange(2, 2**63) for _ in range(100)}
        # the same first word, and bodies that change
        new |= {key[:8] + chance.randbytes(8): 7 for key in list(new)[:3]}
        new |= dict.fromkeys(chance.sample(sorted(known), min(len(known), 5)), CORRECTED)
        known |= new
        kept.add(*_arrays(new), seq)
    strangers = [chance.randbytes(16) for _ in range(1000)] + [key[:8] + bytes(8) for key in list(known)[:1000]]
    for opened in (kept, _reopened(kept, tmp_path)):
        hashes, entries = _arrays(known)
        assert opened.find(hashes).tolist() == entries.tolist()
        assert set(opened.find(_arrays(dict.fromkeys(strangers, 0))[0]).tolist()) == {ABSENT}
        assert len(opened) >= len(known)
        assert not opened.failure


def _reopened(kept: IdentityIndex, folder: Path) -> IdentityIndex:
    kept.close()
    opened = IdentityIndex(folder)
    assert opened.seq == 99
    return opened


@pytest.mark.parametrize("harm", ["gone", "old", "cut", "garbage"])
def test_an_index_that_is_gone_old_or_spoilt_is_built_anew(tmp_path: Path, harm: str) -> None:
    store = DuckDBStore(tmp_path)
    store.bind([Binding("o", "a", "A")])
    store.ingest([used(n) for n in range(50)] + [void(1), Replace(event=used(2, "7"))])
    store.close()
    folder = tmp_path / file.INDEX
    before = tmp_path / "before"
    shutil.copytree(folder, before)
    store = DuckDBStore(tmp_path)
    store.ingest([used(n) for n in range(50, 60)] + [void(3)])
    store.close()
    match harm:
        case "gone":
            shutil.rmtree(folder)
        case "old":
            shutil.rmtree(folder)
            before.rename(folder)
        case "cut":
            run_file = min(folder.glob("run-*"))
            run_file.write_bytes(run_file.read_bytes()[:-24])
        case "garbage":
            (folder / "manifest").write_text("{")
    store = DuckDBStore(tmp_path)
    again = store.ingest([used(n) for n in range(60)] + [void(1), void(3), Replace(event=used(2, "7"))])
    assert (again.accepted, len(again.duplicates), again.conflicts) == (0, 63, ())
    assert list(checks.faults(store)) == []
    store.close()


def test_verify_sees_an_index_that_lacks_an_identity_and_rows_in_force_twice(tmp_path: Path) -> None:
    """The control: what the other tests find in order is found when it is not."""
    store = DuckDBStore(tmp_path)
    store.ingest([used(1), used(2)])
    assert list(checks.faults(store)) == []
    store.index.clear()
    store.ingest([used(1)])
    found = " ".join(checks.faults(store))
    assert "not in the index" in found
    assert "in force twice" in found
    store.close()


def test_a_backup_is_a_store(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path)
    store.bind([Binding("o", "a", "A")])
    store.ingest([used(1, "5"), used(2), void(2)])
    (tmp_path / "copy").mkdir()
    checks.backup(store, tmp_path / "copy" / file.FILE)
    store.ingest([used(3)])
    store.close()
    copy = DuckDBStore(tmp_path / "copy")
    assert list(checks.faults(copy)) == []
    assert total(copy).value == 5
    assert copy.ingest([used(1, "5"), used(3)]).duplicates == (0,)
    copy.close()


# ── failures ──


@pytest.mark.parametrize("seed", [20261031, random.SystemRandom().randrange(2**32)], ids=["fixed", "fresh"])
def test_kill_at_any_moment(tmp_path: Path, seed: int) -> None:
    """Promise P1: what was acknowledged is there, whole, and counts once when its sender sends it again."""
    found = run("kill", str(tmp_path), str(KILLS // 2), str(seed))
    assert (found["kills"], found["lost"], found["faults"]) == (KILLS // 2, [], []), found
    assert found["acknowledged"] > KILLS


def test_kill_while_several_senders_correct(tmp_path: Path) -> None:
    """Promises P1, P3: corrections are whole, in their order, and the same however often they are sent."""
    found = run("kill-correctors", str(tmp_path), "12", str(random.SystemRandom().randrange(2**32)))
    assert (found["kills"], found["lost"], found["faults"]) == (12, [], []), found
    assert found["acknowledged"] > 12


def test_batches_in_two_commits_are_seen_to_be_torn(tmp_path: Path) -> None:
    """The control of the test above."""
    assert run("kill-correctors-in-halves", str(tmp_path), "6", "20261031")["lost"]


@pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
def test_power_loss_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Promise P1: only what was synced is left, and it is all that was acknowledged."""
    found = run("lose", str(tmp_path), "12", "20261031", lose_power_in=tmp_path)
    assert (found["kills"], found["lost"], found["faults"]) == (12, [], []), found


@pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
def test_power_loss_is_seen_where_the_log_is_not_kept(tmp_path: Path) -> None:
    """The control: were DuckDB's log not synced before the answer, the test above would fail."""
    assert run("lose-log", str(tmp_path), "4", "20261031", lose_power_in=tmp_path)["lost"]


@pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
def test_a_disk_that_cannot_sync_is_told_and_what_is_acknowledged_afterwards_outlives_a_power_loss(tmp_path: Path) -> None:
    """Promise P13: refused each time, reads go on; the same batch again, once the disk can, is durable."""
    found = run("unsynced", str(tmp_path), "5", "20261031", lose_power_in=tmp_path)
    assert set(found["refused"]) == {"usage.cannot_write"}
    assert set(found["read"]) == {True}
    assert (found["lost"], found["faults"], found["anew"]) == ([], [], 5)


@pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
def test_a_disk_that_says_it_synced_is_seen_to_lose(tmp_path: Path) -> None:
    """The control: were a sync that failed taken for one that didn't, the test above would see what is lost."""
    found = run("unsynced-lie", str(tmp_path), "2", "20261031", lose_power_in=tmp_path)
    assert "taken" in found["refused"]
    assert found["lost"]


def test_a_full_disk_refuses_writes_serves_reads_and_loses_nothing(tmp_path: Path) -> None:
    """Promise P13; a limit on file sizes stands for the disk."""
    found = run("full", str(tmp_path))
    assert found["refused"] == ["usage.cannot_write"] * 3
    assert found["count"] == found["sent"] > 0
    assert found["faults"] == []


def test_owners_that_begin_at_once_leave_the_process_its_mask(tmp_path: Path) -> None:
    """The mask is the process's: two threads that set and put it back in turn would leave one's own for all that follows."""

    def begin(number: int) -> None:
        for _ in range(6):
            SharedStore(tmp_path / str(number)).close()

    for number in range(8):
        (tmp_path / str(number)).mkdir()
    mask = os.umask(0o022)
    try:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(begin, range(8)))
        assert os.umask(0o022) == 0o022
        assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*/usage.index")} == {0o700}
    finally:
        os.umask(mask)


def test_the_log_is_its_users_alone_before_and_after_a_checkpoint(tmp_path: Path, store: DuckDBStore) -> None:
    """Whatever the process gives its other files."""
    mask = os.umask(0o022)
    try:
        for number in range(3):
            store.ingest([used(number)])
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
            assert modes == {"usage.duckdb": 0o600, "usage.duckdb.wal": 0o600, "usage.index": 0o700, "usage.tmp": 0o700}
            with store.reading() as cursor:
                cursor.execute("CHECKPOINT")
            assert not (tmp_path / file.LOG).exists()
        assert os.umask(0o022) == 0o022
        (tmp_path / "other").touch()
        assert (tmp_path / "other").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(mask)


def test_a_lack_of_memory_is_not_called_a_lack_of_disk(store: DuckDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise duckdb.OutOfMemoryException("could not allocate block")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "append", fails)
        with pytest.raises(Unavailable) as error:
            store.ingest([used(1)])
    assert error.value.code == "usage.out_of_memory"
    assert store.ingest([used(1)]).accepted == 1


def test_a_batch_weighs_its_texts_too() -> None:
    long = used(1, text="x" * 1_000)
    assert Batch([used(1), void(1)]).weight < 3_000
    assert Batch([long, Replace(event=long)]).weight - Batch([used(1), Replace(event=used(1))]).weight > 2 * 2_000


def test_what_waits_is_bounded_by_its_bytes_before_it_is_made_ready() -> None:
    """Promise P17. A batch is let in by what it takes, however few its items are, and one alone whatever it takes."""
    begun, go = threading.Event(), threading.Event()
    written: list[int] = []

    def write(group: list[Prepared]) -> list[Receipt]:
        begun.set()
        go.wait()
        written.append(len(group))
        return [Receipt(accepted=0, seq=0)] * len(group)

    def never() -> Prepared:
        raise AssertionError("made ready")

    batch = prepare(Batch([used(1)]), Hashing(b""))
    writer = Writer(write, 1_000)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(writer.submit, 1, 5_000, lambda: batch)
        assert begun.wait(10)
        with pytest.raises(Busy):
            writer.submit(1, 1, never)
        go.set()
        first.result()
        begun.clear()
        go.clear()
        sent = [pool.submit(writer.submit, 1, 250, lambda: batch) for _ in range(4)]
        assert begun.wait(10)
        while writer.waiting < 4:
            time.sleep(0.001)
        with pytest.raises(Busy):
            writer.submit(1, 1, never)
        go.set()
        wait(sent)
    while writer.waiting:
        time.sleep(0.001)
    with pytest.raises(ZeroDivisionError):
        writer.submit(1, 999, lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    writer.submit(1, 1_000, lambda: batch)
    writer.close()
    with pytest.raises(Unavailable):
        writer.submit(1, 1, never)


@pytest.mark.parametrize(
    "bounded", [pytest.param(True, id="bounded"), pytest.param(False, id="the control: the same without bounds")]
)
def test_memory_stays_below_the_setting_while_events_come_rows_are_sorted_and_the_index_is_merged(
    tmp_path: Path, bounded: bool
) -> None:
    """Promise P17: of the whole process, at the least that the setting takes."""
    found = usage_memory.run(tmp_path, memory.LEAST // 2**20, 160_000, *([] if bounded else ["unbounded"]))
    assert (found["seq"], found["notes"], found["faults"]) == (160_000, [], [])
    assert (found["peak"] < memory.LEAST) == bounded, found


# ── one owner ──

_SENDER = """
import sys
from pathlib import Path
from billsmith.usage.duckdb.owner import SharedStore
from tests.usage.suite import used
store = SharedStore(Path(sys.argv[1]))
first = int(sys.argv[2])
for batch in range(20):
    store.ingest([used(number) for number in range(first + batch * 10, first + batch * 10 + 20)])
print("owner" if store.owns else "client", flush=True)
sys.stdin.read()
store.close()
"""


def _process(home: Path, first: int) -> subprocess.Popen[str]:
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": os.environ.get("PATH", "")}
    return subprocess.Popen(
        [sys.executable, "-c", _SENDER, str(home), str(first)],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_share_a_store_and_the_next_owns_it_when_its_owner_is_killed(tmp_path: Path) -> None:
    processes = [_process(tmp_path, first) for first in (0, 0, 100)]
    said = [process.stdout.readline().strip() for process in processes if process.stdout]
    assert sorted(said) == ["client", "client", "owner"]
    mine = SharedStore(tmp_path)
    mine.bind([Binding("o", "a", "A")])
    assert not mine.owns
    assert (tmp_path / "usage.sock").stat().st_mode & 0o077 == 0
    assert total(mine).value == 310
    owner = processes[said.index("owner")]
    owner.kill()
    owner.wait()
    assert mine.ingest([used(0), used("new")]).duplicates == (0,)
    assert mine.owns
    assert total(mine).value == 311
    for process in processes:
        process.communicate()
    mine.close()


def test_a_holder_that_does_not_answer_is_told(tmp_path: Path) -> None:
    mine = SharedStore(tmp_path)
    (tmp_path / "usage.sock").unlink()
    with pytest.raises(Unavailable) as error:
        SharedStore(tmp_path, patience=0.1)
    assert error.value.code == "usage.owner_silent"
    mine.close()


def test_a_folder_whose_path_is_longer_than_a_socket_address(tmp_path: Path) -> None:
    home = tmp_path / ("x" * 120)
    home.mkdir()
    mine = SharedStore(home)
    assert Client(home).watermark() == 0
    mine.close()
