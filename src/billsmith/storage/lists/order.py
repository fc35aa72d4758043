"""The orders that a list can be had in, and which of them a covering index holds.

An order is total: the sort's key, then the tie-breakers of the sort, the row number last. Descending turns the key alone, so
that ties keep their order.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, case, func

from billsmith.invoicing.model import InvoiceStatus
from billsmith.storage.invoices import EXPORTED, ISSUED_BY, ISSUED_TO, SEND_BY_EMAIL, STATUS_MASK
from billsmith.storage.lists.criteria import ALL_FLAGS, mask_of
from billsmith.storage.schema import invoice as table


class Sort(Enum):
    """What a list is ordered by."""

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


class Order(NamedTuple):
    """Key and tie-breakers in SQL; the row number comes last and is not named."""

    keys: tuple[ColumnElement[Any], ...]
    ties: tuple[ColumnElement[Any], ...]

    def terms(self, descending: bool) -> list[ColumnElement[Any]]:
        """What a select is ordered by."""
        keys = [key.desc() if descending else key.asc() for key in self.keys]
        return [*keys, *self.ties, table.c.seq]


def _flag(bit: int) -> ColumnElement[int]:
    return case((table.c.flags.op("&")(bit) != 0, 1), else_=0)


_status: ColumnElement[int] = table.c.flags.op("&")(STATUS_MASK)
_batch = func.ltrim(table.c.batch, "0")
_created = (table.c.created_at,)

ORDERS: dict[Sort, Order] = {
    Sort.CUSTOMER_NAME: Order((table.c.name_key,), _created),
    Sort.CREATED: Order((table.c.created_at,), ()),
    Sort.NUMBER: Order((table.c.number_key,), _created),
    Sort.PERIOD: Order((table.c.period_start,), (table.c.number_key,)),
    Sort.DATE: Order((table.c.date,), (table.c.number_key,)),
    Sort.STATUS: Order((_status,), (table.c.date, table.c.number_key)),
    # Numbers by their size: without zeros in front, a shorter one is smaller.
    Sort.BATCH: Order((func.length(_batch), _batch), _created),
    Sort.SCHEDULED: Order((func.coalesce(table.c.scheduled_at, 0),), _created),
    Sort.SEND_BY_EMAIL: Order((_flag(SEND_BY_EMAIL),), _created),
    Sort.PAID: Order((case((_status == InvoiceStatus.PAID.value, 1), else_=0),), _created),
    Sort.PAID_AT: Order((func.coalesce(table.c.paid_at, 0),), _created),
    Sort.INVOICED_BY: Order((table.c.invoiced_by,), _created),
    Sort.EXPORTED_AT: Order((func.coalesce(table.c.exported_at, 0),), _created),
    Sort.EXPORTED: Order((_flag(EXPORTED),), _created),
    Sort.BILLING_ENTITY: Order((table.c.billing_entity,), _created),
    Sort.PAYMENT_METHOD: Order((table.c.payment_method,), _created),
    Sort.TOTAL: Order((table.c.total_minor,), _created),
}


@lru_cache(maxsize=128)
def order_sql(sort: Sort, descending: bool) -> str:
    """What stands after ``ORDER BY``, the same for each database.

    >>> order_sql(Sort.CUSTOMER_NAME, True)
    'invoice.name_key DESC, invoice.created_at, invoice.seq'
    """
    return ", ".join(str(term.compile(compile_kwargs={"literal_binds": True})) for term in ORDERS[sort].terms(descending))


#: The orders that a covering index of the schema holds: the columns of the index between the owner and ``seq, flags``. The
#: first is the key. What is in them never changes in the life of an invoice.
COVERED: dict[tuple[int, Sort], tuple[str, ...]] = {
    (ISSUED_BY, Sort.CUSTOMER_NAME): ("name_key", "created_at"),
    (ISSUED_BY, Sort.CREATED): ("created_at",),
    (ISSUED_BY, Sort.NUMBER): ("number_key", "created_at"),
    (ISSUED_BY, Sort.PERIOD): ("period_start", "number_key"),
    (ISSUED_TO, Sort.PERIOD): ("period_start", "number_key"),
    (ISSUED_TO, Sort.DATE): ("date", "number_key"),
}


class Classes(NamedTuple):
    """An order by something that the flags say: the list in the order ``within``, once for each class of flags."""

    within: Sort
    masks: tuple[int, ...]


def _classes(within: Sort, number: int, class_of: Callable[[int], int]) -> Classes:
    classes = [frozenset(flags for flags in ALL_FLAGS if class_of(flags) == each) for each in range(number)]
    return Classes(within, tuple(map(mask_of, classes)))


BY_FLAGS: dict[Sort, Classes] = {
    Sort.SEND_BY_EMAIL: _classes(Sort.CREATED, 2, lambda flags: bool(flags & SEND_BY_EMAIL)),
    Sort.EXPORTED: _classes(Sort.CREATED, 2, lambda flags: bool(flags & EXPORTED)),
    Sort.PAID: _classes(Sort.CREATED, 2, lambda flags: flags & STATUS_MASK == InvoiceStatus.PAID),
    Sort.STATUS: _classes(Sort.DATE, 8, lambda flags: flags & STATUS_MASK),
}


class Part(NamedTuple):
    """A stretch of an order that a covering index holds: which flags, by which columns, and whether the key is turned."""

    sort: Sort
    columns: tuple[str, ...]
    mask: int
    descending: bool


def parts(role: int, sort: Sort, mask: int, descending: bool) -> list[Part] | None:
    """An order as stretches one after the other; ``None`` when no covering index holds it."""
    classes = BY_FLAGS.get(sort)
    within = classes.within if classes else sort
    columns = COVERED.get((role, within))
    if columns is None:
        return None
    if classes is None:
        return [Part(sort, columns, mask, descending)]
    masks = reversed(classes.masks) if descending else classes.masks
    return [Part(within, columns, each & mask, False) for each in masks if each & mask]
