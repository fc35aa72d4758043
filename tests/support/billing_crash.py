"""Billing runs that are killed, and their stores compared with that of a run that nobody disturbed.

A *nursery* is a process of its own with one thread. It makes a store with customers and usage, and for each disturbance a copy
of it: forks a run, which kills itself with SIGKILL at a named step or is killed at a random moment; forks others that go on,
some of which are killed too; and when one came to its end, compares every row that billing writes. ``python -m
tests.support.billing_crash`` runs one and prints what it found.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from billsmith.ledger.wallets import Grant
from billsmith.storage import schema, schema_billing
from billsmith.storage.database import SQLITE_FILE, Database, sqlite_url
from billsmith.storage.verify import verify
from billsmith.subscriptions.agreements import CouponGiven
from billsmith.units.ids import derived_id
from billsmith.units.instants import parse_instant
from billsmith.units.spans import parse_span
from billsmith.usage.store import Binding, Selection, UsageStore
from billsmith.workflows import billing_run, wallets
from billsmith.workflows import rerate as rerating
from billsmith.workflows.rerate import rerate
from tests.support.billing import Company
from tests.support.house import House
from tests.support.reference_store import ReferenceStore

ROOT = Path(__file__).parents[2]
CUSTOMERS = 8

#: What billing writes: compared row by row, whole.
TABLES = (
    schema.invoice,
    schema.invoice_document,
    schema.invoice_change,
    schema.number_series,
    schema.payment,
    schema_billing.agreement_use,
    schema_billing.wallet_movement,
    schema_billing.billing_run,
    schema_billing.run_item,
    schema_billing.subscription_bill,
    schema_billing.billed_line,
    schema_billing.correction,
    schema_billing.ledger_entry,
)


class Findings(msgspec.Struct):
    """What a nursery saw. ``faults`` should be empty; ``documents`` are those of one store."""

    seed: int
    runs: int = 0
    kills: int = 0
    documents: int = 0
    faults: list[str] = []


def company(url: str) -> Company:
    """A store with customers that have all that a run writes about: usage, coupons, wallets, a minimum."""
    made = Company(House(Database(url)))
    issuer, now = made.issuer, made.now
    for number in range(CUSTOMERS):
        name = f"customer-{number:02d}"
        made.subscribe(
            name, ("basic", "flat", "committed")[number % 3], quantities={"seats": Decimal(number)} if number % 3 == 0 else {}
        )
        for day in range(1, 4):
            made.use(name, f"2026-09-{day + number:02d}T10:00:00Z", str(40 + number * day))
        account = made.customers[name]
        with made.database.write() as connection:
            if number % 2:
                coupon = CouponGiven(at=now, catalog="acme", coupon="TEN", version=1)
                wallets.agree(connection, issuer, account, coupon, id=derived_id("agreement", name), now=now, actor="test")
            if number % 4 == 1:
                grant = Grant(id=derived_id("grant", name), amount=Decimal(9), effective_at=now)
                wallets.give(connection, issuer, account, grant, "EUR", now=now, actor="test")
    return made


def with_late_usage(made: Company) -> UsageStore:
    """The same usage, and some that came in late."""
    store = ReferenceStore()
    store.bind([Binding("provider", name, account.id) for name, account in made.customers.items()])
    store.ingest([kept.event for kept in made.usage.events(Selection(), limit=1000)])
    made.usage, calm = store, made.usage
    for number, name in enumerate(made.customers):
        if number % 2 == 0:
            made.use(name, "2026-09-20T10:00:00Z", str(number + 1))
    made.usage = calm
    return store


def run_once(made: Company, url: str, step: Callable[[str], None]) -> None:
    """Bill two months in one store, and rate the first anew with what came in late."""
    database, usage = Database(url), made.usage
    made.database = database
    try:
        made.bill("2026-09", "2026-10-02T00:00:00Z", step=step)
        made.bill("2026-10", "2026-11-02T00:00:00Z", step=step)
        rerate(
            database,
            with_late_usage(made),
            made.issuer,
            parse_span("2026-09"),
            at=parse_instant("2026-11-03T00:00:00Z"),
            actor="test",
            step=step,
        )
    finally:
        made.usage = usage
        database.close()


def child(work: Callable[[], None]) -> int:
    """Fork a process that does some work; its id."""
    process = os.fork()
    if process == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
    return process


def ended(process: int) -> int:
    """How a process ended: its exit code, or the signal below zero."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def contents(home: Path) -> tuple[str, dict[str, str]]:
    """A digest of every table that billing writes, and of all together."""
    database = Database(sqlite_url(home))
    digests = {}
    with database.read() as connection:
        for table in TABLES:
            rows = connection.execute(select(table).order_by(*table.primary_key.columns)).all()
            digests[table.name] = sha256(repr(rows).encode()).hexdigest()
    database.close()
    return sha256(repr(digests).encode()).hexdigest(), digests


def documents(url: str) -> str:
    """A digest of every document as it is kept, with its id, number and amounts: the same on every engine."""
    database = Database(url)
    table, body = schema.invoice, schema.invoice_document.c.body
    query = select(table.c.id, table.c.number, table.c.total_minor, table.c.paid_minor, table.c.date, body)
    joined = query.join(schema.invoice_document, schema.invoice_document.c.invoice_seq == table.c.seq)
    with database.read() as connection:
        rows = [tuple(row) for row in connection.execute(joined.order_by(table.c.number_key))]
    problems = verify(database).problems
    database.close()
    return f"{len(rows)} {sha256(repr(rows).encode()).hexdigest()} {problems}"


