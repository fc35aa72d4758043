"""Promise P10, the whole of it: every IANA zone × anchor day 1–31 × 1970–2100, about 29 million periods."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor

from tests.core.units.tiling import sweep, zones


def run(workers: int) -> list[str]:
    names, found, looked = zones(), [], 0
    began = time.monotonic()
    with ProcessPoolExecutor(workers) as pool:
        for count, faults in pool.map(_one, names):
            looked += count
            found += faults
    print(f"periods: {looked:,} in {len(names)} zones looked at, {time.monotonic() - began:.0f} s", flush=True)
    return found


def _one(zone: str) -> tuple[int, list[str]]:
    return sweep([zone])
