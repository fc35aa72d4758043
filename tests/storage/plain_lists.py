"""The plain way to a page: ``ORDER BY``, ``OFFSET``, ``LIMIT``. It is the judge of the fast one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, literal, or_, select

from billsmith.storage import schema
from billsmith.storage.extras import extra_text
from billsmith.storage.invoices import Stored, columns, number_key, stored
from billsmith.storage.lists.criteria import EVERYTHING, Criteria, InvoiceList, VendorField
from billsmith.storage.lists.order import ORDERS, Sort
from billsmith.storage.schema import invoice as table


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
    query = columns().where(*conditions(of, criteria)).order_by(*ORDERS[sort].terms(descending)).offset(offset).limit(limit)
    return [stored(row) for row in connection.execute(query)]


def count(connection: Connection, of: InvoiceList, criteria: Criteria = EVERYTHING) -> int:
    """How many invoices of a list there are, by counting them."""
    return int(connection.execute(select(func.count()).select_from(table).where(*conditions(of, criteria))).scalar_one())


def conditions(of: InvoiceList, criteria: Criteria) -> list[ColumnElement[bool]]:
    """What must hold of a row."""
    found: list[Any] = [table.c[of.owner] == of.account_seq]
    if criteria.flags is not None:
        found.append(table.c.flags.in_(sorted(criteria.flags)))
    if criteria.recipient_seq is not None:
        found.append(table.c.recipient_seq == criteria.recipient_seq)
    if criteria.issuer_seq is not None:
        found.append(table.c.issuer_seq == criteria.issuer_seq)
    if criteria.number is not None:
        found.append(table.c.number_key == number_key(criteria.number))
    if criteria.number_part is not None:
        found.append(table.c.number_key.contains(number_key(criteria.number_part), autoescape=True))
    if criteria.recipient_near_seq is not None:
        account = schema.account.c
        near = or_(account.seq == criteria.recipient_near_seq, account.parent_seq == criteria.recipient_near_seq)
        found.append(table.c.recipient_seq.in_(select(account.seq).where(near)))
    if criteria.not_issuer_seq is not None:
        found.append(table.c.issuer_seq != criteria.not_issuer_seq)
    if criteria.vendor_field is not None:
        found.append(_has(criteria.vendor_field))
    return found


def _has(field: VendorField) -> ColumnElement[bool]:
    own = extra_text(table.c.extras, literal(field.vendor), literal(field.name))
    kinds = sorted(kind.value for kind in field.kinds)
    return or_(own == field.text, and_(own.is_(None), table.c.kind.in_(kinds)))
