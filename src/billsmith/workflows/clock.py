"""The clock: the only place that reads it. Everything else is told what time it is."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Gives the present instant in nanoseconds UTC.
Clock = Callable[[], int]


def system_clock() -> int:
    """The machine's own clock."""
    return time.time_ns()
