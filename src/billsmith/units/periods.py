"""A span of time. Ends meet and never overlap, because the end never belongs to it."""

from __future__ import annotations

import msgspec


class Period(msgspec.Struct, frozen=True, order=True):
    """A span of time, ``[start, end)``, in nanoseconds UTC.

    >>> Period(0, 10).contains(10)
    False
    """

    start: int
    end: int

    @property
    def length(self) -> int:
        """Nanoseconds from the start to the end."""
        return self.end - self.start

    def contains(self, instant: int) -> bool:
        """Whether the instant lies in the span; the end doesn't."""
        return self.start <= instant < self.end

    def holds(self, other: Period) -> bool:
        """Whether the other span lies in this one; an empty span at the end doesn't.

        >>> Period(0, 10).holds(Period(5, 10)), Period(0, 10).holds(Period(10, 10))
        (True, False)
        """
        return self.contains(other.start) and other.end <= self.end

    def overlap(self, other: Period) -> Period | None:
        """What both spans share, or ``None``.

        >>> Period(0, 10).overlap(Period(5, 20)), Period(0, 10).overlap(Period(10, 20))
        (Period(start=5, end=10), None)
        """
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Period(start, end) if start < end else None
