"""Writers of a usage store that are killed, or whose disk is full. The parent never opens a store: it forks.

``python -m tests.support.usage_crash kill WHERE KILLS SEED`` kills writers (WHERE is a folder, or PostgreSQL's URL); ``… full HOME``
fills the disk (a limit on file sizes stands for it); ``kill-torn`` sorts in two transactions instead of one; ``kill-correctors``:
several senders, who correct (``kill-correctors-in-halves``: each batch in two commits); ``… lose HOME LOSSES SEED`` drops what
wasn't synced (``lose-log``: DuckDB's log too); ``… unsynced HOME ROUNDS SEED``: nothing can be synced for a while, then the power
is lost (``unsynced-lie``: the disk says it could). They print what they found as JSON.
"""

from __future__ import annotations

import itertools
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import psycopg

from billsmith.events.event import Event
from billsmith.metering.meter import Meter
from billsmith.metering.quantity import Quantity
from billsmith.units.errors import Unavailable
from billsmith.units.instants import SECOND
from billsmith.units.periods import Period
from billsmith.usage.duckdb import checks, index, runs
from billsmith.usage.duckdb.engine import DuckDBStore
from billsmith.usage.postgres import cells
from billsmith.usage.postgres.engine import PostgresStore
from billsmith.usage.store import Binding, Item, Query, Receipt, Replace, Selection, UsageStore, Void
from tests.support.crash import ROOT, Findings, compiler
from tests.support.reference_store import ReferenceStore

#: So small that runs are written and merged all the time.
index.MEMORY_LIMIT = 60
#: What is counted ahead meanwhile.
_METER = Meter(code="m", event_type="used", group_by=("region",))
_TOTAL = Meter(code="t", event_type="used")
#: Events sent beyond the last acknowledged one when a sender comes back.
_RETRY = 100
#: Senders at once, of those who correct.
_SENDERS = 4


def event(run: str, number: int) -> Event:
    return Event(owner="o", source=run, id=str(number), type="used", account="a", time=number)


def _opened(where: str) -> DuckDBStore | PostgresStore:
    return PostgresStore(where) if where.startswith("postgresql:") else DuckDBStore(Path(where))


def _faults(store: DuckDBStore | PostgresStore) -> list[str]:
    return store.faults() if isinstance(store, PostgresStore) else list(checks.faults(store))


def _write_for_ever(where: str, run: str, chance: random.Random, acknowledge: Callable[[int], None]) -> None:
    """Batches of growing numbers, each with some of the ones before again."""
    store, sent = _opened(where), 0
    store.bind([Binding("o", "a", "A")])
    store.keep([_METER, _TOTAL])
    while True:
        size = chance.randint(1, 40)
        again = [event(run, chance.randrange(sent)) for _ in range(3)] if sent else []
        store.ingest([*again, *(event(run, number) for number in range(sent, sent + size))])
        sent += size
        acknowledge(sent)


