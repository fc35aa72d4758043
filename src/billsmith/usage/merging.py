"""Which adjacent stretches of ``seq`` that were counted apart should be merged into one."""

from __future__ import annotations

from collections.abc import Sequence


def to_merge(highs: Sequence[int], *, least: int, full: int, fan_in: int) -> tuple[int, int] | None:
    """The first place, and the place after the last, of adjacent runs that should be one; ``None`` if there are none.

    A run is known by its highest seq, and begins after the one before. Small runs first: merges make runs of ``least``, then
    ``fan_in`` times larger ones, up to ``full``. So a row is written a few times in its life; and runs of less than a size
    never stand side by side in such numbers that they would make it up.

    >>> to_merge([80, 85, 90, 95, 100], least=20, full=80, fan_in=4)
    (1, 5)
    """
    sizes = [high - low for low, high in zip([0, *highs], highs, strict=False)]
    size = least
    while size <= full:
        if found := _making_up(size, sizes):
            return found
        size *= fan_in
    return None


def _making_up(size: int, sizes: Sequence[int]) -> tuple[int, int] | None:
    """The first smaller neighbours that together have the size."""
    first = rows = 0
    for place, one in enumerate(sizes):
        if one >= size:
            first, rows = place + 1, 0
            continue
        rows += one
        if rows >= size:
            return first, place + 1
    return None
