"""Everything that an account may see, as one list, in work that is bounded whatever the store holds.

The list has two sources: what the account issued (the issuer's index) and what was issued to it or below it by others (the
rows of ``invoice_viewer``). They do not overlap; they are read lazily and merged by their keys. A filter that no index serves
looks at no more than :data:`BUDGET` rows of a source: the page may then be short, and the next one goes on where it stopped.

Keys never change, end in the row number and turn as a whole when the order descends, so that a page begins exactly after the
invoice at which the one before it ended, however many were added meanwhile (decision 0052).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal, select, tuple_, union_all

from billsmith.accounts.model import Account
from billsmith.storage import accounts, schema
from billsmith.storage.accounts import ancestors, path_range
from billsmith.storage.invoices import Stored, columns, number_key, stored, visible_to
from billsmith.storage.schema import invoice as table
from billsmith.units.errors import Invalid
from billsmith.units.ids import parse_id

#: Rows of a source that one page looks at before it is given back short.
BUDGET = 10_000
#: Invoices that a list may hold to be sorted by what no index serves.
SORTABLE = 10_000
#: Accounts below a caller up to which an invoice's number is looked up issuer by issuer.
_ISSUERS = 2_000
#: How much more is looked at each time a page is not full yet.
_GROWTH = 4

_viewers = schema.invoice_viewer


class ViewSort(StrEnum):
    """The orders of the list. All but ``created`` need an index or a list that is not too long."""

    CREATED = "created"
    NUMBER = "number"
    DATE = "date"
    CUSTOMER = "customer"
    PERIOD = "period"
    TOTAL = "total"


_KEYS: dict[ViewSort, tuple[ColumnElement[Any], ...]] = {
    ViewSort.CREATED: (table.c.created_at, table.c.seq),
    ViewSort.NUMBER: (table.c.number_key, table.c.created_at, table.c.seq),
    ViewSort.DATE: (table.c.date, table.c.number_key, table.c.seq),
    ViewSort.CUSTOMER: (table.c.name_key, table.c.created_at, table.c.seq),
    ViewSort.PERIOD: (table.c.period_start, table.c.number_key, table.c.seq),
    ViewSort.TOTAL: (table.c.total_minor, table.c.created_at, table.c.seq),
}
#: What the issuer's indexes serve beside creation.
_BY_ISSUER = frozenset({ViewSort.NUMBER, ViewSort.CUSTOMER, ViewSort.PERIOD})


class ViewFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which invoices of the list: all of these hold. Ranges are half-open but for ``date_to``, which is the last day."""

    flags: frozenset[int] | None = None
    issuer: Account | None = None
    recipient: Account | None = None
    number: str | None = None
    kind: str | None = None
    currency: str | None = None
    date_from: dt.date | None = None
    date_to: dt.date | None = None
    created_from: int | None = None
    created_before: int | None = None


class Page(NamedTuple):
    """Invoices in order, and the id after which the next page begins (``None``: this is the end)."""

    rows: list[Stored]
    next_id: str | None


class _Source(NamedTuple):
    """Rows of one index, in its order. ``query`` selects the key's columns, the row number last."""

    query: Select[Any]
    keys: tuple[ColumnElement[Any], ...]


class _Part(NamedTuple):
    """What a source gave: rows with their keys, and the key up to which it was looked through (``None``: to its end)."""

    rows: list[tuple[tuple[Any, ...], Stored]]
    horizon: tuple[Any, ...] | None


def page(
    connection: Connection,
    viewer: Account,
    *,
    which: ViewFilter,
    sort: ViewSort,
    descending: bool,
    after_id: str | None,
    limit: int,
) -> Page:
    """The next ``limit`` invoices after the one with the id ``after_id`` (``None``: from the beginning).

    Raises :class:`Invalid` when the order is served by no index and the list is too long, or no such invoice is visible.
    """
    after = None if after_id is None else _position(connection, viewer, sort, after_id)
    sources, exact = _sources(connection, viewer, which, sort)
    conditions = _conditions(viewer, which)
    unfiltered = exact and which == ViewFilter()
    parts = [_read(connection, source, conditions, descending, after, limit + 1, unfiltered) for source in sources]
    horizons = [part.horizon for part in parts if part.horizon is not None]
    rows = sorted((row for part in parts for row in part.rows), key=lambda row: row[0], reverse=descending)
    if horizons:
        nearest = max(horizons) if descending else min(horizons)
        rows = [row for row in rows if (row[0] >= nearest if descending else row[0] <= nearest)]
    chosen = [row for _key, row in rows[:limit]]
    if len(rows) > limit or (horizons and len(chosen) == limit):
        return Page(chosen, chosen[-1].invoice.id)
    return Page(chosen, _id_of(connection, nearest[-1]) if horizons else None)


