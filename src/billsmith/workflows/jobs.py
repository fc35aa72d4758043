"""The jobs: what has to be done when its time has come, and nobody calls for it.

Each says whether something is due, from what stands in the store, and does it; nothing of a schedule is kept anywhere else. So
a job that was killed is due still, and whoever looks next does the rest: ``billsmith serve``, ``billsmith jobs run``, or both
at once, for every job is a use case that is safe to repeat and to run side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from billsmith.storage import invoices, sync_connections
from billsmith.storage.database import Database
from billsmith.units.errors import BillsmithError
from billsmith.workflows.clock import Clock
from billsmith.workflows.deliveries import Courier
from billsmith.workflows.mail import Postman
from billsmith.workflows.settle import mark_past_due
from billsmith.workflows.sync_runs import Puller
from billsmith.workflows.usage_store import Usage

#: How history names whoever does what was due.
ACTOR = "clock"


def _go_on(_count: int) -> None:
    """Nobody wants the job to end early."""


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What jobs work with. ``check`` is called between pieces of work; it raises ``Stopped`` where the job must end."""

    database: Database
    clock: Clock
    usage: Usage
    puller: Puller | None = None
    """``None`` where this process pulls nothing."""
    courier: Courier | None = None
    """``None`` where this process tells no webhooks."""
    postman: Postman | None = None
    """``None`` where this process sends no mail."""
    processes: int = 1
    check: Callable[[int], None] = _go_on


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job: looked at every so many seconds, run where something is due. ``run`` gives how many things it did."""

    name: str
    what: str
    every: int
    due: Callable[[Tools, int], bool]
    run: Callable[[Tools, int], int]


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a job: how much it did, or why it could not."""

    job: str
    done: int = 0
    code: str = ""
    reason: str = ""


def run_due(tools: Tools, jobs: Sequence[Job]) -> list[Ran]:
    """Do what is due, job after job; one that fails does not keep the others from their work."""
    return [ran for job in jobs if (ran := run_if_due(tools, job)) is not None]


def run_if_due(tools: Tools, job: Job) -> Ran | None:
    """Do a job if something of it is due."""
    try:
        now = tools.clock()
        return Ran(job=job.name, done=job.run(tools, now)) if job.due(tools, now) else None
    except BillsmithError as error:
        return Ran(job=job.name, code=error.code, reason=error.message)


def _late(tools: Tools, now: int) -> bool:
    with tools.database.read() as connection:
        return bool(invoices.overdue(connection, now, limit=1))


def _mark_late(tools: Tools, now: int) -> int:
    return mark_past_due(tools.database, now)


def _to_pull(tools: Tools, now: int) -> bool:
    if tools.puller is None:
        return False
    with tools.database.read() as connection:
        return bool(sync_connections.due(connection, now))


def _pull(tools: Tools, _now: int) -> int:
    assert tools.puller is not None
    return sum(1 for _ in tools.puller.run_due(tools.check))


def _to_tell(tools: Tools, now: int) -> bool:
    return tools.courier is not None and tools.courier.is_due(now)


def _tell(tools: Tools, _now: int) -> int:
    assert tools.courier is not None
    return tools.courier.run_due(tools.check)


def _to_send(tools: Tools, now: int) -> bool:
    return tools.postman is not None and tools.postman.is_due(now)


def _send(tools: Tools, _now: int) -> int:
    assert tools.postman is not None
    return tools.postman.run_due(tools.check)


PAST_DUE = Job(
    name="past-due",
    what="Open invoices whose due date has ended where their issuer is become past due.",
    every=60,
    due=_late,
    run=_mark_late,
)
PULLS = Job(
    name="pulls",
    what="Connections whose time has come are pulled, one after the other.",
    every=30,
    due=_to_pull,
    run=_pull,
)
WEBHOOKS = Job(
    name="webhooks",
    what="Webhooks are told what changed, each in the order of the changes.",
    every=2,
    due=_to_tell,
    run=_tell,
)
MAIL = Job(
    name="mail",
    what="Invoices that go by e-mail, and reminders, are handed to the mail server.",
    every=10,
    due=_to_send,
    run=_send,
)

#: All jobs, in the order in which one process does what is due.
JOBS: tuple[Job, ...] = (PAST_DUE, PULLS, WEBHOOKS, MAIL)
