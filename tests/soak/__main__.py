"""``python -m tests.soak [--hours H] [--seed N]``: kills, database crashes and power losses, far more than the tests take."""

from __future__ import annotations

import argparse
import random
import sys
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


def main() -> int:
    """Run them all; 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=8)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    wanted = parser.parse_args()
    bad = 0
    for name, (harness, part, most) in _HARNESSES.items():
        if harness is _power_losses and crash.compiler() is None:
            print(f"{name}: NOT RUN, this machine has no C compiler", flush=True)
            continue
        bad += _run(name, harness, most, until=time.monotonic() + wanted.hours * 3600 * part, seed=wanted.seed)
    return 1 if bad else 0


def _run(name: str, harness: Harness, most: int, *, until: float, seed: int) -> int:
    total = crash.Findings(seed=seed)
    while total.kills < most and time.monotonic() < until:
        with tempfile.TemporaryDirectory(prefix="billsmith-soak-") as home:
            found = harness(Path(home), seed)
        total.kills += found.kills
        total.acknowledged += found.acknowledged
        total.lost += found.lost
        total.faults += found.faults
        if found.lost or found.faults:
            print(f"{name}: seed {seed}: lost {found.lost[:3]}, faults {found.faults[:3]}", flush=True)
        seed += 1
    print(
        f"{name}: {total.kills} faults from seed {total.seed} on, {total.acknowledged} writes acknowledged, "
        f"{len(total.lost)} lost, {len(total.faults)} faults",
        flush=True,
    )
    return len(total.lost) + len(total.faults)


if __name__ == "__main__":
    sys.exit(main())
