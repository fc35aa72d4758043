"""Invoices in the database: found and read, whole or as rows. They are written by ``invoice_writing.py``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, and_, exists, select

from billsmith.accounts.model import Account
from billsmith.documents.packed import unpack_content
from billsmith.invoicing.model import (
    OPEN_STATUSES,
    Content,
    HistoryEntry,
    Invoice,
    InvoiceKind,
    InvoiceStatus,
    Payment,
    Period,
)
from billsmith.storage import schema
from billsmith.storage.account_ids import id_text
from billsmith.storage.accounts import ancestors, path_range
from billsmith.storage.direct import Direct
from billsmith.storage.schema import invoice as table
from billsmith.storage.schema_billing import ledger_entry
from billsmith.units.errors import NotFound

ISSUED_BY = 0
ISSUED_TO = 1

#: Invoices in one transaction: big enough to pay for the commit, small enough to let others write.
CHUNK = 500

SEND_BY_EMAIL = 1 << 3
PAYMENT_SENT = 1 << 4
EXPORTED = 1 << 5
STATUS_MASK = 0b111
#: Documents, among the subjects of the ledger (:class:`billsmith.storage.ledger.Subject`).
LEDGER_SUBJECT = 0

_extras = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw]])
_NO_EXTRAS: dict[str, dict[str, msgspec.Raw]] = {}


class Stored(NamedTuple):
    """An invoice with the store's own numbers, which never leave it."""

    seq: int
    issuer_seq: int
    recipient_seq: int
    invoice: Invoice


class Known(NamedTuple):
    """A vendor's id that was met before: which invoice it is, and what the vendor last stated of its state."""

    seq: int
    stated: str


def flags_of(invoice: Invoice) -> int:
    """All that lists filter by, in one number: status, delivery, payment link, export."""
    return (
        int(invoice.status)
        | (SEND_BY_EMAIL if invoice.send_by_email else 0)
        | (PAYMENT_SENT if invoice.payment_sent else 0)
        | (EXPORTED if invoice.exported_at is not None else 0)
    )


def columns(*more: Any) -> Any:
    """A select of everything that :func:`stored` reads, joined with both accounts; ``more`` columns stand at the end."""
    return select(*_LIST_COLUMNS, *more).select_from(
        table.join(_issuer, table.c.issuer_seq == _issuer.c.seq).join(_recipient, table.c.recipient_seq == _recipient.c.seq)
    )


_issuer = schema.account.alias("issuer")


_recipient = schema.account.alias("recipient")


#: What :func:`stored` reads of an invoice's row: all but what only orders and searches.
LISTED = [column for column in table.c if column.name not in ("number_key", "name_key", "due_at")]


_LIST_COLUMNS = [*LISTED, _issuer.c.id.label("issuer_id"), _recipient.c.id.label("recipient_id")]


def stored(row: Any, content: Content | None = None) -> Stored:
    """A list row as a value: the columns of :data:`LISTED`, both accounts' ids, and any more."""
    (
        seq, id, issuer_seq, recipient_seq, kind, number, flags, currency, total_minor, tax_minor, paid_minor,
        stated_total, customer_name, billing_entity, date, due_date, period_start, period_end, created_at, issued_at,
        paid_at, voided_at, scheduled_at, exported_at, direct_debit, consolidated, batch, invoiced_by,
        payment_method, extras, issuer_id, recipient_id, *_more,
    ) = row  # fmt: skip
    return Stored(
        seq,
        issuer_seq,
        recipient_seq,
        Invoice(
            id=id_text(id),
            issuer_id=issuer_id,
            recipient_id=recipient_id,
            kind=_KINDS[kind],
            number=number,
            status=_STATUSES[flags & STATUS_MASK],
            currency=currency,
            total_minor=total_minor,
            tax_minor=tax_minor,
            paid_minor=paid_minor,
            stated_total=None if stated_total is None else Decimal(stated_total),
            customer_name=customer_name,
            billing_entity=billing_entity,
            date=dt.date.fromordinal(date),
            due_date=None if due_date is None else dt.date.fromordinal(due_date),
            period=Period(period_start, period_end),
            created_at=created_at,
            issued_at=issued_at,
            paid_at=paid_at,
            voided_at=voided_at,
            scheduled_at=scheduled_at,
            exported_at=exported_at,
            send_by_email=bool(flags & SEND_BY_EMAIL),
            payment_sent=bool(flags & PAYMENT_SENT),
            direct_debit=bool(direct_debit),
            consolidated=bool(consolidated),
            batch=batch,
            invoiced_by=invoiced_by,
            payment_method=payment_method,
            extras=_extras.decode(extras) if extras else _NO_EXTRAS,
            content=content,
        ),
    )