def _position(connection: Connection, viewer: Account, sort: ViewSort, id: str) -> tuple[Any, ...]:
    query = columns(*_KEYS[sort]).where(table.c.id == id, visible_to(viewer))
    row = connection.execute(query).first()
    if row is None:
        raise Invalid("the cursor is not one of this list; start again without it", code="input.cursor", where="cursor")
    return tuple(row[-len(_KEYS[sort]) :])


def _id_of(connection: Connection, seq: int) -> str:
    id: str = connection.execute(select(table.c.id).where(table.c.seq == seq)).scalar_one()
    return id


def _sources(connection: Connection, viewer: Account, which: ViewFilter, sort: ViewSort) -> tuple[list[_Source], bool]:
    """The sources that hold all that can pass, and whether all that they hold passes an empty filter."""
    own_issuer = which.issuer is not None and which.issuer.is_at_or_below(viewer)
    if own_issuer and (sort in _BY_ISSUER or (which.number is not None and sort is ViewSort.CREATED)):
        assert which.issuer is not None
        return [_issued(which.issuer, which, sort)], False
    if which.recipient is not None and sort is ViewSort.DATE:
        return [_received(which.recipient, which)], False
    if which.number is not None and (seqs := _numbered(connection, viewer, which.number)) is not None:
        return [_Source(_keyed(sort).where(table.c.seq.in_(seqs)), _KEYS[sort])], False
    if which.recipient is not None:
        by_creation = [_issued(which.recipient, which, ViewSort.CREATED), _seen(which.recipient, which)]
    elif own_issuer:
        assert which.issuer is not None
        by_creation = [_issued(which.issuer, which, ViewSort.CREATED)]
    else:
        by_creation = [_issued(viewer, which, ViewSort.CREATED), _seen(viewer, which)]
    if sort is ViewSort.CREATED:
        return by_creation, True
    return [_gathered(connection, by_creation, sort)], True


def _keyed(sort: ViewSort) -> Select[Any]:
    return select(*_KEYS[sort]).select_from(table)


def _issued(issuer: Account, which: ViewFilter, sort: ViewSort) -> _Source:
    query = _keyed(sort).where(table.c.issuer_seq == issuer.seq)
    if which.number is not None and sort in (ViewSort.CREATED, ViewSort.NUMBER):
        query = query.where(table.c.number_key == number_key(which.number))
    if sort is ViewSort.CREATED:
        query = query.where(*_created_range(table.c.created_at, which))
    return _Source(query, _KEYS[sort])


def _received(recipient: Account, which: ViewFilter) -> _Source:
    query = _keyed(ViewSort.DATE).where(table.c.recipient_seq == recipient.seq, *_date_range(which))
    return _Source(query, _KEYS[ViewSort.DATE])


def _seen(viewer: Account, which: ViewFilter) -> _Source:
    keys = (_viewers.c.created_at, _viewers.c.invoice_seq)
    query = select(*keys).where(_viewers.c.viewer_seq == viewer.seq, *_created_range(_viewers.c.created_at, which))
    return _Source(query, keys)


def _numbered(connection: Connection, viewer: Account, number: str) -> Select[Any] | None:
    """The row numbers under a number, issuer by issuer: the accounts above the caller, and those at or below it, if few."""
    account = schema.account
    start, end = path_range(viewer.path)
    below = select(account.c.seq).where(account.c.path >= start, account.c.path < end)
    few = select(func.count()).select_from(below.limit(_ISSUERS + 1).subquery())
    if connection.execute(few).scalar_one() > _ISSUERS:
        return None
    issuers = table.c.issuer_seq.in_(ancestors(viewer.path)) | table.c.issuer_seq.in_(below)
    return select(table.c.seq).where(issuers, table.c.number_key == number_key(number))


