"""The jobs: what has to be done when its time has come, and nobody calls for it.

Each says whether something is due, from what stands in the store, and does it; nothing of a schedule is kept anywhere else. So
a job that was killed is due still, and whoever looks next does the rest: ``billsmith serve``, ``billsmith jobs run``, or both
at once, for every job is a use case that is safe to repeat and to run side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from billsmith.accounts.model import Account
from billsmith.storage import accounts, agreements, drafts, invoices, issuers, runs, simulations, sync_connections
from billsmith.storage.database import Connection, Database
from billsmith.storage.runs import Run
from billsmith.units.errors import BillsmithError
from billsmith.workflows import corrections, remind
from billsmith.workflows.asked_runs import bring_to_end
from billsmith.workflows.asked_simulations import make_waiting
from billsmith.workflows.bill_period import AGAIN_AFTER, LOOK_EVERY, Turn, days_by_the_clock, months_by_the_clock, take
from billsmith.workflows.billing_cycles import CYCLE
from billsmith.workflows.clock import Clock
from billsmith.workflows.deliveries import Courier
from billsmith.workflows.drafts import issue_due
from billsmith.workflows.mail import Postman
from billsmith.workflows.settle import mark_past_due
from billsmith.workflows.sync_runs import Puller
from billsmith.workflows.usage_store import Usage
from billsmith.workflows.wallet_books import book_due

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
    patient: bool = False
    """Whether a run that another process may be at work on is left alone until it stands still."""
    looked: dict[tuple[str, str], int] = msgspec.field(default_factory=dict)
    """When which issuer's month or days were looked at in vain, so that it isn't each minute. One job's own, as the next is."""
    stood: dict[str, int] = msgspec.field(default_factory=dict)
    """How far each open run was when it was last looked at."""


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


def _to_issue(tools: Tools, now: int) -> bool:
    with tools.database.read() as connection:
        return bool(drafts.to_issue(connection, now, limit=1))


def _issue(tools: Tools, now: int) -> int:
    return issue_due(tools.database, now, ACTOR)


def _open_runs(tools: Tools) -> list[Run]:
    """The runs to be brought to their end: where patience is due, not those that have moved since they were looked at."""
    with tools.database.read() as connection:
        found = runs.open_runs(connection)
    still = [run for run in found if run.state == runs.WAITING or not tools.patient or tools.stood.get(run.id) == run.cursor]
    tools.stood.clear()
    tools.stood.update({run.id: run.cursor for run in found})
    return still


def _to_run(tools: Tools, _now: int) -> bool:
    with tools.database.read() as connection:
        return bool(runs.open_runs(connection))


def _run(tools: Tools, _now: int) -> int:
    billed = 0
    for run in _open_runs(tools):
        usage = tools.usage.catch_up()
        billed += bring_to_end(tools.database, usage, run, processes=tools.processes, progress=tools.check)
    return billed


def _to_simulate(tools: Tools, _now: int) -> bool:
    with tools.database.read() as connection:
        return bool(simulations.waiting(connection, limit=1))


def _simulate(tools: Tools, _now: int) -> int:
    return make_waiting(tools.database, tools.usage.catch_up(), processes=tools.processes)


def _to_book(tools: Tools, now: int) -> bool:
    with tools.database.read() as connection:
        return bool(agreements.due_grants(connection, now, limit=1))


def _book(tools: Tools, now: int) -> int:
    return book_due(tools.database, now)


def _to_bill(tools: Tools, now: int) -> bool:
    return bool(_turns(tools, now))


def _turns(tools: Tools, now: int) -> list[Turn]:
    """What the clock bills, of each issuer in the order of time; a day before the month that ends with it or later."""
    found = []
    with tools.database.read() as connection:
        for seq in issuers.automatic(connection):
            issuer = accounts.by_seq(connection, seq)
            turns = [*months_by_the_clock(connection, issuer, now), *_days(tools, connection, issuer, now)]
            found += sorted(turns, key=lambda turn: (turn.span.after, turn.kind != CYCLE))
    in_vain = {key for key, at in tools.looked.items() if at > now - AGAIN_AFTER}
    return [turn for turn in found if (turn.issuer.id, turn.span.name) not in in_vain]


