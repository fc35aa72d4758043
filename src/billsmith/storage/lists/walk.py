"""A whole list, piece by piece, each read in a short transaction of its own: memory is constant, and no reader holds back the
writers' checkpoint.

The next piece begins after the last key that was read, so that nothing is counted twice and nothing is skipped while others
write. What was issued after the walk began is left out. In an order by status or flags an invoice moves as its state moves,
and is met where it stands when the walk comes by.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import Connection

from billsmith.storage.database import Database
from billsmith.storage.direct import Condition, Direct
from billsmith.storage.invoices import Stored
from billsmith.storage.lists import counts, pages, rows
from billsmith.storage.lists.conditions import beyond_flags, owned, passing, whole
from billsmith.storage.lists.criteria import EVERYTHING, Criteria, InvoiceList, mask_of
from billsmith.storage.lists.order import Part, Sort, order_sql, parts
from billsmith.storage.lists.ranks import Key
from billsmith.storage.patience import may_take_long

_EVERYTHING = 2**63 - 1


class Place(NamedTuple):
    """How far a walk has come: which stretch of the order, and the last key of it that was read."""

    stretch: int
    key: Key


class Stretch(NamedTuple):
    """One stretch of an order, walked by one connection."""

    direct: Direct
    part: Part
    condition: Condition

    def after(self, last: Key | None, take: int) -> list[Key]:
        """The next keys after one."""
        if last is None:
            return self._groups("", (), take) if self.part.descending else self._read("", (), take)
        # Two seeks: SQLite does not seek by the row number inside a row value, and a run of ties may be long.
        ties = " AND ".join(f"{name} = ?" for name in self.part.columns)
        found = self._read(f" AND {ties} AND seq > ?", last, take)
        if self.part.descending:
            if len(found) < take and len(last) > 2:
                names, marks = ", ".join(self.part.columns[1:]), ", ".join("?" * (len(last) - 2))
                rest = f" AND {self.part.columns[0]} = ? AND ({names}) > ({marks})"
                found += self._read(rest, last[:-1], take - len(found))
            if len(found) < take:
                found += self._groups(f" AND {self.part.columns[0]} < ?", last[:1], take - len(found))
        elif len(found) < take:
            names, marks = ", ".join(self.part.columns), ", ".join("?" * len(self.part.columns))
            found += self._read(f" AND ({names}) > ({marks})", last[:-1], take - len(found))
        return found

    def _groups(self, where: str, parameters: Key, take: int) -> list[Key]:
        """The groups of the greatest keys, greatest first, each in its own order; the last one may be cut."""
        backwards = self._read(where, parameters, take, backwards=True)
        groups = [list(group)[::-1] for _, group in groupby(backwards, key=itemgetter(0))]
        if len(backwards) == take:
            key = self.part.columns[0]
            groups[-1] = self._read(f" AND {key} = ?", groups[-1][0][:1], len(groups[-1]))
        return [key for group in groups for key in group]

    def _read(self, where: str, parameters: Key, take: int, *, backwards: bool = False) -> list[Key]:
        way = " DESC" if backwards else ""
        names = (*self.part.columns, "seq")
        ordering = ", ".join(f"{name}{way}" for name in names)
        sql = f"SELECT {', '.join(names)} FROM invoice WHERE {self.condition.sql}{where} ORDER BY {ordering} LIMIT ?"
        return self.direct.rows(sql, (*self.condition.parameters, *parameters, take))

    def at(self, offset: int, take: int) -> list[Key]:
        """The keys from a place on, by counting up to it: for what the rank buckets don't know."""
        names = (*self.part.columns, "seq")
        way = " DESC" if self.part.descending else ""
        ordering = f"{names[0]}{way}, {', '.join(names[1:])}"
        sql = f"SELECT {', '.join(names)} FROM invoice WHERE {self.condition.sql} ORDER BY {ordering} LIMIT ? OFFSET ?"
        return self.direct.rows(sql, (*self.condition.parameters, take, offset))

    def how_many(self) -> int:
        """How many rows the stretch has."""
        row = self.direct.row(f"SELECT count(*) FROM invoice WHERE {self.condition.sql}", self.condition.parameters)
        assert row is not None
        return int(row[0])


