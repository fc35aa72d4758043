"""Invoices in the database: added in chunks, read, moved from state to state.

Every write keeps the row, its document, the tallies, the change rows and who may see it in one transaction, so that a reader
never finds them apart.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, and_, delete, exists, func, insert, select, text, update

from billsmith.accounts.model import Account
from billsmith.documents.packed import pack_content, unpack_content, unpacked
from billsmith.invoicing.chain import BEGINNING, content_digest
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
from billsmith.storage import chain, changes, mails, schema
from billsmith.storage.account_ids import id_text
from billsmith.storage.accounts import ancestors, path_range
from billsmith.storage.changes import Change
from billsmith.storage.direct import Direct, is_integrity_error
from billsmith.storage.mails import NewMail
from billsmith.storage.schema import invoice as table
from billsmith.storage.schema_billing import ledger_entry
from billsmith.units.currency import from_minor
from billsmith.units.errors import Conflict, NotFound
from billsmith.units.instants import start_of_day
from billsmith.units.rounding import plain

ISSUED_BY = 0
ISSUED_TO = 1

#: Invoices in one transaction: big enough to pay for the commit, small enough to let others write.
CHUNK = 500
#: Change rows kept per list; a reader further behind builds anew.
KEEP_CHANGES = 100_000

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


class NewInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice to add, with its accounts as they stand, and the vendor's id under which it came, if it came so."""

    invoice: Invoice
    issuer: Account
    recipient: Account
    body: bytes | None = None
    """The content as it is kept (:func:`pack_content`), where the caller packed it already."""
    digest: bytes = b""
    """The content's digest (:func:`content_digest`), where the caller has it already."""
    series: str = ""
    """The series in which it was numbered here (:func:`numbers`); what came from elsewhere has none."""
    vendor: str = ""
    vendor_owner: Account | None = None
    vendor_key: str = ""
    stated: str = ""
    recorded_at: int | None = None
    """When it came in, where that is not when it was made."""
    recorded_by: str | None = None
    """Who brought it in, where that is not who issued it."""


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


def add(connection: Connection, batch: Sequence[NewInvoice]) -> list[int]:
    """Add invoices (at most :data:`CHUNK` at a time is wise) and give the store's numbers for them, in order.

    Raises :class:`Conflict` when an id is there already; whoever imports looks for the vendor's id first.
    """
    if not batch:
        return []
    _lock_lists(connection, batch)
    direct = Direct(connection)
    seqs = _next_seqs(direct, len(batch))
    due_at = lru_cache(_due_at)  # for most of a batch the same
    try:
        direct.add(table, [_row(seq, new, direct.id(new.invoice.id), due_at) for seq, new in zip(seqs, batch, strict=True)])
    except Exception as error:
        if is_integrity_error(error) and "UNIQUE" in str(error).upper() and "invoice" in str(error):
            raise Conflict("there is an invoice with that id already", code="invoice.id_taken", where="id") from error
        raise
    bodies = [_body(new) for new in batch]
    direct.add(schema.invoice_document, [(seq, body) for seq, body in zip(seqs, bodies, strict=True) if body is not None])
    chain.extend(
        connection,
        [
            chain.Sealed(new.series, seq, new.issuer.seq, new.invoice, new.digest or content_digest(unpacked(body)))
            for seq, new, body in zip(seqs, batch, bodies, strict=True)
            if new.series and body is not None
        ],
    )
    _note_viewers(direct, seqs, batch)
    _note_vendor_ids(connection, seqs, batch)
    _note_changes(
        connection,
        [
            _Change(seq, new.issuer.seq, new.recipient.seq, None, flags_of(new.invoice), new.invoice.batch)
            for seq, new in zip(seqs, batch, strict=True)
        ],
    )
    changes.note(connection, *map(_made, batch))
    _queue_mails(connection, seqs, batch)
    return seqs


def _queue_mails(connection: Connection, seqs: Sequence[int], batch: Sequence[NewInvoice]) -> None:
    """What is issued here and goes by e-mail is queued; what came from elsewhere was sent from there."""
    for at in dict.fromkeys(new.invoice.created_at for new in batch if new.invoice.send_by_email):
        mails.queue(
            connection,
            [
                NewMail(
                    invoice_seq=seq,
                    invoice_id=new.invoice.id,
                    recipient_seq=new.recipient.seq,
                    address=new.recipient.profile.email,
                )
                for seq, new in zip(seqs, batch, strict=True)
                if new.invoice.send_by_email and not new.vendor and new.invoice.created_at == at
            ],
            at,
        )


def _body(new: NewInvoice) -> bytes | None:
    if new.body is not None or new.invoice.content is None:
        return new.body
    return pack_content(new.invoice.content)


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


