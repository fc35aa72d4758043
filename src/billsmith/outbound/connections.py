"""The socket below a session: it leads to a checked address only, and no wait goes past the request's deadline.

httpx asks for a connection by the host's name and checks the certificate against that name; here the name's checked addresses
take its place. A server that sends a byte now and then is cut off at the deadline, in the middle of a header too.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import httpcore
import httpx

from billsmith.outbound.origins import Origin


def _without_headers(record: logging.LogRecord) -> bool:
    """The library logs each answer's headers at its lowest level; they are nobody's to read."""
    return "response_headers" not in str(record.msg)


for _name in ("httpcore.http11", "httpcore.http2"):
    logging.getLogger(_name).addFilter(_without_headers)


class Pinned(httpcore.NetworkBackend):
    """Connects to one origin's addresses, whatever name is asked for."""

    def __init__(self, origin: Origin, addresses: tuple[str, ...], monotonic: Callable[[], float] = time.monotonic) -> None:
        self.origin = origin
        self.addresses = addresses
        self.monotonic = monotonic
        self.deadline = float("inf")
        self._system = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the first address that answers."""
        assert (host.strip("[]"), port) == (self.origin.host, self.origin.port), "a session speaks to its own origin"
        failure: Exception = httpcore.ConnectError("no address")
        for address in self.addresses:
            try:
                stream = self._system.connect_tcp(address, port, self.left(timeout), local_address, socket_options)
                return _Stream(stream, self)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def left(self, timeout: float | None) -> float:
        """How long a wait may take: what is asked for, but not past the deadline."""
        left = self.deadline - self.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the whole answer took too long")
        return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    """A connection whose every wait ends at the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, pinned: Pinned) -> None:
        self._stream = stream
        self._pinned = pinned

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._pinned.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._pinned.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._pinned.left(timeout)), self._pinned)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class Transport(httpx.BaseTransport):
    """httpx over such connections."""

    def __init__(self, pinned: Pinned, ssl_context: ssl.SSLContext | None = None) -> None:
        context = ssl_context
        if context is None and pinned.origin.scheme == "https":
            context = httpx.create_ssl_context()
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, max_connections=1, keepalive_expiry=30, retries=0, network_backend=pinned
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One request, as it is."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        answer = self._pool.handle_request(
            httpcore.Request(
                request.method,
                url,
                headers=request.headers.raw,
                content=cast(Iterable[bytes], request.stream),
                extensions=request.extensions,
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer), extensions=answer.extensions)

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from cast(Iterable[bytes], self._answer.stream)

    def close(self) -> None:
        self._answer.close()
