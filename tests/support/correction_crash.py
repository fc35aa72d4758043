"""Corrections that are killed with SIGKILL at every named step, on the stores that an installation has, and gone on with.

A *nursery* is a process of its own with one thread: it forks whoever is to be killed, which opens the stores for itself.
``python -m tests.support.correction_crash URL`` prints what it found.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from billsmith.events.change import Change
from billsmith.events.event import Event
from billsmith.storage import accounts, upgrade
from billsmith.storage.database import Database
from billsmith.units.ids import derived_id
from billsmith.units.instants import DAY
from billsmith.units.periods import Period
from billsmith.usage.store import Selection, UsageStore
from billsmith.workflows import corrections
from billsmith.workflows.corrections import Kind, What
from billsmith.workflows.ingest import Ingest
from billsmith.workflows.usage_store import Usage
from tests.support.house import NOW

EVENTS = 7
CHUNK = 3
STEPS = 8


class Findings(msgspec.Struct):
    """What a nursery saw. ``faults`` should be empty."""

    kills: int = 0
    corrections: int = 0
    faults: list[str] = []


@contextmanager
def opened(url: str) -> Iterator[tuple[Database, UsageStore]]:
    """The database and its usage store."""
    database = Database(url)
    usage = Usage(database)
    try:
        yield database, usage.store
    finally:
        usage.close()
        database.close()


def request(url: str, kind: Kind, round: int) -> str:
    """A new sender with seven events, and a correction of all of them, noted."""
    id, what = derived_id(kind.value, str(round)), What(selection=Selection(period=Period(0, DAY)))
    if kind is Kind.REPLACE:
        what = msgspec.structs.replace(what, change=Change(account="b"))
    with opened(url) as (database, store):
        with database.write() as connection:
            sender = accounts.create(connection, id=id, name="Sender", now=NOW, currency="EUR", time_zone="UTC")
            corrections.record(connection, sender, kind, what, expected=EVENTS, reason="", id=id, now=NOW, actor="test")
        store.ingest([Event(owner=id, source="s", id=str(n), type="call", account="a", time=n) for n in range(EVENTS)])
    return id


def work(url: str, id: str, step: Callable[[str], None]) -> tuple[int, int, int]:
    """Carry it out: how many it says it changed, how many events are in force, how many rows there are."""
    with opened(url) as (database, store):
        done = corrections.carry_out(database, Ingest(database), store, id, now=NOW, step=step)
        rows = store.histories(id, [("s", str(number)) for number in range(EVENTS)])
        return done.changed, store.count(Selection(owner=id)), len(rows)


def killed_at(url: str, id: str, at: int) -> bool:
    """Fork one who works until the step of that number; whether it was killed there."""
    child = os.fork()
    if child == 0:
        left = [at]

        def step(_name: str) -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            work(url, id, step)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def nursery(url: str, steps: int = STEPS) -> Findings:
    """Kill at every step, the next who goes on at its first; then finish and look."""
    corrections.CHUNK = CHUNK
    database = Database(url)
    upgrade.upgrade(database, NOW)
    database.close()
    findings = Findings()
    for at in range(steps):
        kind = tuple(Kind)[at % 2]
        id = request(url, kind, at)
        findings.kills += killed_at(url, id, at)
        findings.kills += killed_at(url, id, 0)
        got = work(url, id, lambda _name: None)
        wanted = (EVENTS, 0, 2 * EVENTS) if kind is Kind.VOID else (EVENTS, EVENTS, 3 * EVENTS)
        findings.corrections += 1
        if got != wanted or work(url, id, lambda _name: None) != wanted:
            findings.faults.append(f"{kind} killed at step {at}: {got} instead of {wanted}")
    return findings


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(nursery(sys.argv[1])).decode())