def _gathered(connection: Connection, sources: Sequence[_Source], sort: ViewSort) -> _Source:
    """All rows of some sources in an order that no index holds: only while there are few. Raises :class:`Invalid`."""
    bounded = [select(list(source.query.limit(SORTABLE + 1).subquery().c)[-1].label("seq")) for source in sources]
    seqs = union_all(*bounded).subquery()
    if connection.execute(select(func.count()).select_from(seqs)).scalar_one() > SORTABLE:
        raise Invalid(
            f"more than {SORTABLE} invoices can't be sorted by {sort.value}; name an issuer (number, customer, period), "
            "a recipient (date), or a shorter time by created_from and created_before",
            code="list.too_long_to_sort",
            where="sort",
        )
    return _Source(_keyed(sort).where(table.c.seq.in_(select(seqs.c.seq))), _KEYS[sort])


def _created_range(column: ColumnElement[Any], which: ViewFilter) -> list[ColumnElement[bool]]:
    conditions = []
    if which.created_from is not None:
        conditions.append(column >= which.created_from)
    if which.created_before is not None:
        conditions.append(column < which.created_before)
    return conditions


def _date_range(which: ViewFilter) -> list[ColumnElement[bool]]:
    conditions = []
    if which.date_from is not None:
        conditions.append(table.c.date >= which.date_from.toordinal())
    if which.date_to is not None:
        conditions.append(table.c.date <= which.date_to.toordinal())
    return conditions


def _conditions(viewer: Account, which: ViewFilter) -> list[Any]:
    """What a row must meet. The rule is asked of every row, whichever source it came from."""
    conditions: list[Any] = [visible_to(viewer), *_created_range(table.c.created_at, which), *_date_range(which)]
    if which.flags is not None:
        conditions.append(table.c.flags.in_(sorted(which.flags)))
    if which.issuer is not None:
        conditions.append(table.c.issuer_seq == which.issuer.seq)
    if which.recipient is not None:
        conditions.append(table.c.recipient_seq == which.recipient.seq)
    if which.number is not None:
        conditions.append(table.c.number_key == number_key(which.number))
    if which.kind is not None:
        conditions.append(table.c.kind == which.kind)
    if which.currency is not None:
        conditions.append(table.c.currency == which.currency)
    return conditions


def _read(
    connection: Connection,
    source: _Source,
    conditions: Sequence[Any],
    descending: bool,
    after: tuple[Any, ...] | None,
    wanted: int,
    unfiltered: bool,
) -> _Part:
    """Rows of a source after a key, looking at ever more of it until ``wanted`` pass or the budget is spent."""
    rows: list[tuple[tuple[Any, ...], Stored]] = []
    left, size = (wanted, wanted) if unfiltered else (BUDGET, min(BUDGET, wanted * _GROWTH))
    while left > 0:
        window = _window(source, descending, after)
        rows += _passing(connection, window.limit(size), source, conditions, descending, wanted - len(rows))
        if len(rows) >= wanted:
            return _Part(rows, rows[-1][0])
        last = connection.execute(window.offset(size - 1).limit(1)).first()
        if last is None:
            return _Part(rows, None)
        after = tuple(last)
        left -= size
        size = min(size * _GROWTH, left)
    return _Part(rows, after)


def _window(source: _Source, descending: bool, after: tuple[Any, ...] | None) -> Select[Any]:
    query = source.query.order_by(*(key.desc() if descending else key.asc() for key in source.keys))
    if after is None:
        return query
    here, there = (
        tuple_(*source.keys),
        tuple_(*(literal(value, key.type) for key, value in zip(source.keys, after, strict=True))),
    )
    return query.where(here < there if descending else here > there)


def _passing(
    connection: Connection,
    window: Select[Any],
    source: _Source,
    conditions: Sequence[Any],
    descending: bool,
    wanted: int,
) -> list[tuple[tuple[Any, ...], Stored]]:
    looked_at = window.subquery()
    keys = list(looked_at.c)
    query = (
        columns(*keys)
        .join(looked_at, keys[-1] == table.c.seq)
        .where(and_(*conditions))
        .order_by(*(key.desc() if descending else key.asc() for key in keys))
        .limit(wanted)
    )
    return [(tuple(row[-len(keys) :]), stored(row)) for row in connection.execute(query)]


def issuer_named(connection: Connection, viewer: Account, name: str) -> Account | None:
    """An account that may have issued what ``viewer`` sees: at or below it by UUID or external id, above it by UUID."""
    found = accounts.find(connection, name, viewer)
    if found is not None:
        return found
    above = accounts.by_seqs(connection, ancestors(viewer.path))
    return next((account for account in above.values() if account.id == parse_id(name)), None)
