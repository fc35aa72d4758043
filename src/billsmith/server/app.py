"""The ASGI application: every API on one port, each at its own paths, over one store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from billsmith import __version__
from billsmith.units.errors import BillsmithError, Invalid
from billsmith.wire.face import Face, raw_path
from billsmith.wire.hosts import base_url, caller_address
from billsmith.wire.services import Services
from billsmith.workflows.settle import mark_past_due

log = logging.getLogger("billsmith.server")

#: Seconds between two looks for invoices whose due date has passed.
PAST_DUE_EVERY = 60
MAX_QUERY = 16 * 1024


class App:
    """Matches a request to a face by path (and host, where a face is bound to one) and lets it answer."""

    def __init__(self, services: Services, faces: Sequence[Face], *, hosts: Mapping[str, str] | None = None) -> None:
        """``hosts`` binds a face's name to the one host name under which it answers."""
        self.services = services
        self.faces = tuple(faces)
        self._hosts = dict(hosts or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        path = raw_path(scope)
        if path == "/healthz":
            await self._health()(scope, receive, send)
            return
        settings = self.services.settings
        try:
            here = base_url(scope, headers, settings)
            if len(scope.get("query_string", b"")) > MAX_QUERY:
                raise Invalid(f"the query has more than {MAX_QUERY} bytes", code="input.query_too_long")
        except BillsmithError as error:
            await _plain(400, error)(scope, receive, send)
            return
        face = self._face(path, here.partition("://")[2])
        if face is None:
            await _nothing()(scope, receive, send)
            return
        address = caller_address(scope, headers, settings)
        await face.answer(scope, receive, send, services=self.services, base_url=here, address=address)

    def _face(self, path: str, host: str) -> Face | None:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host
        for face in self.faces:
            bound = self._hosts.get(face.name)
            if (bound is None or bound == name) and face.matches(path):
                return face
        return None

    def _health(self) -> Response:
        try:
            with self.services.database.read() as connection:
                connection.exec_driver_sql("SELECT 1")
        except BillsmithError as error:
            return JSONResponse({"status": "failing", "reason": error.message}, 503)
        return JSONResponse({"status": "ok", "version": __version__})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        background: asyncio.Task[None] | None = None
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                background = asyncio.create_task(self._keep_status())
                await send({"type": "lifespan.startup.complete"})
            else:
                if background is not None:
                    background.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await background
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _keep_status(self) -> None:
        while True:
            try:
                await anyio.to_thread.run_sync(mark_past_due, self.services.database, self.services.clock())
            except BillsmithError as error:
                log.warning("past due invoices were not marked: %s", error)
            await asyncio.sleep(PAST_DUE_EVERY)


def _plain(status: int, error: BillsmithError) -> Response:
    return JSONResponse({"title": error.message, "status": status, "code": error.code}, status)


def _nothing() -> Response:
    return JSONResponse({"title": "there is no such path", "status": 404, "code": "input.no_such_path"}, 404)
