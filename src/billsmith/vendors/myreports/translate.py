"""An invoice in myreports' words, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec

from billsmith.accounts.model import check_text
from billsmith.invoicing.model import Content, Invoice, InvoiceKind, InvoiceStatus, Period
from billsmith.units.currency import from_minor, to_minor
from billsmith.units.errors import BillsmithError, Invalid
from billsmith.units.ids import format_id, id_bytes, parse_id
from billsmith.units.instants import format_instant, local_date, parse_instant
from billsmith.units.rounding import EXACT, trimmed
from billsmith.vendors.myreports.shapes import BillingRow
from billsmith.wire.json import RawDecimal, decode, decode_part, exact
from billsmith.workflows.import_invoices import NOBODY, Imported, RowError, stated_lines

VENDOR = "myreports"
MILLISECOND = 1_000_000

_INVOICE_ID = re.compile(r"[0-9a-f]{24}", re.ASCII)


def row(invoice: Invoice, external_id: str, vendor_id: str | None = None) -> BillingRow:
    """An invoice as a row of the list.

    ``external_id`` is the recipient's: it names the tenant where it is a GUID, else the account's UUID does. ``vendor_id`` is
    the vendor's own id for the invoice, where it came from there.
    """
    return BillingRow(
        tenantId=external_id if parse_id(external_id) else invoice.recipient_id,
        invoiceid=vendor_id or short_id(invoice.id),
        invoiceNumber=invoice.number,
        customerName=invoice.customer_name,
        billingPeriodStart=_instant(invoice.period.start),
        billingPeriodEnd=_instant((invoice.period.end - 1) // MILLISECOND * MILLISECOND),
        invoiceValue=shown_total(invoice),
    )


def short_id(id: str) -> str:
    """The 24 hex digits by which the vendor's clients know an invoice of ours: the first 24 of its UUID.

    >>> short_id("0192f3a1-7c44-8abc-9def-0123456789ab")
    '0192f3a17c448abc9def0123'
    """
    return id_bytes(id).hex()[:24]


def id_range(text: str) -> tuple[str, str] | None:
    """The lowest and the highest UUID that begin with 24 hex digits; ``None`` for any other text.

    >>> id_range("0192f3a17c448abc9def0123")
    ('0192f3a1-7c44-8abc-9def-012300000000', '0192f3a1-7c44-8abc-9def-0123ffffffff')
    >>> id_range("0192f3a1")
    """
    digits = text.lower()
    if not _INVOICE_ID.fullmatch(digits):
        return None
    low, high = (format_id(bytes.fromhex(digits + ends * 8)) for ends in "0f")
    return low, high


def shown_total(invoice: Invoice) -> Decimal:
    """The total as a number with one decimal, or with more where it has more: 200.0, 18.9, 0.125."""
    value = trimmed(
        invoice.stated_total if invoice.stated_total is not None else from_minor(invoice.total_minor, invoice.currency)
    )
    return value if value.as_tuple().exponent else value.quantize(Decimal("0.1"), context=EXACT)


def _instant(instant: int) -> str:
    return format_instant(instant, digits=3, offset="+00:00")


class _File(msgspec.Struct, frozen=True, kw_only=True):
    data: list[msgspec.Raw]


class _Named(msgspec.Struct, frozen=True, kw_only=True):
    invoiceid: str = ""


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    tenantId: str  # noqa: N815
    invoiceid: str
    invoiceNumber: str  # noqa: N815
    customerName: str = ""  # noqa: N815
    billingPeriodStart: str  # noqa: N815
    billingPeriodEnd: str  # noqa: N815
    invoiceValue: RawDecimal  # noqa: N815


def read(body: bytes, *, currency: str) -> Iterator[Imported | RowError]:
    """The invoices of a saved answer of ``billingdata``. myreports names no currency: ``currency`` says it.

    Raises ``Invalid`` when the file is no such answer; a row that can't be read comes back as a :class:`RowError`.
    """
    return read_rows(decode(body, _File).data, currency=currency)


def read_rows(rows: Iterable[msgspec.Raw], *, currency: str, first: int = 0) -> Iterator[Imported | RowError]:
    """The invoices of an answer's rows, the first of which is ``data[first]``; an unreadable one is a :class:`RowError`."""
    for index, raw in enumerate(rows, first):
        where = f"data[{index}]"
        try:
            yield _imported(decode_part(raw, _Row), where, currency)
        except BillsmithError as error:
            place = f"{where}.{error.where}" if error.where else where
            yield RowError(where=place, code=error.code, message=error.message, vendor_key=key_of(raw))


def key_of(raw: msgspec.Raw) -> str:
    """A row's id, though the row can't be read; empty where it has none."""
    try:
        return check_text(decode_part(raw, _Named).invoiceid, "invoiceid", 128)
    except BillsmithError:
        return ""


def _imported(row: _Row, where: str, currency: str) -> Imported:
    total = exact(row.invoiceValue, "invoiceValue")
    total_minor = to_minor(total, currency)
    period = _period(row)
    return Imported(
        where=where,
        vendor=VENDOR,
        vendor_key=check_text(row.invoiceid, "invoiceid", 128),
        recipient=check_text(row.tenantId, "tenantId", 128),
        recipient_name=check_text(row.customerName, "customerName", 200, empty=True),
        invoice=Invoice(
            id="",
            issuer_id="",
            recipient_id="",
            kind=InvoiceKind.CREDIT_NOTE if total_minor < 0 else InvoiceKind.INVOICE,
            number=check_text(row.invoiceNumber, "invoiceNumber", 64),
            status=InvoiceStatus.ISSUED,
            currency=currency,
            total_minor=total_minor,
            stated_total=total,
            customer_name=row.customerName.strip(),
            # Billed in advance, and no date of its own: it is dated the first day of its period.
            date=local_date(period.start, "UTC"),
            period=period,
            created_at=period.start,
            issued_at=period.start,
            content=Content(
                issuer=NOBODY,
                recipient=NOBODY,
                lines=stated_lines([], total_minor, currency, stated_by="myreports", stated_total=total),
            ),
        ),
    )


def _period(row: _Row) -> Period:
    """The vendor's last millisecond is in the period; ours ends with the next one."""
    start = parse_instant(row.billingPeriodStart, zone_missing="UTC", where="billingPeriodStart")
    last = parse_instant(row.billingPeriodEnd, zone_missing="UTC", where="billingPeriodEnd")
    if last < start:
        raise Invalid("the period ends before it starts", code="import.period", where="billingPeriodEnd")
    return Period(start, last // MILLISECOND * MILLISECOND + MILLISECOND)