def move(
    connection: Connection,
    found: Stored,
    *,
    what: str,
    actor: str,
    at: int,
    detail: str = "",
    **values: Any,
) -> Stored:
    """Change an invoice's state (never its amounts' meaning) and write what happened into its history.

    ``values`` are fields of :class:`Invoice` (``status``, ``paid_minor``, ``paid_at``, ``exported_at``, …). The row is
    locked and read again first, so that two movers cannot both start from the same state; a caller that decided on the
    state it read must have read it in this transaction through :func:`lock`.
    """
    before = found.invoice
    after = msgspec.structs.replace(before, **values)
    connection.execute(
        update(table)
        .where(table.c.seq == found.seq)
        .values(
            flags=flags_of(after),
            paid_minor=after.paid_minor,
            paid_at=after.paid_at,
            voided_at=after.voided_at,
            exported_at=after.exported_at,
            payment_method=after.payment_method,
            extras=_extras_text(after),
            due_at=_due_at(_waits_until(after), _zone_of(connection, found.issuer_seq)),
        )
    )
    add_history(connection, found.seq, HistoryEntry(at=at, what=what, actor=actor, detail=detail))
    _note_changes(
        connection,
        [_Change(found.seq, found.issuer_seq, found.recipient_seq, flags_of(before), flags_of(after), after.batch)],
        lock=True,
    )
    kind = f"{after.kind.value}.{_verb(before, after, what)}"
    changes.note(
        connection,
        Change(kind, found.recipient_seq, after.id, at, actor, _facts(after), issuer=found.issuer_seq),
    )
    return found._replace(invoice=after)


def lock(connection: Connection, found: Stored) -> Stored:
    """Read an invoice again under its row's lock, before it is moved."""
    query = columns().where(table.c.seq == found.seq)
    if connection.dialect.name == "postgresql":
        query = query.with_for_update(of=table)
    return stored(connection.execute(query).one(), found.invoice.content)


def add_history(connection: Connection, seq: int, entry: HistoryEntry) -> None:
    """Append one thing that happened."""
    history = schema.invoice_history
    step = connection.execute(select(func.coalesce(func.max(history.c.step), 0)).where(history.c.invoice_seq == seq))
    connection.execute(
        insert(history).values(
            invoice_seq=seq,
            step=step.scalar_one() + 1,
            at=entry.at,
            what=entry.what,
            actor=entry.actor,
            detail=entry.detail,
        )
    )


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


def add_payment(connection: Connection, seq: int, payment: Payment) -> None:
    """Keep a payment; its reference is unique within the invoice."""
    add_payments(connection, [(seq, payment)])


def add_payments(connection: Connection, payments: Sequence[tuple[int, Payment]]) -> None:
    """Keep payments, each of the invoice with the store's number beside it."""
    if payments:
        rows = [{"invoice_seq": seq, **msgspec.structs.asdict(payment)} for seq, payment in payments]
        connection.execute(insert(schema.payment), rows)


class Numbers(NamedTuple):
    """The next numbers of a series, and the date that their documents carry."""

    series: str
    texts: list[str]
    date: dt.date


_SERIES = {InvoiceKind.INVOICE: "INV", InvoiceKind.CREDIT_NOTE: "CN", InvoiceKind.DEBIT_NOTE: "DN"}


def numbers(
    connection: Connection, issuer: Account, kind: InvoiceKind, date: dt.date, count: int, *, asked: bool = False
) -> Numbers:
    """The next ``count`` numbers for an issuer's documents of a kind and date: a series for each year, of notes another.

    They are gapless, because they are taken in the transaction that issues. No document is dated before its predecessor (P10):
    where a clock was set back it carries its predecessor's date; a date that was ``asked`` for is refused
    (:class:`Conflict`).
    """
    series = f"{_SERIES[kind]}-{date.year}"
    sql = (
        "INSERT INTO number_series (issuer_seq, series, last, date, head) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (issuer_seq, series) DO UPDATE SET last = number_series.last + excluded.last,"
        " date = CASE WHEN number_series.date > excluded.date THEN number_series.date ELSE excluded.date END"
        " RETURNING last, date"
    )
    [(last, newest)] = Direct(connection).rows(sql, (issuer.seq, series, count, date.toordinal(), BEGINNING))
    dated = dt.date.fromordinal(newest)
    if asked and dated != date:
        raise Conflict(
            f"the document before it in series {series} is dated {dated}; leave the date out, or take one from then on",
            code="invoice.date_before_predecessor",
            where="date",
        )
    return Numbers(series, [f"{series}-{number:06d}" for number in range(last - count + 1, last + 1)], dated)


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