class Walk(NamedTuple):
    """A list in an order that a covering index holds, up to the row number ``newest``."""

    of: InvoiceList
    stretches: list[Part]
    criteria: Criteria
    newest: int

    def start(self, connection: Connection, offset: int, take: int) -> list[Place]:
        """The first places from ``offset`` on."""
        if self.criteria.only_flags:
            return [Place(*each) for each in pages.keys(connection, self.of, self.stretches, offset, take)]
        found: list[Place] = []
        for index in range(len(self.stretches)):
            stretch = self._stretch(connection, index)
            found += [Place(index, key) for key in stretch.at(offset, take - len(found))]
            if len(found) == take:
                break
            offset = 0 if found else offset - stretch.how_many()
        return found

    def after(self, connection: Connection, place: Place, take: int) -> list[Place]:
        """The next places."""
        found: list[Place] = []
        last: Key | None = place.key
        for index in range(place.stretch, len(self.stretches)):
            found += [Place(index, key) for key in self._stretch(connection, index).after(last, take - len(found))]
            if len(found) == take:
                break
            last = None
        return found

    def _stretch(self, connection: Connection, index: int) -> Stretch:
        direct = Direct(connection)
        part = self.stretches[index]
        condition = owned(self.of) & passing(part.mask) & beyond_flags(direct, self.criteria)
        return Stretch(direct, part, condition & Condition("seq <= ?", (self.newest,)))


def walk(
    database: Database,
    of: InvoiceList,
    *,
    sort: Sort,
    descending: bool = False,
    criteria: Criteria = EVERYTHING,
    offset: int = 0,
    limit: int | None = None,
    step: int = 100,
) -> Iterator[list[Stored]]:
    """A whole list (or ``limit`` of it from ``offset`` on) in pieces of at most ``step``, up to what was there at the start.

    In an order that no index holds the row numbers are sorted once and kept, eight bytes each.
    """
    left = _EVERYTHING if limit is None else limit
    with database.read() as connection:
        newest = _newest(connection)
        criteria = counts.simplified(Direct(connection), of, criteria)
        stretches = parts(of.role, sort, mask_of(criteria.flags), descending)
        if stretches is None:
            numbers = _sorted_numbers(connection, of, sort, descending, criteria, offset, left)
        else:
            walking = Walk(of, stretches, criteria, newest)
            places = walking.start(connection, offset, min(step, left))
            piece = rows.by_seqs(connection, [place.key[-1] for place in places])
    if stretches is None:
        yield from _by_numbers(database, numbers, step)
        return
    while piece:
        yield piece
        left -= len(piece)
        if len(piece) < step or left <= 0:
            return
        with database.read() as connection:
            places = walking.after(connection, places[-1], min(step, left))
            piece = rows.by_seqs(connection, [place.key[-1] for place in places])


def _sorted_numbers(
    connection: Connection, of: InvoiceList, sort: Sort, descending: bool, criteria: Criteria, offset: int, limit: int
) -> array[int]:
    may_take_long()
    direct = Direct(connection)
    condition = whole(direct, of, criteria)
    sql = f"SELECT seq FROM invoice WHERE {condition.sql} ORDER BY {order_sql(sort, descending)} LIMIT ? OFFSET ?"
    return array("q", (seq for (seq,) in direct.each(sql, (*condition.parameters, limit, offset))))


def _by_numbers(database: Database, numbers: array[int], step: int) -> Iterator[list[Stored]]:
    for first in range(0, len(numbers), step):
        with database.read() as connection:
            piece = rows.by_seqs(connection, numbers[first : first + step])
        yield piece


def _newest(connection: Connection) -> int:
    row = Direct(connection).row("SELECT max(seq) FROM invoice")
    assert row is not None
    return row[0] or 0
