"""Kills and power losses of the embedded usage store (promise P1): 2,000 kills of one sender,
2,000 of several that correct, 500 losses. ``SOAK_SEED`` runs the same again."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

from tests.support.crash import compiler
from tests.support.usage_crash import run as crash

_ROUNDS = {"kill": 20, "kill-correctors": 20, "lose": 5}
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
            with tempfile.TemporaryDirectory(prefix="billsmith-soak-") as home:
                shim = Path(home) if what == "lose" else None
                found = crash(what, home, str(_EACH), str(seed + round), lose_power_in=shim)
            acknowledged += found["acknowledged"]
            bad += [f"{what}, seed {seed + round}: {fault}" for fault in (*found["lost"], *found["faults"])]
        print(f"usage, {what}: {rounds * _EACH} times from seed {seed} on, {acknowledged} events acknowledged", flush=True)
    return bad