_KINDS = {kind.value: kind for kind in InvoiceKind}


_STATUSES = [InvoiceStatus(number) for number in range(8)]


def visible_to(account: Account) -> Any:
    """The authorisation rule in SQL: issued by the account, or issued to it or to one below it."""
    start, end = path_range(account.path)
    return (table.c.issuer_seq == account.seq) | and_(_recipient.c.path >= start, _recipient.c.path < end)


def by_id(connection: Connection, id: str, viewer: Account | None) -> Stored | None:
    """The invoice with that id if ``viewer`` may see it (``None``: the command line, which may see all), lines and all."""
    query = columns().where(table.c.id == id)
    if viewer is not None:
        query = query.where(visible_to(viewer))
    row = connection.execute(query).first()
    return with_content(connection, [stored(row)])[0] if row else None


def get(connection: Connection, id: str, viewer: Account | None) -> Stored:
    """As :func:`by_id`, but raises :class:`NotFound`."""
    found = by_id(connection, id, viewer)
    if found is None:
        raise NotFound("no such invoice, or not one that this account may see", code="invoice.unknown")
    return found


def by_number(connection: Connection, number: str, viewer: Account | None, *, limit: int = 20) -> list[Stored]:
    """Invoices with that number (any case) that ``viewer`` may see, as its issuer or as its recipient.

    Bounded: at most ``limit``. Numbers are unique for one issuer and series, not across issuers.
    """
    key = number_key(number)
    query = columns().where(table.c.number_key == key)
    if viewer is not None:
        query = query.where(table.c.seq.in_(_seqs_by_number(viewer, key)))
    rows = connection.execute(query.order_by(table.c.seq).limit(limit)).all()
    return with_content(connection, [stored(row) for row in rows])


def received(connection: Connection, recipient: Account, number: str, *, limit: int = 20) -> list[Stored]:
    """Invoices with that number (any case) that were issued to an account, oldest first, without their documents.

    Found through the issuers' index: only the account itself and those above it can have issued to it.
    """
    query = columns().where(
        table.c.issuer_seq.in_(ancestors(recipient.path)),
        table.c.number_key == number_key(number),
        table.c.recipient_seq == recipient.seq,
    )
    return [stored(row) for row in connection.execute(query.order_by(table.c.seq).limit(limit))]


def by_vendor_key(connection: Connection, vendor: str, key: str, viewer: Account) -> list[Stored]:
    """Invoices that a vendor calls ``key``, in the name space of an account at or above ``viewer``, that it may see.

    Several owners may know the same id; all of theirs come back, without their documents.
    """
    ids = schema.vendor_id
    known = select(ids.c.our_seq).where(
        ids.c.vendor == vendor,
        ids.c.owner_seq.in_(ancestors(viewer.path)),
        ids.c.kind == "invoice",
        ids.c.vendor_key == key,
    )
    query = columns().where(table.c.seq.in_(known), visible_to(viewer)).order_by(table.c.seq)
    return [stored(row) for row in connection.execute(query)]


def by_id_range(connection: Connection, low: str, high: str, viewer: Account, *, limit: int = 20) -> list[Stored]:
    """Invoices whose id lies between two ids (both included) that ``viewer`` may see, without their documents."""
    query = columns().where(table.c.id.between(low, high), visible_to(viewer)).order_by(table.c.id).limit(limit)
    return [stored(row) for row in connection.execute(query)]


