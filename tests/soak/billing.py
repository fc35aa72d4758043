"""Billing runs killed at random (promises P4, P5, P7): 2,000 kills. ``SOAK_SEED`` runs the same again, ``SOAK_KILLS`` fewer."""

from __future__ import annotations

import os
import random
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from tests.support.billing_crash import Findings, nursery

KILLS = int(os.environ.get("SOAK_KILLS", "2000"))
EACH = 50


def run(workers: int) -> list[str]:
    """Where a store differs from that of a run that nobody disturbed."""
    first = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(2**31)))
    bad: list[str] = []
    kills = compared = 0
    began = time.monotonic()
    seeds = range(first, first + -(-KILLS // EACH))
    with ThreadPoolExecutor(workers) as nurseries:
        for found in nurseries.map(_nursery, seeds):
            kills, compared = kills + found.kills, compared + found.runs
            bad += [f"seed {found.seed}: {fault}" for fault in found.faults]
            print(f"billing: {kills} kills, {compared} stores compared, {time.monotonic() - began:.0f} s", flush=True)
    print(f"billing: {kills} kills from seed {first} on, {compared} stores compared", flush=True)
    return bad


def _nursery(seed: int) -> Findings:
    with tempfile.TemporaryDirectory(prefix="billsmith-soak-") as home:
        return nursery("random", home, str(seed), str(EACH), patience=3600)
