"""Kills and power losses of usage stores (promise P1): 2,000 kills of one sender on each store, 2,000 of several that correct on
the embedded one, 500 losses. ``SOAK_SEED`` runs the same again, ``SOAK_KILLS`` fewer."""

from __future__ import annotations

import os
import random
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from tests.support import postgres
from tests.support.crash import compiler
from tests.support.usage_crash import run as crash

KILLS = int(os.environ.get("SOAK_KILLS", "2000"))
_FAULTS = {"kill": KILLS, "kill on postgresql": KILLS, "kill-correctors": KILLS, "lose": KILLS // 4}
_EACH = 50

#: What is done to a store, from which seed, and how often.
_Round = tuple[str, int, int]


def run(workers: int) -> list[str]:
    """What was lost, half, or counted twice."""
    seed = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(2**31)))
    began, bad = time.monotonic(), list[str]()
    done, acknowledged = dict.fromkeys(_FAULTS, 0), dict.fromkeys(_FAULTS, 0)
    if compiler() is None:
        print("usage, lose: NOT RUN, this machine has no C compiler", flush=True)
    postgres.server()  # before there are threads that would each start one
    with ThreadPoolExecutor(workers) as nurseries:
        for (what, from_seed, _), found in nurseries.map(_found, _rounds(seed)):
            done[what] += found["kills"]
            acknowledged[what] += found["acknowledged"]
            bad += [f"{what}, seed {from_seed}: {fault}" for fault in (*found["lost"], *found["faults"])]
            told = ", ".join(f"{what} {count} times" for what, count in done.items())
            print(f"usage: {told}, {len(bad)} faults, {time.monotonic() - began:.0f} s", flush=True)
    for what, count in done.items():
        print(f"usage, {what}: {count} times from seed {seed} on, {acknowledged[what]} events acknowledged", flush=True)
    return bad


def _rounds(seed: int) -> list[_Round]:
    """All rounds, the kinds of faults in turns."""
    kinds = [
        [(what, seed + start, min(_EACH, faults - start)) for start in range(0, faults, _EACH)]
        for what, faults in _FAULTS.items()
        if what != "lose" or compiler() is not None
    ]
    return [one for one in chain.from_iterable(zip_longest(*kinds)) if one is not None]


def _found(round: _Round) -> tuple[_Round, Any]:
    what, seed, count = round
    return round, _on_postgresql(seed, count) if "postgresql" in what else _embedded(what, seed, count)


def _embedded(what: str, seed: int, count: int) -> Any:
    with tempfile.TemporaryDirectory(prefix="billsmith-soak-") as home:
        return crash(what, home, str(count), str(seed), lose_power_in=Path(home) if what == "lose" else None)


def _on_postgresql(seed: int, count: int) -> Any:
    url = postgres.fresh_database().replace("+psycopg", "")
    try:
        return crash("kill", url, str(count), str(seed))
    finally:
        postgres.drop_database(url)
