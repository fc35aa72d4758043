"""What reconciling and shadowing read: records beside our invoices, duplicates, customers whom nobody knew, lines by period."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, exists, func, select

from billsmith.accounts.model import Account
from billsmith.storage import schema
from billsmith.storage.invoices import CHUNK, STATUS_MASK, Stored, columns, stored, with_content
from billsmith.storage.schema import invoice as table
from billsmith.storage.schema_sync import sync_account, sync_problem, sync_record
from billsmith.storage.sync_connections import VendorConnection

#: Groups of duplicates that are told at most.
MAX_DUPLICATES = 1_000
#: Invoices of one group that are told at most.
MAX_MEMBERS = 100


class Met(NamedTuple):
    """A record of a connection: our invoice, what the vendor last stated of its state, what is wrong with it."""

    vendor_key: str
    last_walk: int
    disappeared: bool
    seq: int | None
    stated: str
    problem_code: str
    problem: str
    found: Stored | None


class Duplicate(NamedTuple):
    """The same money, as it seems, pulled through several connections: why it seems so, and which invoices."""

    why: str
    connection_seqs: tuple[int, ...]
    invoice_seqs: tuple[int, ...]


class Unmatched(NamedTuple):
    """A customer whom only the vendor named: our account for it, and what it was invoiced."""

    account_seq: int
    currency: str
    invoices: int
    total_minor: int


def records(connection: Connection, of: VendorConnection, owner: Account) -> Iterator[Met]:
    """Every record of a connection, by its key, in short reads."""
    after = ""
    while True:
        page = _records_page(connection, of, owner, after)
        yield from page
        if len(page) < CHUNK:
            return
        after = page[-1].vendor_key


def _records_page(connection: Connection, of: VendorConnection, owner: Account, after: str) -> list[Met]:
    ids = schema.vendor_id
    same = sync_problem.c.connection_seq == sync_record.c.connection_seq
    query = (
        select(
            sync_record.c.vendor_key,
            sync_record.c.last_walk,
            sync_record.c.disappeared_walk,
            sync_record.c.invoice_seq,
            ids.c.stated,
            sync_problem.c.code,
            sync_problem.c.message,
        )
        .join_from(sync_record, sync_problem, same & (sync_problem.c.place == sync_record.c.vendor_key), isouter=True)
        .join(
            ids,
            (ids.c.vendor == of.vendor)
            & (ids.c.owner_seq == owner.seq)
            & (ids.c.kind == "invoice")
            & (ids.c.vendor_key == sync_record.c.vendor_key),
            isouter=True,
        )
        .where(sync_record.c.connection_seq == of.seq, sync_record.c.vendor_key > after)
        .order_by(sync_record.c.vendor_key)
        .limit(CHUNK)
    )
    rows = connection.execute(query).all()
    seqs = [row.invoice_seq for row in rows if row.invoice_seq is not None]
    found = {row.seq: stored(row) for row in connection.execute(columns().where(table.c.seq.in_(seqs)))}
    return [
        Met(
            row.vendor_key,
            row.last_walk,
            row.disappeared_walk is not None,
            row.invoice_seq,
            row.stated or "",
            row.code or "",
            row.message or "",
            found.get(row.invoice_seq),
        )
        for row in rows
    ]


def count_beside(connection: Connection, of: VendorConnection, owner: Account) -> int:
    """Invoices of the same vendor and account that no walk of the connection ever met: they came by a file."""
    ids = schema.vendor_id
    met = exists().where(sync_record.c.connection_seq == of.seq, sync_record.c.vendor_key == ids.c.vendor_key)
    query = select(func.count()).select_from(ids)
    query = query.where(ids.c.vendor == of.vendor, ids.c.owner_seq == owner.seq, ids.c.kind == "invoice", ~met)
    return int(connection.execute(query).scalar_one())


def duplicates(connection: Connection, connection_seqs: Sequence[int]) -> list[Duplicate]:
    """What looks like one invoice that came through several connections: the same one, the same number and amount, or the
    same customer's name, amount, currency and date."""
    number = (table.c.number_key, table.c.currency, table.c.total_minor)
    name = (table.c.name_key, table.c.currency, table.c.total_minor, table.c.date)
    return [
        *_groups(connection, connection_seqs, (sync_record.c.invoice_seq,), "the same invoice", one=True),
        *_groups(connection, connection_seqs, number, "the same number and amount"),
        *_groups(connection, connection_seqs, name, "the same customer, amount and date"),
    ]


