"""A span of time, cut into the largest pieces that something was counted ahead for; what is left over is read from rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

#: The length of a piece that no roll-up covers.
ROWS = 0


class Piece(msgspec.Struct, frozen=True):
    """From ``start`` up to ``end``: whole units of ``length`` nanoseconds since 1970, or :data:`ROWS`."""

    length: int
    start: int
    end: int


def cut(start: int, end: int, lengths: Sequence[int]) -> Iterator[Piece]:
    """The pieces of a span, in order. ``lengths`` falls, and each is a multiple of the next.

    >>> [(piece.length, piece.start, piece.end) for piece in cut(7, 48, (20, 5))]
    [(0, 7, 10), (5, 10, 20), (20, 20, 40), (5, 40, 45), (0, 45, 48)]
    """
    if start >= end:
        return
    if not lengths:
        yield Piece(ROWS, start, end)
        return
    length, *finer = lengths
    first, last = -(-start // length) * length, end // length * length
    if first >= last:
        yield from cut(start, end, finer)
        return
    yield from cut(start, first, finer)
    yield Piece(length, first, last)
    yield from cut(last, end, finer)
