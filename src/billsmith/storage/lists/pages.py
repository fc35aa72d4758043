"""A page of an order, by its ranks: which keys stand from the n-th place on.

Ascending is a bisection, a seek and a skip inside one bucket. Descending turns the key but not the tie-breakers, and an index
read backwards turns both; so a window is read backwards and its groups of equal keys are put right. Only a group that the
window cuts, at its first or last row, needs to know where the whole group stands.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection

from billsmith.storage.direct import Direct
from billsmith.storage.invoices import Stored
from billsmith.storage.lists import counts, filtered, rows
from billsmith.storage.lists.criteria import EVERYTHING, Criteria, InvoiceList, mask_of
from billsmith.storage.lists.keys import Keys
from billsmith.storage.lists.order import Part, Sort, parts
from billsmith.storage.lists.ranks import SIZE, Key, View
from billsmith.storage.reads import read_by


class Ranked(NamedTuple):
    """A list in an order, its buckets, and which flags pass."""

    keys: Keys
    view: View
    mask: int

    def ascending(self, start: int, take: int) -> list[Key]:
        """The keys at the positions ``[start, start + take)`` that there are."""
        view = self.view
        end = min(start + take, view.total)
        found: list[Key] = []
        bucket = view.bucket_of(start)
        while start < end:
            stop = min(end, view.sums[bucket + 1])
            if stop > start:
                found += self._inside(bucket, start - view.sums[bucket], stop - start)
                start = stop
            bucket += 1
        return found

    def descending(self, start: int, take: int) -> list[Key]:
        """The same, from the other end: greater keys first, ties as in the ascending order."""
        total = self.view.total
        take = min(take, total - start)
        if take <= 0:
            return []
        low, high = total - start - take, total - start  # the window in ascending positions, half-open
        before, after = min(1, low), min(1, total - high)
        window = self.ascending(low - before, before + take + after)
        inner = window[before : before + take]
        first, last = inner[-1][0], inner[0][0]
        cut_above = bool(after) and window[-1][0] == first
        cut_below = bool(before) and window[0][0] == last
        if first == last:
            skipped = self._after(first, window[-1], high) - high if cut_above else 0
            return self._from_group(first, window[0], low - before, skipped, take) if cut_above or cut_below else inner
        groups = [list(group) for _, group in groupby(inner, key=itemgetter(0))]
        if cut_above:  # its last rows are still to come
            groups[-1] = self.keys.group(first, self.mask, skip=0, take=len(groups[-1]), backwards=True)[::-1]
        if cut_below:  # only its first rows
            groups[0] = self.keys.group(last, self.mask, skip=0, take=len(groups[0]))
        return [key for group in reversed(groups) for key in group]

    def _from_group(self, value: Any, known: Key, position: int, skip: int, take: int) -> list[Key]:
        """Rows inside one group, of which the row at ``position`` is known: by a skip in it, or by rank where that is long."""
        if skip <= SIZE:
            return self.keys.group(value, self.mask, skip=skip, take=take)
        return self.ascending(self._before(value, known, position) + skip, take)

    def _inside(self, bucket: int, skip: int, take: int) -> list[Key]:
        """Keys inside one bucket, reached from its nearer end."""
        start, end = self.view.bounds[bucket], self.view.end(bucket)
        behind = self.view.sums[bucket + 1] - self.view.sums[bucket] - skip - take
        if skip <= behind:
            return self.keys.window(start, end, self.mask, skip=skip, take=take)
        return self.keys.window(start, end, self.mask, skip=behind, take=take, backwards=True)[::-1]

    def _before(self, value: Any, known: Key, position: int) -> int:
        """How many rows have a smaller key, counted from the row that is known or from a bucket's end, if that lies between."""
        bucket = bisect_left(self.view.bounds, (value,)) - 1
        end = self.view.end(bucket)
        if known >= (value,) and (end is None or known < end):
            return position - self.keys.how_many((value,), known, self.mask)
        return self.view.sums[bucket] + self.keys.how_many(self.view.bounds[bucket], (value,), self.mask)

    def _after(self, value: Any, known: Key, position: int) -> int:
        """How many rows have this key or a smaller one, counted likewise."""
        bucket = bisect_right(self.view.bounds, (value,), key=lambda bound: bound[:1]) - 1
        if known >= self.view.bounds[bucket]:
            return position + self.keys.how_many(known, (value,), self.mask, closed=True)
        return self.view.sums[bucket] + self.keys.how_many(self.view.bounds[bucket], (value,), self.mask, closed=True)


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
    """``limit`` invoices of a list from the ``offset``-th on (zero is the first).

    Filtered by flags alone, in an order that a covering index holds, any page costs about the same. Else it is sorted or
    sifted anew each time; on a long list that may take long (:mod:`billsmith.storage.patience`).
    """
    criteria = counts.simplified(Direct(connection), of, criteria)
    stretches = parts(of.role, sort, mask_of(criteria.flags), descending)
    if stretches is None or not criteria.only_flags or read_by(connection) is None:
        return filtered.page(connection, of, sort=sort, descending=descending, criteria=criteria, offset=offset, limit=limit)
    return rows.by_seqs(connection, [key[-1] for _, key in keys(connection, of, stretches, offset, limit)])


def keys(connection: Connection, of: InvoiceList, stretches: Sequence[Part], offset: int, limit: int) -> list[tuple[int, Key]]:
    """The keys of a page, each with the stretch of the order in which it stands."""
    database = read_by(connection)
    assert database is not None, "ranks are read outside a write"
    direct = Direct(connection)
    found: list[tuple[int, Key]] = []
    for index, part in enumerate(stretches):
        reader = Keys(direct, of, part.columns)
        ranked = Ranked(reader, database.ranks.view(reader, part.sort, part.mask), part.mask)
        turned = ranked.descending if part.descending else ranked.ascending
        if offset < ranked.view.total:
            found += [(index, key) for key in turned(offset, limit - len(found))]
        offset = max(0, offset - ranked.view.total)
        if len(found) == limit:
            break
    return found