def _groups(
    connection: Connection, connection_seqs: Sequence[int], key: tuple[Any, ...], why: str, *, one: bool = False
) -> list[Duplicate]:
    joined = sync_record.join(table, sync_record.c.invoice_seq == table.c.seq)
    live = (
        sync_record.c.connection_seq.in_(connection_seqs),
        sync_record.c.disappeared_walk.is_(None),
        table.c.total_minor != 0,
    )
    several = func.count(sync_record.c.connection_seq.distinct()) > 1
    if not one:
        several &= func.count(table.c.seq.distinct()) > 1
    grouped = select(*key).select_from(joined).where(*live).group_by(*key).having(several).order_by(*key).limit(MAX_DUPLICATES)
    groups = grouped.subquery()
    of_a_group = and_(*(column == groups.c[column.name] for column in key))
    members = select(*key, sync_record.c.connection_seq, table.c.seq.label("member"))
    query = members.select_from(joined.join(groups, of_a_group)).where(*live).order_by(*key, table.c.seq)
    found = []
    for _, group in groupby(connection.execute(query), lambda row: row[: len(key)]):
        some = list(islice(group, MAX_MEMBERS))
        connections, seqs = {row.connection_seq for row in some}, {row.member for row in some}
        found.append(Duplicate(why, tuple(sorted(connections)), tuple(sorted(seqs))))
    return found


def unmatched(connection: Connection, of: VendorConnection) -> list[Unmatched]:
    """Accounts that the pull made and that nobody has touched since, with what it brought of theirs."""
    accounts = schema.account
    rows = connection.execute(
        select(accounts.c.seq, table.c.currency, func.count(), func.sum(table.c.total_minor))
        .select_from(
            sync_account.join(accounts, accounts.c.seq == sync_account.c.account_seq)
            .join(table, table.c.recipient_seq == accounts.c.seq)
            .join(
                sync_record,
                (sync_record.c.invoice_seq == table.c.seq) & (sync_record.c.connection_seq == sync_account.c.connection_seq),
            )
        )
        .where(sync_account.c.connection_seq == of.seq, accounts.c.updated_at == accounts.c.created_at)
        .group_by(accounts.c.seq, table.c.currency)
        .order_by(accounts.c.seq, table.c.currency)
    )
    return [Unmatched(seq, currency, count, int(total)) for seq, currency, count, total in rows]


def pulled_in_period(
    connection: Connection, connection_seqs: Sequence[int], start: int, end: int
) -> Iterator[tuple[int, Stored]]:
    """Invoices that connections pulled whose period starts in ``[start, end)``, with their lines, by our number: each once,
    with the first of the connections that pulled it."""
    after = 0
    while True:
        query = (
            columns(sync_record.c.connection_seq)
            .join(sync_record, sync_record.c.invoice_seq == table.c.seq)
            .where(
                sync_record.c.connection_seq.in_(connection_seqs),
                sync_record.c.disappeared_walk.is_(None),
                table.c.period_start >= start,
                table.c.period_start < end,
                table.c.seq > after,
            )
        )
        rows = connection.execute(query.order_by(table.c.seq, sync_record.c.connection_seq).limit(CHUNK)).all()
        first = {row.seq: row for row in reversed(rows)}
        once = [first[seq] for seq in sorted(first)]
        full = with_content(connection, [stored(row) for row in once])
        yield from zip([row.connection_seq for row in once], full, strict=True)
        if len(rows) < CHUNK:
            return
        after = rows[-1].seq


def issuers(connection: Connection, connection_seqs: Sequence[int]) -> list[int]:
    """As whose invoices the records of connections came in."""
    joined = sync_record.join(table, sync_record.c.invoice_seq == table.c.seq)
    query = select(table.c.issuer_seq).distinct().select_from(joined).where(sync_record.c.connection_seq.in_(connection_seqs))
    return sorted(connection.execute(query).scalars())


def issued_in_period(connection: Connection, issuer: Account, start: int, end: int) -> Iterator[Stored]:
    """Invoices that an account issued here itself (none that came from a vendor) whose period starts in ``[start, end)``."""
    ids = schema.vendor_id
    # By name, because the index over our numbers begins with the vendor.
    vendors = list(connection.execute(select(ids.c.vendor).distinct()).scalars())
    foreign = exists().where(ids.c.vendor.in_(vendors), ids.c.kind == "invoice", ids.c.our_seq == table.c.seq)
    after = 0
    while True:
        query = columns().where(
            table.c.issuer_seq == issuer.seq,
            table.c.period_start >= start,
            table.c.period_start < end,
            table.c.flags.op("&")(STATUS_MASK).not_in(_NOT_ASKED_FOR),
            table.c.seq > after,
            ~foreign,
        )
        rows = connection.execute(query.order_by(table.c.seq).limit(CHUNK)).all()
        yield from with_content(connection, [stored(row) for row in rows])
        if len(rows) < CHUNK:
            return
        after = rows[-1].seq


#: Drafts, those in grace, and what was taken back.
_NOT_ASKED_FOR = (0, 1, 6)
