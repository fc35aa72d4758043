"""Back-pressure at a door: how many bytes of requests may be in the process, and how many requests may wait in threads.

A body counts from the moment at which its bytes arrive until its answer is made; past the limit a request is told to come
back, before memory grows. Requests that wait for a commit have threads of their own, so that they hold up nobody else's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from billsmith.units.errors import Busy

#: Bytes of bodies, as sent and inflated, all requests of a gate together.
MOST_BYTES = 128 * 1024 * 1024
#: Requests that wait in a thread at a time.
THREADS = 64


class Visit:
    """One request's bytes."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.bytes = 0

    def take(self, count: int) -> None:
        """Count more bytes. Raises :class:`Busy`."""
        self._gate.take(count, own=self.bytes)
        self.bytes += count


class Gate:
    """The bound on one route's requests."""

    def __init__(self, most_bytes: int = MOST_BYTES, threads: int = THREADS) -> None:
        self.most_bytes = most_bytes
        self._lock = threading.Lock()
        self._bytes = 0
        self.threads = anyio.CapacityLimiter(threads)

    @contextmanager
    def visit(self) -> Iterator[Visit]:
        """A request's stay; at its end its bytes are let go."""
        visit = Visit(self)
        try:
            yield visit
        finally:
            with self._lock:
                self._bytes -= visit.bytes

    def take(self, count: int, own: int) -> None:
        """Count bytes of a visit that has ``own`` already. One that is alone is never refused."""
        with self._lock:
            if self._bytes > own and self._bytes + count > self.most_bytes:
                raise Busy(f"{self._bytes} bytes of requests are being worked on. Send this one again", code="input.backlog")
            self._bytes += count
