"""An HTTP server on a raw socket that knows nothing of our code, answers as a test says, and misbehaves as a test says."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

_REASONS = {200: "OK", 303: "See Other"}


class Request(NamedTuple):
    """What a caller sent; header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Reply(NamedTuple):
    """What the caller gets. ``cut``: so many bytes of it, then a reset; ``drip``: a byte each so many seconds, for ever."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}
    kind: str = "application/json"
    cut: int | None = None
    drip: float | None = None

    def raw(self) -> bytes:
        """All of it, as it goes over the wire."""
        headers = {"Content-Type": self.kind, "Content-Length": str(len(self.body)), **self.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
        return f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Said')}\r\n{head}\r\n".encode() + self.body


class Server:
    """Serves on a port of its own while a ``with`` block lasts; ``requests`` are all that came."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.faults: list[BaseException] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._connections: list[socket.socket] = []
        self._ended = False
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._thread.join(5)
        assert not self.faults, self.faults

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as stream:
                while self._one(connection, stream):
                    pass
        except (OSError, ValueError):
            pass
        except BaseException as error:
            self.faults.append(error)
        finally:
            connection.close()

    def _one(self, connection: socket.socket, stream: Any) -> bool:
        line = stream.readline()
        if not line.strip():
            return False
        method, target, _ = line.decode().split(" ", 2)
        headers: dict[str, str] = {}
        while (line := stream.readline()).strip():
            name, _, value = line.decode().partition(":")
            headers[name.strip().lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", "0")))
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        request = Request(method, parts.path, query, headers, body)
        self.requests.append(request)
        return self._send(connection, self.answer(request))

    def _send(self, connection: socket.socket, reply: Reply) -> bool:
        raw = reply.raw()
        if reply.cut is not None:
            connection.sendall(raw[: reply.cut])
            time.sleep(0.02)  # so that what was sent is not lost with the reset
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if reply.drip is not None:
            for byte in raw + b" " * 100_000:
                connection.sendall(bytes([byte]))
                time.sleep(reply.drip)
                if self._ended:
                    return False
        connection.sendall(raw)
        return True