def newest(
    connection: Connection,
    viewer: Account | None,
    *,
    status: InvoiceStatus | None = None,
    before_seq: int | None = None,
    limit: int = CHUNK,
) -> list[Stored]:
    """Invoices that ``viewer`` may see (``None``: all), the last one to arrive first, from before ``before_seq``."""
    query = columns().order_by(table.c.seq.desc()).limit(limit)
    if viewer is not None:
        query = query.where(visible_to(viewer))
    if status is not None:
        query = query.where(table.c.flags.op("&")(STATUS_MASK) == int(status))
    if before_seq is not None:
        query = query.where(table.c.seq < before_seq)
    return [stored(row) for row in connection.execute(query)]


def _seqs_by_number(viewer: Account, key: str) -> Any:
    """Row numbers by number for one viewer, through the issuers' index: its own, and those above it."""
    start, end = path_range(viewer.path)
    issuers = [*ancestors(viewer.path)]
    return (
        select(table.c.seq)
        .join(_recipient, table.c.recipient_seq == _recipient.c.seq)
        .where(
            table.c.number_key == key,
            table.c.issuer_seq.in_(
                select(schema.account.c.seq).where(
                    schema.account.c.seq.in_(issuers) | and_(schema.account.c.path >= start, schema.account.c.path < end)
                )
            ),
            visible_to(viewer),
        )
    )


def with_content(connection: Connection, rows: Sequence[Stored]) -> list[Stored]:
    """The same invoices with their documents read."""
    if not rows:
        return []
    direct = Direct(connection)
    which = direct.one_of("invoice_seq", [row.seq for row in rows])
    bodies = dict(direct.rows(f"SELECT invoice_seq, body FROM invoice_document WHERE {which.sql}", which.parameters))
    return [
        row._replace(invoice=msgspec.structs.replace(row.invoice, content=unpack_content(bodies[row.seq])))
        if row.seq in bodies
        else row
        for row in rows
    ]


def document_bytes(connection: Connection, seqs: Sequence[int]) -> int:
    """How many bytes the documents of invoices take as they are kept."""
    direct = Direct(connection)
    which = direct.one_of("invoice_seq", seqs)
    row = direct.row(f"SELECT sum(length(body)) FROM invoice_document WHERE {which.sql}", which.parameters)
    return int(row[0] or 0) if row else 0


def history(connection: Connection, seq: int) -> list[HistoryEntry]:
    """All that happened to an invoice after it was made, oldest first."""
    rows = connection.execute(
        select(schema.invoice_history)
        .where(schema.invoice_history.c.invoice_seq == seq)
        .order_by(schema.invoice_history.c.step)
    )
    return [HistoryEntry(at=row.at, what=row.what, actor=row.actor, detail=row.detail) for row in rows]


def payments(connection: Connection, seq: int) -> list[Payment]:
    """The payments of an invoice, oldest first."""
    rows = connection.execute(
        select(schema.payment)
        .where(schema.payment.c.invoice_seq == seq)
        .order_by(schema.payment.c.recorded_at, schema.payment.c.reference)
    )
    return [
        Payment(
            id=row.id,
            amount_minor=row.amount_minor,
            paid_at=row.paid_at,
            reference=row.reference,
            method=row.method,
            recorded_at=row.recorded_at,
            recorded_by=row.recorded_by,
        )
        for row in rows
    ]


def credits_left(connection: Connection, issuer_seq: int, recipients: Sequence[int]) -> list[Stored]:
    """An issuer's documents to some recipients that have something left to give, oldest first: credit notes, overpaid invoices.

    Only those that were issued here: the ledger holds what they give.
    """
    # First by the index of what has something left, which is short: an issuer's other indexes hold all that it ever issued.
    direct = Direct(connection)
    which = direct.one_of("recipient_seq", recipients)
    sql = f"SELECT seq FROM invoice WHERE {which.sql} AND paid_minor > total_minor"
    seqs = [seq for (seq,) in direct.rows(sql, which.parameters)]
    if not seqs:
        return []
    query = columns().where(
        table.c.seq.in_(seqs),
        table.c.issuer_seq == issuer_seq,
        table.c.flags.op("&")(STATUS_MASK).in_([int(status) for status in OPEN_STATUSES | {InvoiceStatus.PAID}]),
        exists().where(
            ledger_entry.c.subject == LEDGER_SUBJECT,
            ledger_entry.c.subject_seq == table.c.seq,
            ledger_entry.c.step == 0,
        ),
    )
    return [stored(row) for row in connection.execute(query.order_by(table.c.seq))]