class Killer:
    """A step that ends the process at the n-th step of a name (of any, without one)."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.left = name, number

    def __call__(self, name: str) -> None:
        if self.name in ("", name):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Nursery:
    """One store to begin with, and what an undisturbed run makes of it."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home = home
        self.chance = random.Random(seed)
        self.found = Findings(seed=seed)
        self.template = home / "template"
        self.template.mkdir()
        self.company = company(sqlite_url(self.template))
        self.company.database.close()
        self.steps: list[str] = []
        calm = self.copy("calm")
        began = time.monotonic()
        run_once(self.company, sqlite_url(calm), self.steps.append)
        self.seconds = time.monotonic() - began
        self.expected, self.tables = contents(calm)
        database = Database(sqlite_url(calm))
        self.found.faults += [problem.what for problem in verify(database).problems]
        with database.read() as connection:
            self.found.documents = len(connection.execute(select(schema.invoice.c.seq)).all())
        database.close()

    def copy(self, name: str) -> Path:
        folder = self.home / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for file in self.template.glob(f"{SQLITE_FILE}*"):
            shutil.copy(file, folder / file.name)
        return folder

    def compare(self, home: Path, what: str) -> None:
        self.found.runs += 1
        whole, tables = contents(home)
        if whole != self.expected:
            differing = [name for name, digest in tables.items() if digest != self.tables[name]]
            self.found.faults.append(f"{what}: {', '.join(differing)} differ")

    def at_steps(self) -> None:
        """Kill at every step, where it occurs first, in the middle and last; and again, by chance, while another run recovers."""
        for name in dict.fromkeys(self.steps):
            count = self.steps.count(name)
            for number in sorted({1, (count + 1) // 2, count}):
                home = self.copy("killed")
                self.kill(home, Killer(name, number))
                again = self.chance.choice(self.steps)
                self.kill(home, Killer(again, 1))
                self.finish(home)
                self.compare(home, f"killed at {name} {number}, then at {again}")

    def at_random(self, kills: int) -> None:
        """Kill at moments by chance, until so many processes were killed."""
        until = self.found.kills + kills
        while self.found.kills < until:
            home = self.copy("killed")
            for _ in range(self.chance.randint(1, 3)):
                process = self.start(home)
                time.sleep(self.chance.uniform(0, self.seconds * 1.2))
                os.kill(process, signal.SIGKILL)
                self.found.kills += ended(process) == -signal.SIGKILL
            self.finish(home)
            self.compare(home, "killed at random")

    def at_once(self, processes: int) -> None:
        """Several processes bill the same at once."""
        home = self.copy("together")
        running = [self.start(home) for _ in range(processes)]
        codes = [ended(process) for process in running]
        if any(codes):
            self.found.faults.append(f"{processes} at once ended with {codes}")
        self.compare(home, f"{processes} at once")

    def elsewhere(self, url: str) -> None:
        """The same on another engine: processes at once, some of them killed, and one to the end."""
        other = company(url)
        other.database.close()
        killed = Killer("issued", 2)
        running = [
            child(lambda: run_once(other, url, lambda _: None)),
            child(lambda: run_once(other, url, killed)),
            child(lambda: run_once(other, url, lambda _: None)),
        ]
        codes = [ended(process) for process in running]
        self.found.kills += codes.count(-signal.SIGKILL)
        if set(codes) - {0, -signal.SIGKILL}:
            self.found.faults.append(f"ended with {codes}")
        code = ended(child(lambda: run_once(other, url, lambda _: None)))
        self.found.runs += 1
        here, there = documents(sqlite_url(self.home / "calm")), documents(url)
        if code or here != there:
            self.found.faults.append(f"ended with {code}; {here} here, {there} there")

    def start(self, home: Path, step: Callable[[str], None] = lambda _: None) -> int:
        return child(lambda: run_once(self.company, sqlite_url(home), step))

    def kill(self, home: Path, killer: Killer) -> None:
        code = ended(self.start(home, killer))
        self.found.kills += code == -signal.SIGKILL
        if code not in (0, -signal.SIGKILL):
            self.found.faults.append(f"a run ended with {code}")

    def finish(self, home: Path) -> None:
        code = ended(self.start(home))
        if code:
            self.found.faults.append(f"the last run ended with {code}")


def nursery(*arguments: str, patience: int = 300) -> Findings:
    """Run a nursery in a process of its own, for at most so many seconds."""
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": os.environ.get("PATH", "/usr/bin:/bin")}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.billing_crash", *arguments],
        timeout=patience,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()[-3000:]
    found = msgspec.json.decode(ran.stdout, type=Findings)
    assert not found.faults or found.faults != [""], ran.stderr
    return found


def _main(what: str, home: str, seed: str, *more: Any) -> Findings:
    billing_run.CHUNK = rerating.CHUNK = 3
    made = Nursery(Path(home), int(seed))
    if what == "steps":
        made.at_steps()
    elif what == "random":
        made.at_random(int(more[0]))
    elif what == "elsewhere":
        made.elsewhere(more[0])
    elif what == "forgetful":  # the control: a run that doesn't look at the cursor
        from billsmith.storage import runs

        runs.derived_id = lambda *keys: derived_id(*keys, str(time.time_ns()))  # type: ignore[attr-defined]
        made.at_random(3)
    else:
        for processes in (2, 4, 8):
            made.at_once(processes)
    return made.found


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(_main(*sys.argv[1:])))
