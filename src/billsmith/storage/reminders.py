"""Reminders in the database: plans, the invoices that a day's steps are about, and what was done."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, insert, select, update

from billsmith.accounts.model import Account
from billsmith.invoicing.model import OPEN_STATUSES, InvoiceKind
from billsmith.invoicing.reminders import Step, step_text
from billsmith.storage import changes, invoices
from billsmith.storage.changes import Change
from billsmith.storage.invoices import STATUS_MASK, Stored
from billsmith.storage.schema import invoice as invoice_table
from billsmith.storage.schema_reminders import reminder as table
from billsmith.storage.schema_reminders import reminder_plan as plan_table

_steps = msgspec.json.Decoder(tuple[Step, ...])


class Plan(NamedTuple):
    """An issuer's steps, and the day up to which they were done."""

    issuer_seq: int
    steps: tuple[Step, ...]
    done_until: dt.date


def plan_of(connection: Connection, issuer_seq: int) -> Plan | None:
    """An issuer's plan."""
    row = connection.execute(select(plan_table).where(plan_table.c.issuer_seq == issuer_seq)).first()
    return None if row is None else Plan(row.issuer_seq, _steps.decode(row.steps), dt.date.fromordinal(row.done_until))


def plans(connection: Connection) -> list[Plan]:
    """Every plan that has steps."""
    rows = connection.execute(select(plan_table).order_by(plan_table.c.issuer_seq))
    found = [Plan(row.issuer_seq, _steps.decode(row.steps), dt.date.fromordinal(row.done_until)) for row in rows]
    return [plan for plan in found if plan.steps]


def set_plan(
    connection: Connection, issuer: Account, steps: tuple[Step, ...], *, done_until: dt.date, now: int, actor: str
) -> None:
    """Keep an issuer's steps, of which those up to a day are not done any more."""
    values = {
        "steps": msgspec.json.encode(steps).decode(),
        "done_until": done_until.toordinal(),
        "updated_at": now,
        "updated_by": actor,
    }
    changed = connection.execute(update(plan_table).where(plan_table.c.issuer_seq == issuer.seq).values(values))
    if not changed.rowcount:
        connection.execute(insert(plan_table).values(issuer_seq=issuer.seq, **values))
    facts = {"steps": [step_text(step) for step in steps]}
    changes.note(connection, Change("account.reminders", issuer.seq, issuer.id, now, actor, facts))


def done(connection: Connection, plan: Plan, until: dt.date) -> None:
    """Every step up to a day was done; where the plan was set anew meanwhile, it stays as that said."""
    seen = (plan_table.c.issuer_seq == plan.issuer_seq) & (plan_table.c.done_until == plan.done_until.toordinal())
    connection.execute(update(plan_table).where(seen).values(done_until=until.toordinal()))


def unpaid(
    connection: Connection, issuer_seq: int, due_dates: Iterable[dt.date], *, after_seq: int, limit: int
) -> list[Stored]:
    """An issuer's open invoices that are due on some days, those after a row, in order."""
    asking = [InvoiceKind.INVOICE.value, InvoiceKind.DEBIT_NOTE.value]
    query = invoices.columns().where(
        invoice_table.c.issuer_seq == issuer_seq,
        invoice_table.c.seq > after_seq,
        invoice_table.c.due_date.in_([day.toordinal() for day in due_dates]),
        invoice_table.c.flags.op("&")(STATUS_MASK).in_([int(status) for status in OPEN_STATUSES]),
        invoice_table.c.kind.in_(asking),
    )
    return [invoices.stored(row) for row in connection.execute(query.order_by(invoice_table.c.seq).limit(limit))]


def claim(connection: Connection, invoice_seq: int, step: Step, at: int) -> bool:
    """Note that a step is done for an invoice, whose row is locked; ``False`` where it was done before."""
    of = (table.c.invoice_seq == invoice_seq) & (table.c.step == step.name)
    if connection.execute(select(table.c.at).where(of)).first():
        return False
    connection.execute(insert(table).values(invoice_seq=invoice_seq, step=step.name, at=at))
    return True


def of_invoice(connection: Connection, invoice_seq: int) -> list[tuple[str, int]]:
    """Which steps were done for an invoice, and when, in order."""
    query = select(table.c.step, table.c.at).where(table.c.invoice_seq == invoice_seq).order_by(table.c.at, table.c.step)
    return [(row.step, row.at) for row in connection.execute(query)]
