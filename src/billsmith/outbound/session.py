"""Requests to one origin: addressed, timed, capped, repeated where that is safe, each in its turn, and told in one log line."""

from __future__ import annotations

import logging
import random
import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import httpcore
import httpx
import msgspec

import billsmith
from billsmith.outbound import addresses, bodies, origins
from billsmith.outbound.addresses import Resolver
from billsmith.outbound.answers import Answer
from billsmith.outbound.connections import Pinned, Transport
from billsmith.outbound.origins import Origin
from billsmith.outbound.retries import PASSING, Patience, delay, retry_after
from billsmith.units.errors import Invalid, Unavailable

_PRINTABLE = re.compile(r"[!-~](?:[ -~]*[!-~])?", re.ASCII)

log = logging.getLogger("billsmith.outbound")

_HEADERS = {"User-Agent": f"billsmith/{billsmith.__version__}", "Accept": "*/*", "Accept-Encoding": "gzip"}

Parameters = Sequence[tuple[str, str]]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one request may take: seconds to connect, to wait for bytes, and in all; bytes on the wire and inflated.

    ``per_second`` is how many requests are sent in a second, at most.
    """

    connect: float = 10.0
    read: float = 60.0
    total: float = 600.0
    max_wire: int = 64 * 1024 * 1024
    max_body: int = 256 * 1024 * 1024
    per_second: float = 10.0


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """The world, as a session sees it; tests bring their own."""

    clock: Callable[[], int] = time.time_ns
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    resolver: Resolver = addresses.resolve
    dice: Callable[[], float] = random.random
    ssl_context: ssl.SSLContext | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How sessions behave. ``private`` is the origins that may be private; ``None``: those of the environment."""

    limits: Limits = Limits()
    patience: Patience = Patience()
    tools: Tools = Tools()
    private: frozenset[Origin] | None = None

    def capped(self, most: int) -> Settings:
        """The same with bodies of ``most`` bytes, for a vendor whose lists have pages."""
        smaller = min(self.limits.max_wire, most), min(self.limits.max_body, most)
        limits = msgspec.structs.replace(self.limits, max_wire=smaller[0], max_body=smaller[1])
        return msgspec.structs.replace(self, limits=limits)


DEFAULT = Settings()


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request. ``path`` begins with a slash and is below the session's address; ``safe`` calls may be made twice."""

    method: str = "GET"
    path: str
    parameters: Parameters = ()
    headers: Mapping[str, str] = {}
    form: Mapping[str, str] | None = None
    content: bytes | None = None
    safe: bool = True


