"""An invoice in Hostway's words, and back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from billsmith.accounts.model import Account, check_text
from billsmith.invoicing.model import Content, Invoice, InvoiceKind, InvoiceStatus, Period
from billsmith.units.currency import from_minor, to_minor
from billsmith.units.errors import BillsmithError, Invalid
from billsmith.units.ids import id_bytes
from billsmith.units.instants import local_date, parse_date, start_of_day
from billsmith.units.rounding import EXACT, plain, trimmed
from billsmith.vendors.hostway.filters import STATUS_WORDS, TYPE_OF_KIND, TYPES
from billsmith.vendors.hostway.shapes import AccountRecord, InvoiceRecord, Link
from billsmith.wire.json import RawDecimal, decode, decode_part, exact
from billsmith.workflows.import_invoices import NOBODY, Imported, RowError, stated_lines

VENDOR = "hostway"
BILLING_ENTITY = "Hostway"
#: The field of ours under which an invoice's own transaction type is kept.
TYPE = "type"

#: Digits that every client's 64-bit integer holds.
_MAX_DIGITS = 18


def record(invoice: Invoice, *, time_zone: str, amounts: str, links: tuple[Link, ...] = ()) -> InvoiceRecord:
    """An invoice as the vendor shows it; ``time_zone`` is the account's, ``amounts`` is ``string`` or ``number``."""
    own = {name: msgspec.json.decode(raw) for name, raw in invoice.extras.get(VENDOR, {}).items()}
    status = STATUS_WORDS[invoice.status]
    return InvoiceRecord(
        status=status,
        currency=invoice.currency,
        amount=_written(shown_total(invoice), amounts),
        amountDue=_written(shown_due(invoice), amounts),
        description=own.get("description", _description(invoice.kind, invoice.number)),
        date=invoice.date.isoformat(),
        statusName=status.replace("_", " ").title(),
        invoiceNumber=invoice.number,
        startDate=local_date(invoice.period.start, time_zone).isoformat(),
        endDate=local_date(invoice.period.end - 1, time_zone).isoformat(),
        productSpecification=own.get("productSpecification", ""),
        serviceNumber=own.get("serviceNumber", ""),
        type=own.get(TYPE, TYPE_OF_KIND[invoice.kind]),
        number=own.get("number", whole_number(invoice)),
        links=links,
    )


def account_record(account: Account, links: tuple[Link, ...]) -> AccountRecord:
    """An account as the vendor shows it."""
    return AccountRecord(
        accountNumber=account.external_id,
        id=account.id,
        createdDate=local_date(account.created_at, account.time_zone).isoformat(),
        currency=account.currency,
        status=account.status.value,
        links=links,
    )


def shown_total(invoice: Invoice) -> Decimal:
    """The total, exactly as its issuer stated it."""
    if invoice.stated_total is not None:
        return invoice.stated_total
    return from_minor(invoice.total_minor, invoice.currency)


def shown_due(invoice: Invoice) -> Decimal:
    """What is still to be paid: all of the total in its own words, or what is left in minor units."""
    if invoice.due_minor == invoice.total_minor:
        return shown_total(invoice)
    return from_minor(invoice.due_minor, invoice.currency)


def whole_number(invoice: Invoice) -> int:
    """The number as an integer: itself where it is all digits, else one of 52 bits made of our id, which is as unique."""
    if invoice.number.isascii() and invoice.number.isdigit() and len(invoice.number) <= _MAX_DIGITS:
        return int(invoice.number)
    return int.from_bytes(id_bytes(invoice.id)) >> 76


def _description(kind: InvoiceKind, number: str) -> str:
    return f"{'Credit note' if kind is InvoiceKind.CREDIT_NOTE else 'Invoice'} #{number}"


def _written(value: Decimal, amounts: str) -> Decimal | str:
    """``1023.7200``, or the number 1023.72; more places where the amount has more."""
    if amounts == "string":
        return plain(_with_places(value, 4))
    return _with_places(value, 2)


def _with_places(value: Decimal, places: int) -> Decimal:
    shortest = trimmed(value)
    exponent = shortest.as_tuple().exponent
    assert isinstance(exponent, int)
    return shortest if -exponent >= places else shortest.quantize(Decimal(1).scaleb(-places), context=EXACT)


class _File(msgspec.Struct, frozen=True, kw_only=True):
    records: list[msgspec.Raw] = msgspec.field(name="list")


_ABSENT = msgspec.Raw(b"null")


