"""Billing runs killed at random (promises P4, P5, P7): 2,000 kills. ``SOAK_SEED`` runs the same again."""

from __future__ import annotations

import os
import random
import tempfile

from tests.support.billing_crash import nursery

ROUNDS = 20
EACH = 100


def run(_workers: int) -> list[str]:
    """Where a store differs from that of a run that nobody disturbed."""
    seed = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(2**31)))
    bad: list[str] = []
    kills = compared = 0
    for round in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="billsmith-soak-") as home:
            found = nursery("random", home, str(seed + round), str(EACH))
        kills, compared = kills + found.kills, compared + found.runs
        bad += [f"seed {seed + round}: {fault}" for fault in found.faults]
    print(f"billing: {kills} kills from seed {seed} on, {compared} stores compared", flush=True)
    return bad
