"""What happens to an issued invoice: payments and refunds, void, write-off, past due, export. Each can be retried."""

from __future__ import annotations

from typing import Any

from billsmith.invoicing.bookings import book_overpayment, book_payment, book_void, book_write_off, undo_write_off
from billsmith.invoicing.model import OPEN_STATUSES, Invoice, InvoiceStatus, Payment
from billsmith.storage import agreements, changes, invoice_writing, invoices, ledger, runs
from billsmith.storage.changes import Change
from billsmith.storage.database import Connection, Database
from billsmith.storage.invoices import Stored
from billsmith.units.currency import from_minor
from billsmith.units.errors import Conflict, Invalid
from billsmith.units.ids import derived_id
from billsmith.units.rounding import plain
from billsmith.workflows.issue_invoice import MAX_TOTAL_MINOR

_PAYABLE = OPEN_STATUSES | {InvoiceStatus.PAID}


def record_payment(
    connection: Connection,
    found: Stored,
    *,
    amount_minor: int,
    reference: str,
    now: int,
    actor: str,
    paid_at: int | None = None,
    method: str = "",
) -> tuple[Stored, Payment]:
    """Money received (negative: paid back). ``reference`` names it within the invoice: the same one again changes nothing.

    Raises :class:`Conflict` when the same reference came with another amount, or the invoice is void or not issued.
    """
    found = invoice_writing.lock(connection, found)
    for earlier in invoices.payments(connection, found.seq):
        if earlier.reference == reference:
            if earlier.amount_minor != amount_minor:
                raise Conflict(
                    f"payment {reference!r} was recorded with another amount", code="payment.reference_taken", where="reference"
                )
            return found, earlier
    invoice = found.invoice
    if invoice.status not in _PAYABLE:
        raise Conflict(f"an invoice that is {invoice.status.word} takes no payment", code="payment.not_payable")
    if amount_minor == 0:
        raise Invalid("a payment of nothing", code="payment.zero", where="amount")
    if abs(invoice.paid_minor + amount_minor) > MAX_TOTAL_MINOR:
        raise Invalid("more would be paid than any invoice asks for", code="payment.too_large", where="amount")
    low, high = (invoice.total_minor, 0) if invoice.total_minor < 0 else (0, MAX_TOTAL_MINOR)
    if invoice.paid_minor + amount_minor < low:
        raise Invalid("more would be paid back than was paid", code="payment.refund_too_large", where="amount")
    if invoice.paid_minor + amount_minor > high:
        raise Invalid("a credit note gives money back; pay the invoice", code="payment.for_credit_note", where="amount")
    payment = Payment(
        id=derived_id("payment", invoice.id, reference),
        amount_minor=amount_minor,
        paid_at=now if paid_at is None else paid_at,
        reference=reference,
        method=method,
        recorded_at=now,
        recorded_by=actor,
    )
    invoice_writing.add_payment(connection, found.seq, payment)
    after = after_payment(invoice, amount_minor, payment.paid_at)
    excess = _overpaid(invoice, after["paid_minor"]) - _overpaid(invoice, invoice.paid_minor)
    ledger.book(connection, found.seq, [book_payment(invoice, payment), book_overpayment(invoice, payment, excess)])
    changes.note(connection, _noted(found, payment))
    moved = invoice_writing.move(
        connection,
        found,
        what="payment",
        actor=actor,
        at=now,
        detail=reference,
        payment_method=method or invoice.payment_method,
        **after,
    )
    return moved, payment


def _noted(found: Stored, payment: Payment) -> Change:
    invoice = found.invoice
    return Change(
        "payment.recorded" if payment.amount_minor > 0 else "payment.refunded",
        found.recipient_seq,
        payment.id,
        payment.recorded_at,
        payment.recorded_by,
        {
            "invoice": invoice.id,
            "number": invoice.number,
            "amount": plain(from_minor(payment.amount_minor, invoice.currency)),
            "currency": invoice.currency,
            "method": payment.method,
        },
        issuer=found.issuer_seq,
    )


