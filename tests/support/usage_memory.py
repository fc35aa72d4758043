"""A process that fills the embedded usage store, sorts it and merges its index, and tells the most memory it had.

``python -m tests.support.usage_memory HOME MEGABYTES EVENTS [unbounded]``: the store is given so much; ``unbounded``: it is
told so, but neither DuckDB nor the index nor the queue is held to it. Runs are small, so that all of it happens soon.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from billsmith.events.event import Event
from billsmith.metering.meter import Meter
from billsmith.units.errors import Busy
from billsmith.usage.duckdb import checks, engine, index, runs
from billsmith.usage.duckdb.engine import DuckDBStore
from billsmith.usage.duckdb.memory import Shares
from tests.support.crash import ROOT
from tests.support.usage import START

_SIZE = 2_500
_SENDERS = 6


def _batch(first: int) -> list[Event]:
    return [
        Event(
            owner="o",
            source="s",
            id=f"{number:032x}",
            type=f"t{number % 7}",
            account=f"a{number % 997}",
            time=START + number * 7_919 % 10**15,
            dimensions={"region": f"r{number % 5}", "text": blake2b(str(number).encode()).hexdigest() * 4},
        )
        for number in range(first, first + _SIZE)
    ]


def fill(home: Path, memory: int, events: int) -> dict[str, object]:
    """Send so many events from several threads, as fast as they are taken; then sort and merge what is there."""
    store = DuckDBStore(home, memory=memory)
    store.keep([Meter(code="m", event_type=f"t{number}", group_by=("region",)) for number in range(7)])
    lock, starts, refused = threading.Lock(), iter(range(0, events, _SIZE)), 0

    def send() -> None:
        nonlocal refused
        while True:
            with lock:
                first = next(starts, None)
            if first is None:
                return
            batch = _batch(first)
            while True:
                try:
                    store.ingest(batch)
                    break
                except Busy:
                    refused += 1
                    time.sleep(0.05)

    senders = [threading.Thread(target=send) for _ in range(_SENDERS)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    store.catch_up(1)
    peak = most_memory()
    notes = store.health().notes
    found = list(checks.faults(store))
    store.close()
    return {"peak": peak, "refused": refused, "notes": notes, "faults": found, "seq": store.watermark()}


def most_memory() -> int:
    """The most bytes that this process had at once. What ``getrusage`` tells begins with what its parent had."""
    status = Path("/proc/self/status").read_text()
    [kilobytes] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(kilobytes) * 1024


def run(home: Path, memory: int, events: int, *more: str) -> dict[str, Any]:
    """Fill a store in a process of its own."""
    command = [sys.executable, "-m", "tests.support.usage_memory", str(home), str(memory), str(events), *more]
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": os.environ.get("PATH", ""), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    found: dict[str, Any] = msgspec.json.decode(done.stdout)
    return found


if __name__ == "__main__":
    home, megabytes, count, *rest = sys.argv[1:]
    runs.RUN = 50_000
    if rest:
        vars(engine)["shares"] = lambda _: Shares(2**34, 2**34, 2**19, 2**26)
        index.MEMORY_LIMIT, index.SLICE = 2**19, 2**26
    else:
        index.MEMORY_LIMIT = 20_000
    sys.stdout.buffer.write(msgspec.json.encode(fill(Path(home), int(megabytes) * 2**20, int(count))))
