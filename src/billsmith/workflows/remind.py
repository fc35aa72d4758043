"""Reminders as a job: on each day where the issuer is, the plan's steps for what is not paid, each once for an invoice.

A step is done in one transaction with its key, its mail or its fee, and its row in the change log; the invoice is locked and
looked at again first, so that one that was paid meanwhile is left alone. A day whose work was cut short is done again, and
finds what was done (decision 0424).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from billsmith.accounts.model import Account, AccountStatus
from billsmith.invoicing.model import OPEN_STATUSES
from billsmith.invoicing.reminders import Deed, Step, check_plan, due_dates, steps_of
from billsmith.invoicing.totals import DraftLine
from billsmith.storage import accounts, changes, invoice_writing, mails, reminders
from billsmith.storage.changes import Change
from billsmith.storage.database import Connection, Database
from billsmith.storage.invoices import Stored
from billsmith.storage.mails import NewMail
from billsmith.storage.reminders import Plan
from billsmith.units.currency import from_minor
from billsmith.units.ids import derived_id
from billsmith.units.instants import local_date
from billsmith.units.rounding import plain
from billsmith.workflows.issue_invoice import OneOff, issue

ACTOR = "clock"
#: What stands on a fee as its batch; for such an invoice no fee is asked again.
FEE_BATCH = "late-fee"
#: Invoices in one transaction; days that are made up for after a standstill.
_CHUNK = 100
_MOST_DAYS = 30


def set_plan(
    connection: Connection, issuer: Account, steps: list[Step] | tuple[Step, ...], *, now: int, actor: str
) -> tuple[Step, ...]:
    """Set an issuer's steps. They count from today on, where it is: what should have been done before is not made up for."""
    checked = check_plan(steps)
    yesterday = local_date(now, issuer.time_zone) - dt.timedelta(days=1)
    before = reminders.plan_of(connection, issuer.seq)
    until = yesterday if before is None else max(yesterday, before.done_until)
    reminders.set_plan(connection, issuer, checked, done_until=until, now=now, actor=actor)
    return checked


def is_due(database: Database, now: int) -> bool:
    """Whether any issuer's day has begun."""
    with database.read() as connection:
        plans = reminders.plans(connection)
        people = accounts.by_seqs(connection, [plan.issuer_seq for plan in plans])
    return any(plan.done_until < local_date(now, people[plan.issuer_seq].time_zone) for plan in plans)


def run_due(database: Database, now: int, check: Callable[[int], None] = lambda _count: None) -> int:
    """Do the steps of the days that have begun; how many were done."""
    count = 0
    with database.read() as connection:
        plans = reminders.plans(connection)
        people = accounts.by_seqs(connection, [plan.issuer_seq for plan in plans])
    for plan in plans:
        issuer = people[plan.issuer_seq]
        today = local_date(now, issuer.time_zone)
        if plan.done_until < today:
            count += _days(database, issuer, plan, today, now, check)
    return count


def _days(database: Database, issuer: Account, plan: Plan, today: dt.date, now: int, check: Callable[[int], None]) -> int:
    after = max(plan.done_until, today - dt.timedelta(days=_MOST_DAYS))
    wanted = due_dates(plan.steps, after, today)
    count, seq = 0, 0
    while True:
        with database.read() as connection:
            batch = reminders.unpaid(connection, issuer.seq, wanted, after_seq=seq, limit=_CHUNK)
        check(count)
        if batch:
            with database.write() as connection:
                count += sum(_remind(connection, issuer, found, plan.steps, after, today, now) for found in batch)
        if len(batch) < _CHUNK:
            break
        seq = batch[-1].seq
    with database.write() as connection:
        reminders.done(connection, plan, today)
    return count


def _remind(
    connection: Connection, issuer: Account, found: Stored, plan: tuple[Step, ...], after: dt.date, today: dt.date, now: int
) -> int:
    """The steps of an invoice; how many were done."""
    found = invoice_writing.lock(connection, found)
    invoice = found.invoice
    if invoice.status not in OPEN_STATUSES or invoice.due_minor <= 0 or invoice.due_date is None:
        return 0
    count = 0
    not_yet = invoice.date - dt.timedelta(days=1)  # a day before the invoice was there is no day of its
    for step in steps_of(plan, invoice.due_date, max(after, not_yet), today):
        if _applies(step, found, issuer) and reminders.claim(connection, found.seq, step, now):
            _do(connection, issuer, found, step, now)
            count += 1
    return count


def _applies(step: Step, found: Stored, issuer: Account) -> bool:
    if step.do is not Deed.FEE:
        return True
    return (
        found.invoice.currency == step.currency
        and found.invoice.batch != FEE_BATCH
        and issuer.status is not AccountStatus.CLOSED
    )


def _do(connection: Connection, issuer: Account, found: Stored, step: Step, now: int) -> None:
    invoice = found.invoice
    recipient = accounts.by_seq(connection, found.recipient_seq)
    facts = {
        "number": invoice.number,
        "step": step.name,
        "due": plain(from_minor(invoice.due_minor, invoice.currency)),
        "currency": invoice.currency,
        "due_date": invoice.due_date,
    }
    kind = f"{invoice.kind.value}.reminded"
    changes.note(connection, Change(kind, found.recipient_seq, invoice.id, now, ACTOR, facts, issuer=found.issuer_seq))
    if step.do is Deed.MAIL:
        new = NewMail(
            invoice_seq=found.seq,
            invoice_id=invoice.id,
            recipient_seq=found.recipient_seq,
            address=recipient.profile.email,
            what=step.name,
        )
        mails.queue(connection, [new], now)
    elif step.do is Deed.FEE and recipient.status is not AccountStatus.CLOSED:
        _ask_fee(connection, issuer, recipient, found, step, now)


def _ask_fee(connection: Connection, issuer: Account, recipient: Account, found: Stored, step: Step, now: int) -> None:
    """Invoice a late fee, due after as long a time as the invoice itself was."""
    invoice = found.invoice
    assert step.amount is not None
    assert invoice.due_date is not None
    today = local_date(now, issuer.time_zone)
    what = OneOff(
        lines=[DraftLine(description=f"Late fee for {invoice.number}", amount=step.amount)],
        currency=step.currency,
        due_date=today + max(invoice.due_date - invoice.date, dt.timedelta(0)),
        send_by_email=invoice.send_by_email,
        batch=FEE_BATCH,
    )
    id = derived_id("late fee", invoice.id, step.name)
    issue(connection, issuer, recipient, what, id=id, now=now, actor=ACTOR)
