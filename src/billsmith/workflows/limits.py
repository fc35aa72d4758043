"""Rate limits in this process: so many per minute for each key, then :class:`Busy` until the minute is over.

Keys are forgotten as their minute ends and their number is bounded, so that an attacker with many names gains no memory.
"""

from __future__ import annotations

import threading

from billsmith.units.errors import Busy
from billsmith.units.instants import MINUTE, SECOND
from billsmith.workflows.clock import Clock

_MOST_KEYS = 50_000


class RateLimit:
    """At most ``per_minute`` marks a key and minute."""

    def __init__(self, per_minute: int, what: str, clock: Clock) -> None:
        self._per_minute = per_minute
        self._what = what
        self._clock = clock
        self._marks: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def check(self, key: str) -> None:
        """Raise :class:`Busy` when the key has used its minute up."""
        now = self._clock()
        with self._lock:
            start, count = self._marks.get(key, (now, 0))
        if now - start < MINUTE and count >= self._per_minute:
            seconds = -(-(start + MINUTE - now) // SECOND)
            raise Busy(f"too many {self._what}; try again in {seconds} s", code="access.rate_limited", retry_after=int(seconds))

    def mark(self, key: str) -> None:
        """Count one for the key."""
        now = self._clock()
        with self._lock:
            start, count = self._marks.get(key, (now, 0))
            fresh = now - start >= MINUTE
            self._marks[key] = (now, 1) if fresh else (start, count + 1)
            if len(self._marks) > _MOST_KEYS:
                self._marks = {name: mark for name, mark in self._marks.items() if now - mark[0] < MINUTE}
            if len(self._marks) > _MOST_KEYS:
                self._marks.clear()
