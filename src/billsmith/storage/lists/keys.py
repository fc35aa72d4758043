"""The keys of one list in one order, read through the covering index that holds it.

A range of keys is half-open, ``[start, end)``; an empty ``start`` and an end of ``None`` are the ends of the list. Every
statement here is answered from the index alone: rows that are skipped or counted are never touched.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from billsmith.storage.direct import Direct
from billsmith.storage.lists.conditions import PASSES, signed
from billsmith.storage.lists.criteria import EVERY_FLAG, InvoiceList
from billsmith.storage.lists.ranks import Change, Key

_TABLE = "FROM invoice WHERE {owner} = ?"


class Keys(NamedTuple):
    """A list in an order, seen by one connection."""

    direct: Direct
    of: InvoiceList
    columns: tuple[str, ...]

    def window(self, start: Key, end: Key | None, mask: int, *, skip: int, take: int, backwards: bool = False) -> list[Key]:
        """Keys of rows that pass, in order from the start; ``backwards``: from the end."""
        where, parameters = self._range(start, end, mask)
        ordering = _ordering(self.columns, backwards)
        sql = f"SELECT {', '.join(self.columns)}, seq {where} ORDER BY {ordering} LIMIT ? OFFSET ?"
        return self.direct.rows(sql, (*parameters, take, skip))

    def group(self, value: Any, mask: int, *, skip: int, take: int, backwards: bool = False) -> list[Key]:
        """Keys of rows that pass and have one value as their key's first."""
        where, parameters = self._range((value,), (value,), mask, closed=True)
        ordering = _ordering(self.columns, backwards)
        sql = f"SELECT {', '.join(self.columns)}, seq {where} ORDER BY {ordering} LIMIT ? OFFSET ?"
        return self.direct.rows(sql, (*parameters, take, skip))

    def how_many(self, start: Key, end: Key | None, mask: int, *, closed: bool = False) -> int:
        """How many rows of a range pass; ``closed``: those at its end too, or that begin as it does."""
        where, parameters = self._range(start, end, mask, closed)
        row = self.direct.row(f"SELECT count(*) {where}", parameters)
        assert row is not None
        return int(row[0])

    def by_flags(self, start: Key, end: Key | None) -> dict[int, int]:
        """How many rows of a range have which flags."""
        where, parameters = self._range(start, end, EVERY_FLAG)
        return dict(self.direct.rows(f"SELECT flags, count(*) {where} GROUP BY flags", parameters))

    def changes(self, since: int, limit: int) -> list[Change]:
        """What happened to the list from version ``since`` on, that one included, oldest first."""
        rows = self.direct.rows(_changes_sql(self.columns), (self.of.account_seq, self.of.role, since, limit))
        return [Change(row[0], row[1], row[2], row[3:]) for row in rows]

    def _range(self, start: Key, end: Key | None, mask: int, closed: bool = False) -> tuple[str, tuple[Any, ...]]:
        passing = () if mask == EVERY_FLAG else (signed(mask),)
        shared = len(start) - 1 if end is not None and len(start) == len(end) and start[:-1] == end[:-1] else 0
        lengths = len(start), 0 if end is None else len(end), shared
        where = _range_sql(self.of.owner, self.columns, *lengths, bool(passing), closed)
        return where, (self.of.account_seq, *start[:shared], *start[shared:], *(() if end is None else end[shared:]), *passing)


@lru_cache(maxsize=1024)
def _range_sql(owner: str, columns: tuple[str, ...], start: int, end: int, shared: int, passing: bool, closed: bool) -> str:
    """``start`` and ``end`` are how many columns each names; of these both have the first ``shared`` in common.

    SQLite seeks by a row value up to its last column but the row number. Where both ends share all other columns the row
    number is compared alone: then it seeks by that as well, and a long run of ties costs nothing.
    """
    names = (*columns, "seq")
    sql = _TABLE.format(owner=owner)
    sql += "".join(f" AND {name} = ?" for name in names[:shared])
    sql += _compared(names[shared:start], ">=") + _compared(names[shared:end], "<=" if closed else "<")
    return sql + (f" AND {PASSES}" if passing else "")


def _compared(names: tuple[str, ...], sign: str) -> str:
    if not names:
        return ""
    return f" AND ({', '.join(names)}) {sign} ({', '.join('?' * len(names))})"


@lru_cache(maxsize=64)
def _ordering(columns: tuple[str, ...], backwards: bool) -> str:
    way = " DESC" if backwards else ""
    return ", ".join(f"{name}{way}" for name in (*columns, "seq"))


@lru_cache(maxsize=64)
def _changes_sql(columns: tuple[str, ...]) -> str:
    names = ", ".join(f"i.{name}" for name in (*columns, "seq"))
    return (
        f"SELECT c.version, c.old_flags, c.new_flags, {names} "
        "FROM invoice_change c JOIN invoice i ON i.seq = c.invoice_seq "
        "WHERE c.account_seq = ? AND c.role = ? AND c.version >= ? ORDER BY c.version LIMIT ?"
    )