def restate(connection: Connection, vendor: str, owner: Account, vendor_key: str, stated: str) -> None:
    """Remember a vendor's newest statement of an invoice's state."""
    ids = schema.vendor_id
    connection.execute(
        update(ids)
        .where(ids.c.vendor == vendor, ids.c.owner_seq == owner.seq, ids.c.kind == "invoice", ids.c.vendor_key == vendor_key)
        .values(stated=stated)
    )


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


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the change log says of an invoice."""

    number: str
    status: str
    issuer: str
    currency: str
    total: str
    paid: str
    date: dt.date
    due_date: dt.date | None
    batch: str


def _facts(invoice: Invoice) -> _Facts:
    return _Facts(
        number=invoice.number,
        status=invoice.status.word,
        issuer=invoice.issuer_id,
        currency=invoice.currency,
        total=plain(from_minor(invoice.total_minor, invoice.currency)),
        paid=plain(from_minor(invoice.paid_minor, invoice.currency)),
        date=invoice.date,
        due_date=invoice.due_date,
        batch=invoice.batch,
    )


def _made(new: NewInvoice) -> Change:
    invoice = new.invoice
    at = new.recorded_at if new.recorded_at is not None else invoice.created_at
    actor = invoice.invoiced_by if new.recorded_by is None else new.recorded_by
    kind = f"{invoice.kind.value}.{'imported' if new.vendor else 'issued'}"
    return Change(kind, new.recipient.seq, invoice.id, at, actor, _facts(invoice), issuer=new.issuer.seq)


#: How the change log names a status that was just reached.
_VERBS = {
    InvoiceStatus.ISSUED: "reopened",
    InvoiceStatus.PARTIALLY_PAID: "partially_paid",
    InvoiceStatus.PAID: "paid",
    InvoiceStatus.PAST_DUE: "past_due",
    InvoiceStatus.VOID: "voided",
    InvoiceStatus.WRITTEN_OFF: "written_off",
}


def _verb(before: Invoice, after: Invoice, what: str) -> str:
    reached = after.status is not before.status or what == "payment"
    return _VERBS.get(after.status, "changed") if reached else "changed"


class _Change(NamedTuple):
    seq: int
    issuer_seq: int
    recipient_seq: int
    old: int | None
    new: int
    batch: str


def _row(seq: int, new: NewInvoice, id: Any, due_at: Callable[[dt.date | None, str], int | None]) -> tuple[Any, ...]:
    """All columns of an invoice's row, in the table's order."""
    invoice = new.invoice
    return (
        seq,
        id,
        new.issuer.seq,
        new.recipient.seq,
        invoice.kind.value,
        invoice.number,
        number_key(invoice.number),
        flags_of(invoice),
        invoice.currency,
        invoice.total_minor,
        invoice.tax_minor,
        invoice.paid_minor,
        None if invoice.stated_total is None else plain(invoice.stated_total),
        invoice.customer_name,
        invoice.customer_name.casefold(),
        invoice.billing_entity,
        invoice.date.toordinal(),
        None if invoice.due_date is None else invoice.due_date.toordinal(),
        invoice.period.start,
        invoice.period.end,
        invoice.created_at,
        invoice.issued_at,
        invoice.paid_at,
        invoice.voided_at,
        invoice.scheduled_at,
        invoice.exported_at,
        due_at(_waits_until(invoice), new.issuer.time_zone),
        int(invoice.direct_debit),
        int(invoice.consolidated),
        invoice.batch,
        invoice.invoiced_by,
        invoice.payment_method,
        _extras_text(invoice),
    )


def _extras_text(invoice: Invoice) -> str | None:
    return msgspec.json.encode(invoice.extras).decode() if invoice.extras else None


def _waits_until(invoice: Invoice) -> dt.date | None:
    """The last day on which an unpaid invoice is not past due."""
    waiting = OPEN_STATUSES - {InvoiceStatus.PAST_DUE}
    if invoice.due_date is None or invoice.status not in waiting or invoice.due_minor <= 0:
        return None
    return invoice.due_date if invoice.due_date < dt.date.max else None


def _due_at(last: dt.date | None, time_zone: str) -> int | None:
    """When an invoice becomes past due: as its due date ends where the issuer is."""
    return None if last is None else start_of_day(last + dt.timedelta(days=1), time_zone)


def _zone_of(connection: Connection, account_seq: int) -> str:
    zone: str = connection.execute(select(schema.account.c.time_zone).where(schema.account.c.seq == account_seq)).scalar_one()
    return zone


def _next_seqs(direct: Direct, count: int) -> list[int]:
    if direct.is_sqlite:
        [(last,)] = direct.rows("SELECT coalesce(max(seq), 0) FROM invoice")
        return list(range(last + 1, last + 1 + count))
    return sorted(row[0] for row in direct.rows("SELECT nextval('invoice_seq_seq') FROM generate_series(1, ?)", (count,)))


def _note_viewers(direct: Direct, seqs: Sequence[int], batch: Sequence[NewInvoice]) -> None:
    above = lru_cache(ancestors)
    direct.add(
        schema.invoice_viewer,
        [
            (viewer, new.invoice.created_at, seq)
            for seq, new in zip(seqs, batch, strict=True)
            for viewer in above(new.recipient.path)
            if viewer != new.issuer.seq
        ],
    )


def _note_vendor_ids(connection: Connection, seqs: Sequence[int], batch: Sequence[NewInvoice]) -> None:
    rows = [
        {
            "vendor": new.vendor,
            "owner_seq": new.vendor_owner.seq,
            "kind": "invoice",
            "vendor_key": new.vendor_key,
            "our_seq": seq,
            "stated": new.stated,
        }
        for seq, new in zip(seqs, batch, strict=True)
        if new.vendor_owner is not None
    ]
    if rows:
        connection.execute(insert(schema.vendor_id), rows)


def _lists_of(changes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    return sorted({(issuer, ISSUED_BY) for issuer, _ in changes} | {(recipient, ISSUED_TO) for _, recipient in changes})


def _lock_lists(connection: Connection, batch: Sequence[NewInvoice]) -> None:
    lists = _lists_of([(new.issuer.seq, new.recipient.seq) for new in batch])
    _lock(connection, lists)


def _lock(connection: Connection, lists: Sequence[tuple[int, int]]) -> None:
    """Versions must become visible in the order in which they are given; SQLite has one writer anyway.

    Locks are taken in one order, so that two writers never wait for each other.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"keys": [account_seq * 2 + role for account_seq, role in lists]}).all()