class _Named(msgspec.Struct, frozen=True, kw_only=True):
    invoiceNumber: str | None = None  # noqa: N815
    number: int | None = None


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice's eight fields, a transaction's, or both: invoices have an invoiceNumber, transactions a number."""

    status: str | None = None
    currency: str | None = None
    amount: RawDecimal
    amountDue: RawDecimal = _ABSENT  # noqa: N815
    description: str | None = None
    date: str
    invoiceNumber: str | None = None  # noqa: N815
    startDate: str | None = None  # noqa: N815
    endDate: str | None = None  # noqa: N815
    productSpecification: str | None = None  # noqa: N815
    serviceNumber: str | None = None  # noqa: N815
    type: str | None = None
    number: int | None = None


def read(body: bytes, *, currency: str, time_zone: str, billing_entity: str) -> Iterator[Imported | RowError]:
    """The invoices of a saved answer. ``currency`` is for records that name none, ``time_zone`` the account's.

    Raises ``Invalid`` when the file is no such answer; a record that can't be read comes back as a :class:`RowError`.
    """
    return read_rows(decode(body, _File).records, currency=currency, time_zone=time_zone, billing_entity=billing_entity)


def read_rows(
    rows: Iterable[msgspec.Raw], *, currency: str, time_zone: str, billing_entity: str
) -> Iterator[Imported | RowError]:
    """The invoices of an answer's records; one that can't be read comes back as a :class:`RowError`."""
    for index, raw in enumerate(rows):
        where = f"list[{index}]"
        try:
            yield _imported(decode_part(raw, _Record), where, currency, time_zone, billing_entity)
        except BillsmithError as error:
            place = f"{where}.{error.where}" if error.where else where
            yield RowError(where=place, code=error.code, message=error.message, vendor_key=key_of(raw))


def key_of(raw: msgspec.Raw) -> str:
    """A record's number, though the record can't be read; empty where it has none."""
    try:
        return _number(decode_part(raw, _Named))
    except BillsmithError:
        return ""


def _imported(record: _Record, where: str, currency: str, time_zone: str, billing_entity: str) -> Imported:
    number = _number(record)
    currency = record.currency or currency
    total = exact(record.amount, "amount")
    total_minor = to_minor(total, currency)
    status, paid_minor = _state(record, total_minor, currency)
    kind = InvoiceKind.CREDIT_NOTE if total_minor < 0 else InvoiceKind.INVOICE
    date = _date(record.date, "date")
    created_at = start_of_day(date, time_zone)
    return Imported(
        where=where,
        vendor=VENDOR,
        vendor_key=number,
        recipient=None,
        recipient_name="",
        invoice=Invoice(
            id="",
            issuer_id="",
            recipient_id="",
            kind=kind,
            number=number,
            status=status,
            currency=currency,
            total_minor=total_minor,
            paid_minor=paid_minor,
            stated_total=total,
            customer_name="",
            billing_entity=billing_entity,
            date=date,
            period=_period(record, date, time_zone),
            created_at=created_at,
            issued_at=created_at,
            extras=_extras(record, kind, number),
            content=Content(
                issuer=NOBODY,
                recipient=NOBODY,
                lines=stated_lines([], total_minor, currency, stated_by="Hostway", stated_total=total),
            ),
        ),
    )


def _number(record: _Record | _Named) -> str:
    if record.invoiceNumber is not None:
        return check_text(record.invoiceNumber, "invoiceNumber", 64)
    if record.number is not None and record.number >= 0:
        return str(record.number)
    raise Invalid("neither invoiceNumber nor number names the invoice", code="import.id", where="invoiceNumber")


_STATUSES = {
    "invoice_open": InvoiceStatus.ISSUED,
    "invoice_partially_paid": InvoiceStatus.PARTIALLY_PAID,
    "invoice_paid": InvoiceStatus.PAID,
    "invoice_past_due": InvoiceStatus.PAST_DUE,
    "invoice_void": InvoiceStatus.VOID,
}


def _state(record: _Record, total_minor: int, currency: str) -> tuple[InvoiceStatus, int]:
    """Status and what is paid. What is due says more than the status's word; a payment without either is paid."""
    named = _STATUSES.get(record.status or "", InvoiceStatus.ISSUED)
    if named is InvoiceStatus.VOID:
        return named, 0
    if bytes(record.amountDue) == bytes(_ABSENT):
        paid = named is InvoiceStatus.PAID or (record.status is None and record.type == "payment")
        return (InvoiceStatus.PAID, total_minor) if paid else (named, 0)
    due_minor = to_minor(exact(record.amountDue, "amountDue"), currency)
    paid_minor = total_minor - due_minor
    if paid_minor * (-1 if total_minor < 0 else 1) < 0:
        raise Invalid("more is due than the amount", code="import.amount_due", where="amountDue")
    if due_minor * (-1 if total_minor < 0 else 1) <= 0:
        return InvoiceStatus.PAID, paid_minor
    if named is InvoiceStatus.PAST_DUE:
        return named, paid_minor
    return (InvoiceStatus.PARTIALLY_PAID if paid_minor else InvoiceStatus.ISSUED), paid_minor


def _period(record: _Record, date: dt.date, time_zone: str) -> Period:
    """The vendor's last day is in the period; ours ends as the next one begins."""
    first = _date(record.startDate, "startDate") if record.startDate else date
    last = _date(record.endDate, "endDate") if record.endDate else first
    if last < first:
        raise Invalid("the period ends before it starts", code="import.period", where="endDate")
    return Period(start_of_day(first, time_zone), start_of_day(last + dt.timedelta(days=1), time_zone))


def _date(text: str, where: str) -> dt.date:
    """A day that has one after it, as every period needs."""
    day = parse_date(text, where=where)
    if day == dt.date.max:
        raise Invalid(f"{text} is too far away", code="time.out_of_range", where=where)
    return day


def _extras(record: _Record, kind: InvoiceKind, number: str) -> dict[str, dict[str, msgspec.Raw]]:
    """What our model lacks of a record: the service it is for, its own type, its own words."""
    kept: dict[str, Any] = {}
    for name in ("productSpecification", "serviceNumber", "description"):
        text = getattr(record, name)
        if text and text != _description(kind, number):
            kept[name] = check_text(text, name, 2000)
    if record.type is not None:
        if record.type not in TYPES:
            raise Invalid("type is none of the transaction types", code="import.type", where="type")
        if record.type != TYPE_OF_KIND[kind]:
            kept[TYPE] = record.type
    if record.number is not None and str(record.number) != number:
        kept["number"] = record.number
    return {VENDOR: {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in kept.items()}} if kept else {}