def _forked(work: Callable[[Callable[[Any], None]], None], kill_after: Callable[[], float] | None = None) -> list[bytes]:
    """The lines that a child said; it is killed some time after the first of them."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            work(lambda said: _say(writing, said))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    first = os.read(reading, 65536)
    if kill_after is not None:
        time.sleep(kill_after())
        os.kill(child, signal.SIGKILL)
    rest = b"".join(iter(lambda: os.read(reading, 65536), b""))
    os.close(reading)
    _, status = os.waitpid(child, 0)
    assert kill_after is not None or status == 0, "the child failed"
    said = first + rest
    return said[: said.rindex(b"\n")].split(b"\n")


def _say(to: int, said: Any) -> None:
    os.write(to, msgspec.json.encode(said) + b"\n")


def _look(where: str, run: str, acknowledged: int, say: Callable[[Any], None]) -> None:
    """What is wrong after a kill: lost, half, or counted twice once the sender comes back."""
    _wait_for_those_who_were_killed(where)
    store = _opened(where)
    faults = _faults(store)
    numbers = [int(one.event.id) for one in _all(store, run)]
    if len(numbers) != len(set(numbers)):
        faults.append("an event is there twice")
    lost = sorted(set(range(acknowledged)) - set(numbers))
    whole = acknowledged + _RETRY
    receipt = store.ingest([event(run, number) for number in range(whole)])
    if receipt.accepted + len(numbers) != whole or len(receipt.duplicates) != len(numbers):
        faults.append(
            f"{len(numbers)} were there, {receipt.accepted} accepted, {len(receipt.duplicates)} duplicates of {whole}"
        )
    if store.count(Selection(source=run)) != whole:
        faults.append("after the retry the count is another")
    (answer,) = store.measure(Query(meters=(_TOTAL,), periods=(Period(0, SECOND),), accounts=("A",)))
    if answer.quantities != (Quantity(Decimal(rows := store.count(Selection())), events=rows),):
        faults.append(f"{answer.quantities} is the answer, {rows} events are there")
    faults += _faults(store)
    store.close()
    say([lost, faults])


def _wait_for_those_who_were_killed(where: str) -> None:
    """A server goes on for a moment with what a client had sent; only then it is settled what is there."""
    if not where.startswith("postgresql:"):
        return
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(where, autocommit=True) as connection:
        while connection.execute(f"{others} AND backend_type = 'client backend'").fetchone() != (0,):
            time.sleep(0.005)


def _all(store: UsageStore, run: str) -> list[Any]:
    found: list[Any] = []
    after = None
    while page := store.events(Selection(source=run), after=after, limit=10_000):
        found += page
        last = page[-1].event
        after = (last.time, last.source, last.id, last.owner)
    return found


def _torn_sort(cursor: duckdb.DuckDBPyConnection, low: int, high: int) -> None:
    """What sorting must not do: a kill between the two leaves the rows nowhere."""
    these = f"seq > {low} AND seq <= {high}"
    cursor.execute(f"CREATE TEMP TABLE moved AS SELECT * FROM events WHERE {these}")
    cursor.execute(f"DELETE FROM events WHERE {these}")
    cursor.execute("COMMIT")
    cursor.execute("BEGIN")
    cursor.execute("INSERT INTO events SELECT * FROM moved")
    cursor.execute("DROP TABLE moved")


def kill_many(where: str, kills: int, seed: int, longest: float = 0.12) -> Findings:
    """Kill writers of one store, one after the other, and look at it after each."""
    found, chance = Findings(seed=seed), random.Random(seed)
    for number in range(kills):
        acknowledged, lost, faults = _kill_once(where, f"{seed}/{number}", chance.uniform(0, longest))
        found.lost += lost
        found.faults += faults
        found.kills += 1
        found.acknowledged += acknowledged
    return found


def _kill_once(where: str, run: str, after: float) -> tuple[int, list[str], list[str]]:
    def write(say: Callable[[Any], None]) -> None:
        _write_for_ever(where, run, random.Random(run), say)

    acknowledged = int(_forked(write, lambda: after)[-1])

    def look(say: Callable[[Any], None]) -> None:
        _look(where, run, acknowledged, say)

    lost, faults = msgspec.json.decode(_forked(look)[0])
    return acknowledged, [f"{run}/{number}" for number in lost], [f"{run}: {fault}" for fault in faults]


# ── several senders, who correct ──


def _plan(run: str, sender: int, number: int) -> list[Item]:
    """A sender's batch: some new events, one of them twice; an older one void, another replaced, a third as it was or anew."""
    source, chance = f"{run}/{sender}", random.Random(f"{run}/{sender}/{number}")
    new: list[Item] = [_corrected(source, f"{number}/{place}", number) for place in range(chance.randint(4, 12))]
    items = [*new, new[0]]
    if number:
        older = chance.randrange(number)
        items += [
            Void(owner="o", source=source, id=f"{older}/0"),
            Replace(event=_corrected(source, f"{older}/1", number)),
            Replace(event=_corrected(source, f"{chance.randrange(number)}/0", older)),
            Void(owner="o", source=source, id=f"{number}/2"),
        ]
    return items


def _corrected(source: str, id: str, value: int) -> Event:
    return Event(owner="o", source=source, id=id, type="used", account="a", time=value, value=Decimal(value))


def _correct_for_ever(home: Path, run: str, say: Callable[[Any], None]) -> None:
    """All senders at once; each says how many of its batches were acknowledged."""
    store = DuckDBStore(home)
    store.keep([_METER])

    def send(sender: int) -> None:
        for number in itertools.count():
            store.ingest(_plan(run, sender, number))
            say([sender, number + 1])

    with ThreadPoolExecutor(_SENDERS) as pool:
        list(pool.map(send, range(_SENDERS)))


