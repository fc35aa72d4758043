"""Meters that one statement adds up together, and the places of its answer: common to every store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, product
from operator import itemgetter
from typing import Any

from billsmith.usage.shapes import Shape
from billsmith.usage.store import Query

#: What meters have in common that one statement adds up: their shape, and the roll-ups that it begins with, if there are any.
Alike = tuple[Shape, tuple[int, bool] | None]


class Together:
    """Which meters stand in one statement: of one shape, each of a type of its own, as far ahead as the others."""

    def __init__(self) -> None:
        self._statements: list[dict[Alike, dict[str, int]]] = []

    def put(self, alike: Alike, type: str, number: int) -> None:
        """A meter by its number, into the first statement of its like that has no meter of the type."""
        for statements in self._statements:
            if type not in statements.setdefault(alike, {}):
                statements[alike][type] = number
                return
        self._statements.append({alike: {type: number}})

    def __iter__(self) -> Iterator[tuple[Alike, dict[str, int]]]:
        """Each statement: what its meters have in common, and their numbers by type."""
        for statements in self._statements:
            yield from statements.items()


def every_place(
    rows: Iterable[tuple[Any, ...]], kinds: int, query: Query
) -> Iterator[tuple[int, str, int, Iterable[Sequence[Any]]]]:
    """Rows by type, account and period; accounts that were named have theirs even if there are none."""
    waiting = product(range(kinds), sorted(set(query.accounts or ())), range(len(query.periods)))
    due = next(waiting, None)
    for place, found in groupby(rows, itemgetter(0, 1, 2)):
        while due is not None and due < place:
            yield *due, ()
            due = next(waiting, None)
        if due == place:
            due = next(waiting, None)
        yield *place, found
    while due is not None:
        yield *due, ()
        due = next(waiting, None)
