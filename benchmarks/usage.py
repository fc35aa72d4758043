"""Durable ingest into a growing usage store, beside what others make of the same events in the same run.

Why: de-duplication for ever must not cost much more than the append itself does. ``python -m benchmarks.usage [--events N]
[--batch N] [--peer NAME]``; 30 meters, 10,000 accounts by a power law, 1 % duplicates, 2 % late, 3 dimensions, random UUIDs, a
fixed seed. Every peer is a process of its own, one after the other, and gets its batches one by one, durably:

- ``ours``: from events as the doors give them.
- ``append``: DuckDB's bare append of ready-made columns; nothing is looked up (the ceiling).
- ``mergetree``, ``replacing``: ClickHouse in process (chdb) from ready-made columns, files synced; nothing is looked up, or
  duplicates are merged away some time later.
- ``postgres``: COPY of ready-made text into a table of the session, then INSERT … ON CONFLICT DO NOTHING by identity.

The processor's time is that of the process without making events; of PostgreSQL's server nothing is counted.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from billsmith.events.columns import EventColumns
from billsmith.events.event import Event
from billsmith.metering.meter import Meter
from billsmith.units.instants import DAY, parse_instant
from billsmith.usage.duckdb import file
from billsmith.usage.duckdb.columns import Columns, columns_of, dims_of
from billsmith.usage.duckdb.engine import DuckDBStore
from billsmith.usage.duckdb.rows import Rows, append
from billsmith.usage.store import Binding

START = parse_instant("2026-10-01T00:00:00Z")
ACCOUNTS = 10_000


def batches(count: int, size: int, seed: int = 20261031, *, first: int = 0, of: int = 0) -> Iterator[list[Event]]:
    """A month's events in batches; with ``of``, ``count`` of them from the place ``first`` on."""
    chance = random.Random(seed)
    before: list[Event] = []
    for start in range(first, first + count, size):
        batch = [_event(chance, start + place, of or count) for place in range(size)]
        for place in range(0, size, 100):
            if before:
                batch[place] = chance.choice(before)
        before = batch
        yield batch


def _event(chance: random.Random, number: int, count: int) -> Event:
    late = chance.random() < 0.02
    return Event(
        owner="o",
        source="gateway",
        id=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        type=f"meter-{chance.randrange(30)}",
        account=f"c{min(int(chance.paretovariate(0.6)), ACCOUNTS)}",
        time=START + number * 30 * DAY // count - (3 * DAY if late else 0),
        value=Decimal(chance.randrange(1_000_000)).scaleb(-3),
        dimensions={
            "region": chance.choice(("eu", "us", "ap")),
            "plan": chance.choice("abc"),
            "size": str(chance.randrange(9)),
        },
    )


class Peer(Protocol):
    """Who takes batches: ``ready`` makes one so that ``put`` has it in its own form; only ``put`` is timed."""

    def ready(self, batch: list[Event]) -> Any: ...
    def put(self, batch: Any) -> None: ...
    def close(self) -> None: ...


class Ours:
    def __init__(self, home: Path) -> None:
        self._store = DuckDBStore(home)
        self._store.bind([Binding("o", f"c{number}", f"c{number}") for number in range(1, ACCOUNTS + 1)])
        self._store.keep([Meter(code=f"m{number}", event_type=f"meter-{number}", group_by=("region",)) for number in range(30)])

    def ready(self, batch: list[Event]) -> list[Event]:
        return batch

    def put(self, batch: list[Event]) -> None:
        self._store.ingest(batch)

    def close(self) -> None:
        self._store.close()


def _columns(batch: list[Event]) -> Columns:
    return columns_of(EventColumns.of(batch), dims_of([event.dimensions for event in batch]))


class Append:
    def __init__(self, home: Path) -> None:
        self._connection = file.connect(home / file.FILE, 1024**3)
        self._seq = 0

    def ready(self, batch: list[Event]) -> Rows:
        size = len(batch)
        self._seq += size
        return Rows(
            seq=np.arange(self._seq - size, self._seq),
            sign=np.ones(size, np.int8),
            undoes=np.zeros(size, np.int64),
            subject=np.ones(size, np.int32),
            columns=_columns(batch),
        )

    def put(self, batch: Rows) -> None:
        self._connection.execute("BEGIN")
        append(self._connection, batch)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