def _look_at_corrections(home: Path, run: str, acknowledged: dict[int, int], say: Callable[[Any], None]) -> None:
    """Each sender's events are as after its acknowledged batches, or one batch later, and once it sends that again, that."""
    store, lost = DuckDBStore(home), []
    faults = list(checks.faults(store))
    for sender in range(_SENDERS):
        source, sent = f"{run}/{sender}", acknowledged.get(sender, 0)
        judge = ReferenceStore()
        for number in range(sent):
            judge.ingest(_plan(run, sender, number))
        before, stands = _bodies(judge, source), _bodies(store, source)
        judge.ingest(_plan(run, sender, sent))
        after = _bodies(judge, source)
        if stands not in (before, after):
            lost.append(f"{source} after {sent} batches: {sorted(set(stands.items()) ^ set(before.items()))[:5]}")
        store.ingest(_plan(run, sender, sent))
        if _bodies(store, source) != after:
            faults.append(f"{source}: the batch sent again leaves other events than sent once")
    faults += checks.faults(store)
    store.close()
    say([lost, faults])


def _bodies(store: UsageStore, source: str) -> dict[str, str]:
    return {one.event.id: str(one.event.value) for one in _all(store, source)}


def kill_correctors(home: Path, kills: int, seed: int, longest: float = 0.12) -> Findings:
    """Kill processes of several senders that correct what they sent, and look at the store after each."""
    found, chance = Findings(seed=seed), random.Random(seed)
    for number in range(kills):
        run = f"{seed}/{number}"
        acknowledged, lost, faults = _kill_correctors_once(home, run, chance.uniform(0, longest))
        found.lost += lost
        found.faults += [f"{run}: {fault}" for fault in faults]
        found.kills += 1
        found.acknowledged += acknowledged
    return found


def _kill_correctors_once(home: Path, run: str, after: float) -> tuple[int, list[str], list[str]]:
    said = _forked(lambda say: _correct_for_ever(home, run, say), lambda: after)
    acknowledged = dict(msgspec.json.decode(line, type=tuple[int, int]) for line in said)
    lost, faults = msgspec.json.decode(_forked(lambda say: _look_at_corrections(home, run, acknowledged, say))[0])
    return sum(acknowledged.values()), lost, faults


