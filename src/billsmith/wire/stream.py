"""Answers too long to hold: written piece by piece as the caller takes them, with a limit on how long it may take nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

import anyio
import anyio.to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

#: Seconds within which a caller must take a piece of a stream, or we hang up.
IDLE_LIMIT = 60
#: Turns of the event loop that others have between two pieces: a short request takes three from its bytes to its answer, and
#: with fewer it would wait for a piece at each of them.
_TURNS = 5


class Stream(Response):
    """A body in pieces. The first piece is made at once, so that an error in it still becomes an error body.

    ``in_thread`` says that making a piece may wait (PostgreSQL) and must leave the event loop alone; on SQLite a piece is made
    on the loop's own thread, and others get their turn between two pieces. No piece is made for a caller that has gone.
    """

    def __init__(
        self, pieces: Iterator[bytes], *, content_type: str, in_thread: bool, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(None, 200, dict(headers or {}), content_type)
        if "content-length" in self.headers:
            del self.headers["content-length"]
        self._first = next(pieces, b"")
        self._pieces = pieces
        self._in_thread = in_thread

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all, or give up on a caller that takes nothing or has gone."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        gone = asyncio.ensure_future(_gone(receive))
        try:
            if scope["method"] == "HEAD" or await self._send_pieces(send, gone):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            if (close := getattr(self._pieces, "close", None)) is not None:
                close()

    async def _send_pieces(self, send: Send, gone: asyncio.Future[None]) -> bool:
        """Whether the caller took them: a body that was cut off must not look like one that has ended."""
        piece: bytes | None = self._first
        while piece is not None and not gone.done():
            with anyio.move_on_after(IDLE_LIMIT) as limit:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            if limit.cancelled_caught:
                return False
            piece = await self._next()
        return True

    async def _next(self) -> bytes | None:
        if self._in_thread:
            return await anyio.to_thread.run_sync(next, self._pieces, None)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        return next(self._pieces, None)


async def _gone(receive: Receive) -> None:
    """Ends when the caller has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
