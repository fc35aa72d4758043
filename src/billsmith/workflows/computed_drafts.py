"""What a run will bill, computed when it is looked at: the draft of a period that goes on, or is over and in its grace.

Nothing of it is kept (decision 0404): it is what a run would make of the agreements and the usage that there are now.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from billsmith.accounts.model import Account
from billsmith.documents.packed import unpack_content
from billsmith.invoicing.cases import Case
from billsmith.invoicing.model import Invoice, InvoiceKind, InvoiceStatus
from billsmith.storage import accounts, issuers
from billsmith.storage.database import Database
from billsmith.units.ids import derived_id
from billsmith.units.instants import start_of_day
from billsmith.units.spans import NamedSpan
from billsmith.usage.store import UsageStore
from billsmith.workflows.billing_answers import worked_out
from billsmith.workflows.billing_cases import Loaded, load_books
from billsmith.workflows.billing_reading import Reading
from billsmith.workflows.billing_run import imagined
from billsmith.workflows.billing_work import Drafted, Outcome, Parked, draft


class NotYet(NamedTuple):
    """An account that could not be billed as things stand, and why."""

    account: Account
    code: str
    reason: str


class Drafts(NamedTuple):
    """Drafts of a page of recipients, those that can't be billed, when they are due, and the last recipient (none: the end)."""

    documents: list[Invoice]
    parked: list[NotYet]
    due_at: int
    last: Account | None


def compute(
    database: Database,
    usage: UsageStore | None,
    issuer: Account,
    span: NamedSpan,
    *,
    now: int,
    scope: Account | None = None,
    after: Account | None = None,
    limit: int = 50,
) -> Drafts:
    """The drafts of a span for at most ``limit`` recipients (at or below ``scope``), those after one."""
    reading = Reading(database, usage, issuer, span, scope, limit, lambda _step: None)
    with database.read() as connection:
        how = issuers.how(connection, issuer.seq)
        present = max(now, start_of_day(span.after, "Etc/GMT+12"))  # over wherever a subscription is
        run = imagined(connection, usage, issuer, span, present)
        books = load_books(connection, issuer, run.catalogs)
        end, loaded = next(reading.loads(connection, run, after.seq if after else 0, books), (0, None))
        last = accounts.by_seq(connection, end) if end else None
    due_at = span.end(issuer.time_zone) + how.grace
    if loaded is None:
        return Drafts([], [], due_at, None)
    works = worked_out(usage, issuer, loaded.cases, loaded.accounts, books, run.as_of_seq)
    outcomes = draft(works, books)
    status = InvoiceStatus.GRACE if span.end(issuer.time_zone) <= now else InvoiceStatus.DRAFT
    found = [
        _document(issuer, loaded, case, outcome, span, status, now=present)
        for case, outcome in zip(loaded.cases, outcomes, strict=True)
        if isinstance(outcome, Drafted)
    ]
    return Drafts(found, _parked(loaded, list(zip(loaded.cases, outcomes, strict=True))), due_at, last)


def _document(
    issuer: Account, loaded: Loaded, case: Case, drafted: Drafted, span: NamedSpan, status: InvoiceStatus, *, now: int
) -> Invoice:
    recipient, agreed = loaded.accounts[case.recipient], case.terms_agreed
    return Invoice(
        id=derived_id("draft", issuer.id, recipient.id, case.currency, span.name),
        issuer_id=issuer.id,
        recipient_id=recipient.id,
        kind=drafted.kind,
        number="",
        status=status,
        currency=case.currency,
        total_minor=drafted.total_minor,
        tax_minor=drafted.tax_minor,
        paid_minor=sum(each.amount_minor for each in drafted.settlements),
        customer_name=recipient.name,
        billing_entity=issuer.profile.billing_entity or issuer.name,
        date=case.date,
        due_date=case.date + timedelta(days=agreed.due_days) if drafted.kind is InvoiceKind.INVOICE else None,
        period=case.period,
        created_at=now,
        send_by_email=agreed.send_by_email,
        direct_debit=agreed.direct_debit,
        consolidated=any(part.account for part in case.parts),
        content=unpack_content(drafted.body),
    )


def _parked(loaded: Loaded, made: list[tuple[Case, Outcome]]) -> list[NotYet]:
    refused = [NotYet(loaded.accounts[seq], code, reason) for seq, (code, reason) in loaded.refused.items()]
    return refused + [
        NotYet(loaded.accounts[case.recipient], outcome.code, outcome.reason)
        for case, outcome in made
        if isinstance(outcome, Parked)
    ]
