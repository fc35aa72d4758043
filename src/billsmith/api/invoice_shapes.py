"""An invoice on the wire: as a row of a list, and whole."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

import msgspec

from billsmith.api.values import Amount, CurrencyCode, Id, Instant, Span, amount, decimal_text, instant_text, span
from billsmith.invoicing.model import (
    HistoryEntry,
    Invoice,
    InvoiceKind,
    InvoiceStatus,
    Line,
    LineKind,
    Party,
    Payment,
    RoundingPlace,
    Tax,
)
from billsmith.units.instants import format_instant

StatusWord = Literal["draft", "grace", "issued", "partially_paid", "paid", "past_due", "void", "written_off"]
STATUSES = {status.word: status for status in InvoiceStatus}


class AccountRef(msgspec.Struct, frozen=True, kw_only=True):
    """An account as an invoice names it: by the name that it had then."""

    id: Id
    name: str


class InvoiceRow(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice in a list. ``due`` is what is still to be paid; ``stated_total`` is the total in another system's words."""

    id: Id
    number: str
    kind: InvoiceKind
    status: StatusWord
    issuer: AccountRef
    recipient: AccountRef
    currency: CurrencyCode
    total: Amount
    tax: Amount
    paid: Amount
    due: Amount
    stated_total: Amount | None
    date: dt.date
    due_date: dt.date | None
    period: Span
    created_at: Instant
    issued_at: Instant | None
    paid_at: Instant | None
    voided_at: Instant | None
    scheduled_at: Instant | None
    exported_at: Instant | None
    send_by_email: bool
    payment_sent: bool
    direct_debit: bool
    consolidated: bool
    batch: str
    payment_method: str


class InvoicePage(msgspec.Struct, frozen=True, kw_only=True):
    """Invoices in order, and the cursor of the next page (null: this is the last). A page may hold fewer than ``limit``."""

    items: list[InvoiceRow]
    next_cursor: str | None


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """A position. ``exact_amount`` is the amount before rounding, where that changed it; ``trace`` explains it."""

    description: str
    kind: LineKind
    amount: Amount
    exact_amount: Amount | None
    quantity: Amount | None
    unit: str
    unit_price: Amount | None
    period: Span | None
    tax_category: str
    meter: str
    plan: str
    subscription: str
    component: str
    dimensions: dict[str, str]
    trace: tuple[str, ...]
    corrects: str


class InvoiceTax(msgspec.Struct, frozen=True, kw_only=True):
    """A tax on the sum of its category's lines. ``rate`` is in percent; ``included``: the lines' amounts contain it."""

    category: str
    name: str
    rate: Amount
    base: Amount
    amount: Amount
    included: bool
    note: str


class PartyView(msgspec.Struct, frozen=True, kw_only=True):
    """Issuer or recipient as they were when the document was issued."""

    name: str
    line1: str
    line2: str
    city: str
    region: str
    postal_code: str
    country: str
    tax_ids: tuple[str, ...]
    email: str
    language: str


class PaymentView(msgspec.Struct, frozen=True, kw_only=True):
    """Money received; negative: paid back. ``recorded_by`` is empty for callers that don't run the issuer."""

    id: Id
    amount: Amount
    currency: CurrencyCode
    reference: str
    method: str
    paid_at: Instant
    recorded_at: Instant
    recorded_by: str


