"""Writers that are killed while they write: what they acknowledged must be there, and nothing half.

A *nursery* is a process of its own with one thread. It forks a writer, which commits through the workflows and says so on a
pipe after each commit; kills it with SIGKILL at a random moment; and looks at the store. ``python -m tests.support.crash``
runs one and prints what it found.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from billsmith.accounts.model import Account
from billsmith.invoicing.totals import DraftLine
from billsmith.storage import accounts, upgrade
from billsmith.storage.database import SQLITE_FILE, Database, sqlite_url
from billsmith.units.ids import derived_id
from billsmith.workflows.issue_invoice import OneOff, issue
from billsmith.workflows.settle import record_payment, void
from tests.support import audit
from tests.support.house import NOW

ROOT = Path(__file__).parents[2]


class Findings(msgspec.Struct):
    """What a nursery saw. ``lost`` and ``faults`` should be empty."""

    seed: int
    kills: int = 0
    acknowledged: int = 0
    lost: list[str] = []
    faults: list[str] = []


def prepare(database: Database) -> tuple[Account, Account]:
    """A store with an issuer and its customer."""
    upgrade.upgrade(database, NOW)
    with database.write() as connection:
        found = accounts.find(connection, "issuer")
        if found is None:
            issuer = accounts.create(
                connection,
                id=derived_id("crash issuer"),
                name="issuer",
                external_id="issuer",
                now=NOW,
                currency="EUR",
                time_zone="UTC",
            )
            return issuer, accounts.create(
                connection, id=derived_id("crash customer"), name="customer", external_id="customer", now=NOW, parent=issuer
            )
        return found, accounts.get(connection, "customer", found)


def write_for_ever(database: Database, run: str, acknowledge: Callable[[str], None]) -> None:
    """Issue invoices, pay some, void some, and acknowledge each commit, until killed."""
    issuer, customer = prepare(database)
    number = 0
    while True:
        number += 1
        id = derived_id("crash", run, str(number))
        lines = [DraftLine(description=f"Service {part}", amount=Decimal("12.34") * part) for part in range(1, 4)]
        with database.write() as connection:
            found = issue(connection, issuer, customer, OneOff(lines=lines), id=id, now=NOW, actor="crash")
        acknowledge(f"invoice {id}")
        if number % 3 == 0:
            with database.write() as connection:
                record_payment(connection, found, amount_minor=1000, reference=f"ref-{number}", now=NOW, actor="crash")
            acknowledge(f"payment {id} ref-{number}")
        if number % 5 == 0 and number % 3:
            with database.write() as connection:
                void(connection, found, now=NOW, actor="crash")


def killed_writer(url: str, run: str, chance: random.Random, *, longest: float, synchronous: str = "FULL") -> list[str]:
    """Fork a writer, kill it after a random while (at most ``longest`` seconds), give what it acknowledged."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            database = Database(url, synchronous=synchronous)
            write_for_ever(database, run, lambda entry: _write_all(writing, entry.encode() + b"\n"))
        finally:
            os._exit(1)
    os.close(writing)
    first = b""  # the kill is to fall among commits, not into the start, however slow the machine
    while first.count(b"\n") < 3 and (more := _read_some(reading, wait=10)):
        first += more
    time.sleep(chance.uniform(0, longest))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    said = first + b"".join(iter(lambda: os.read(reading, 65536), b""))
    os.close(reading)
    assert b"\n" in said, "the writer failed before its first commit"
    return said[: said.rindex(b"\n")].decode().split("\n")


def _write_all(to: int, data: bytes) -> None:
    assert os.write(to, data) == len(data), "a pipe takes a short line whole"


def _read_some(source: int, wait: float) -> bytes:
    ready, _, _ = select.select([source], [], [], wait)
    return os.read(source, 65536) if ready else b""


def kill_many(url: str, kills: int, seed: int, *, longest: float) -> Findings:
    """Kill writers of one store, one after the other, and look at it after each."""
    found = Findings(seed=seed)
    chance = random.Random(seed)
    everything: list[str] = []
    for round in range(kills):
        acknowledged = killed_writer(url, f"{seed}/{round}", chance, longest=longest)
        database = Database(url)
        found.lost += audit.missing(database, acknowledged)
        if round % 10 == 9 or round == kills - 1:
            found.faults += audit.faults(database)
        database.close()
        found.kills += 1
        found.acknowledged += len(acknowledged)
        everything += acknowledged
    database = Database(url)
    found.lost += audit.missing(database, everything)
    database.close()
    return found


def lose_power_often(home: Path, losses: int, seed: int, synchronous: str) -> Findings:
    """Kill writers whose unsynced writes are lost with them (the shim of ``power_loss.c`` must be loaded, see :func:`nursery`).

    Every second time nothing unsynced survives; else each sector does or does not, by chance.
    """
    found = Findings(seed=seed)
    chance = random.Random(seed)
    live, durable, template = home / "live", home / "durable", home / "template"
    template.mkdir()
    database = Database(sqlite_url(template))
    prepare(database)
    database.close()
    for round in range(losses):
        for folder in (live, durable):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(template, folder)
        acknowledged = killed_writer(sqlite_url(live), f"{seed}/{round}", chance, longest=0.06, synchronous=synchronous)
        survived = home / f"survived-{round}"
        survived.mkdir()
        for name in (SQLITE_FILE, f"{SQLITE_FILE}-wal"):
            image = _after_loss(durable / name, live / name, chance if round % 2 else None)
            if image is not None:
                (survived / name).write_bytes(image)
        found.kills += 1
        found.acknowledged += len(acknowledged)
        try:
            database = Database(sqlite_url(survived))
            found.lost += audit.missing(database, acknowledged)
            found.faults += audit.faults(database)
            database.close()
        except Exception as error:
            found.faults.append(f"the store can't be read: {error}"[:200])
        shutil.rmtree(survived)
    return found


SECTOR = 512


def _after_loss(durable: Path, live: Path, chance: random.Random | None) -> bytes | None:
    """A file as power loss leaves it: what was synced, and of the rest nothing, or some sectors."""
    synced = durable.read_bytes() if durable.exists() else None
    if chance is None or not live.exists():
        return synced
    written = live.read_bytes()
    kept = bytearray((synced or b"").ljust(len(written), b"\0"))
    for start in range(0, len(written), SECTOR):
        if chance.random() < 0.5:
            kept[start : start + SECTOR] = written[start : start + SECTOR]
    return bytes(kept)


def compiler() -> str | None:
    """A C compiler, if this machine has one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def nursery(*arguments: str, lose_power_in: Path | None = None) -> Findings:
    """Run a nursery in a process of its own."""
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": os.environ.get("PATH", "/usr/bin:/bin")}
    if lose_power_in is not None:
        shim = lose_power_in / "power_loss.so"
        compile_with = compiler()
        assert compile_with is not None
        source = Path(__file__).with_name("power_loss.c")
        subprocess.run([compile_with, "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl"], check=True)
        environment |= {
            "LD_PRELOAD": str(shim),
            "POWER_LIVE": str(lose_power_in / "live"),
            "POWER_DURABLE": str(lose_power_in / "durable"),
        }
    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.crash", *arguments], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()[-3000:]
    return msgspec.json.decode(ran.stdout, type=Findings)


def _main(what: str, where: str, count: str, seed: str, *more: Any) -> Findings:
    if what == "kill":
        return kill_many(where, int(count), int(seed), longest=int(*more) / 1000)
    return lose_power_often(Path(where), int(count), int(seed), *more)


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(_main(*sys.argv[1:])))
