"""An invoice in Acronis's words, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from billsmith.invoicing.model import Content, Invoice, InvoiceKind, InvoiceStatus, Period
from billsmith.units.currency import from_minor, to_minor
from billsmith.units.errors import BillsmithError, Invalid
from billsmith.units.ids import parse_id
from billsmith.units.instants import DAY, format_instant, local_date, parse_instant, start_of_day
from billsmith.units.rounding import EXACT, trimmed
from billsmith.vendors.acronis.shapes import (
    EXTRA_FIELDS,
    NO_DATE_WITH_OFFSET,
    NO_DATE_WITHOUT_ZONE,
    NO_ID,
    InvoiceRow,
    StatedInvoice,
)
from billsmith.wire.json import decode, decode_part
from billsmith.workflows.import_invoices import NOBODY, Imported, RowError, stated_lines

VENDOR = "acronis"
#: The batch of an invoice that no run made.
NO_BATCH = "0"


def row(invoice: Invoice, vendor_id: str | None = None) -> InvoiceRow:
    """An invoice as a row of the list; ``vendor_id`` is Acronis's own id for it, where it came from there."""
    extras = {name: msgspec.json.decode(raw) for name, raw in invoice.extras.get(VENDOR, {}).items()}
    return InvoiceRow(
        Id=vendor_id or invoice.id,
        Customer=invoice.recipient_id,
        CustomerName=invoice.customer_name or None,
        BillingEntityName=invoice.billing_entity or None,
        CreationDate=format_instant(invoice.created_at, digits=7, offset="+00:00"),
        ScheduledAt=_without_zone(invoice.scheduled_at),
        SendByEmail=invoice.send_by_email,
        InvoiceNumber=invoice.number,
        BatchNumber=invoice.batch or NO_BATCH,
        Exported=invoice.exported_at is not None,
        ExportedDate=_with_offset(invoice.exported_at),
        PaymentSent=invoice.payment_sent,
        PaymentStatus=invoice.status is InvoiceStatus.PAID,
        InvoicedBy=invoice.invoiced_by or None,
        PaymentDate=_without_zone(invoice.paid_at),
        Incasso=invoice.direct_debit,
        Total=shown_total(invoice),
        IsConsolidateBillingStructure=invoice.consolidated,
        PaymentMethod=invoice.payment_method or None,
        **extras,
    )


def shown_total(invoice: Invoice) -> Decimal:
    """The total as a number with two decimals, or with more where it has more."""
    value = trimmed(
        invoice.stated_total if invoice.stated_total is not None else from_minor(invoice.total_minor, invoice.currency)
    )
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    return value if exponent <= -2 else value.quantize(Decimal("0.01"), context=EXACT)


def _with_offset(instant: int | None) -> str:
    return NO_DATE_WITH_OFFSET if instant is None else format_instant(instant, digits=7, offset="+00:00")


def _without_zone(instant: int | None) -> str:
    if instant is None:
        return NO_DATE_WITHOUT_ZONE
    return format_instant(instant // 100 * 100, offset="")


class _File(msgspec.Struct, frozen=True, kw_only=True):
    Invoices: list[msgspec.Raw]


class _Named(msgspec.Struct, frozen=True, kw_only=True):
    Id: str = ""


def read(body: bytes, *, currency: str, time_zone: str) -> Iterator[Imported | RowError]:
    """The invoices of a saved answer of ``InvoiceOverview``. Acronis names no currency: ``currency`` says it.

    Raises ``Invalid`` when the file is no such answer; a row that can't be read comes back as a :class:`RowError`.
    """
    return read_rows(decode(body, _File).Invoices, currency=currency, time_zone=time_zone)


def read_rows(rows: Iterable[msgspec.Raw], *, currency: str, time_zone: str) -> Iterator[Imported | RowError]:
    """The invoices of an answer's rows; one that can't be read comes back as a :class:`RowError`."""
    for index, raw in enumerate(rows):
        where = f"Invoices[{index}]"
        try:
            yield _imported(decode_part(raw, StatedInvoice), where, currency, time_zone)
        except BillsmithError as error:
            place = f"{where}.{error.where}" if error.where else where
            yield RowError(where=place, code=error.code, message=error.message, vendor_key=key_of(raw))


def key_of(raw: msgspec.Raw) -> str:
    """A row's id, though the row can't be read; empty where it has none."""
    try:
        return parse_id(decode_part(raw, _Named).Id) or ""
    except BillsmithError:
        return ""


def _imported(row: StatedInvoice, where: str, currency: str, time_zone: str) -> Imported:
    vendor_key, customer = parse_id(row.Id), parse_id(row.Customer)
    if vendor_key is None or vendor_key == NO_ID:
        raise Invalid("Id is not a GUID", code="import.id", where="Id")
    if customer is None or customer == NO_ID:
        raise Invalid("Customer is not a GUID", code="import.id", where="Customer")
    total = row.total
    total_minor = to_minor(total, currency)
    created_at = parse_instant(row.CreationDate, zone_missing="UTC", where="CreationDate")
    scheduled_at = _instant(row.ScheduledAt, "ScheduledAt")
    paid_at = _instant(row.PaymentDate, "PaymentDate")
    date = local_date(scheduled_at, "UTC") if scheduled_at is not None else local_date(created_at, time_zone)
    start = start_of_day(date, time_zone)
    return Imported(
        where=where,
        vendor=VENDOR,
        vendor_key=vendor_key,
        recipient=customer,
        recipient_name=row.CustomerName or "",
        invoice=Invoice(
            id="",
            issuer_id="",
            recipient_id="",
            kind=InvoiceKind.CREDIT_NOTE if total_minor < 0 else InvoiceKind.INVOICE,
            number=row.InvoiceNumber,
            status=InvoiceStatus.PAID if row.PaymentStatus else InvoiceStatus.ISSUED,
            currency=currency,
            total_minor=total_minor,
            paid_minor=total_minor if row.PaymentStatus else 0,
            stated_total=total,
            customer_name=row.CustomerName or "",
            billing_entity=row.BillingEntityName or "",
            date=date,
            period=Period(start, start + DAY),
            created_at=created_at,
            issued_at=created_at,
            paid_at=paid_at if row.PaymentStatus else None,
            scheduled_at=scheduled_at,
            exported_at=(_instant(row.ExportedDate, "ExportedDate") or created_at) if row.Exported else None,
            send_by_email=row.SendByEmail,
            payment_sent=row.PaymentSent,
            direct_debit=row.Incasso,
            consolidated=row.IsConsolidateBillingStructure,
            batch=row.BatchNumber,
            invoiced_by=row.InvoicedBy or "",
            payment_method=row.PaymentMethod or "",
            extras=_extras(row),
            content=Content(
                issuer=NOBODY,
                recipient=NOBODY,
                lines=stated_lines([], total_minor, currency, stated_by="Acronis", stated_total=total),
            ),
        ),
    )


def _instant(text: str, where: str) -> int | None:
    """A date of the vendor's, ``None`` for its sentinel. Dates without a zone are read as UTC and written so again."""
    if text.startswith("0001-01-01T00:00:00"):
        return None
    return parse_instant(text, zone_missing="UTC", where=where)


def _extras(row: StatedInvoice) -> dict[str, dict[str, msgspec.Raw]]:
    kept: dict[str, Any] = {name: value for name, unset in EXTRA_FIELDS.items() if (value := getattr(row, name)) != unset}
    return {VENDOR: {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in kept.items()}} if kept else {}
