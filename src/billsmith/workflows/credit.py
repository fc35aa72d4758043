"""Credit: notes issued by hand for an invoice, and what credit (notes, overpayments) pays.

What a credit note gives, and what was paid for an invoice beyond its total, is its recipient's credit. The next run uses it up
by itself; for a one-off invoice it is used when asked for. Either way it is a payment on the invoice and one paid back on the
document that gave the credit (decision 0406).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from billsmith.accounts.model import Account
from billsmith.invoicing.bookings import book_document, book_settlements
from billsmith.invoicing.model import (
    OPEN_STATUSES,
    Content,
    Invoice,
    InvoiceKind,
    InvoiceStatus,
    Payment,
    Settlement,
    SettlementKind,
)
from billsmith.invoicing.notes import Document, Note, credit_amount, credit_whole, document_of, note_by_line
from billsmith.storage import accounts, invoice_writing, invoices, ledger, runs
from billsmith.storage.database import Connection
from billsmith.storage.invoice_writing import NewInvoice
from billsmith.storage.invoices import Stored
from billsmith.storage.ledger import Entry, Subject
from billsmith.units.currency import from_minor, to_minor
from billsmith.units.errors import Conflict, Invalid, InvalidInvoice
from billsmith.units.ids import derived_id
from billsmith.units.instants import local_date
from billsmith.workflows.parties import party
from billsmith.workflows.settle import after_payment


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be given back: single lines, by their place (``None``: what is left of it), or an amount with its taxes.

    Neither: the whole document. Amounts are exact, above zero, in the major unit, of lines as the invoice shows them.
    """

    lines: Mapping[int, Decimal | None] = {}
    amount: Decimal | None = None
    reason: str = ""
    settle: bool = True
    """Whether the note pays what is still due of its invoice, before anything is left for others."""


def credit(connection: Connection, found: Stored, asked: Asked, *, id: str, now: int, actor: str) -> Stored:
    """Issue the credit note for an invoice. What is left of it is the recipient's credit.

    Raises :class:`Conflict` for a document that takes none (void, written off, a note, issued elsewhere),
    :class:`InvalidInvoice` for more than is left.
    """
    issuer = accounts.by_seq(connection, found.issuer_seq)
    recipient = accounts.by_seq(connection, found.recipient_seq)
    runs.lock_issuer(connection, issuer)
    found = invoices.with_content(connection, [invoice_writing.lock(connection, found)])[0]
    _check(connection, found)
    before = runs.corrections(connection, [found.seq])[found.seq]
    note = _note(found.invoice, _documents(connection, before), asked)
    made = _document(connection, issuer, recipient, found.invoice, note, asked.reason, id=id, now=now, actor=actor)
    [seq] = invoice_writing.add(connection, [made])
    runs.add_corrections(connection, None, [(found.seq, len(before) + 1, seq)])
    ledger.append(connection, [Entry(Subject.INVOICE, seq, 0, book_document(made.invoice, now))])
    stored = Stored(seq, found.issuer_seq, found.recipient_seq, made.invoice)
    due = found.invoice.due_minor if found.invoice.status in OPEN_STATUSES else 0
    amount = min(due, made.invoice.credit_minor)
    if asked.settle and amount > 0:
        pay(connection, found, {stored.seq: amount}, now=now, actor=actor)
        stored = invoice_writing.lock(connection, stored)
    return stored


def notes(connection: Connection, found: Stored) -> list[Stored]:
    """The notes that correct an invoice, in their order, without their contents."""
    seqs = runs.corrections(connection, [found.seq])[found.seq]
    there = invoices.by_seqs(connection, seqs)
    return [there[seq] for seq in seqs]


def apply(connection: Connection, found: Stored, *, now: int, actor: str) -> Stored:
    """Let the recipient's credit with the issuer pay what is due of an invoice, the oldest first. Without credit: no change.

    Raises :class:`Conflict` where nothing is asked for.
    """
    runs.lock_issuer(connection, accounts.by_seq(connection, found.issuer_seq))
    found = invoice_writing.lock(connection, found)
    invoice = found.invoice
    if invoice.status not in OPEN_STATUSES or invoice.due_minor <= 0:
        raise Conflict(f"nothing is due of a document that is {invoice.status.word}", code="invoice.not_open")
    taken: dict[int, int] = {}
    for source in invoices.credits_left(connection, found.issuer_seq, [found.recipient_seq]):
        left = invoice.due_minor - sum(taken.values())
        if left and source.invoice.currency == invoice.currency:
            taken[source.seq] = min(left, source.invoice.credit_minor)
    return pay(connection, found, taken, now=now, actor=actor) if taken else found


def pay(connection: Connection, found: Stored, taken: Mapping[int, int], *, now: int, actor: str) -> Stored:
    """Pay an invoice from documents that hold credit, by the store's numbers. The caller holds it locked, and checked both."""
    sources = invoices.by_seqs(connection, taken)
    for seq, amount in taken.items():
        source = sources[seq].invoice
        settlement = Settlement(kind=SettlementKind.CREDIT_NOTE, reference=source.id, amount_minor=amount)
        reference = _unused(connection, found, f"{settlement.kind}:{source.id}")
        invoice_writing.add_payment(
            connection, found.seq, _payment(found.invoice, reference, settlement.kind, amount, now, actor)
        )
        ledger.book(connection, found.seq, book_settlements(found.invoice, [settlement], now))
        use(connection, seq, found.invoice, amount, now=now, actor=actor)
        found = invoice_writing.move(
            connection,
            found,
            what="payment",
            actor=actor,
            at=now,
            detail=source.number,
            **after_payment(found.invoice, amount, now),
        )
    return found


