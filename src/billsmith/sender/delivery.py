"""One batch over HTTP, by the standard library: what came of it, in the sender's own words."""

from __future__ import annotations

import gzip
import http.client
import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from billsmith.units.errors import Invalid

PATH = "/v1/events"
#: Bytes of an answer that are read.
_MOST_ANSWER = 16 * 1024 * 1024
#: Statuses that say that something in the batch can't be read: it is sent in halves until it is found.
_UNREADABLE = (400, 413, 422)


class Fault(msgspec.Struct, frozen=True):
    """An event of the batch that the server does not take: its place, the code and the words."""

    index: int
    code: str
    message: str


class Delivered(msgspec.Struct, frozen=True):
    """The batch is kept, durably, but for the faults."""

    faults: list[Fault]


class Unreadable(msgspec.Struct, frozen=True):
    """The server can't read something in it."""

    code: str
    message: str


class Later(msgspec.Struct, frozen=True):
    """Send it again: not before ``after`` seconds, where the server says so."""

    reason: str
    after: float | None = None


class _Conflict(msgspec.Struct):
    index: int


class _Answer(msgspec.Struct):
    conflicts: list[_Conflict] = []
    rejected: list[Fault] = []


class _Problem(msgspec.Struct):
    code: str = ""
    detail: str = ""


class Connection:
    """The server's ``/v1/events``, over one connection that is kept open."""

    def __init__(self, url: str, api_key: str, *, timeout: float) -> None:
        """Raises :class:`Invalid` where ``url`` is none of http or https."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid(f"{url!r} is not a URL such as https://billing.example.com", code="event.url", where="url")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._path = parts.path.rstrip("/") + PATH
        self._timeout = timeout
        self._headers = {
            "Authorization": f"Bearer {api_key}",
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
        }
        self._open: http.client.HTTPConnection | None = None

    def send(self, records: Sequence[bytes]) -> Delivered | Unreadable | Later:
        """Send a batch, and wait for the answer."""
        body = gzip.compress(b"\n".join(records), 1)
        try:
            connection = self._connection()
            connection.request("POST", self._path, body, self._headers)
            answer = connection.getresponse()
            content = answer.read(_MOST_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Later(f"{type(error).__name__}: {error}")
        if answer.will_close:
            self.close()
        return _outcome(answer.status, answer.headers.get("Retry-After", ""), content)

    def _connection(self) -> http.client.HTTPConnection:
        if self._open is None:
            if self._secure:
                context = ssl.create_default_context()
                self._open = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context)
            else:
                self._open = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        return self._open

    def close(self) -> None:
        """Hang up."""
        if self._open is not None:
            self._open.close()
            self._open = None


def _outcome(status: int, retry_after: str, content: bytes) -> Delivered | Unreadable | Later:
    if status == 200:
        try:
            answer = msgspec.json.decode(content, type=_Answer)
        except msgspec.DecodeError:
            return Later("the server's answer can't be read")
        conflicts = [
            Fault(each.index, "event.conflict", "the identity is known with another body") for each in answer.conflicts
        ]
        return Delivered(sorted([*conflicts, *answer.rejected], key=lambda each: each.index))
    try:
        problem = msgspec.json.decode(content, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem()
    if status in _UNREADABLE:
        return Unreadable(problem.code, problem.detail)
    after = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
    return Later(f"the server says {status} {problem.code} {problem.detail}".strip(), after)
