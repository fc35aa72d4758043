"""HTTP by hand: bytes out, answers in, for requests that no client library would send."""

from __future__ import annotations

import contextlib
import socket
from typing import NamedTuple


class Answer(NamedTuple):
    """One response as it stood on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """One connection."""

    def __init__(self, port: int, timeout: float = 5) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.own_port: int = self._socket.getsockname()[1]
        self._read = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send as it is. A connection that was closed meanwhile takes nothing; what it said can still be read."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)

    def answer(self, *, head: bool = False) -> Answer | None:
        """The next response; ``None`` when the connection ended instead. Raises ``TimeoutError`` when nothing comes."""
        text = self._until(b"\r\n\r\n")
        if text is None:
            return None
        first, *lines = text.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split()[1])
        if head or status in (204, 304) or status < 200:
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, self._chunks())
        return Answer(
            status, headers, self._exactly(int(headers["content-length"])) if "content-length" in headers else self.rest()
        )

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        while self._more():
            pass
        taken, self._read = self._read, b""
        return taken

    def is_closed(self) -> bool:
        """Whether the other side ends the connection within the timeout, without another byte."""
        return self.rest() == b""

    def _until(self, end: bytes) -> bytes | None:
        while end not in self._read:
            if not self._more():
                return None
        taken, _, self._read = self._read.partition(end)
        return taken

    def _exactly(self, count: int) -> bytes:
        while len(self._read) < count and self._more():
            pass
        taken, self._read = self._read[:count], self._read[count:]
        return taken

    def _chunks(self) -> bytes:
        pieces = []
        while (line := self._until(b"\r\n")) is not None:
            piece = self._exactly(int(line, 16))
            self._exactly(2)
            if not piece:
                break
            pieces.append(piece)
        return b"".join(pieces)

    def _more(self) -> bool:
        try:
            data = self._socket.recv(65536)
        except ConnectionResetError:
            return False
        self._read += data
        return bool(data)
