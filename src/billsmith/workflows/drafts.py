"""One-off invoices that are made as drafts: changed, dropped, issued by hand or when their time has come.

A draft becomes a document under its own id, in one transaction with its end; it has no number before.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from billsmith.accounts.model import Account
from billsmith.invoicing.model import Invoice
from billsmith.invoicing.totals import DraftLine, TaxRate
from billsmith.storage import accounts, drafts, invoices
from billsmith.storage.database import Connection, Database
from billsmith.storage.drafts import Draft
from billsmith.units.errors import BillsmithError, Invalid
from billsmith.workflows.issue_invoice import OneOff, check_parties, drawn_up, issue


class _Line(DraftLine, frozen=True, kw_only=True):
    amount: Decimal


class _Kept(OneOff, frozen=True, kw_only=True):
    """A :class:`OneOff` as it is kept: what JSON can tell apart."""

    lines: tuple[_Line, ...]
    taxes: tuple[TaxRate, ...] = ()


_kept = msgspec.json.Decoder(_Kept)


def keep(
    connection: Connection,
    issuer: Account,
    recipient: Account,
    what: OneOff,
    *,
    id: str,
    now: int,
    actor: str,
    issue_at: int | None = None,
) -> Draft:
    """Keep a draft. ``issue_at``: when it issues itself. Raises as issuing it would, but for its date."""
    check_parties(issuer, recipient)
    drawn_up(issuer, recipient, what, id=id, now=now, actor=actor)
    _check_time(issue_at, now)
    return drafts.add(
        connection,
        Draft(0, id, issuer.seq, recipient.seq, _written(what), issue_at, now, now, actor),
    )


def change(
    connection: Connection,
    draft: Draft,
    issuer: Account,
    recipient: Account,
    what: OneOff,
    *,
    now: int,
    actor: str,
    issue_at: int | None = None,
) -> Draft:
    """Let a draft, which the caller holds locked, say something else."""
    check_parties(issuer, recipient)
    drawn_up(issuer, recipient, what, id=draft.id, now=now, actor=actor)
    _check_time(issue_at, now)
    changed = draft._replace(
        issuer_seq=issuer.seq,
        recipient_seq=recipient.seq,
        body=_written(what),
        issue_at=issue_at,
        updated_at=now,
        updated_by=actor,
    )
    drafts.change(connection, changed)
    return changed


def shown(connection: Connection, draft: Draft, now: int) -> Invoice:
    """A draft as the document that it would be now, without a number."""
    issuer, recipient = _parties(connection, draft)
    drawn = drawn_up(issuer, recipient, read(draft), id=draft.id, now=now, actor=draft.updated_by)
    return msgspec.structs.replace(drawn, created_at=draft.created_at)


def issue_draft(connection: Connection, draft: Draft, *, now: int, actor: str) -> invoices.Stored:
    """Issue a draft, which the caller holds locked. Raises as :func:`billsmith.workflows.issue_invoice.issue` does."""
    issuer, recipient = _parties(connection, draft)
    drafts.remove(connection, draft)
    return issue(connection, issuer, recipient, read(draft), id=draft.id, now=now, actor=actor)


def issue_due(database: Database, now: int, actor: str) -> int:
    """Issue every draft whose time has come, each in a transaction of its own; how many there were.

    Raises the first error, once all the others are issued.
    """
    with database.read() as connection:
        due = drafts.to_issue(connection, now)
    issued = 0
    failed: BillsmithError | None = None
    for each in due:
        try:
            with database.write() as connection:
                locked = drafts.by_id(connection, each.id, lock=True)
                if locked is not None and locked.issue_at is not None and locked.issue_at <= now:
                    issue_draft(connection, locked, now=now, actor=actor)
                    issued += 1
        except BillsmithError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return issued


def read(draft: Draft) -> OneOff:
    """What a draft says."""
    return _kept.decode(draft.body)


def _written(what: OneOff) -> str:
    return msgspec.json.encode(what).decode()


def _parties(connection: Connection, draft: Draft) -> tuple[Account, Account]:
    return accounts.by_seq(connection, draft.issuer_seq), accounts.by_seq(connection, draft.recipient_seq)


def _check_time(issue_at: int | None, now: int) -> None:
    if issue_at is not None and issue_at < now:
        raise Invalid("its time has passed; issue it, or name another", code="draft.issue_at_passed", where="issue_at")
