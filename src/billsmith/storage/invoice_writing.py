"""Invoices written: added in chunks, numbered, moved from state to state, paid.

Every write keeps the row, its document, its seal, the tallies, the change rows and who may see it in one transaction, so that
a reader never finds them apart.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, text, update

from billsmith.accounts.model import Account
from billsmith.documents.packed import packed_and_sealed, unpacked
from billsmith.invoicing.chain import BEGINNING, content_digest
from billsmith.invoicing.model import (
    OPEN_STATUSES,
    HistoryEntry,
    Invoice,
    InvoiceKind,
    InvoiceStatus,
    Payment,
)
from billsmith.storage import chain, changes, mails, schema
from billsmith.storage.accounts import ancestors
from billsmith.storage.changes import Change
from billsmith.storage.direct import Direct, is_integrity_error
from billsmith.storage.invoices import ISSUED_BY, ISSUED_TO, Stored, columns, flags_of, number_key, stored
from billsmith.storage.mails import NewMail
from billsmith.storage.schema import invoice as table
from billsmith.units.currency import from_minor
from billsmith.units.errors import Conflict
from billsmith.units.instants import start_of_day
from billsmith.units.rounding import plain

#: Change rows kept per list; a reader further behind builds anew.
KEEP_CHANGES = 100_000


class NewInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice to add, with its accounts as they stand, and the vendor's id under which it came, if it came so."""

    invoice: Invoice
    issuer: Account
    recipient: Account
    body: bytes | None = None
    """The content as it is kept (:func:`packed_and_sealed`), where the caller packed it already."""
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


def add(connection: Connection, batch: Sequence[NewInvoice]) -> list[int]:
    """Add invoices (at most :data:`CHUNK` at a time is wise) and give the store's numbers for them, in order.

    Raises :class:`Conflict` when an id is there already; whoever imports looks for the vendor's id first.
    """
    if not batch:
        return []
    _lock_lists(connection, batch)
    direct = Direct(connection)
    seqs = _next_seqs(direct, len(batch))
    try:
        direct.add(table, [_row(seq, new, direct.id(new.invoice.id)) for seq, new in zip(seqs, batch, strict=True)])
    except Exception as error:
        if is_integrity_error(error) and "UNIQUE" in str(error).upper() and "invoice" in str(error):
            raise Conflict("there is an invoice with that id already", code="invoice.id_taken", where="id") from error
        raise
    packed = [(seq, new, *_packed(new)) for seq, new in zip(seqs, batch, strict=True)]
    direct.add(schema.invoice_document, [(seq, body) for seq, _, body, _ in packed if body is not None])
    chain.extend(
        connection,
        [
            chain.Sealed(new.series, seq, new.issuer.seq, new.invoice, digest)
            for seq, new, body, digest in packed
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


def _packed(new: NewInvoice) -> tuple[bytes | None, bytes]:
    """The content as it is kept, and its digest where it is to be sealed."""
    if new.body is None and new.invoice.content is not None:
        return packed_and_sealed(new.invoice.content)
    if new.body is None or new.digest or not new.series:
        return new.body, new.digest
    return new.body, content_digest(unpacked(new.body))


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


def restate(connection: Connection, vendor: str, owner: Account, vendor_key: str, stated: str) -> None:
    """Remember a vendor's newest statement of an invoice's state."""
    ids = schema.vendor_id
    connection.execute(
        update(ids)
        .where(ids.c.vendor == vendor, ids.c.owner_seq == owner.seq, ids.c.kind == "invoice", ids.c.vendor_key == vendor_key)
        .values(stated=stated)
    )


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


def _row(seq: int, new: NewInvoice, id: Any) -> tuple[Any, ...]:
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
        _due_at(_waits_until(invoice), new.issuer.time_zone),
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


@lru_cache(maxsize=256)  # for most documents of a day the same
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
    direct.add(
        schema.invoice_viewer,
        [
            (viewer, new.invoice.created_at, seq)
            for seq, new in zip(seqs, batch, strict=True)
            for viewer in ancestors(new.recipient.path)
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
