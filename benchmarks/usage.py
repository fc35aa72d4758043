"""Durable ingest into a growing usage store, beside DuckDB's bare append on the same rows (the ceiling).

Why: de-duplication for ever must not cost more than the append itself does. ``python -m benchmarks.usage [--events N]``;
30 meters, 10,000 accounts by a power law, 1 % duplicates, 2 % late, 3 dimensions, random UUIDs, a fixed seed.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np

from billsmith.events.event import Event
from billsmith.metering.meter import Meter
from billsmith.units.instants import DAY, parse_instant
from billsmith.units.periods import Period
from billsmith.usage.duckdb import file
from billsmith.usage.duckdb.columns import columns_of
from billsmith.usage.duckdb.engine import DuckDBStore
from billsmith.usage.duckdb.rows import Rows, append
from billsmith.usage.store import Binding, Query

START = parse_instant("2026-10-01T00:00:00Z")
ACCOUNTS = 10_000


def batches(count: int, size: int, seed: int = 20261031) -> Iterator[list[Event]]:
    chance = random.Random(seed)
    before: list[Event] = []
    for first in range(0, count, size):
        batch = [_event(chance, first + place, count) for place in range(size)]
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


def ingest(home: Path, count: int, size: int) -> tuple[float, list[float], DuckDBStore]:
    """Seconds spent in ``ingest``, those of each batch, and the store."""
    store, times = DuckDBStore(home), []
    store.bind([Binding("o", f"c{number}", f"c{number}") for number in range(1, ACCOUNTS + 1)])
    for batch in batches(count, size):
        began = time.perf_counter()
        store.ingest(batch)
        times.append(time.perf_counter() - began)
    return sum(times), times, store


def ceiling(home: Path, count: int, size: int) -> list[float]:
    """Seconds of each of DuckDB's appends of the same rows, ready-made arrays, durable batch by batch; nothing is looked up."""
    home.mkdir()
    connection, times, seq = file.connect(home / file.FILE, 1024**3), [], 0
    for batch in batches(count, size):
        rows = Rows(
            seq=np.arange(seq, seq + size),
            sign=np.ones(size, np.int8),
            undoes=np.zeros(size, np.int64),
            subject=np.ones(size, np.int32),
            columns=columns_of(batch),
        )
        seq += size
        began = time.perf_counter()
        connection.execute("BEGIN")
        append(connection, rows)
        connection.execute("COMMIT")
        times.append(time.perf_counter() - began)
    connection.close()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    count = parser.parse_args().events
    for size in (1_000, 10_000):
        home = Path(tempfile.mkdtemp(prefix="usage-bench-"))
        (home / "store").mkdir()
        seconds, times, store = ingest(home / "store", count, size)
        bare = sum(ceiling(home / "bare", count, size))
        times.sort()
        print(
            f"{count:,} events in batches of {size:,}: {count / seconds:,.0f}/s, bare append {count / bare:,.0f}/s,"
            f" {bare / seconds:.0%}; p99 {times[len(times) * 99 // 100] * 1000:.1f} ms, longest {times[-1] * 1000:.0f} ms",
            flush=True,
        )
        began = time.perf_counter()
        meters = tuple(Meter(code=f"m{number}", event_type=f"meter-{number}") for number in range(30))
        list(store.measure(Query(meters=meters, periods=(Period(START, START + 30 * DAY),), accounts=("c7",))))
        print(f"  one account's month of 30 meters: {(time.perf_counter() - began) * 1000:.0f} ms", flush=True)
        store.close()
        used = sum(path.stat().st_size for path in (home / "store").rglob("*") if path.is_file())
        print(f"  {used / count:.1f} bytes/event; peak RSS {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