def use(connection: Connection, source_seq: int, invoice: Invoice, amount_minor: int, *, now: int, actor: str) -> None:
    """Take credit from the document that holds it, for an invoice: there it is money paid back."""
    source = invoice_writing.lock(connection, invoices.by_seqs(connection, [source_seq])[source_seq])
    reference = _unused(connection, source, f"invoice:{invoice.id}")
    payment = _payment(source.invoice, reference, "invoice", -amount_minor, now, actor)
    invoice_writing.add_payment(connection, source_seq, payment)
    changed = after_payment(source.invoice, -amount_minor, now)
    invoice_writing.move(connection, source, what="payment", actor=actor, at=now, detail=invoice.number, **changed)


def _check(connection: Connection, found: Stored) -> None:
    invoice = found.invoice
    if invoice.kind is not InvoiceKind.INVOICE:
        raise Conflict("a note is not credited; credit the invoice that it corrects, or void the note", code="note.of_a_note")
    if invoice.status in (InvoiceStatus.VOID, InvoiceStatus.WRITTEN_OFF):
        raise Conflict(f"a document that is {invoice.status.word} takes no credit note", code="note.not_standing")
    if not ledger.has_document(connection, found.seq):
        raise Conflict("it was issued by another system; the correction comes from there", code="note.issued_elsewhere")


def _documents(connection: Connection, seqs: Sequence[int]) -> list[Document]:
    """The notes among these that stand."""
    standing = [each for each in invoices.by_seqs(connection, seqs).values() if each.invoice.voided_at is None]
    return [document_of(each.invoice) for each in invoices.with_content(connection, standing)]


def _note(invoice: Invoice, earlier: Sequence[Document], asked: Asked) -> Note:
    document = document_of(invoice)
    if asked.lines and asked.amount is not None:
        raise Invalid("give lines or an amount, not both", code="note.one_way", where="amount")
    if asked.amount is not None:
        note = credit_amount(document, to_minor(asked.amount, invoice.currency), earlier)
    elif asked.lines:
        whole = credit_whole(document, earlier)
        left = {int(line.corrects.rpartition("#")[2]): -line.amount_minor for line in whole.lines}
        changes = {place: -_of_line(left, place, amount, invoice) for place, amount in asked.lines.items()}
        note = note_by_line(document, changes, invoice.currency, earlier)
    else:
        note = credit_whole(document, earlier)
    if not note.lines or note.total_minor >= 0:
        raise InvalidInvoice("nothing is left of it to give back", code="note.nothing_left")
    return note


def _of_line(left: Mapping[int, int], place: int, amount: Decimal | None, invoice: Invoice) -> Decimal:
    rest = from_minor(left.get(place, 0), invoice.currency)
    if amount is not None and amount <= 0:
        raise InvalidInvoice("a credit note gives back an amount above zero", code="note.nothing", where=f"lines[{place}]")
    if amount is not None and place in left and not 0 < amount <= rest:
        raise InvalidInvoice(
            f"line {place} of {invoice.number} has {rest} left; a note can't give back {amount}",
            code="note.too_much",
            where=f"lines[{place}]",
        )
    return rest if amount is None else amount


def _document(
    connection: Connection,
    issuer: Account,
    recipient: Account,
    corrected: Invoice,
    note: Note,
    reason: str,
    *,
    id: str,
    now: int,
    actor: str,
) -> NewInvoice:
    assert corrected.content is not None
    numbered = invoice_writing.numbers(connection, issuer, note.kind, local_date(now, issuer.time_zone), 1)
    invoice = Invoice(
        id=id,
        issuer_id=issuer.id,
        recipient_id=recipient.id,
        kind=note.kind,
        number=numbered.texts[0],
        status=InvoiceStatus.ISSUED,
        currency=corrected.currency,
        total_minor=note.total_minor,
        tax_minor=note.tax_minor,
        customer_name=recipient.name,
        billing_entity=issuer.profile.billing_entity or issuer.name,
        date=numbered.date,
        period=corrected.period,
        created_at=now,
        issued_at=now,
        send_by_email=corrected.send_by_email,
        direct_debit=corrected.direct_debit,
        consolidated=corrected.consolidated,
        invoiced_by=actor,
        content=Content(
            issuer=party(issuer, as_issuer=True),
            recipient=party(recipient),
            lines=note.lines,
            taxes=note.taxes,
            rounding_place=corrected.content.rounding_place,
            notes=f"Corrects {corrected.number}" + (f": {reason}" if reason else ""),
        ),
    )
    return NewInvoice(invoice=invoice, issuer=issuer, recipient=recipient, series=numbered.series)


def _unused(connection: Connection, found: Stored, reference: str) -> str:
    """The reference, told apart from the same one before: after a refund one document may pay another once more."""
    taken = {each.reference for each in invoices.payments(connection, found.seq)}
    return next(name for number in range(1, len(taken) + 2) if (name := _numbered(reference, number)) not in taken)


def _numbered(reference: str, number: int) -> str:
    return reference if number == 1 else f"{reference}:{number}"


def _payment(of: Invoice, reference: str, method: str, amount_minor: int, now: int, actor: str) -> Payment:
    return Payment(
        id=derived_id("payment", of.id, reference),
        amount_minor=amount_minor,
        paid_at=now,
        reference=reference,
        method=method,
        recorded_at=now,
        recorded_by=actor,
    )