_LOCK = text("SELECT pg_advisory_xact_lock(key) FROM (SELECT unnest(CAST(:keys AS bigint[])) AS key) AS keys")


def _note_changes(connection: Connection, changes: Sequence[_Change], *, lock: bool = False) -> None:
    lists = _lists_of([(change.issuer_seq, change.recipient_seq) for change in changes])
    if lock:
        _lock(connection, lists)
    direct = Direct(connection)
    versions = _versions(direct, lists)
    rows: list[tuple[Any, ...]] = []
    counts: Counter[tuple[Any, ...]] = Counter()
    batches: Counter[tuple[Any, ...]] = Counter()
    pairs: Counter[tuple[Any, ...]] = Counter()
    for change in changes:
        batches[change.issuer_seq, change.batch, change.new] += 1
        pairs[change.issuer_seq, change.recipient_seq, change.new] += 1
        if change.old is not None:
            batches[change.issuer_seq, change.batch, change.old] -= 1
            pairs[change.issuer_seq, change.recipient_seq, change.old] -= 1
        for key in ((change.issuer_seq, ISSUED_BY), (change.recipient_seq, ISSUED_TO)):
            versions[key] += 1
            rows.append((*key, versions[key], change.seq, change.old, change.new))
            counts[(*key, change.new)] += 1
            if change.old is not None:
                counts[(*key, change.old)] -= 1
    direct.add(schema.invoice_change, rows)
    for tally, found in ((schema.invoice_tally, counts), (schema.batch_tally, batches), (schema.pair_tally, pairs)):
        # in one order, so that two writers never wait for each other
        direct.add_to(tally, [(*key, count) for key, count in sorted(found.items()) if count])
    _forget_old_changes(connection, versions, Counter((account_seq, role) for account_seq, role, *_ in rows))


def _versions(direct: Direct, lists: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """How far lists have come. Each is looked up at its end: grouped, every change that is kept would be read."""
    found: dict[tuple[int, int], int] = dict.fromkeys(lists, 0)
    for role in (ISSUED_BY, ISSUED_TO):
        each = direct.numbers("account_seq", [account for account, of_role in lists if of_role == role])
        sql = (
            "SELECT account_seq, (SELECT max(version) FROM invoice_change c"
            f" WHERE c.account_seq = each.account_seq AND c.role = {role}) FROM {each.sql} each"
        )
        found.update({(account, role): version or 0 for account, version in direct.rows(sql, each.parameters)})
    return found


def _forget_old_changes(
    connection: Connection, versions: Mapping[tuple[int, int], int], written: Mapping[tuple[int, int], int]
) -> None:
    """Drop change rows that no reader needs, now and then, so that the table does not grow with the years."""
    changes = schema.invoice_change
    for key, version in versions.items():
        if version // 8192 != (version - written[key]) // 8192 and version > KEEP_CHANGES:
            connection.execute(
                delete(changes).where(
                    changes.c.account_seq == key[0],
                    changes.c.role == key[1],
                    changes.c.version <= version - KEEP_CHANGES,
                )
            )
