"""Pages that the rank buckets do not help: in an order that no index holds, or filtered by more than flags."""

from __future__ import annotations

from sqlalchemy import Connection

from billsmith.storage.direct import Condition, Direct
from billsmith.storage.invoices import ISSUED_BY, ISSUED_TO, Stored
from billsmith.storage.lists import counts, few, rows, tallies
from billsmith.storage.lists.conditions import whole
from billsmith.storage.lists.criteria import Criteria, InvoiceList
from billsmith.storage.lists.order import Sort, order_sql
from billsmith.storage.patience import may_take_long


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
    direct = Direct(connection)
    condition = _few(connection, direct, of, criteria)
    if condition is None:
        if not tallies.is_short(direct, of):
            may_take_long()
        condition = whole(direct, of, criteria)
    sql = f"SELECT seq FROM invoice WHERE {condition.sql} ORDER BY {order_sql(sort, descending)} LIMIT ? OFFSET ?"
    return rows.by_seqs(connection, [row[0] for row in direct.rows(sql, (*condition.parameters, limit, offset))])


def _few(connection: Connection, direct: Direct, of: InvoiceList, criteria: Criteria) -> Condition | None:
    """The rows that match, found first and sorted then, where they are few.

    Told apart from the order, because a planner that knows no statistics would walk the whole list in its order to find them.
    """
    condition = whole(direct, of, criteria)
    if criteria.number is not None:
        return _found_first(condition)
    if criteria.number_part is not None:
        found = few.rows(connection, of, criteria)
        if found is not None:
            return direct.one_of("seq", found)
    other = counts.other_side(of, criteria)
    if other is not None and of.role == ISSUED_BY and tallies.is_short(direct, InvoiceList(ISSUED_TO, other)):
        # The sign keeps SQLite from finding them by the issuer.
        return _found_first(Condition(f"+{condition.sql}", condition.parameters))
    return None


def _found_first(condition: Condition) -> Condition:
    return Condition(f"seq IN (SELECT seq FROM invoice WHERE {condition.sql})", condition.parameters)
