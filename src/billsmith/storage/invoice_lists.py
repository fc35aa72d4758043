"""Lists of invoices: whose, in which order, which of them, and from where to where.

A list is what an account issued, or what was issued to it. Its order is total: the sort's key, then the tie-breakers of the
sort, the row number last; descending turns the key alone, so that ties keep their order. Membership never changes (an
invoice is never deleted), only flags do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, case, func, literal, or_, select

from billsmith.invoicing.model import InvoiceKind
from billsmith.storage import schema
from billsmith.storage.database import Database
from billsmith.storage.extras import extra_text
from billsmith.storage.invoices import (
    EXPORTED,
    ISSUED_BY,
    SEND_BY_EMAIL,
    STATUS_MASK,
    Stored,
    columns,
    number_key,
    stored,
)
from billsmith.storage.schema import invoice as table

#: Every combination of what lists filter by.
ALL_FLAGS = range(64)
_PAID = 4


class InvoiceList(NamedTuple):
    """Whose list: ``role`` is ``ISSUED_BY`` or ``ISSUED_TO``, ``account_seq`` the store's number of the account."""

    role: int
    account_seq: int

    @property
    def owner(self) -> ColumnElement[int]:
        """The column that names the account."""
        return table.c.issuer_seq if self.role == ISSUED_BY else table.c.recipient_seq


class Sort(Enum):
    """The orders a list can be had in: key columns, then tie-breakers; the row number always comes last."""

    CUSTOMER_NAME = "customer_name"
    CREATED = "created"
    NUMBER = "number"
    PERIOD = "period"
    DATE = "date"
    STATUS = "status"
    BATCH = "batch"
    SCHEDULED = "scheduled"
    SEND_BY_EMAIL = "send_by_email"
    PAID = "paid"
    PAID_AT = "paid_at"
    INVOICED_BY = "invoiced_by"
    EXPORTED_AT = "exported_at"
    EXPORTED = "exported"
    BILLING_ENTITY = "billing_entity"
    PAYMENT_METHOD = "payment_method"
    TOTAL = "total"


class _Order(NamedTuple):
    keys: tuple[ColumnElement[Any], ...]
    ties: tuple[ColumnElement[Any], ...]


def _flag(bit: int) -> ColumnElement[int]:
    return case((table.c.flags.op("&")(bit) != 0, 1), else_=0)


_status: ColumnElement[int] = table.c.flags.op("&")(STATUS_MASK)
_batch = func.ltrim(table.c.batch, "0")
_created = (table.c.created_at,)

_ORDERS: dict[Sort, _Order] = {
    Sort.CUSTOMER_NAME: _Order((table.c.name_key,), _created),
    Sort.CREATED: _Order((table.c.created_at,), ()),
    Sort.NUMBER: _Order((table.c.number_key,), _created),
    Sort.PERIOD: _Order((table.c.period_start,), (table.c.number_key,)),
    Sort.DATE: _Order((table.c.date,), (table.c.number_key,)),
    Sort.STATUS: _Order((_status,), (table.c.date, table.c.number_key)),
    # Numbers by their size: without zeros in front, a shorter one is smaller.
    Sort.BATCH: _Order((func.length(_batch), _batch), _created),
    Sort.SCHEDULED: _Order((func.coalesce(table.c.scheduled_at, 0),), _created),
    Sort.SEND_BY_EMAIL: _Order((_flag(SEND_BY_EMAIL),), _created),
    Sort.PAID: _Order((case((_status == _PAID, 1), else_=0),), _created),
    Sort.PAID_AT: _Order((func.coalesce(table.c.paid_at, 0),), _created),
    Sort.INVOICED_BY: _Order((table.c.invoiced_by,), _created),
    Sort.EXPORTED_AT: _Order((func.coalesce(table.c.exported_at, 0),), _created),
    Sort.EXPORTED: _Order((_flag(EXPORTED),), _created),
    Sort.BILLING_ENTITY: _Order((table.c.billing_entity,), _created),
    Sort.PAYMENT_METHOD: _Order((table.c.payment_method,), _created),
    Sort.TOTAL: _Order((table.c.total_minor,), _created),
}


