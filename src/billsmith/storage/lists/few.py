"""The rows that a part of a number leads to, where they are few: one look through the index for both count and page.

That look takes longer than all else that a list does, so what it found is remembered while the list stays as it is.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from billsmith.storage.accounts import accounts_version
from billsmith.storage.direct import Direct
from billsmith.storage.lists import tallies
from billsmith.storage.lists.conditions import whole
from billsmith.storage.lists.criteria import Criteria, InvoiceList
from billsmith.storage.patience import may_take_long
from billsmith.storage.reads import read_by

#: Searches remembered, of at most :data:`tallies.QUICK` row numbers each.
_MOST = 16


class Searches:
    """What the last searches found, for all threads of a process."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[Any, ...], Sequence[int] | None] = OrderedDict()
        self._lock = threading.Lock()

    def look(self, name: tuple[Any, ...]) -> tuple[bool, Sequence[int] | None]:
        """Whether a search is remembered, and what it found."""
        with self._lock:
            return name in self._found, self._found.get(name)

    def keep(self, name: tuple[Any, ...], found: Sequence[int] | None) -> None:
        """Remember a search; the oldest goes."""
        with self._lock:
            self._found[name] = found
            if len(self._found) > _MOST:
                self._found.popitem(last=False)


def rows(connection: Connection, of: InvoiceList, criteria: Criteria) -> Sequence[int] | None:
    """The row numbers of a list that meet criteria with a part of a number, in no order; ``None`` where they are many."""
    direct = Direct(connection)
    database = read_by(connection)
    if database is None:
        return _found(direct, of, criteria)
    name = (accounts_version(direct), tallies.version_of(direct, of), of, criteria)
    known, found = database.searches.look(name)
    if not known:
        found = _found(direct, of, criteria)
        database.searches.keep(name, found)
    return found


def _found(direct: Direct, of: InvoiceList, criteria: Criteria) -> Sequence[int] | None:
    if not tallies.is_short(direct, of):
        may_take_long()
        if not direct.is_sqlite:
            # The planner takes every row for a match, and so takes workers for too dear.
            for setting in ("max_parallel_workers_per_gather = 2", "parallel_setup_cost = 0", "parallel_tuple_cost = 0"):
                direct.run(f"SET LOCAL {setting}")
    condition = whole(direct, of, criteria)
    found = direct.rows(f"SELECT seq FROM invoice WHERE {condition.sql} LIMIT ?", (*condition.parameters, tallies.QUICK + 1))
    return array("q", (row[0] for row in found)) if len(found) <= tallies.QUICK else None
