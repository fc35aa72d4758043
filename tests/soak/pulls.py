"""Promise P15 in large numbers: 100,000 pulls of each vendor from a server that misbehaves by chance (``SOAK_PULLS``).

It prints the seed; ``SOAK_SEED`` runs the same ones again.
"""

from __future__ import annotations

import os
import random
import time
from concurrent.futures import ProcessPoolExecutor

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
    return found


def _part(part: tuple[int, int, int]) -> list[str]:
    vendor, first, count = part
    return [told for seed in range(first, first + count) if (told := scenarios.run(VENDORS[vendor], seed))]