def issued_between(
    connection: Connection,
    issuer_seq: int,
    period: Period,
    *,
    scope: Account | None = None,
    after_seq: int = 0,
    limit: int = CHUNK,
) -> list[Stored]:
    """An issuer's invoices and credit notes whose period ends in a span (its start excluded, its end included), by row."""
    query = columns().where(
        table.c.issuer_seq == issuer_seq,
        table.c.period_start < period.end,
        table.c.period_end > period.start,
        table.c.period_end <= period.end,
        table.c.seq > after_seq,
        table.c.flags.op("&")(STATUS_MASK) != int(InvoiceStatus.VOID),
    )
    if scope is not None:
        start, end = path_range(scope.path)
        query = query.where(_recipient.c.path >= start, _recipient.c.path < end)
    return [stored(row) for row in connection.execute(query.order_by(table.c.seq).limit(limit))]


def overdue(connection: Connection, now: int, limit: int = CHUNK) -> list[Stored]:
    """Invoices whose due date has passed and that do not say so yet."""
    rows = connection.execute(
        columns().where(table.c.due_at.is_not(None), table.c.due_at <= now).order_by(table.c.due_at).limit(limit)
    )
    return [stored(row) for row in rows]


def vendor_invoices(connection: Connection, vendor: str, owner: Account, keys: Iterable[str]) -> dict[str, Known]:
    """Which of a vendor's ids are known within the owner's name space."""
    ids = schema.vendor_id
    rows = connection.execute(
        select(ids.c.vendor_key, ids.c.our_seq, ids.c.stated).where(
            ids.c.vendor == vendor, ids.c.owner_seq == owner.seq, ids.c.kind == "invoice", ids.c.vendor_key.in_(list(keys))
        )
    )
    return {row.vendor_key: Known(row.our_seq, row.stated or "") for row in rows}


def vendor_keys(connection: Connection, vendor: str, seqs: Iterable[int]) -> dict[int, str]:
    """A vendor's ids of invoices, by the store's numbers; those that came from elsewhere have none."""
    direct = Direct(connection)
    which = direct.one_of("our_seq", seqs)
    sql = f"SELECT our_seq, vendor_key FROM vendor_id WHERE vendor = ? AND kind = 'invoice' AND {which.sql}"
    return dict(direct.rows(sql, (vendor, *which.parameters)))


def by_vendor_key_ending(
    connection: Connection, vendor: str, recipient: Account, ending: str, start: int, end: int
) -> Stored | None:
    """The invoice to ``recipient`` whose id at a vendor ends so, among those whose period starts in ``[start, end)``."""
    ids = schema.vendor_id
    rows = connection.execute(
        columns(ids.c.vendor_key)
        .join(ids, ids.c.our_seq == table.c.seq)
        .where(
            table.c.recipient_seq == recipient.seq,
            table.c.period_start >= start,
            table.c.period_start < end,
            ids.c.vendor == vendor,
            ids.c.kind == "invoice",
            ids.c.vendor_key.endswith(ending, autoescape=True),
        )
        .order_by(table.c.seq)
    )
    # SQLite's LIKE looks past the case of ASCII letters.
    return next((stored(row) for row in rows if row.vendor_key.endswith(ending)), None)


def by_seqs(connection: Connection, seqs: Iterable[int]) -> dict[int, Stored]:
    """Invoices by the store's numbers, without their documents."""
    rows = connection.execute(columns().where(table.c.seq.in_(sorted(set(seqs)))))
    return {row.seq: stored(row) for row in rows}


def number_key(number: str) -> str:
    """How numbers are compared and sorted: without case."""
    return number.casefold()
