"""The double-entry postings of every step of an invoice's life.

A document debits what the recipient owes and credits revenue, taxes and (the other way) discounts; a credit note's amounts are
below zero, so the same function books it. What pays a document credits what the recipient owes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from billsmith.invoicing.model import (
    Invoice,
    InvoiceKind,
    InvoiceStatus,
    Line,
    LineKind,
    Payment,
    Settlement,
    SettlementKind,
    Tax,
)
from billsmith.ledger import chart
from billsmith.ledger.postings import Posting, Transaction, reversal, transfer
from billsmith.ledger.wallets import Grant, Loss
from billsmith.units.currency import to_minor
from billsmith.units.errors import InvalidInvoice
from billsmith.units.ids import derived_id

_REDUCTIONS = (LineKind.DISCOUNT, LineKind.COUPON)


def book_document(invoice: Invoice, at: int, earnings: Mapping[str, int] | None = None) -> Transaction:
    """The issue of an invoice or a note: what is owed against revenue, discounts and taxes.

    ``earnings`` are those of its content (:func:`earned`), where the caller has them and not the content.

    A credit note that gives money back goes to the recipient's credit balance, from where it pays later invoices. Raises
    :class:`InvalidInvoice` where only the list row was read, or where the content doesn't sum to the total.
    """
    if earnings is None and invoice.content is None:
        raise InvalidInvoice("an invoice is booked from its content; read it first", code="invoice.no_content")
    owed = chart.receivable(invoice.recipient_id)
    if invoice.kind is InvoiceKind.CREDIT_NOTE:
        owed = chart.credit_balance(invoice.recipient_id)
    postings = [Posting(owed, invoice.total_minor, invoice.currency)]
    if earnings is None:
        assert invoice.content is not None
        earnings = earned(invoice.content.lines, invoice.content.taxes)
    for account, amount in earnings.items():
        postings.append(Posting(account, -amount, invoice.currency))
    return Transaction(
        id=derived_id("issued", invoice.id),
        at=at,
        what=f"{invoice.kind} {invoice.number}",
        postings=tuple(posting for posting in postings if posting.amount_minor),
        reference=invoice.id,
    )


def book_settlements(invoice: Invoice, settlements: Iterable[Settlement], at: int) -> list[Transaction]:
    """What credit notes and wallets paid when the invoice was made."""
    sources = {
        SettlementKind.CREDIT_NOTE: lambda settlement: chart.credit_balance(invoice.recipient_id),
        SettlementKind.WALLET: lambda settlement: chart.wallet(settlement.reference),
    }
    return [
        transfer(
            derived_id("settled", invoice.id, settlement.kind, settlement.reference),
            at,
            f"{settlement.kind} {settlement.reference} pays {invoice.number}",
            debit=sources[settlement.kind](settlement),
            credit=chart.receivable(invoice.recipient_id),
            amount_minor=settlement.amount_minor,
            currency=invoice.currency,
            reference=invoice.id,
        )
        for settlement in settlements
    ]


def book_payment(invoice: Invoice, payment: Payment) -> Transaction:
    """Money received for an invoice; a refund is below zero and goes back. What is paid out for a note leaves the credit."""
    note = invoice.kind is InvoiceKind.CREDIT_NOTE
    return transfer(
        derived_id("payment", invoice.id, payment.reference),
        payment.paid_at,
        f"payment {payment.reference} for {invoice.number}",
        debit=chart.CASH,
        credit=(chart.credit_balance if note else chart.receivable)(invoice.recipient_id),
        amount_minor=payment.amount_minor,
        currency=invoice.currency,
        reference=invoice.id,
    )


def book_overpayment(invoice: Invoice, payment: Payment, amount_minor: int) -> Transaction:
    """What a payment brought beyond what was due becomes the recipient's credit; below zero: what was paid back of it."""
    return transfer(
        derived_id("overpaid", invoice.id, payment.reference),
        payment.paid_at,
        f"{invoice.number} is overpaid by {payment.reference}",
        debit=chart.receivable(invoice.recipient_id),
        credit=chart.credit_balance(invoice.recipient_id),
        amount_minor=amount_minor,
        currency=invoice.currency,
        reference=invoice.id,
    )


def book_void(invoice: Invoice, at: int) -> Transaction:
    """A document taken back whole: its issue the other way round."""
    return reversal(book_document(invoice, at), derived_id("void", invoice.id), at)


def book_write_off(invoice: Invoice, at: int) -> Transaction:
    """What is still due and won't be paid."""
    return transfer(
        derived_id("written-off", invoice.id),
        at,
        f"{invoice.number} written off",
        debit=chart.WRITTEN_OFF,
        credit=chart.receivable(invoice.recipient_id),
        amount_minor=invoice.due_minor,
        currency=invoice.currency,
        reference=invoice.id,
    )


def undo_write_off(invoice: Invoice, at: int) -> Transaction:
    """A write-off taken back, because the document itself is void: nothing was paid for it since."""
    standing = msgspec.structs.replace(invoice, status=InvoiceStatus.ISSUED)  # one that is written off has nothing due
    return reversal(book_write_off(standing, at), derived_id("write-off-undone", invoice.id), at)


def book_grant(grant: Grant, at: int, currency: str, *, times: int = 1) -> Transaction:
    """Credit bought (against cash) or given (against promotions); ``times`` counts how often it was filled up."""
    return transfer(
        derived_id("grant", grant.id, str(times)),
        at,
        f"grant {grant.id}",
        debit=chart.CASH if grant.paid else chart.PROMOTIONS,
        credit=chart.wallet(grant.id),
        amount_minor=to_minor(grant.amount, currency),
        currency=currency,
        reference=grant.id,
    )


def book_loss(grant: Grant, loss: Loss, currency: str) -> Transaction:
    """Credit that expired or was voided unused: paid credit is kept, given credit was never spent."""
    return transfer(
        derived_id("loss", grant.id, str(loss.at)),
        loss.at,
        f"grant {grant.id} ends unused",
        debit=chart.wallet(grant.id),
        credit=chart.BREAKAGE if grant.paid else chart.PROMOTIONS,
        amount_minor=to_minor(loss.amount, currency),
        currency=currency,
        reference=grant.id,
    )


def earned(lines: Iterable[Line], taxes: Iterable[Tax]) -> dict[str, int]:
    """What a document credits, by account: included taxes are a part of the lines, so they come out of revenue."""
    earned = {chart.REVENUE: 0, chart.DISCOUNTS: 0}
    for line in lines:
        account = chart.DISCOUNTS if line.kind in _REDUCTIONS else chart.REVENUE
        earned[account] += line.amount_minor
    for tax in taxes:
        account = chart.tax(tax.category, tax.name)
        earned[account] = earned.get(account, 0) + tax.amount_minor
        if tax.included:
            earned[chart.REVENUE] -= tax.amount_minor
    return earned
