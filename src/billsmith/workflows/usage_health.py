"""How usage is: in words for whoever may knock at the server, in numbers for its operator.

``/healthz`` answers anybody, so it tells nothing that grows with what tenants send (decision 0239).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from billsmith.storage import corrections
from billsmith.storage.checkup import Finding, State
from billsmith.storage.database import Database
from billsmith.units.errors import BillsmithError
from billsmith.usage.store import Health
from billsmith.workflows.usage_store import Usage
from billsmith.workflows.usage_upkeep import is_there

#: Rows that are not counted ahead before that is said: more than the background leaves while it keeps up.
MANY_BEHIND = 5_000_000
#: Batches that wait to be written before that is said.
MANY_WAITING = 100
#: Names without an account that are counted.
MOST_NAMES = 1_000
_MB = 1024 * 1024


class Store(StrEnum):
    """Whether events are taken."""

    CLOSED = "closed"
    """Nobody asked for it since the process began; it opens when somebody does."""
    OPEN = "open"
    READ_ONLY = "read-only"
    FAILING = "failing"


class Pace(StrEnum):
    """Whether work keeps up."""

    CURRENT = "current"
    BEHIND = "behind"


class UsageState(msgspec.Struct, frozen=True, kw_only=True):
    """Usage in words: the store, what is counted ahead, what waits to be written."""

    store: Store
    rollups: Pace = Pace.CURRENT
    queue: Pace = Pace.CURRENT


def state_of(usage: Usage | None) -> UsageState:
    """How usage is, of a process that has it open or not; it is not opened for that."""
    opened = None if usage is None else usage.opened
    if opened is None:
        return UsageState(store=Store.CLOSED)
    try:
        return _state(opened.health())
    except BillsmithError:
        return UsageState(store=Store.FAILING)


def _state(health: Health) -> UsageState:
    return UsageState(
        store=Store.OPEN if health.writable else Store.READ_ONLY,
        rollups=Pace.BEHIND if health.notes or health.behind > MANY_BEHIND else Pace.CURRENT,
        queue=Pace.BEHIND if health.waiting > MANY_WAITING else Pace.CURRENT,
    )


def findings(database: Database, usage: Usage, now: int) -> Iterator[Finding]:
    """What an operator should know of usage; nothing where nobody sent an event."""
    if not is_there(database):
        return
    try:
        store = usage.catch_up()
        health, names = store.health(), len(store.waiting(limit=MOST_NAMES))
    except BillsmithError as error:
        yield Finding(what="usage", state=State.BAD, found=error.message, mend="see the message; the events are safe")
        return
    found = f"{health.engine}, {health.events} events, {health.bytes // _MB} MB"
    if health.writable:
        yield Finding(what="usage", state=State.OK, found=found)
    else:
        yield Finding(
            what="usage", state=State.BAD, found=health.reason, mend="make room on the disk; it tries again by itself"
        )
    yield _pace("usage roll-ups", health.behind, MANY_BEHIND, "rows not counted ahead; answers read them, and take longer")
    for note in health.notes:
        yield Finding(what="usage roll-ups", state=State.WARNING, found=note, mend="answers are right; they take longer")
    yield _pace("usage queue", health.waiting, MANY_WAITING, "batches wait to be written")
    yield Finding(
        what="usage names",
        state=State.WARNING if names else State.OK,
        found=f"{names}{' or more' if names == MOST_NAMES else ''} names in events lead to no account",
        mend="`billsmith events unknown ACCOUNT` shows what an account sent for them" if names else "",
    )
    with database.read() as connection:
        left = corrections.oldest_open(connection, before=now)
    if left is not None:
        yield Finding(
            what="usage corrections",
            state=State.WARNING,
            found="one is not at its end",
            mend="it is finished by the next, or by `billsmith jobs run --once`",
        )


def _pace(what: str, count: int, many: int, words: str) -> Finding:
    late = count > many
    return Finding(
        what=what,
        state=State.WARNING if late else State.OK,
        found=f"{count} {words}",
        mend="wait, or send less at a time; `billsmith doctor` again tells whether it gets less" if late else "",
    )
