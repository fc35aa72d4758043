"""A lean HTTP client over keep-alive connections: requests are bytes made beforehand, answers are read to their length."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

HOST = "127.0.0.1"


class Answer(NamedTuple):
    """What came back."""

    status: int
    head: bytes
    body: bytes


class Connection:
    """One connection to the server."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=600)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._left = b""

    def send(self, request: bytes) -> None:
        """Send a request; its answer is read later."""
        self._socket.sendall(request)

    def read(self) -> Answer:
        """Read one answer, whole."""
        head = self._head()
        if b"chunked" in head.lower():
            return Answer(int(head[9:12]), head, b"".join(self._chunks()))
        length = _length(head)
        pieces = [self._left]
        size = len(self._left)
        while size < length:
            piece = self._socket.recv(1 << 20)
            if not piece:
                raise ConnectionError("the server hung up")
            pieces.append(piece)
            size += len(piece)
        data = b"".join(pieces)
        self._left = data[length:]
        return Answer(int(head[9:12]), head, data[:length])

    def get(self, request: bytes) -> Answer:
        """Send and read."""
        self.send(request)
        return self.read()

    def stream(self, request: bytes) -> Iterator[bytes]:
        """Send, and give what comes as it comes, until the last chunk of a chunked answer."""
        self.send(request)
        head = self._head()
        assert b"chunked" in head.lower(), head
        yield from self._chunks()

    def _chunks(self) -> Iterator[bytes]:
        """What comes until the last chunk, with the chunks' lengths in between."""
        piece = self._left
        tail = b""
        while True:
            yield piece
            tail = (tail + piece)[-7:]
            if tail.endswith(b"\r\n0\r\n\r\n"):
                self._left = b""
                return
            piece = self._socket.recv(1 << 20)
            if not piece:
                raise ConnectionError("the server hung up")

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _head(self) -> bytes:
        data = self._left
        while (end := data.find(b"\r\n\r\n")) < 0:
            piece = self._socket.recv(1 << 20)
            if not piece:
                raise ConnectionError("the server hung up")
            data += piece
        self._left = data[end + 4 :]
        return data[: end + 4]


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A request's bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", *(f"{name}: {value}" for name, value in headers.items())]
    if body or method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def rate(port: int, requests: Sequence[bytes], seconds: float, connections: int = 4) -> float:
    """Requests a second, with a few connections that always wait for an answer."""
    opened = [Connection(port) for _ in range(connections)]
    asked = 0
    for connection in opened:
        connection.send(requests[asked % len(requests)])
        asked += 1
    started = time.perf_counter()
    done = 0
    while (elapsed := time.perf_counter() - started) < seconds:
        for connection in opened:
            assert connection.read().status == 200
            connection.send(requests[asked % len(requests)])
            asked += 1
            done += 1
    for connection in opened:
        connection.read()
        connection.close()
    return done / elapsed


def _length(head: bytes) -> int:
    lower = head.lower()
    start = lower.index(b"content-length:") + 15
    return int(lower[start : lower.index(b"\r", start)])
