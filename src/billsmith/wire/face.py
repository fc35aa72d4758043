"""A face: one API's paths, its way to authenticate and its form of errors, over the same store.

A request is matched to a face by its path, authenticated by that face, and answered by a handler that is a plain function
``(Call) -> Response``. Whatever goes wrong becomes that face's own error body; nothing of ours leaks and nothing ends in a 500
unless the program itself is broken, which is logged.

Short reads on SQLite run on the event loop's own thread (a thread pool lost 1.4 to 4 times there); writes, all work on
PostgreSQL, and reads that say that they may take long, run in threads, so that a wait holds up nobody else.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

import anyio
import anyio.to_thread
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from billsmith.accounts.authorisation import Principal
from billsmith.accounts.model import is_clean_text
from billsmith.storage.patience import TakesLong, in_a_hurry
from billsmith.units.errors import BillsmithError, Invalid, NotFound, TooLarge
from billsmith.wire.gate import Gate, Visit
from billsmith.wire.parameters import Parameters
from billsmith.wire.services import Services

log = logging.getLogger("billsmith.wire")

JSON = "application/json"
MAX_QUERY = 16 * 1024
NO_PARAMETERS = Parameters(())


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request, as a handler sees it."""

    services: Services
    method: str
    path: str
    base_url: str
    """Scheme, host and port under which the caller reached us, checked against the hosts we answer to."""
    address: str
    headers: Mapping[str, str]
    parameters: Parameters
    path_values: Mapping[str, str]
    body: bytes
    query: str
    principal_or_none: Principal | None = None
    visit: Visit | None = None
    """Of a route that waits: the bytes that this request holds."""

    @property
    def principal(self) -> Principal:
        """Who is calling."""
        assert self.principal_or_none is not None, "this route has no caller"
        return self.principal_or_none


Handler = Callable[[Call], Response]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One path of a face. ``{name}`` in ``path`` is one segment of the path; ``open`` routes need no credential.

    A route that ``waits`` shares its commits with others: its calls wait in threads of their own and hold up nobody.
    Who calls it is asked before a byte of the body is read, and the bytes of all its calls together are bounded.
    """

    method: str
    path: str
    handler: Handler
    writes: bool = False
    open: bool = False
    waits: bool = False
    pattern: re.Pattern[str]


def route(method: str, path: str, handler: Handler, *, writes: bool = False, open: bool = False, waits: bool = False) -> Route:
    """A route; a trailing slash is accepted as well."""
    pattern = re.compile("".join(_segment(part) for part in re.split(r"(\{\w+\})", path.rstrip("/"))) + "/?")
    return Route(method=method, path=path, handler=handler, writes=writes, open=open, waits=waits, pattern=pattern)


def _segment(part: str) -> str:
    return f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part)


class Face:
    """One API. A vendor's folder makes one, and so does the native API."""

    def __init__(
        self,
        name: str,
        routes: Sequence[Route],
        *,
        prefixes: tuple[str, ...] = (),
        authenticate: Callable[[Call], Principal],
        error: Callable[[BillsmithError, Call], Response],
        not_allowed: Callable[[Call, str], Response],
        broken: Callable[[Call], Response],
    ) -> None:
        """Put an API together.

        ``prefixes`` are the beginnings of paths that are this API's even where it has no such path; ``error`` writes an error
        in its form, ``not_allowed`` the answer to a method that a path lacks (with those it has), ``broken`` the answer when
        we are at fault.
        """
        self.name = name
        self.routes = tuple(routes)
        self.prefixes = prefixes
        self._authenticate = authenticate
        self._error = error
        self._not_allowed = not_allowed
        self._broken = broken
        self.gate = Gate()

    def matches(self, path: str) -> bool:
        """Whether the path is this face's: one of its routes, or one that begins like them."""
        return path.startswith(self.prefixes) or any(candidate.pattern.fullmatch(path) for candidate in self.routes)

    async def answer(
        self, scope: Scope, receive: Receive, send: Send, *, services: Services, base_url: str, address: str
    ) -> None:
        """Answer one request whose path is this face's."""
        request = Request(scope, receive)
        path = raw_path(scope)
        found = [(candidate, match) for candidate in self.routes if (match := candidate.pattern.fullmatch(path))]
        call = Call(
            services=services,
            method=request.method,
            path=path,
            base_url=base_url,
            address=address,
            headers=request.headers,
            parameters=NO_PARAMETERS,
            path_values={},
            body=b"",
            query=scope.get("query_string", b"").decode("latin-1"),
        )
        try:
            response = await self._respond(request, call, found)
        except ClientDisconnect:
            return
        # One caller's data: no cache between us may keep it, whatever header carried the credential.
        response.headers.setdefault("cache-control", "no-store")
        response.headers.setdefault("x-content-type-options", "nosniff")
        await response(scope, receive, send)

    async def _respond(self, request: Request, call: Call, found: Sequence[tuple[Route, re.Match[str]]]) -> Response:
        try:
            call = msgspec.structs.replace(call, parameters=_parameters(call.query))
            chosen = _by_method(found, call.method)
            if chosen is None:
                if not found:
                    raise NotFound("there is no such path", code="input.no_such_path")
                allowed = _allowed(found)
                return Response(None, 204, {"Allow": allowed}) if call.method == "OPTIONS" else self._not_allowed(call, allowed)
            route, match = chosen
            call = msgspec.structs.replace(call, path_values=_path_values(match))
            if route.waits:
                return await self._run_waiting(request, route, call)
            if call.method in ("POST", "PUT", "PATCH"):
                body = await read_body(request, call.services.settings.max_body, call.services.settings.body_seconds)
                call = msgspec.structs.replace(call, body=body)
            if route.writes or not call.services.database.is_sqlite:
                return await anyio.to_thread.run_sync(self._run, route, call)
            try:
                with in_a_hurry():
                    return self._run(route, call)
            except TakesLong:
                return await anyio.to_thread.run_sync(self._run, route, call)
        except BillsmithError as error:
            return self._error(error, call)

    async def _run_waiting(self, request: Request, route: Route, call: Call) -> Response:
        """Run a call that waits with others; refuse it where so much waits already that memory would grow."""
        settings = call.services.settings
        if call.services.database.is_sqlite:
            call = self._known(route, call)
        else:
            call = await anyio.to_thread.run_sync(self._known, route, call)
        with self.gate.visit() as visit:
            body = await read_body(request, settings.max_body, settings.body_seconds, visit.take)
            call = msgspec.structs.replace(call, body=body, visit=visit)
            return await anyio.to_thread.run_sync(self._run, route, call, limiter=self.gate.threads)

    def _known(self, route: Route, call: Call) -> Call:
        """The call with its caller."""
        if route.open or call.principal_or_none is not None:
            return call
        return msgspec.structs.replace(call, principal_or_none=self._authenticate(call))

    def _run(self, route: Route, call: Call) -> Response:
        try:
            return route.handler(self._known(route, call))
        except BillsmithError as error:
            return self._error(error, call)
        except TakesLong:
            raise
        except Exception:
            log.exception("%s %s failed", call.method, route.path)
            return self._broken(call)


