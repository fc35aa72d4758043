"""Pulls by the vendors' own clients over HTTP that are killed: run again, the store is as one where nobody was killed.

A server of its own process answers as the vendor's page says. A pull kills itself at a named step, is killed while it waits for
an answer, or at a random moment; another goes on, and is killed too; the last one comes to its end, and every table is compared
with that of a store which nobody disturbed. ``python -m tests.support.client_crash HOME SEED KILLS HOW`` prints what it found,
vendor by vendor: at the steps, at the requests, then so many kills at random.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import NamedTuple

import msgspec

from billsmith.storage import invoices, upgrade, verify_sync
from billsmith.storage.database import SQLITE_FILE, Database, sqlite_url
from billsmith.vendors.amberflo import pull as amberflo_pull
from billsmith.vendors.myreports import pull as myreports_pull
from billsmith.workflows import sync
from billsmith.workflows.import_invoices import Plan
from tests.outbound.support import World
from tests.support import audit, stubs
from tests.support.billing_crash import Killer, child, ended
from tests.support.chaos import Reply, Request, Server
from tests.support.house import NOW
from tests.support.sync_crash import contents, marks_before_rows, partner, resumed
from tests.support.vendor_lists import connect
from tests.vendors.faults import VENDORS, Row, Vendor, rows_of

ROOT = Path(__file__).parents[2]

#: By vendor: the field of the amount, and what a row says once it is paid (myreports says nothing of payments).
AMOUNT = {"acronis": "Total", "myreports": "invoiceValue", "hostway": "amount", "amberflo": "totalBill"}
UNPAID: dict[str, Row] = {
    "acronis": {"PaymentStatus": False},
    "myreports": {"customerName": "Reseller 1"},
    "hostway": {"status": "invoice_open", "amountDue": "1023.7200"},
    "amberflo": {"paymentStatus": "pending"},
}
PAID: dict[str, Row] = {
    "acronis": {"PaymentStatus": True},
    "myreports": {"customerName": "Reseller One"},
    "hostway": {"status": "invoice_paid", "amountDue": "0.0000"},
    "amberflo": {"paymentStatus": "settled"},
}
#: Who says how many invoices there are: only there a walk that was interrupted can know what is gone (decision 0311).
COUNTS = ("acronis", "myreports")


class Findings(msgspec.Struct):
    """What was seen. ``faults`` should be empty; ``resumed`` counts how often a run went on with a walk that was killed."""

    vendor: str
    seed: int
    kills: int = 0
    stores: int = 0
    resumed: int = 0
    faults: list[str] = []


class Served(NamedTuple):
    """A server in another process. ``told`` gives a byte for each request, which waits until ``go`` is given one."""

    url: str
    told: int
    go: int


def before(vendor: Vendor) -> list[Row]:
    """A list as the first pull saw it: nothing is paid."""
    return [_of_two({**each, **UNPAID[vendor.name]}, vendor, number) for number, each in enumerate(rows_of(vendor, 9))]


def after(vendor: Vendor) -> list[Row]:
    """The list later: some are paid, one has another amount, one can't be read, two came, and one is gone."""
    rows = [_of_two({**each, **UNPAID[vendor.name]}, vendor, number) for number, each in enumerate(rows_of(vendor, 11))]
    for row in rows[1::3]:
        row |= PAID[vendor.name]
    amount = AMOUNT[vendor.name]
    rows[2][amount] = (
        {"totalPrice": 9.5, "fixPrice": 9.5} if vendor.name == "amberflo" else "9.50" if amount == "amount" else 9.5
    )
    rows[5][amount] = None
    if vendor.name in COUNTS:
        del rows[6]
    return rows


def _of_two(row: Row, vendor: Vendor, number: int) -> Row:
    if vendor.name == "amberflo":
        row["invoiceKey"]["customerId"] = f"cust-{1 + number // 4}"
    return row


