"""Companies' lives, billed and audited: a million customer-months, or as many as ``SOAK_CUSTOMER_MONTHS`` says.

Each company has 100 customers and 13 months. ``SOAK_SEED`` names the first company's seed.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import msgspec

from tests.simulator.auditor.audit import audit
from tests.simulator.driver import Driver
from tests.simulator.life import company
from tests.simulator.stories import shortest, told

CUSTOMERS, MONTHS = 100, 13


def run(workers: int) -> list[str]:
    """What is wrong, each with its seed and story."""
    seed = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(2**31)))
    wanted = int(os.environ.get("SOAK_CUSTOMER_MONTHS", 1_000_000))
    companies = max(1, -(-wanted // (CUSTOMERS * MONTHS)))
    began = time.monotonic()
    bad: list[str] = []
    with ProcessPoolExecutor(workers, get_context("spawn"), max_tasks_per_child=20) as pool:
        for done, found in enumerate(pool.map(_lived, range(seed, seed + companies)), start=1):
            bad += found
            rate = done * CUSTOMERS * MONTHS / (time.monotonic() - began)
            print(f"companies: {done} of {companies} from seed {seed} on, {rate:,.0f} customer-months a second", flush=True)
    return bad


def _lived(seed: int) -> list[str]:
    script = company(seed, customers=CUSTOMERS, months=MONTHS)
    with tempfile.TemporaryDirectory(prefix="billsmith-soak-") as home:
        driver = Driver(script, Path(home))
        try:
            seen = driver.run()
        except Exception as error:  # what stops a life is a fault too
            return [f"seed {seed}: {type(error).__name__}: {error}"]
        finally:
            driver.close()
    faults = audit(script, msgspec.to_builtins(seen))
    return [told(shortest(script, faults), faults)] if faults else []