def raw_path(scope: Scope) -> str:
    """The path as it was sent: segments are decoded one by one afterwards, so that %2F never makes a new one."""
    raw: bytes | None = scope.get("raw_path")
    return raw.split(b"?", 1)[0].decode("latin-1") if raw else str(scope["path"])


async def read_body(request: Request, limit: int, seconds: int, take: Callable[[int], None] = lambda _count: None) -> bytes:
    """A body of at most ``limit`` bytes, read as it comes, within ``seconds``; ``take`` is told of each piece.

    Raises :class:`TooLarge`, and :class:`Invalid` when it comes too slowly.
    """
    try:
        with anyio.fail_after(seconds):
            return await _read_body(request, limit, take)
    except TimeoutError:
        raise Invalid(f"the body did not arrive within {seconds} s", code="input.too_slow") from None


async def _read_body(request: Request, limit: int, take: Callable[[int], None]) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:19]) > limit:
        raise TooLarge(f"the body has more than {limit} bytes", code="input.body_too_large")
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise TooLarge(f"the body has more than {limit} bytes", code="input.body_too_large")
        take(len(piece))
        pieces.append(piece)
    return b"".join(pieces)


def _parameters(query: str) -> Parameters:
    if len(query) > MAX_QUERY:
        raise Invalid(f"the query has more than {MAX_QUERY} bytes", code="input.query_too_long")
    return Parameters(parse_qsl(query, keep_blank_values=True))


def _allowed(found: Sequence[tuple[Route, re.Match[str]]]) -> str:
    methods = {each.method for each, _ in found} | {"OPTIONS"}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


def _by_method(found: Sequence[tuple[Route, re.Match[str]]], method: str) -> tuple[Route, re.Match[str]] | None:
    wanted = "GET" if method == "HEAD" else method
    return next(((each, match) for each, match in found if each.method == wanted), None)


def _path_values(match: re.Match[str]) -> dict[str, str]:
    values = {name: unquote(value) for name, value in match.groupdict().items()}
    for value in values.values():
        if len(value) > 512 or not is_clean_text(value):
            raise NotFound("nothing is named so", code="input.not_found")
    return values


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None, content_type: str = JSON) -> Response:
    """Bytes that are JSON already."""
    return Response(body, status, dict(headers or {}), content_type)
