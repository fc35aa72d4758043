"""Promise P15 in large numbers: 100,000 pulls of each vendor from a server that misbehaves by chance (``SOAK_PULLS``), and 1,000
kills of each vendor's client besides those at every step (``SOAK_KILLS``).

It prints the seed; ``SOAK_SEED`` runs the same ones again.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.support import client_crash
from tests.vendors import scenarios
from tests.vendors.faults import VENDORS

PART = 500


def run(workers: int) -> list[str]:
    each, seed = int(os.environ.get("SOAK_PULLS", "100000")), int(os.environ.get("SOAK_SEED") or random.randrange(2**32))
    print(f"pulls: seed {seed}", flush=True)
    began, found = time.monotonic(), list[str]()
    parts = [(name, seed + first, min(PART, each - first)) for name in range(len(VENDORS)) for first in range(0, each, PART)]
    with ProcessPoolExecutor(workers) as pool:
        for faults in pool.map(_part, parts):
            found += faults
    print(f"pulls: {each:,} of each vendor, {time.monotonic() - began:.0f} s", flush=True)
    kills = int(os.environ.get("SOAK_KILLS", "1000"))
    with tempfile.TemporaryDirectory(prefix="billsmith-soak-") as home:
        for each in client_crash.nursery(Path(home), seed, kills, "every"):
            print(f"pulls: {each.vendor} killed {each.kills} times, {each.stores} stores compared", flush=True)
            found += [f"{each.vendor}, seed {seed}: {fault}" for fault in each.faults]
    return found


def _part(part: tuple[int, int, int]) -> list[str]:
    vendor, first, count = part
    return [told for seed in range(first, first + count) if (told := scenarios.run(VENDORS[vendor], seed))]
