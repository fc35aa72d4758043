"""Kills and power losses of usage stores (promise P1): 2,000 kills of one sender on each store,
2,000 of several that correct on the embedded one, 500 losses. ``SOAK_SEED`` runs the same again."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path
from typing import Any

from tests.support import postgres
from tests.support.crash import compiler
from tests.support.usage_crash import run as crash

_ROUNDS = {"kill": 20, "kill on postgresql": 20, "kill-correctors": 20, "lose": 5}
_EACH = 100


def run(_workers: int) -> list[str]:
    """What was lost, half, or counted twice."""
    seed = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(2**31)))
    bad: list[str] = []
    for what, rounds in _ROUNDS.items():
        if what == "lose" and compiler() is None:
            print("power loss: NOT RUN, this machine has no C compiler", flush=True)
            continue
        acknowledged = 0
        for round in range(rounds):
            found = _on_postgresql(seed + round) if "postgresql" in what else _embedded(what, seed + round)
            acknowledged += found["acknowledged"]
            bad += [f"{what}, seed {seed + round}: {fault}" for fault in (*found["lost"], *found["faults"])]
        print(f"usage, {what}: {rounds * _EACH} times from seed {seed} on, {acknowledged} events acknowledged", flush=True)
    return bad


def _embedded(what: str, seed: int) -> Any:
    with tempfile.TemporaryDirectory(prefix="billsmith-soak-") as home:
        return crash(what, home, str(_EACH), str(seed), lose_power_in=Path(home) if what == "lose" else None)


def _on_postgresql(seed: int) -> Any:
    url = postgres.fresh_database().replace("+psycopg", "")
    try:
        return crash("kill", url, str(_EACH), str(seed))
    finally:
        postgres.drop_database(url)