def answering(vendor: Vendor, rows: list[Row]) -> stubs.Answer:
    """The vendor's stub, with several accounts where the vendor lists by account."""
    if vendor.name == "hostway":
        return stubs.hostway(rows[:9], others={"acc-2": rows[9:]})
    return vendor.stub(rows)


@contextmanager
def served(answer: stubs.Answer, *, held: bool = False) -> Iterator[Served]:
    """Serve from a process of its own while the block lasts; ``held``: no request is answered before ``go`` has a byte."""
    told, tell = os.pipe()
    wait, go = os.pipe()
    stay, leave = os.pipe()

    def answered(request: Request) -> Reply:
        if held:
            os.write(tell, b".")
            os.read(wait, 1)
        return answer(request)

    def work() -> None:
        os.close(leave)
        with Server(answered) as server:
            os.write(tell, f"{server.url}\n".encode())
            os.read(stay, 1)

    process = child(work)
    try:
        yield Served(os.read(told, 100).decode().strip(), told, go)
    finally:
        for pipe in (told, tell, wait, go, stay, leave):
            os.close(pipe)
        os.kill(process, signal.SIGKILL)
        ended(process)


class Nursery:
    """A store in which a first pull has ended, and what an undisturbed second one makes of it."""

    def __init__(self, home: Path, vendor: Vendor, seed: int) -> None:
        self.home, self.vendor = home, vendor
        self.chance = random.Random(seed)
        self.found = Findings(vendor=vendor.name, seed=seed)
        self.template = home / "template"
        self.template.mkdir(parents=True)
        database = Database(sqlite_url(self.template))
        upgrade.upgrade(database, NOW)
        database.close()
        with served(answering(vendor, before(vendor))) as server:
            self.pull(self.template, server.url)
        self.rows = after(vendor)
        self.steps: list[str] = []
        self.calm_home = self.copy("calm")
        with served(answering(vendor, self.rows)) as server:
            began = time.monotonic()
            self.pull(self.calm_home, server.url, self.steps.append)
            self.seconds = time.monotonic() - began
        self.calm = [contents(sqlite_url(self.calm_home))]

    def copy(self, name: str) -> Path:
        folder = self.home / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for file in self.template.glob(f"{SQLITE_FILE}*"):
            shutil.copy(file, folder / file.name)
        return folder

    def pull(self, home: Path, url: str, step: sync.Step = lambda _name: None) -> None:
        """One run, by the vendor's client."""
        database = Database(sqlite_url(home))
        account = partner(database)
        of = connect(database, account, now=NOW, vendor=self.vendor.name)
        source = self.vendor.source(url, World())
        sync.run(database, of, source, Plan(owner=account, issuer=account), clock=lambda: NOW, step=step)
        database.close()

    def start(self, home: Path, url: str, step: sync.Step = lambda _name: None) -> int:
        return child(lambda: self.pull(home, url, step))

    def at_steps(self, url: str, *, every: bool) -> None:
        """Kill at each step, at one of its times by chance, or ``every`` time; and again, by chance, while another goes on."""
        for name in sync.STEPS:
            count = self.steps.count(name)
            for number in range(1, count + 1) if every else [self.chance.randint(1, count)]:
                home, again = self.copy("killed"), self.chance.choice(self.steps)
                self.reap(self.start(home, url, Killer(name, number)), must=True)
                self.reap(self.start(home, url, Killer(again, self.chance.randint(1, self.steps.count(again)))))
                self.finish(home, url, f"killed at {name} {number}, then at {again}")

    def at_requests(self, server: Served, most: int) -> None:
        """Kill while the first answer is waited for, while the second is, and so on; each time another run goes on."""
        for number in range(1, most + 1):
            home = self.copy("killed")
            if not self.killed_at(server, home, number):
                return
            with served(answering(self.vendor, self.rows)) as free:
                self.finish(home, free.url, f"killed while it waited for answer {number}")

    def killed_at(self, server: Served, home: Path, number: int) -> bool:
        """Let a run have its answers until it waits for the n-th, and kill it then; whether it came so far."""
        process, asked = self.start(home, server.url), 0
        while True:
            ready, _, _ = select([server.told], [], [], 0.01)
            if ready:
                os.read(server.told, 1)
                asked += 1
                if asked == number:
                    os.kill(process, signal.SIGKILL)
                    self.reap(process, must=True)
                    os.write(server.go, b".")
                    return True
                os.write(server.go, b".")
            elif os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                self.reap(process)
                return False

    def at_random(self, url: str, kills: int) -> None:
        """Kill at moments by chance, until so many were killed."""
        until = self.found.kills + kills
        while self.found.kills < until:
            home = self.copy("killed")
            for _ in range(self.chance.randint(1, 3)):
                process = self.start(home, url)
                time.sleep(self.chance.uniform(0, self.seconds * 1.2))
                os.kill(process, signal.SIGKILL)
                self.reap(process)
            self.finish(home, url, "killed at random")

    def reap(self, process: int, *, must: bool = False) -> None:
        """Wait for a run's end, which is a kill or, unless it ``must`` be one, a good one."""
        code = ended(process)
        self.found.kills += code == -signal.SIGKILL
        if code not in ((-signal.SIGKILL,) if must else (0, -signal.SIGKILL)):
            self.found.faults.append(f"a run ended with {code}")

    def finish(self, home: Path, url: str, what: str) -> None:
        """Look whether what the kill left is sound, let a run come to its end, and compare."""
        database = Database(sqlite_url(home))
        with database.read() as connection:
            self.found.faults += [f"{what}: {where}: {fault}" for where, fault in verify_sync.faults(connection)]
        database.close()
        code = ended(self.start(home, url))
        if code:
            self.found.faults.append(f"{what}: the last run ended with {code}")
        self.found.stores += 1
        self.found.resumed += resumed(sqlite_url(home))
        database = Database(sqlite_url(home))
        self.found.faults += [f"{what}: {fault}" for fault in audit.faults(database)]
        database.close()
        now = contents(sqlite_url(home))
        # A pull that was killed after its end runs once more and finds nothing to do: so does the undisturbed one.
        while len(now["sync_walk"]) > len(self.calm[-1]["sync_walk"]):
            self.reap(self.start(self.calm_home, url))
            self.calm.append(contents(sqlite_url(self.calm_home)))
        expected = self.calm[len(now["sync_walk"]) - len(self.calm[0]["sync_walk"])]
        if differing := [name for name in expected if now[name] != expected[name]]:
            self.found.faults.append(f"{what}: {', '.join(differing)} differ")


