"""A one-off invoice: lines and taxes in, an issued invoice with its number out, in one transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec

from billsmith.accounts.model import Account, AccountStatus
from billsmith.invoicing.bookings import book_document
from billsmith.invoicing.cases import MAX_TOTAL_MINOR as MAX_TOTAL_MINOR
from billsmith.invoicing.model import Content, Invoice, InvoiceKind, InvoiceStatus, Period, RoundingPlace
from billsmith.invoicing.totals import DraftLine, TaxRate, total
from billsmith.storage import invoice_writing, invoices, ledger
from billsmith.storage.database import Connection
from billsmith.storage.invoice_writing import NewInvoice
from billsmith.storage.ledger import Entry, Subject
from billsmith.units.errors import Conflict, Invalid, InvalidInvoice
from billsmith.units.instants import local_date, start_of_day
from billsmith.workflows.parties import party

MAX_LINES = 10_000


class OneOff(msgspec.Struct, frozen=True, kw_only=True):
    """What a one-off invoice says, before it has a number and a total.

    Amounts are exact, in the currency's major unit. ``date`` is today where the issuer is unless given; the period is that
    day unless given. A negative total makes a credit note.
    """

    lines: Sequence[DraftLine]
    taxes: Sequence[TaxRate] = ()
    currency: str | None = None
    date: dt.date | None = None
    due_date: dt.date | None = None
    period: Period | None = None
    rounding_place: RoundingPlace = RoundingPlace.LINE
    send_by_email: bool = False
    direct_debit: bool = False
    batch: str = ""
    notes: str = ""
    scheduled_at: int | None = None


def issue(
    connection: Connection,
    issuer: Account,
    recipient: Account,
    what: OneOff,
    *,
    id: str,
    now: int,
    actor: str,
) -> invoices.Stored:
    """Issue an invoice from ``issuer`` to ``recipient`` (at or below it) under the id that the caller brings.

    Raises :class:`InvalidInvoice`: no lines or too many, an amount too large, dates that can't be; :class:`Conflict` for an
    account that is closed or an id that is taken.
    """
    check_parties(issuer, recipient)
    drawn = drawn_up(issuer, recipient, what, id=id, now=now, actor=actor)
    numbered = invoice_writing.numbers(connection, issuer, drawn.kind, drawn.date, 1, asked=what.date is not None)
    if numbered.date != drawn.date:
        drawn = drawn_up(issuer, recipient, what, id=id, now=now, actor=actor, date=numbered.date)
    invoice = msgspec.structs.replace(
        drawn,
        number=numbered.texts[0],
        status=InvoiceStatus.ISSUED if drawn.total_minor else InvoiceStatus.PAID,
        issued_at=now,
        paid_at=None if drawn.total_minor else now,
    )
    new = NewInvoice(invoice=invoice, issuer=issuer, recipient=recipient, series=numbered.series)
    [seq] = invoice_writing.add(connection, [new])
    ledger.append(connection, [Entry(Subject.INVOICE, seq, 0, book_document(invoice, now))])
    return invoices.Stored(seq, issuer.seq, recipient.seq, invoice)


def drawn_up(
    issuer: Account,
    recipient: Account,
    what: OneOff,
    *,
    id: str,
    now: int,
    actor: str,
    date: dt.date | None = None,
) -> Invoice:
    """The document that something comes to, as a draft: without a number. ``date`` takes the place of today's.

    Raises :class:`InvalidInvoice`: no lines or too many, an amount too large, dates that can't be.
    """
    _check(what)
    currency = what.currency or recipient.currency
    sums = total(what.lines, what.taxes, currency, what.rounding_place)
    amounts = [sums.total_minor, sums.tax_minor, *(line.amount_minor for line in sums.lines)]
    amounts += [amount for tax in sums.taxes for amount in (tax.base_minor, tax.amount_minor)]
    if max(map(abs, amounts)) > MAX_TOTAL_MINOR:
        raise InvalidInvoice("the amounts are too large to be owed", code="invoice.too_large", where="lines")
    date = what.date or date or local_date(now, issuer.time_zone)
    if what.due_date is not None and what.due_date < date:
        raise InvalidInvoice("it would be due before its date", code="invoice.due_before_date", where="due_date")
    return Invoice(
        id=id,
        issuer_id=issuer.id,
        recipient_id=recipient.id,
        kind=InvoiceKind.CREDIT_NOTE if sums.total_minor < 0 else InvoiceKind.INVOICE,
        number="",
        status=InvoiceStatus.DRAFT,
        currency=currency,
        total_minor=sums.total_minor,
        tax_minor=sums.tax_minor,
        customer_name=recipient.name,
        billing_entity=issuer.profile.billing_entity or issuer.name,
        date=date,
        due_date=what.due_date,
        period=what.period or _day(date, issuer.time_zone),
        created_at=now,
        scheduled_at=what.scheduled_at,
        send_by_email=what.send_by_email,
        direct_debit=what.direct_debit,
        batch=what.batch,
        invoiced_by=actor,
        content=Content(
            issuer=party(issuer, as_issuer=True),
            recipient=party(recipient),
            lines=sums.lines,
            taxes=sums.taxes,
            rounding_place=what.rounding_place,
            notes=what.notes,
        ),
    )


def check_parties(issuer: Account, recipient: Account) -> None:
    """Raise :class:`Invalid` or :class:`Conflict` where one can't issue to the other."""
    if not recipient.is_at_or_below(issuer):
        raise Invalid(
            "the recipient must be the issuer or stand below it; name another issuer",
            code="invoice.recipient",
            where="recipient",
        )
    for account in (issuer, recipient):
        if account.status is AccountStatus.CLOSED:
            raise Conflict(f"{account.name!r} is closed; it takes no more invoices", code="account.closed")


def _check(what: OneOff) -> None:
    if not what.lines:
        raise InvalidInvoice("an invoice needs at least one line", code="invoice.no_lines", where="lines")
    if len(what.lines) > MAX_LINES:
        raise InvalidInvoice(f"at most {MAX_LINES} lines fit", code="invoice.too_many_lines", where="lines")
    if what.period is not None and what.period.end <= what.period.start:
        raise InvalidInvoice("the period ends before it starts", code="invoice.period", where="period")


def _day(date: dt.date, time_zone: str) -> Period:
    if date >= dt.date.max:
        raise InvalidInvoice("the date is too far away", code="invoice.date", where="date")
    return Period(start_of_day(date, time_zone), start_of_day(date + dt.timedelta(days=1), time_zone))
