"""The sides of a simulation, made and compared by the processes that rate: no store, no clock, no documents packed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from billsmith.invoicing.cases import Books, make
from billsmith.invoicing.model import Line
from billsmith.invoicing.totals import Totals
from billsmith.workflows.billing_work import Parked, Works, parked


class LineDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A line of both sides, by what it is for; zero where one side lacks it."""

    subscription: str
    component: str
    description: str
    kind: str
    old_minor: int
    new_minor: int


_pack = msgspec.msgpack.Encoder().encode
_lines_of = msgspec.msgpack.Decoder(tuple[LineDifference, ...]).decode


class Compared(msgspec.Struct, frozen=True):
    """What two sides come to; a side that can't be billed comes to nothing, and ``problem`` says why.

    The lines are ``packed``, for they go from one process to another.
    """

    old_minor: int
    new_minor: int
    packed: bytes
    problem: str = ""

    def lines(self) -> tuple[LineDifference, ...]:
        """The lines of both sides."""
        return _lines_of(self.packed)


def totals(works: Works, books: Books) -> list[Totals | Parked]:
    """What each case comes to."""
    found: list[Totals | Parked] = []
    for work, counted in works.counted():
        if work.fault is not None:
            found.append(work.fault)
            continue
        try:
            found.append(make(work.case, books, counted).assembled.totals)
        except Exception as error:
            found.append(parked(error))
    return found


def compared(works: Works, books: Books) -> list[Compared]:
    """Each two cases that follow each other: as it is, and as it would be."""
    each = iter(totals(works, books))
    return [_compared(old, new) for old, new in zip(each, each, strict=True)]


def charged(works: Works, books: Books) -> list[int | Parked]:
    """What each case asks for."""
    return [each if isinstance(each, Parked) else each.total_minor for each in totals(works, books)]


def _compared(old: Totals | Parked, new: Totals | Parked) -> Compared:
    problems = [f"{side}: {each.reason}" for side, each in (("now", old), ("then", new)) if isinstance(each, Parked)]
    return Compared(_total(old), _total(new), _pack(tuple(_lines(old, new))), "; ".join(problems))


def _total(side: Totals | Parked) -> int:
    return 0 if isinstance(side, Parked) else side.total_minor


def _lines(old: Totals | Parked, new: Totals | Parked) -> Iterator[LineDifference]:
    sums: dict[tuple[Any, ...], tuple[Line, list[int]]] = {}
    for side, found in enumerate((old, new)):
        if not isinstance(found, Parked):
            for line in found.lines:
                _, minor = sums.get(_identity(line), (line, [0, 0]))
                minor[side] += line.amount_minor
                sums[_identity(line)] = (line, minor)
    for line, (before, then) in sums.values():
        yield LineDifference(
            subscription=line.subscription,
            component=line.component,
            description=line.description,
            kind=line.kind.value,
            old_minor=before,
            new_minor=then,
        )


def _identity(line: Line) -> tuple[Any, ...]:
    return line.subscription, line.component, line.kind, line.period, "" if line.component else line.description
