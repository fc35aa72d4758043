"""Where in an order the n-th row stands, without counting up to it: rank buckets.

An order is cut into buckets of about :data:`SIZE` rows. A bucket is known by the key it begins at and by how many rows of each
combination of flags it holds. A running total of these, for the flags that a caller wants, says by bisection in which bucket
the n-th row stands; what is left is a skip inside one bucket. Keys never change, so a change of an invoice moves a count from
one combination to another within its bucket, and a new invoice adds one: both come from the change rows (decision 0021).

Nothing here touches the database. One object serves all threads of a process.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

#: Rows in a bucket, when it is made; it is cut in two when it holds twice as many.
SIZE = 1_000
#: Changes remembered for readers whose snapshot is older than what is known here.
_REMEMBERED = 4_096
#: Sets of flags whose totals are kept at hand.
_MASKS = 24

#: A row's place in an order: the values of the order's columns, the row number last. The empty key comes before all.
Key = tuple[Any, ...]


class Change(NamedTuple):
    """One step of a list's version: a new row (``old`` is ``None``), or a row whose flags changed."""

    version: int
    old: int | None
    new: int
    key: Key


class View(NamedTuple):
    """The buckets as one snapshot of the data has them: where each begins, and how many rows that pass stand before it.

    ``sums`` has one item more than ``bounds``: the last is the total.
    """

    bounds: Sequence[Key]
    sums: Sequence[int]

    @property
    def total(self) -> int:
        """How many rows pass."""
        return self.sums[-1]

    def bucket_of(self, position: int) -> int:
        """The bucket in which the row at a position stands (zero is the first)."""
        return bisect_right(self.sums, position) - 1

    def end(self, bucket: int) -> Key | None:
        """Where a bucket ends: where the next one begins."""
        return self.bounds[bucket + 1] if bucket + 1 < len(self.bounds) else None


class Ranks:
    """The buckets of one order of one list, at one version of the list."""

    def __init__(self, version: int, counts: Mapping[int, int], size: int = SIZE) -> None:
        """One bucket that holds everything; it is cut up later. ``counts`` are its rows by flags."""
        self.version = version
        self.size = size
        self.bounds: list[Key] = [()]
        #: Whether a bucket may want cutting.
        self.grown = True
        self._lock = threading.Lock()
        self._counts: dict[int, list[int]] = {flags: [count] for flags, count in counts.items()}
        self._sizes: list[int] = [sum(counts.values())]
        self._passing: dict[int, list[int]] = {}
        self._sums: dict[int, list[int]] = {}
        self._log: deque[Change] = deque(maxlen=_REMEMBERED)

    def apply(self, changes: Sequence[Change]) -> None:
        """Take changes in, in the order of their versions; those known already are passed over."""
        with self._lock:
            for change in changes:
                if change.version == self.version + 1:
                    self._take(change)

    def view(self, mask: int, version: int) -> View | None:
        """The buckets as they were at ``version``, for rows whose flags pass; ``None`` when that is too long ago."""
        with self._lock:
            if version > self.version:
                return None
            passing = self._passing_of(mask)
            if version == self.version:
                sums = self._sums.get(mask)
                if sums is None:
                    sums = self._sums[mask] = list(accumulate(passing, initial=0))
                return View(self.bounds, sums)
            since = self._since(version)
            if since is None:
                return None
            before = list(passing)
            for change in since:
                before[self._bucket(change.key)] -= _effect(change, mask)
            return View(self.bounds, list(accumulate(before, initial=0)))

    def too_big(self) -> tuple[Key, Key | None] | None:
        """The first bucket that wants cutting: where it begins and ends."""
        with self._lock:
            for bucket, size in enumerate(self._sizes):
                if size >= 2 * self.size:
                    return self.bounds[bucket], self._end(bucket)
            self.grown = False
            return None

    def cut(self, start: Key, middle: Key, counts: Mapping[int, int], version: int) -> bool:
        """Cut the bucket that begins at ``start`` in two at ``middle``; ``counts`` are the first part's rows at ``version``.

        ``False`` when that can't be brought up to what is known now, or the bucket is not there: count again.
        """
        with self._lock:
            since = self._since(version)
            bucket = self._bucket(start)
            end = self._end(bucket)
            if since is None or self.bounds[bucket] != start or middle <= start or (end is not None and middle >= end):
                return False
            first = dict(counts)
            for change in since:
                if start <= change.key < middle:
                    first[change.new] = first.get(change.new, 0) + 1
                    if change.old is not None:
                        first[change.old] = first.get(change.old, 0) - 1
            self._cut(bucket, middle, first)
            return True

    def _cut(self, bucket: int, middle: Key, first: Mapping[int, int]) -> None:
        # A view holds the list of bounds that it was made with: make a new one.
        self.bounds = [*self.bounds[: bucket + 1], middle, *self.bounds[bucket + 1 :]]
        for flags, column in self._counts.items():
            _divide(column, bucket, first.get(flags, 0))
        _divide(self._sizes, bucket, sum(first.values()))
        for mask, passing in self._passing.items():
            _divide(passing, bucket, sum(count for flags, count in first.items() if mask >> flags & 1))
        self._sums.clear()

    def _take(self, change: Change) -> None:
        bucket = self._bucket(change.key)
        self.version = change.version
        self._log.append(change)
        if change.new not in self._counts:
            self._counts[change.new] = [0] * len(self.bounds)
        self._counts[change.new][bucket] += 1
        if change.old is None:
            self._sizes[bucket] += 1
            self.grown = self.grown or self._sizes[bucket] >= 2 * self.size
        else:
            self._counts[change.old][bucket] -= 1
        for mask, passing in self._passing.items():
            effect = _effect(change, mask)
            if effect:
                passing[bucket] += effect
                self._sums.pop(mask, None)

    def _end(self, bucket: int) -> Key | None:
        return self.bounds[bucket + 1] if bucket + 1 < len(self.bounds) else None

    def _bucket(self, key: Key) -> int:
        return bisect_right(self.bounds, key) - 1

    def _since(self, version: int) -> list[Change] | None:
        """The changes after ``version``, ``None`` when they are no longer remembered (or are not known yet)."""
        missing = self.version - version
        if not 0 <= missing <= len(self._log):
            return None
        return list(self._log)[len(self._log) - missing :]

    def _passing_of(self, mask: int) -> list[int]:
        passing = self._passing.get(mask)
        if passing is None:
            columns = [column for flags, column in self._counts.items() if mask >> flags & 1]
            passing = [sum(counts) for counts in zip(*columns, strict=True)] if columns else [0] * len(self.bounds)
            if len(self._passing) >= _MASKS:
                oldest = next(iter(self._passing))
                del self._passing[oldest]
                self._sums.pop(oldest, None)
            self._passing[mask] = passing
        return passing


def _divide(column: list[int], bucket: int, first: int) -> None:
    column.insert(bucket, first)
    column[bucket + 1] -= first


def _effect(change: Change, mask: int) -> int:
    gained = mask >> change.new & 1
    lost = 0 if change.old is None else mask >> change.old & 1
    return gained - lost