class VendorField(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's own field of an invoice has this text; or the invoice lacks the field and is of one of these kinds."""

    vendor: str
    name: str
    text: str
    kinds: frozenset[InvoiceKind] = frozenset()


class Criteria(msgspec.Struct, frozen=True, kw_only=True):
    """Which of a list: all of these hold. ``flags`` are the combinations that pass (``None``: all)."""

    flags: frozenset[int] | None = None
    recipient_seq: int | None = None
    issuer_seq: int | None = None
    number: str | None = None
    """Equal without case."""
    number_part: str | None = None
    """Contained without case."""
    recipient_near_seq: int | None = None
    """The recipient is this account or a direct child of it."""
    not_issuer_seq: int | None = None
    vendor_field: VendorField | None = None

    @property
    def only_flags(self) -> bool:
        """Whether the tallies can count this."""
        return msgspec.structs.replace(self, flags=None) == EVERYTHING


EVERYTHING = Criteria()


def flags_where(test: Callable[[int], bool]) -> frozenset[int]:
    """The combinations that pass a test."""
    return frozenset(flags for flags in ALL_FLAGS if test(flags))


def page(
    connection: Connection,
    of: InvoiceList,
    *,
    sort: Sort,
    descending: bool = False,
    criteria: Criteria = EVERYTHING,
    offset: int = 0,
    limit: int,
) -> list[Stored]:
    """``limit`` invoices of a list from the ``offset``-th on (zero is the first)."""
    query = columns().where(*_conditions(of, criteria)).order_by(*_ordering(sort, descending)).offset(offset).limit(limit)
    return [stored(row) for row in connection.execute(query)]


def count(connection: Connection, of: InvoiceList, criteria: Criteria = EVERYTHING) -> int:
    """How many invoices of a list there are. By status and flags it is a look at the tallies, else a count."""
    if criteria.only_flags:
        tally = schema.invoice_tally
        query = select(func.coalesce(func.sum(tally.c.count), 0)).where(
            tally.c.account_seq == of.account_seq, tally.c.role == of.role
        )
        if criteria.flags is not None:
            query = query.where(tally.c.flags.in_(sorted(criteria.flags)))
        return int(connection.execute(query).scalar_one())
    return int(connection.execute(select(func.count()).select_from(table).where(*_conditions(of, criteria))).scalar_one())


def batch_lengths(
    connection: Connection, of: InvoiceList, batches: Iterable[str], criteria: Criteria = EVERYTHING
) -> dict[str, int]:
    """How many invoices of each batch an issuer's list holds. By flags alone it is a look at the tallies."""
    names = sorted(set(batches))
    if criteria.only_flags:
        tally = schema.batch_tally
        query = select(tally.c.batch, func.sum(tally.c.count)).where(
            tally.c.issuer_seq == of.account_seq, tally.c.batch.in_(names)
        )
        if criteria.flags is not None:
            query = query.where(tally.c.flags.in_(sorted(criteria.flags)))
        query = query.group_by(tally.c.batch)
    else:
        query = (
            select(table.c.batch, func.count())
            .where(*_conditions(of, criteria), table.c.batch.in_(names))
            .group_by(table.c.batch)
        )
    return {batch: int(length) for batch, length in connection.execute(query)}


def version(connection: Connection, of: InvoiceList) -> int:
    """A number that grows with every change of a list; zero while it is empty."""
    changes = schema.invoice_change
    query = select(func.coalesce(func.max(changes.c.version), 0)).where(
        changes.c.account_seq == of.account_seq, changes.c.role == of.role
    )
    return int(connection.execute(query).scalar_one())


def walk(
    database: Database,
    of: InvoiceList,
    *,
    sort: Sort,
    descending: bool = False,
    criteria: Criteria = EVERYTHING,
    offset: int = 0,
    limit: int | None = None,
    step: int = 200,
) -> Iterator[list[Stored]]:
    """A whole list (or ``limit`` of it from ``offset`` on) in pieces of at most ``step``, up to what was there at the start.

    Each piece is read in a short transaction of its own: memory is constant, and no reader holds back the writers'
    checkpoint.
    """
    with database.read() as connection:
        newest = connection.execute(select(func.coalesce(func.max(table.c.seq), 0))).scalar_one()
    left = limit
    while left is None or left > 0:
        size = step if left is None else min(step, left)
        with database.read() as connection:
            query = (
                columns()
                .where(*_conditions(of, criteria), table.c.seq <= newest)
                .order_by(*_ordering(sort, descending))
                .offset(offset)
                .limit(size)
            )
            piece = [stored(row) for row in connection.execute(query)]
        if piece:
            yield piece
        if len(piece) < size:
            return
        offset += size
        left = None if left is None else left - size


def _conditions(of: InvoiceList, criteria: Criteria) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [of.owner == of.account_seq]
    if criteria.flags is not None:
        conditions.append(table.c.flags.in_(sorted(criteria.flags)))
    if criteria.recipient_seq is not None:
        conditions.append(table.c.recipient_seq == criteria.recipient_seq)
    if criteria.issuer_seq is not None:
        conditions.append(table.c.issuer_seq == criteria.issuer_seq)
    if criteria.number is not None:
        conditions.append(table.c.number_key == number_key(criteria.number))
    if criteria.number_part is not None:
        conditions.append(table.c.number_key.contains(number_key(criteria.number_part), autoescape=True))
    if criteria.recipient_near_seq is not None:
        account = schema.account.c
        near = or_(account.seq == criteria.recipient_near_seq, account.parent_seq == criteria.recipient_near_seq)
        conditions.append(table.c.recipient_seq.in_(select(account.seq).where(near)))
    if criteria.not_issuer_seq is not None:
        conditions.append(table.c.issuer_seq != criteria.not_issuer_seq)
    if criteria.vendor_field is not None:
        conditions.append(_has(criteria.vendor_field))
    return conditions


def _has(field: VendorField) -> ColumnElement[bool]:
    own = extra_text(table.c.extras, literal(field.vendor), literal(field.name))
    kinds = sorted(kind.value for kind in field.kinds)
    return or_(own == field.text, and_(own.is_(None), table.c.kind.in_(kinds)))


def _ordering(sort: Sort, descending: bool) -> list[ColumnElement[Any]]:
    order = _ORDERS[sort]
    keys = [key.desc() if descending else key.asc() for key in order.keys]
    return [*keys, *order.ties, table.c.seq]
