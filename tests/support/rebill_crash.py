"""Re-bills that are killed: run again, every pulled line stands on the customers' invoices once.

``python -m tests.support.rebill_crash URL KILLS SEED`` prints what it found.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
from sqlalchemy import func, select

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.accounts.model import Account
from billsmith.catalog.reading import read_as
from billsmith.catalog.rebill import Rules
from billsmith.invoicing.model import Line
from billsmith.storage import accounts, invoices, sync_connections, upgrade
from billsmith.storage.database import Database
from billsmith.storage.schema_sync import rebill_line
from billsmith.units.ids import derived_id
from billsmith.units.period_words import parse_period
from billsmith.workflows import rebill, sync
from billsmith.workflows.import_invoices import Plan
from tests.support import audit
from tests.support.house import NOW
from tests.support.vendor_lists import VendorList, connect, row

ROOT = Path(__file__).parents[2]
INVOICES = 300
RULES = (
    "{code: r, rules: [{code: shared, price: {model: markup, percent: 10}, split: {by: shares, shares: {a: 2, b: 1, c: 4}}}]}"
)
LINES = (Line(description="One", amount_minor=700), Line(description="Other", amount_minor=300))

#: A source line, and whose share of it.
Share = tuple[str, str, str]


class Findings(msgspec.Struct):
    """What was seen. ``faults`` should be empty."""

    seed: int
    kills: int = 0
    in_the_middle: int = 0
    stages: int = 0
    """In how many different states of the work a kill left the store."""
    faults: list[str] = []


def prepare(url: str) -> None:
    """A store with pulled invoices and three customers."""
    database = Database(url)
    upgrade.upgrade(database, NOW)
    with database.write() as connection:
        partner = accounts.create(
            connection, id=derived_id("me"), name="me", external_id="me", now=NOW, currency="EUR", time_zone="UTC"
        )
        for name in "abc":
            accounts.create(connection, id=derived_id(name), name=name, external_id=name, now=NOW, parent=partner)
    of = connect(database, partner, "cloud", now=NOW)
    source = VendorList([row(number, "10.00", lines=LINES) for number in range(INVOICES)], page=100)
    sync.run(database, of, source, Plan(owner=partner, issuer=partner), clock=lambda: NOW)
    database.close()


def run(url: str, begun: Callable[[], object] = lambda: None) -> None:
    """One run over the year; ``begun`` is told when all is read that it needs."""
    database = Database(url)
    with database.read() as connection:
        issuer: Account = accounts.get(connection, "me")
        every = sync_connections.every(connection)
    rules: Rules = read_as(Rules, RULES, "rules.yaml")
    book = rebill.Book(issuer=issuer, connections=every, rules=rules, period=parse_period("2026", "UTC"))
    begun()
    rebill.run(database, book, now=NOW, actor="crash")
    database.close()


def issued(url: str) -> Counter[Share]:
    """What stands on our own invoices: each share of each source line, counted."""
    database = Database(url)
    with database.read() as connection:
        ours = [each for each in invoices.newest(connection, None, limit=100_000) if each.invoice.number.startswith("INV")]
        found: Counter[Share] = Counter()
        for each in invoices.with_content(connection, ours):
            assert each.invoice.content is not None
            for line in each.invoice.content.lines:
                found[line.dimensions["invoice"], line.dimensions["line"], each.invoice.customer_name] += 1
    database.close()
    return found


def claims(url: str) -> int:
    """How many lines are claimed."""
    database = Database(url)
    with database.read() as connection:
        count = connection.execute(select(func.count()).select_from(rebill_line)).scalar_one()
    database.close()
    return int(count)


def kill_many(url: str, kills: int, seed: int) -> Findings:
    """Kill runs, let one end, count."""
    found, chance = Findings(seed=seed), random.Random(seed)
    rebill.CHUNK = 10  # more commits to be killed between
    stages: set[tuple[int, int]] = set()
    longest = 0.03
    prepare(url)
    for _ in range(kills):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                run(url, partial(os.write, writing, b"."))
            finally:
                os._exit(0)
        os.close(writing)
        os.read(reading, 1)  # the run is at its first line
        os.close(reading)
        time.sleep(chance.uniform(longest / 2, longest))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        found.kills += 1
        found.in_the_middle += os.WIFSIGNALED(status)
        counted = issued(url)
        before = len(stages)
        stages.add((claims(url), sum(counted.values())))
        longest = longest if len(stages) > before else longest * 1.5  # as long as this machine needs to get anywhere
        found.faults += [f"{share} stands there {count} times" for share, count in counted.items() if count > 1][:3]
    found.stages = len(stages)
    run(url)
    wanted = {(f"V-{number:06d}", line, name) for number in range(INVOICES) for line in "12" for name in "abc"}
    counted = issued(url)
    found.faults += [f"{share} is missing" for share in sorted(wanted - counted.keys())][:3]
    found.faults += [f"{share} stands there {count} times" for share, count in counted.items() if count > 1][:3]
    database = Database(url)
    found.faults += audit.faults(database)
    database.close()
    return found


def nursery(url: str, kills: int, seed: int) -> Findings:
    """Run the trial in a process of its own, of one thread."""
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": os.environ.get("PATH", "/usr/bin:/bin")}
    command = [sys.executable, "-m", "tests.support.rebill_crash", url, str(kills), str(seed)]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()[-3000:]
    return msgspec.json.decode(ran.stdout, type=Findings)


if __name__ == "__main__":
    where, count, seed = sys.argv[1:]
    sys.stdout.buffer.write(msgspec.json.encode(kill_many(where, int(count), int(seed))))
