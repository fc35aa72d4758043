"""How long a connection may wait, and how many there may be: what the server underneath leaves open.

uvicorn ends a connection that is idle between two requests. It does not end one that never finishes the head of a request,
one that sends a body nobody reads, or one that takes no answer; and it accepts as many as there are file descriptors. Here
each of these has a limit, and a connection past it is cut, so that no caller holds memory or descriptors by doing nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one connection, in seconds, and on their number."""

    head_seconds: float = 10
    """From a connection's start, or a request's first byte, to the end of the request's headers."""
    idle_seconds: float = 60
    """For which a caller may take nothing of an answer that is ready."""
    linger_seconds: float = 5
    """For which the rest of a request is still read, and thrown away, after its answer."""
    connections: int = 512
    """Open at the same time. Descriptors are left over for the store."""


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol with these limits."""

    limits = ConnectionLimits()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Accept a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.write(_FULL)
            transport.close()
            return
        self._head_timer = self._cut_after(self.limits.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: no timer outlives it."""
        for timer in (self._head_timer, self._stall_timer, self._linger_timer):
            _cancel(timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; the head's time runs while the head is incomplete."""
        super().data_received(data)
        state = self.conn.their_state
        if state is not h11.SEND_BODY:
            _cancel(self._linger_timer)
        if state is not h11.IDLE:
            _cancel(self._head_timer)
            self._head_timer = None
        elif self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self._cut_after(self.limits.head_seconds)

    def on_response_complete(self) -> None:
        """The rest of a body that nobody will read is thrown away for a little while, so that the answer arrives."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._linger_timer = self._cut_after(self.limits.linger_seconds)

    def timeout_keep_alive_handler(self) -> None:
        """Between two requests nothing came: close, and don't wait for ever for the caller to take what was sent."""
        super().timeout_keep_alive_handler()
        self._cut_after(self.limits.linger_seconds)

    def pause_writing(self) -> None:
        """The caller takes less than we write: its time runs."""
        super().pause_writing()
        self._stall_timer = self._cut_after(self.limits.idle_seconds)

    def resume_writing(self) -> None:
        """The caller has taken most of it."""
        _cancel(self._stall_timer)
        super().resume_writing()

    def _cut_after(self, seconds: float) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, self.transport.abort)


def guarded(limits: ConnectionLimits) -> type[GuardedProtocol]:
    """The protocol with other limits."""
    return type("GuardedProtocol", (GuardedProtocol,), {"limits": limits})


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
