"""Mails in the database: queued with their cause, claimed by one sender at a time, ended as sent or with a problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from billsmith.accounts.model import Account
from billsmith.storage import changes, schema
from billsmith.storage.accounts import path_range
from billsmith.storage.changes import Change
from billsmith.storage.schema_mail import mail as table
from billsmith.units.ids import derived_id

WAITING = "waiting"
SENT = "sent"
FAILED = "failed"
STATES = (WAITING, SENT, FAILED)
#: What the mail that brings a document is called; reminders have names of their own.
INVOICE = "invoice"


class NewMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail to queue: about which invoice (the store's number and the id), to which account, under its address."""

    invoice_seq: int
    invoice_id: str
    recipient_seq: int
    address: str
    what: str = INVOICE


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as it stands; ``problem`` says why it was not sent, or not yet."""

    seq: int
    id: str
    invoice_seq: int
    invoice_id: str
    number: str
    issuer_seq: int
    recipient_seq: int
    what: str
    address: str
    state: str
    attempts: int
    failing_since: int | None
    due_at: int
    created_at: int
    ended_at: int | None
    code: str
    problem: str


def queue(connection: Connection, new: Sequence[NewMail], at: int) -> None:
    """Queue mails, in the transaction of their cause. One without an address is a problem at once, for all to see."""
    if not new:
        return
    rows = [
        {
            "id": derived_id("mail", each.invoice_id, each.what),
            "invoice_seq": each.invoice_seq,
            "what": each.what,
            "recipient_seq": each.recipient_seq,
            "address": each.address,
            "state": WAITING if each.address else FAILED,
            "attempts": 0,
            "due_at": at,
            "created_at": at,
            "ended_at": None if each.address else at,
            "code": "" if each.address else "mail.no_address",
            "problem": "" if each.address else "the account has no e-mail address; give it one and retry",
        }
        for each in new
    ]
    connection.execute(insert(table), rows)


def due(connection: Connection, now: int, limit: int) -> list[Mail]:
    """Mails whose time has come, the longest waiting first."""
    query = _columns.where(table.c.state == WAITING, table.c.due_at <= now).order_by(table.c.due_at, table.c.seq).limit(limit)
    return [_mail(row) for row in connection.execute(query)]


def claim(connection: Connection, of: Mail, until: int) -> bool:
    """Keep others from sending a mail until then; ``False`` where another was quicker."""
    seen = (table.c.seq == of.seq) & (table.c.state == WAITING) & (table.c.due_at == of.due_at)
    return bool(connection.execute(update(table).where(seen).values(due_at=until)).rowcount)


def postpone(connection: Connection, of: Mail, *, due_at: int, failing_since: int, code: str, problem: str) -> None:
    """It could not be sent now; it is tried again."""
    values = {"attempts": of.attempts + 1, "due_at": due_at, "failing_since": failing_since, "code": code, "problem": problem}
    connection.execute(update(table).where(table.c.seq == of.seq, table.c.state == WAITING).values(values))


def end(connection: Connection, of: Mail, *, state: str, now: int, code: str = "", problem: str = "") -> None:
    """It was sent, or it can't be."""
    values = {"state": state, "attempts": of.attempts + 1, "ended_at": now, "code": code, "problem": problem}
    connection.execute(update(table).where(table.c.seq == of.seq).values(values))
    facts = {"invoice": of.invoice_id, "number": of.number, "what": of.what, "code": code}
    kind = "mail.sent" if state == SENT else "mail.failed"
    changes.note(connection, Change(kind, of.recipient_seq, of.id, now, "clock", facts, issuer=of.issuer_seq))


def retry(connection: Connection, of: Mail, *, address: str, now: int, actor: str) -> None:
    """Queue it again, to the address that the account has now."""
    values = {"state": WAITING, "address": address, "attempts": 0, "failing_since": None, "due_at": now, "ended_at": None}
    connection.execute(update(table).where(table.c.seq == of.seq).values(**values, code="", problem=""))
    facts = {"invoice": of.invoice_id, "number": of.number, "what": of.what}
    changes.note(connection, Change("mail.retried", of.recipient_seq, of.id, now, actor, facts, issuer=of.issuer_seq))


def find(connection: Connection, id: str, issuer: Account | None = None) -> Mail | None:
    """The mail with that id, about an invoice of an issuer at or below ``issuer``."""
    row = connection.execute(_within(issuer).where(table.c.id == id)).first()
    return _mail(row) if row else None


def page(
    connection: Connection, issuer: Account | None, *, state: str | None = None, before: int | None = None, limit: int
) -> list[Mail]:
    """Mails about invoices of issuers at or below ``issuer`` (``None``: all), the last first, those before a row."""
    query = _within(issuer).order_by(table.c.seq.desc()).limit(limit)
    if state is not None:
        query = query.where(table.c.state == state)
    if before is not None:
        query = query.where(table.c.seq < before)
    return [_mail(row) for row in connection.execute(query)]


_columns = select(
    table, schema.invoice.c.id.label("invoice_id"), schema.invoice.c.number, schema.invoice.c.issuer_seq
).join_from(table, schema.invoice, table.c.invoice_seq == schema.invoice.c.seq)


def _within(issuer: Account | None) -> Any:
    if issuer is None:
        return _columns
    start, end = path_range(issuer.path)
    owner = schema.account.c
    return _columns.join(schema.account, owner.seq == schema.invoice.c.issuer_seq).where(owner.path >= start, owner.path < end)


def _mail(row: Any) -> Mail:
    return Mail(**{name: getattr(row, name) for name in Mail.__struct_fields__})