class ClickHouse:
    def __init__(self, home: Path, engine: str) -> None:
        from chdb.session import Session

        self._session = Session(str(home))
        for statement in (
            "CREATE DATABASE bench",
            "USE bench",
            "CREATE TABLE events (account String, type LowCardinality(String), source LowCardinality(String), id String,"
            f" time Int64, high Int64, low Int64, dims String) ENGINE = {engine}"
            " SETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
        ):
            self._session.query(statement)

    def ready(self, batch: list[Event]) -> Any:
        import pyarrow

        columns = _columns(batch)._asdict()
        return pyarrow.table({"account": [event.account for event in batch], **columns})

    def put(self, batch: Any) -> None:
        self._session.query("INSERT INTO events SELECT account, type, source, id, time, high, low, dims FROM Python(batch)")

    def close(self) -> None:
        self._session.close()


class Postgres:
    _COLUMNS = "owner text, source text, id text, account text, type text, time bigint, value numeric, dims text"

    def __init__(self, home: Path) -> None:
        import psycopg

        from benchmarks.lists.stores import postgres_server

        self._connection = psycopg.connect(postgres_server(home).get_uri(), autocommit=True)
        self._connection.execute(f"CREATE TABLE events ({self._COLUMNS}, PRIMARY KEY (owner, source, id))")
        self._connection.execute(f"CREATE TEMP TABLE sent ({self._COLUMNS})")

    def ready(self, batch: list[Event]) -> bytes:
        dims = _columns(batch).dims.tolist()
        return "".join(
            "\t".join((e.owner, e.source, e.id, e.account, e.type, str(e.time), str(e.value), said)) + "\n"
            for e, said in zip(batch, dims, strict=True)
        ).encode()

    def put(self, batch: bytes) -> None:
        with self._connection.transaction(), self._connection.cursor() as cursor:
            with cursor.copy("COPY sent FROM STDIN") as copy:
                copy.write(batch)
            cursor.execute("INSERT INTO events SELECT * FROM sent ON CONFLICT DO NOTHING")
            cursor.execute("TRUNCATE sent")

    def close(self) -> None:
        self._connection.close()


PEERS = {
    "append": Append,
    "ours": Ours,
    "mergetree": lambda home: ClickHouse(home, "MergeTree ORDER BY (account, type, time)"),
    "replacing": lambda home: ClickHouse(home, "ReplacingMergeTree ORDER BY (source, id)"),
    "postgres": Postgres,
}


def measure(peer: str, home: Path, count: int, size: int) -> dict[str, Any]:
    """What one peer does with all batches, in this process."""
    taker: Peer = PEERS[peer](home)
    times: list[float] = []
    making, began = 0.0, time.process_time()
    made_from = time.thread_time()
    for batch in batches(count, size):
        ready = taker.ready(batch)
        making += time.thread_time() - made_from
        started = time.perf_counter()
        taker.put(ready)
        times.append(time.perf_counter() - started)
        made_from = time.thread_time()
    processor = time.process_time() - began - making
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    taker.close()
    stored = sum(path.stat().st_blocks * 512 for path in home.rglob("*") if path.is_file())
    times.sort()
    return {
        "peer": peer,
        "events": count,
        "batch": size,
        "events_per_second": round(count / sum(times)),
        "cpu_us_per_event": round(processor / count * 1e6, 2),
        "median_ms": round(times[len(times) // 2] * 1000, 2),
        "p99_ms": round(times[len(times) * 99 // 100] * 1000, 1),
        "longest_ms": round(times[-1] * 1000),
        "rss_mb": peak,
        "bytes_per_event": round(stored / count, 1),
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, action="append", help="how many (may be repeated); 1,000,000 unless said")
    parser.add_argument("--batch", type=int, action="append", help="events of a batch (may be repeated); 1,000 and 10,000")
    parser.add_argument("--peer", action="append", choices=PEERS, help="only this one (may be repeated)")
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    peers, sizes, counts = options.peer or list(PEERS), options.batch or [1_000, 10_000], options.events or [1_000_000]
    if options.home is not None:
        print(json.dumps(measure(peers[0], options.home, counts[0], sizes[0])))
        return
    for count in counts:
        for size in sizes:
            for peer in peers:
                with tempfile.TemporaryDirectory(prefix="usage-bench-") as home:
                    command = [sys.executable, "-m", "benchmarks.usage", "--peer", peer, "--home", home]
                    subprocess.run([*command, "--events", str(count), "--batch", str(size)], check=True)


if __name__ == "__main__":
    main()
