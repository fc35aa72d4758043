"""The ASGI application: every API on one port, each at its own paths, over one store."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import anyio.to_thread
import msgspec
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from billsmith import __version__
from billsmith.server.jobs import Jobs
from billsmith.units.errors import BillsmithError, Invalid, TooLarge
from billsmith.wire.face import Face, raw_path
from billsmith.wire.hosts import base_url, caller_address, origin_form
from billsmith.wire.services import Services
from billsmith.workflows.usage_health import UsageState, state_of

log = logging.getLogger("billsmith.server")

#: Seconds that the first caller may wait for long lists to be made ready.
PREPARE_SECONDS = 15
#: Bytes of a request's path and headers.
MAX_HEAD = 32 * 1024
HEALTH = "/healthz"
PROBLEM = "application/problem+json"


class App:
    """Matches a request to a face by path (and host, where a face is bound to one) and lets it answer."""

    def __init__(
        self,
        services: Services,
        faces: Sequence[Face],
        *,
        hosts: Mapping[str, str] | None = None,
        jobs: Jobs | None = None,
    ) -> None:
        """``hosts`` binds a face's name to the one host name under which it answers; ``jobs`` run while the server does."""
        self.services = services
        self.faces = tuple(faces)
        self._hosts = dict(hosts or {})
        self._jobs = jobs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        settings = self.services.settings
        try:
            scope = origin_form(scope)
            _check_head(scope)
            headers = Headers(scope=scope)
            path = raw_path(scope)
            here = "" if path == HEALTH else base_url(scope, headers, settings)
        except TooLarge as error:
            await _plain(431, error)(scope, receive, send)
            return
        except Invalid as error:
            await _plain(400, error)(scope, receive, send)
            return
        if path == HEALTH:
            await (await self._health())(scope, receive, send)
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

    async def _health(self) -> Response:
        try:
            usage = await anyio.to_thread.run_sync(self._look)
        except BillsmithError as error:
            return JSONResponse({"status": "failing", "reason": error.message}, 503)
        return JSONResponse({"status": "ok", "version": __version__, "usage": msgspec.to_builtins(usage)})

    def _look(self) -> UsageState:
        with self.services.database.read() as connection:
            connection.exec_driver_sql("SELECT 1")
        return state_of(self.services.usage_or_none)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await anyio.to_thread.run_sync(self._prepare)
                if self._jobs is not None:
                    self._jobs.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._jobs is not None:
                    await anyio.to_thread.run_sync(self._jobs.stop)
                if self.services.usage_or_none is not None:
                    await anyio.to_thread.run_sync(self.services.usage_or_none.close)
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _prepare(self) -> None:
        """Long lists are made ready before a caller waits for them (decision 0021)."""
        try:
            self.services.database.ranks.prepare(PREPARE_SECONDS)
        except BillsmithError as error:
            log.warning("long lists were not prepared: %s", error)


def _check_head(scope: Scope) -> None:
    """Refuse a head that is too long, and one whose body two parsers could cut in two ways (RFC 9112, 6.1 and 6.3)."""
    size = sum(len(name) + len(value) for name, value in scope["headers"]) + len(scope.get("raw_path") or b"")
    if size > MAX_HEAD:
        raise TooLarge(f"the path and the headers have more than {MAX_HEAD} bytes", code="input.head_too_large")
    names = [name for name, _ in scope["headers"]]
    if b"transfer-encoding" in names and (b"content-length" in names or scope.get("http_version") == "1.0"):
        raise Invalid("the request says twice how long its body is", code="input.framing")


def _plain(status: int, error: BillsmithError) -> Response:
    """An answer before any API is known. The connection ends with it: what follows on it can't be trusted."""
    return JSONResponse(_problem(status, error.message, error.code), status, {"Connection": "close"}, PROBLEM)


def _nothing() -> Response:
    return JSONResponse(_problem(404, "there is no such path", "input.no_such_path"), 404, None, PROBLEM)


def _problem(status: int, detail: str, code: str) -> dict[str, object]:
    """Problem details (RFC 9457), the form of every answer that belongs to no vendor."""
    title = HTTPStatus(status).phrase
    return {"type": f"urn:billsmith:error:{code}", "title": title, "status": status, "detail": detail, "code": code}