def _days(tools: Tools, connection: Connection, issuer: Account, now: int) -> list[Turn]:
    """The days that are due, unless there was none when they were looked for a while ago."""
    looked = (issuer.id, CYCLE)
    if tools.looked.get(looked, now - LOOK_EVERY) > now - LOOK_EVERY:
        return []
    days = list(days_by_the_clock(connection, issuer, now))
    if not days:
        tools.looked[looked] = now
    return days


def _bill(tools: Tools, now: int) -> int:
    billed = 0
    for turn in _turns(tools, now):
        tools.check(billed)
        usage = tools.usage.catch_up()
        reports = take(tools.database, usage, turn, at=now, actor=ACTOR, processes=tools.processes, progress=tools.check)
        billed += sum(report.billed for report in reports)
        if not any(report.run for report in reports):
            tools.looked[turn.issuer.id, turn.span.name] = now
    return billed


def _to_pull(tools: Tools, now: int) -> bool:
    if tools.puller is None:
        return False
    with tools.database.read() as connection:
        return bool(sync_connections.due(connection, now))


def _pull(tools: Tools, _now: int) -> int:
    assert tools.puller is not None
    return sum(1 for _ in tools.puller.run_due(tools.check))


def _left(tools: Tools, now: int) -> bool:
    with tools.database.read() as connection:
        return corrections.left(connection, now) is not None


def _finish_left(tools: Tools, now: int) -> int:
    return corrections.finish_left(tools.database, tools.usage.catch_up(), now)


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


def _to_remind(tools: Tools, now: int) -> bool:
    return remind.is_due(tools.database, now)


def _remind(tools: Tools, now: int) -> int:
    return remind.run_due(tools.database, now, tools.check)


PAST_DUE = Job(
    name="past-due",
    what="Open invoices whose due date has ended where their issuer is become past due.",
    every=60,
    due=_late,
    run=_mark_late,
)
DRAFTS = Job(
    name="drafts",
    what="Drafts whose time has come are issued.",
    every=30,
    due=_to_issue,
    run=_issue,
)
RUNS = Job(
    name="runs",
    what="Runs that were asked for are begun; those that nobody goes on with are brought to their end.",
    every=15,
    due=_to_run,
    run=_run,
)
SIMULATIONS = Job(
    name="simulations",
    what="Simulations that were asked for are made.",
    every=15,
    due=_to_simulate,
    run=_simulate,
)
WALLETS = Job(
    name="wallets",
    what="Credit that expired, or was filled up again, is booked.",
    every=60,
    due=_to_book,
    run=_book,
)
BILL = Job(
    name="bill",
    what="Months and billing periods whose grace has ended are billed, for the issuers that bill by the clock.",
    every=60,
    due=_to_bill,
    run=_bill,
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
REMINDERS = Job(
    name="reminders",
    what="What is not paid is reminded of, as its issuer planned.",
    every=60,
    due=_to_remind,
    run=_remind,
)
MAIL = Job(
    name="mail",
    what="Invoices that go by e-mail, and reminders, are handed to the mail server.",
    every=10,
    due=_to_send,
    run=_send,
)

CORRECTIONS = Job(
    name="corrections",
    what="Corrections of usage whose process was killed are brought to their end.",
    every=300,
    due=_left,
    run=_finish_left,
)

#: All jobs, in the order in which one process does what is due.
JOBS: tuple[Job, ...] = (PAST_DUE, DRAFTS, CORRECTIONS, RUNS, BILL, SIMULATIONS, WALLETS, PULLS, REMINDERS, WEBHOOKS, MAIL)