class Session:
    """Speaks to one origin. Use it in a ``with`` block, or close it; one thread at a time."""

    def __init__(self, url: str, settings: Settings = DEFAULT) -> None:
        self.origin, self.base = origins.parse(url)
        self.settings = settings
        self.secrets: set[str] = set()
        self._next_turn = 0.0
        self._open: tuple[Transport, Pinned] | None = None

    def hide(self, *secrets: str) -> None:
        """Texts that must not be shown, whoever says them."""
        self.secrets.update(secret for secret in secrets if len(secret) >= 4)

    def get(self, path: str, parameters: Parameters = (), headers: Mapping[str, str] = {}) -> Answer:
        """A ``GET``."""
        return self.send(Call(path=path, parameters=parameters, headers=headers))

    def send(self, call: Call) -> Answer:
        """The answer, whatever its status; calls that may be repeated are, while the server says that it can't now.

        Raises :class:`Forbidden` for an address that is not allowed, :class:`Unavailable` where there is no connection,
        :class:`TooLarge` and :class:`Invalid` for a body past its caps or broken.
        """
        attempt = 0
        while True:
            attempt += 1
            self._take_turn()
            answer, failure = self._try(call)
            if answer is not None and answer.status not in PASSING:
                return answer
            asked = answer.retry_after if answer is not None else None
            wait = delay(self.settings.patience, attempt, asked, self.settings.tools.dice) if call.safe else None
            if wait is None:
                if answer is not None:
                    return answer
                assert failure is not None
                raise failure
            log.info("waiting %.1f s before try %d of %s", wait, attempt + 1, self._where(call))
            self.settings.tools.sleep(wait)

    def close(self) -> None:
        """Close the connection."""
        if self._open is not None:
            self._open[0].close()
            self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close()

    def _try(self, call: Call) -> tuple[Answer | None, Unavailable | None]:
        where = self._where(call)
        started = self.settings.tools.monotonic()
        try:
            answer = self._once(call, where)
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            # What the library says may hold a header that it does not like: only its name is told.
            why = f"{type(error).__name__}: {error}" if isinstance(error, httpcore.NetworkError) else type(error).__name__
            log.info("%s failed: %s", where, type(error).__name__)
            return None, Unavailable(
                f"{where} failed ({why}); check the network, or try again later", code="outbound.unreachable"
            )
        took = self.settings.tools.monotonic() - started
        log.debug("%s: %d, %d bytes, %.3f s", where, answer.status, len(answer.body), took)
        return answer, None

    def _once(self, call: Call, where: str) -> Answer:
        transport, pinned = self._connected()
        for name, value in call.headers.items():
            if not _PRINTABLE.fullmatch(value):
                raise Invalid(f"the value for {name} is empty or holds a character that no header can", code="outbound.header")
        limits = self.settings.limits
        pinned.deadline = self.settings.tools.monotonic() + limits.total
        request = httpx.Request(
            call.method,
            f"{self.origin}{self.base}{call.path}",
            params=list(call.parameters) or None,
            headers={**_HEADERS, **call.headers},
            data=dict(call.form) if call.form is not None else None,
            content=call.content,
            extensions={"timeout": httpx.Timeout(limits.read, connect=limits.connect).as_dict()},
        )
        # Without httpx's client, which would log the address with its query, follow redirects and look for proxies.
        response = transport.handle_request(request)
        try:
            encoding = response.headers.get("content-encoding", "")
            body = bodies.read(response.iter_raw(), encoding, max_wire=limits.max_wire, max_body=limits.max_body)
        finally:
            response.close()
        return Answer(
            status=response.status_code,
            headers=dict(response.headers),
            body=body,
            where=where,
            retry_after=retry_after(response.headers.get("retry-after"), self.settings.tools.clock()),
            secrets=frozenset(self.secrets),
        )

    def _connected(self) -> tuple[Transport, Pinned]:
        """The connection, its host resolved and checked the first time, and pinned from then on."""
        if self._open is None:
            tools = self.settings.tools
            opened = origins.allowed() if self.settings.private is None else self.settings.private
            found = addresses.checked(self.origin, self.origin in opened, tools.resolver)
            pinned = Pinned(self.origin, found, tools.monotonic)
            self._open = Transport(pinned, tools.ssl_context), pinned
        return self._open

    def _take_turn(self) -> None:
        """Wait until the next request may go out."""
        tools = self.settings.tools
        now = tools.monotonic()
        if now < self._next_turn:
            tools.sleep(self._next_turn - now)
        self._next_turn = max(now, self._next_turn) + 1 / self.settings.limits.per_second

    def _where(self, call: Call) -> str:
        """Method and address without the query, which may hold what nobody should read."""
        return f"{call.method} {self.origin}{self.base}{call.path.partition('?')[0]}"


def same_origin(reference: str, origin: Origin, target: str = "/") -> str | None:
    """The path and query of what a link or redirect names, seen from ``target``; ``None`` for what is elsewhere, or nowhere.

    >>> same_origin("https://a.example/list?page=2", Origin("https", "a.example", 443))
    '/list?page=2'
    >>> same_origin("https://b.example/list", Origin("https", "a.example", 443))
    """
    try:
        address, mark, query = urljoin(f"{origin}{target}", reference).partition("?")
        found, path = origins.parse(address)
    except (Invalid, ValueError):
        return None
    return (path or "/") + mark + query if found == origin else None
