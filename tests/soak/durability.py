"""Kills and power losses (promise P1) until their numbers are reached, or ``SOAK_HOURS`` (8 unless set) are over.

Seeds are printed; ``SOAK_SEED`` runs the same ones again.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from billsmith.storage.database import sqlite_url
from tests.support import crash, postgres

Harness = Callable[[Path, int], crash.Findings]


def _kills_on_sqlite(home: Path, seed: int) -> crash.Findings:
    return crash.nursery("kill", sqlite_url(home), "200", str(seed), "60")


def _kills_on_postgresql(_home: Path, seed: int) -> crash.Findings:
    url = postgres.fresh_database()
    try:
        return crash.nursery("kill", url, "50", str(seed), "120")
    finally:
        postgres.drop_database(url)


def _power_losses(home: Path, seed: int) -> crash.Findings:
    return crash.nursery("lose", str(home), "100", str(seed), "FULL", lose_power_in=home)


# Each with its part of the time and the number of faults at which it is done.
_HARNESSES: dict[str, tuple[Harness, float, int]] = {
    "kill -9 on SQLite": (_kills_on_sqlite, 0.4, 100_000),
    "kill -9 on PostgreSQL": (_kills_on_postgresql, 0.2, 10_000),
    "power loss on SQLite": (_power_losses, 0.4, 50_000),
}


def run(_workers: int) -> list[str]:
    """All three, one after the other; what was lost or half."""
    seconds = 3600 * float(os.environ.get("SOAK_HOURS", "8"))
    seed = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(2**32)))
    bad = []
    for name, (harness, part, most) in _HARNESSES.items():
        if harness is _power_losses and crash.compiler() is None:
            print(f"{name}: NOT RUN, this machine has no C compiler", flush=True)
            continue
        bad += _run(name, harness, most, until=time.monotonic() + seconds * part, seed=seed)
    return bad


def _run(name: str, harness: Harness, most: int, *, until: float, seed: int) -> list[str]:
    total = crash.Findings(seed=seed)
    bad = []
    while total.kills < most and time.monotonic() < until:
        with tempfile.TemporaryDirectory(prefix="billsmith-soak-") as home:
            found = harness(Path(home), seed)
        total.kills += found.kills
        total.acknowledged += found.acknowledged
        bad += [f"{name}, seed {seed}: {fault}" for fault in (*found.lost, *found.faults)]
        seed += 1
    print(f"{name}: {total.kills} faults from seed {total.seed} on, {total.acknowledged} writes acknowledged", flush=True)
    return bad
