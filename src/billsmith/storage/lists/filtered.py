"""Pages that the rank buckets do not help: in an order that no index holds, or filtered by more than flags."""

from __future__ import annotations

from sqlalchemy import Connection, literal_column, select

from billsmith.storage.direct import Direct
from billsmith.storage.invoices import ISSUED_BY, ISSUED_TO, Stored
from billsmith.storage.lists import counts, plain, rows
from billsmith.storage.lists.criteria import Criteria, InvoiceList
from billsmith.storage.lists.order import ORDERS, Sort
from billsmith.storage.patience import may_take_long
from billsmith.storage.schema import invoice as table


def page(
    connection: Connection,
    of: InvoiceList,
    *,
    sort: Sort,
    descending: bool,
    criteria: Criteria,
    offset: int,
    limit: int,
) -> list[Stored]:
    """As :func:`billsmith.storage.lists.pages.page`."""
    conditions = plain.conditions(of, criteria)
    other = counts.other_side(of, criteria)
    direct = Direct(connection)
    if other is not None and of.role == ISSUED_BY and counts.is_short(direct, InvoiceList(ISSUED_TO, other)):
        # The sign keeps the planner from walking the whole list in order to find a few.
        conditions[0] = literal_column(f"+invoice.{of.owner}") == of.account_seq
    elif criteria.number is None and not counts.is_short(direct, of):
        may_take_long()
    query = select(table.c.seq).where(*conditions).order_by(*ORDERS[sort].terms(descending)).offset(offset).limit(limit)
    return rows.by_seqs(connection, connection.execute(query).scalars().all())