def nursery(home: Path, seed: int, kills: int, how: str = "few") -> list[Findings]:
    """Run each vendor's nursery, all in a process of one thread. ``how``: at ``few`` steps and requests, at ``every`` one, or
    ``broken`` (the negative control: Acronis's marks are kept before their rows)."""
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": os.environ.get("PATH", "/usr/bin:/bin")}
    command = [sys.executable, "-m", "tests.support.client_crash", str(home), str(seed), str(kills), how]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()[-3000:]
    return msgspec.json.decode(ran.stdout, type=list[Findings])


def _main(home: str, seed: str, kills: str, how: str) -> list[Findings]:
    # Parts so small that a short list has several of each.
    invoices.CHUNK, myreports_pull.PART, amberflo_pull.PART = 3, 4, 2
    vendors: tuple[Vendor, ...] = VENDORS
    if how == "broken":
        marks_before_rows()
        vendors = VENDORS[:1]
    return [_tried(Nursery(Path(home) / vendor.name, vendor, int(seed)), int(kills), how) for vendor in vendors]


def _tried(made: Nursery, kills: int, how: str) -> Findings:
    every = how == "every"
    with served(answering(made.vendor, made.rows)) as server:
        made.at_steps(server.url, every=every)
        made.at_random(server.url, kills)
    if how != "broken":
        with served(answering(made.vendor, made.rows), held=True) as server:
            made.at_requests(server, 100 if every else 2)
    return made.found


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(_main(*sys.argv[1:])))
