"""What a database adds rows up by, and in which form the sums come out: common to every store's SQL."""

from __future__ import annotations

import msgspec

#: The sums of a shape: how many events, their values; and with times (seconds and the nanoseconds left of them apart).
NUMBERS = ("n", "high", "low")
MOMENTS = (*NUMBERS, "high_s", "low_s", "high_ns", "low_ns")
#: How many columns a pair of sums, high and low, is given out as: the first × LIMB² + the second × LIMB + the third. A
#: database that has whole numbers of any length gives 0, 0 and all of it.
PARTS = 3
#: The window of what came before a period.
BEFORE = -1


class Shape(msgspec.Struct, frozen=True):
    """What rows are added up by, and what of them: ``names`` of dimensions, further columns, and sums by their names."""

    names: tuple[str, ...]
    sums: tuple[str, ...]
    by: tuple[str, ...] = ()

    @property
    def moments(self) -> bool:
        """Whether times are summed too; then what came before a period is part of its answer."""
        return self.sums == MOMENTS