def void(connection: Connection, found: Stored, *, now: int, actor: str, reason: str = "") -> Stored:
    """Take an invoice back; what a run billed on it is to be billed again. Void already: no change.

    Raises :class:`Conflict` when money was paid for it."""
    found = invoice_writing.lock(connection, found)
    if found.invoice.status is InvoiceStatus.VOID:
        return found
    if found.invoice.paid_minor:
        raise Conflict("money was paid for this invoice; pay it back first, or issue a credit note", code="invoice.paid")
    if any(note.invoice.voided_at is None for note in _notes(connection, found)):
        raise Conflict("notes correct this invoice; void them first, or issue a credit note", code="invoice.has_notes")
    whole = invoices.with_content(connection, [found])[0].invoice
    lines = () if whole.content is None else whole.content.lines
    if whole.content is not None:
        booked = [book_void(whole, now)]
        if whole.status is InvoiceStatus.WRITTEN_OFF:  # it is asked for no longer, so nothing is lost
            booked.append(undo_write_off(whole, now))
        ledger.book(connection, found.seq, booked)
    agreements.forget_uses(connection, found.seq)
    runs.free(connection, found.seq, [line.period.start for line in lines if line.period is not None])
    return invoice_writing.move(
        connection, found, what="void", actor=actor, at=now, detail=reason, status=InvoiceStatus.VOID, voided_at=now
    )


def _notes(connection: Connection, found: Stored) -> list[Stored]:
    """The notes that a re-rating issued for an invoice."""
    return list(invoices.by_seqs(connection, runs.corrections(connection, [found.seq])[found.seq]).values())


def write_off(connection: Connection, found: Stored, *, now: int, actor: str, reason: str = "") -> Stored:
    """Give up asking. Written off already: no change. Raises :class:`Conflict` when nothing is asked for."""
    found = invoice_writing.lock(connection, found)
    if found.invoice.status is InvoiceStatus.WRITTEN_OFF:
        return found
    if found.invoice.status not in OPEN_STATUSES:
        raise Conflict(f"an invoice that is {found.invoice.status.word} can't be written off", code="invoice.not_open")
    ledger.book(connection, found.seq, [book_write_off(found.invoice, now)])
    return invoice_writing.move(
        connection, found, what="written_off", actor=actor, at=now, detail=reason, status=InvoiceStatus.WRITTEN_OFF
    )


def mark_past_due(database: Database, now: int) -> int:
    """Give every open invoice whose due date has passed the status past due; how many there were."""
    marked = 0
    while True:
        with database.write() as connection:
            late = invoices.overdue(connection, now)
            for found in late:
                locked = invoice_writing.lock(connection, found)
                if locked.invoice.status in OPEN_STATUSES - {InvoiceStatus.PAST_DUE}:  # nobody else was quicker
                    invoice_writing.move(
                        connection, locked, what="past_due", actor="clock", at=now, status=InvoiceStatus.PAST_DUE
                    )
        marked += len(late)
        if len(late) < invoices.CHUNK:
            return marked


def _overpaid(invoice: Invoice, paid_minor: int) -> int:
    """What was paid of an invoice beyond its total."""
    return max(paid_minor - invoice.total_minor, 0) if invoice.total_minor >= 0 else 0


def after_payment(invoice: Invoice, amount_minor: int, paid_at: int) -> dict[str, Any]:
    """What a payment (below zero: money paid back, credit used up) changes of a document."""
    paid_minor = invoice.paid_minor + amount_minor
    if (invoice.total_minor >= 0 and paid_minor >= invoice.total_minor) or (
        invoice.total_minor < 0 and paid_minor <= invoice.total_minor
    ):
        status = InvoiceStatus.PAID
    elif invoice.status is InvoiceStatus.PAST_DUE:
        status = InvoiceStatus.PAST_DUE
    else:
        status = InvoiceStatus.PARTIALLY_PAID if paid_minor else InvoiceStatus.ISSUED
    return {
        "status": status,
        "paid_minor": paid_minor,
        "paid_at": (invoice.paid_at or paid_at) if status is InvoiceStatus.PAID else None,
    }