class HistoryView(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. ``actor`` is empty for callers that don't run the issuer."""

    at: Instant
    what: str
    actor: str
    detail: str


class InvoiceView(InvoiceRow, frozen=True, kw_only=True):
    """A whole invoice. ``extras`` are single fields that another vendor's record had and our model lacks."""

    invoiced_by: str
    rounding_place: RoundingPlace
    notes: str
    issuer_party: PartyView | None
    recipient_party: PartyView | None
    lines: list[InvoiceLine]
    taxes: list[InvoiceTax]
    payments: list[PaymentView]
    history: list[HistoryView]
    extras: dict[str, dict[str, Any]]


def row(invoice: Invoice) -> InvoiceRow:
    """An invoice in a list."""
    return InvoiceRow(**_row_fields(invoice))


def whole(
    invoice: Invoice, payments: list[Payment], history: list[HistoryEntry], *, with_actors: bool, invoiced_by: str
) -> InvoiceView:
    """A whole invoice; who did what is for those who run the issuer."""
    content = invoice.content
    currency = invoice.currency
    return InvoiceView(
        **_row_fields(invoice),
        invoiced_by=invoiced_by,
        rounding_place=content.rounding_place if content else RoundingPlace.LINE,
        notes=content.notes if content else "",
        issuer_party=_party(content.issuer) if content else None,
        recipient_party=_party(content.recipient) if content else None,
        lines=[_line(line, currency) for line in content.lines] if content else [],
        taxes=[_tax(tax, currency) for tax in content.taxes] if content else [],
        payments=[payment_view(payment, currency, with_actors=with_actors) for payment in payments],
        history=[_history(entry, with_actors=with_actors) for entry in history],
        extras={vendor: dict(fields) for vendor, fields in invoice.extras.items()},
    )


def payment_view(payment: Payment, currency: str, *, with_actors: bool) -> PaymentView:
    """A payment as it is shown."""
    return PaymentView(
        id=payment.id,
        amount=amount(payment.amount_minor, currency),
        currency=currency,
        reference=payment.reference,
        method=payment.method,
        paid_at=format_instant(payment.paid_at),
        recorded_at=format_instant(payment.recorded_at),
        recorded_by=payment.recorded_by if with_actors else "",
    )


def _row_fields(invoice: Invoice) -> dict[str, Any]:
    currency = invoice.currency
    return {
        "id": invoice.id,
        "number": invoice.number,
        "kind": invoice.kind,
        "status": invoice.status.word,
        "issuer": AccountRef(id=invoice.issuer_id, name=invoice.billing_entity),
        "recipient": AccountRef(id=invoice.recipient_id, name=invoice.customer_name),
        "currency": currency,
        "total": amount(invoice.total_minor, currency),
        "tax": amount(invoice.tax_minor, currency),
        "paid": amount(invoice.paid_minor, currency),
        "due": amount(invoice.due_minor, currency),
        "stated_total": decimal_text(invoice.stated_total),
        "date": invoice.date,
        "due_date": invoice.due_date,
        "period": span(invoice.period),
        "created_at": format_instant(invoice.created_at),
        "issued_at": instant_text(invoice.issued_at),
        "paid_at": instant_text(invoice.paid_at),
        "voided_at": instant_text(invoice.voided_at),
        "scheduled_at": instant_text(invoice.scheduled_at),
        "exported_at": instant_text(invoice.exported_at),
        "send_by_email": invoice.send_by_email,
        "payment_sent": invoice.payment_sent,
        "direct_debit": invoice.direct_debit,
        "consolidated": invoice.consolidated,
        "batch": invoice.batch,
        "payment_method": invoice.payment_method,
    }


def _line(line: Line, currency: str) -> InvoiceLine:
    return InvoiceLine(
        description=line.description,
        kind=line.kind,
        amount=amount(line.amount_minor, currency),
        exact_amount=decimal_text(line.exact_amount),
        quantity=decimal_text(line.quantity),
        unit=line.unit,
        unit_price=decimal_text(line.unit_price),
        period=None if line.period is None else span(line.period),
        tax_category=line.tax_category,
        meter=line.meter,
        plan=line.plan,
        subscription=line.subscription,
        component=line.component,
        dimensions=line.dimensions,
        trace=line.trace,
        corrects=line.corrects,
    )


def _tax(tax: Tax, currency: str) -> InvoiceTax:
    return InvoiceTax(
        category=tax.category,
        name=tax.name,
        rate=decimal_text(tax.rate) or "0",
        base=amount(tax.base_minor, currency),
        amount=amount(tax.amount_minor, currency),
        included=tax.included,
        note=tax.note,
    )


def _party(party: Party) -> PartyView:
    return PartyView(
        name=party.name,
        **msgspec.structs.asdict(party.address),
        tax_ids=party.tax_ids,
        email=party.email,
        language=party.language,
    )


def _history(entry: HistoryEntry, *, with_actors: bool) -> HistoryView:
    return HistoryView(
        at=format_instant(entry.at), what=entry.what, actor=entry.actor if with_actors else "", detail=entry.detail
    )
