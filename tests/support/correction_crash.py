"""Corrections that are killed with SIGKILL at every named step, on the stores that an installation has, and gone on with.

A *nursery* is a process of its own with one thread: it forks whoever is to be killed, which opens the stores for itself.
``python -m tests.support.correction_crash FOLDER`` prints what it found.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from billsmith.events.change import Change
from billsmith.events.event import Event
from billsmith.storage import accounts
from billsmith.storage.database import Database, sqlite_url
from billsmith.units.ids import derived_id
from billsmith.units.instants import DAY
from billsmith.units.periods import Period
from billsmith.usage.duckdb.owner import SharedStore
from billsmith.usage.store import Selection
from billsmith.workflows import corrections
from billsmith.workflows.corrections import Kind, What
from billsmith.workflows.ingest import Ingest
from tests.support.house import NOW, House

EVENTS = 7
CHUNK = 3
STEPS = 8


class Findings(msgspec.Struct):
    """What a nursery saw. ``faults`` should be empty."""

    kills: int = 0
    corrections: int = 0
    faults: list[str] = []


def prepare(home: Path) -> None:
    """A sender with seven events."""
    database = Database(sqlite_url(home))
    sender = House(database).account("Sender", external_id="sender")
    store = SharedStore(home)
    store.ingest([Event(owner=sender.id, source="s", id=str(n), type="call", account="a", time=n) for n in range(EVENTS)])
    store.close()
    database.close()


def request(home: Path, kind: Kind, round: int) -> str:
    """Note a correction of all that are in force."""
    id, database = derived_id(kind.value, str(round)), Database(sqlite_url(home))
    what = What(selection=Selection(period=Period(0, DAY)), change=Change(account="b" if kind is Kind.REPLACE else None))
    with database.write() as connection:
        sender = accounts.get(connection, "sender")
        corrections.record(connection, sender, kind, what, expected=EVENTS, reason="", id=id, now=NOW, actor="test")
    database.close()
    return id


def work(home: Path, id: str, step: Callable[[str], None]) -> tuple[int, int, int]:
    """Carry it out: how many it says it changed, how many events are in force, how many rows there are."""
    database, store = Database(sqlite_url(home)), SharedStore(home)
    try:
        done = corrections.carry_out(database, Ingest(database), store, id, now=NOW, step=step)
        return done.changed, store.count(Selection()), store.watermark()
    finally:
        store.close()
        database.close()


def killed_at(home: Path, id: str, at: int) -> bool:
    """Fork one who works until the step of that number; whether it was killed there."""
    child = os.fork()
    if child == 0:
        left = [at]

        def step(_name: str) -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        work(home, id, step)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def nursery(folder: Path, steps: int = STEPS) -> Findings:
    """Kill at every step, the next who goes on at its first; then finish and look."""
    corrections.CHUNK = CHUNK
    findings = Findings()
    for kind in Kind:
        for at in range(steps):
            home = folder / f"{kind}-{at}"
            home.mkdir()
            prepare(home)
            id = request(home, kind, at)
            findings.kills += killed_at(home, id, at)
            findings.kills += killed_at(home, id, 0)
            got = work(home, id, lambda _name: None)
            wanted = (EVENTS, 0, 2 * EVENTS) if kind is Kind.VOID else (EVENTS, EVENTS, 3 * EVENTS)
            findings.corrections += 1
            if got != wanted or work(home, id, lambda _name: None) != wanted:
                findings.faults.append(f"{kind} killed at step {at}: {got} instead of {wanted}")
    return findings


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(nursery(Path(sys.argv[1]))).decode())