def _in_halves(self: DuckDBStore, items: Sequence[Item], whole: Any = DuckDBStore.ingest) -> Receipt:
    """What a store must not do: a kill between the two leaves half a batch."""
    whole(self, items[: len(items) // 2])
    receipt: Receipt = whole(self, items[len(items) // 2 :])
    return receipt


def lose_power(home: Path, losses: int, seed: int, *, log: bool = True) -> Findings:
    """Kill writers whose unsynced writes are lost with them (``power_loss.c`` is loaded). ``log`` off: DuckDB's log is lost too."""
    found, chance = Findings(seed=seed), random.Random(seed)
    for number in range(losses):
        run = f"{seed}/{number}"
        for name in ("live", "durable", "survived"):
            shutil.rmtree(home / name, ignore_errors=True)
            (home / name).mkdir()

        def write(say: Callable[[Any], None], run: str = run) -> None:
            _write_for_ever(str(home / "live"), run, random.Random(run), say)

        after = chance.uniform(0, 0.1)
        acknowledged = int(_forked(write, lambda after=after: after)[-1])  # type: ignore[misc]
        for file in ("usage.duckdb", *(["usage.duckdb.wal"] if log else [])):
            if (home / "durable" / file).exists():
                shutil.copy(home / "durable" / file, home / "survived" / file)

        def look(say: Callable[[Any], None], run: str = run, acknowledged: int = acknowledged) -> None:
            _look(str(home / "survived"), run, acknowledged, say)

        lost, faults = msgspec.json.decode(_forked(look)[0])
        found.lost += [f"{run}/{one}" for one in lost]
        found.faults += [f"{run}: {fault}" for fault in faults]
        found.kills += 1
        found.acknowledged += acknowledged
    return found


def fail_to_sync(home: Path, rounds: int, seed: int, *, lying: bool = False) -> dict[str, Any]:
    """A disk that can't sync for a while (``power_loss.c`` is loaded), a sender that tries again, then a power loss.

    ``lying``: the disk says that it synced, and the power is lost before it can.
    """
    chance, fault = random.Random(seed), home / "fault"
    found: dict[str, Any] = {"lost": [], "faults": [], "refused": [], "read": [], "anew": 0}
    for number in range(rounds):
        run = f"{seed}/{number}"
        for name in ("live", "durable", "survived"):
            shutil.rmtree(home / name, ignore_errors=True)
            (home / name).mkdir()
        before, during = chance.randint(0, 5), chance.randint(1, 3)

        def write(say: Callable[[Any], None], run: str = run, before: int = before, during: int = during) -> None:
            store = DuckDBStore(home / "live")
            store.bind([Binding("o", "a", "A")])
            for batch in range(before):
                store.ingest([event(run, batch)])
            fault.write_text("lie" if lying else "")
            refused, read = [], []
            for _ in range(during):
                try:
                    store.ingest([event(run, before)])
                    refused.append("taken")
                except Unavailable as error:
                    refused.append(error.code)
                read.append(store.count(Selection(source=run)) in (before, before + 1))
            if not lying:
                fault.unlink()
            again = store.ingest([event(run, before)])
            say([refused, read, again.accepted])

        refused, read, anew = msgspec.json.decode(_forked(write, lambda: 0)[0])
        fault.unlink(missing_ok=True)
        found["refused"] += refused
        found["read"] += read
        found["anew"] += anew
        for name in ("usage.duckdb", "usage.duckdb.wal"):
            if (home / "durable" / name).exists():
                shutil.copy(home / "durable" / name, home / "survived" / name)

        def look(say: Callable[[Any], None], run: str = run, acknowledged: int = before + 1) -> None:
            _look(str(home / "survived"), run, acknowledged, say)

        lost, faults = msgspec.json.decode(_forked(look)[0])
        found["lost"] += [f"{run}/{one}" for one in lost]
        found["faults"] += [f"{run}: {one}" for one in faults]
    return found


def fill_disk(home: Path) -> dict[str, Any]:
    """Write until files may not grow, read, write again once they may."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store, sent = DuckDBStore(home), 0
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    refused: list[str] = []
    for limit in (600_000, 900_000, 1_500_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited[1]))
        batch: list[Event] = []
        while True:
            batch = [event("full", number) for number in range(sent, sent + 500)]
            try:
                store.ingest(batch)
            except Unavailable as error:
                refused.append(error.code)
                break
            sent += 500
        try:
            read = store.count(Selection(source="full"))
        except Unavailable as error:
            refused.append(f"read: {error}")
            read = -1
        if read not in (sent, sent + 500):
            refused.append(f"read {read} of {sent}")
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        receipt = store.ingest(batch)
        sent += 500
        if receipt.accepted + len(receipt.duplicates) != 500:
            refused.append("the batch was not taken after the disk had room")
    count, faults = store.count(Selection(source="full")), list(checks.faults(store))
    store.close()
    return {"sent": sent, "count": count, "refused": refused, "faults": faults}


def run(*arguments: str, lose_power_in: Path | None = None) -> Any:
    """Run this module in a process of its own; ``lose_power_in`` is the home whose unsynced writes can be lost."""
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": os.environ.get("PATH", ""), "OPENBLAS_NUM_THREADS": "1"}
    if lose_power_in is not None:
        shim, compile_with = lose_power_in / "power_loss.so", compiler()
        assert compile_with is not None
        source = Path(__file__).with_name("power_loss.c")
        subprocess.run([compile_with, "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl"], check=True)
        environment |= {
            "LD_PRELOAD": str(shim),
            "POWER_LIVE": str(lose_power_in / "live"),
            "POWER_DURABLE": str(lose_power_in / "durable"),
            "POWER_FAULT": str(lose_power_in / "fault"),
        }
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.usage_crash", *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return msgspec.json.decode(done.stdout)


if __name__ == "__main__":
    what, where, *more = sys.argv[1:]
    runs.RUN, runs.FULL = cells.RUN, cells.FULL = 50, 3_200  # rows are sorted, counted ahead and merged all the time, too
    if what == "full":
        answer: Any = fill_disk(Path(where))
    elif what.startswith("unsynced"):
        answer = fail_to_sync(Path(where), *map(int, more), lying=what.endswith("lie"))
    elif what.startswith("kill"):
        if what == "kill-torn":
            runs._sort = _torn_sort
        if what.endswith("in-halves"):
            DuckDBStore.ingest = _in_halves  # type: ignore[method-assign]
        if what.startswith("kill-correctors"):
            answer = kill_correctors(Path(where), *map(int, more))
        else:
            answer = kill_many(where, *map(int, more))
    else:
        answer = lose_power(Path(where), *map(int, more), log=what == "lose")
    sys.stdout.buffer.write(msgspec.json.encode(answer))
