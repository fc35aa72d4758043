"""Servers killed while they are asked for billing runs (promises P4, P5, P7, P11): at every named step, then 500 times by chance.

On both engines in turn. ``SOAK_SEED`` runs the same again, ``SOAK_KILLS`` fewer.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from billsmith.storage.database import Database, sqlite_url
from tests.support import postgres
from tests.support.house import House
from tests.support.server_crash import ASKS, RERATING_STEPS, STEPS, Plan, by_chance, carried_out, faults, undisturbed

KILLS = int(os.environ.get("SOAK_KILLS", "500"))
EACH = 5


class _Trial(NamedTuple):
    """One store's servers, and how they are killed."""

    name: str
    on_postgresql: bool
    plans: list[Plan]


def run(workers: int) -> list[str]:
    """Where a store differs from one whose server nobody killed."""
    first = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(2**31)))
    bad: list[str] = []
    kills, began = 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="billsmith-soak-") as calm:
        expected = undisturbed(House(Database(sqlite_url(Path(calm)))))
    with ThreadPoolExecutor(workers) as pool:
        for trial, (killed, found) in pool.map(lambda each: (each, _tried(each, expected)), _trials(first)):
            kills += killed
            bad += [f"{trial.name}: {fault}" for fault in found]
            print(f"server: {kills} kills, {time.monotonic() - began:.0f} s", flush=True)
    print(f"server: {kills} kills, those by chance from seed {first} on", flush=True)
    return bad


def _trials(first: int) -> Iterator[_Trial]:
    engines = cycle((False, True))
    named = [
        Plan(ask.key, step) for ask in ASKS for step in (RERATING_STEPS if ask.body.get("kind") else STEPS)
    ]  # each at its first occurrence, in the order in which they occur, so that each server in the row is killed
    for on_postgresql in (False, True):
        yield _Trial("every step", on_postgresql, named)
    for seed in range(first, first + -(-KILLS // EACH)):
        yield _Trial(f"seed {seed}", next(engines), by_chance(random.Random(seed), EACH))


def _tried(trial: _Trial, expected: str) -> tuple[int, list[str]]:
    with tempfile.TemporaryDirectory(prefix="billsmith-soak-") as folder:
        home = Path(folder)
        url = postgres.fresh_database() if trial.on_postgresql else sqlite_url(home)
        database = Database(url)
        try:
            kills = carried_out(House(database), home, trial.plans)
            return kills, faults(url, expected)
        finally:
            database.close()
            if trial.on_postgresql:
                postgres.drop_database(url)
