"""One effect for each Idempotency-Key: the answer is kept in the transaction of the effect, so both are there or neither.

The same request again gets the kept answer, another request under the key is refused, and so is one that comes while the first
is still at work. Only success is kept: an attempt that failed or crashed left nothing, and the next one does the work.

On PostgreSQL a lock of the transaction tells that another is at work, in whichever process. On SQLite a set tells it within
this process; a second process waits for the write lock and then finds the answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import NamedTuple

from billsmith.storage import idempotency as store
from billsmith.storage.database import Connection, Database
from billsmith.storage.idempotency import KeptAnswer
from billsmith.units.errors import Conflict, Invalid

MAX_KEY = 255


class Answer(NamedTuple):
    """What a write answers. ``kept`` is the body for a replay where it differs: without a secret."""

    status: int
    body: bytes
    kept: bytes | None = None
    replayed: bool = False


Work = Callable[[Connection], Answer]


class OnePerKey:
    """Runs writes, at most one under each credential's key. One for a process and its store."""

    def __init__(self) -> None:
        self._at_work: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def run(self, database: Database, work: Work, *, credential_id: str, key: str | None, request: bytes, now: int) -> Answer:
        """Do ``work`` in one transaction, once. Without a key it is simply done.

        Raises :class:`Conflict` (``idempotency.in_flight``, ``idempotency.other_request``), :class:`Invalid` for a key that
        can't be one, and what ``work`` raises.
        """
        if key is None:
            with database.write() as connection:
                return work(connection)
        check_key(key)
        digest = sha256(request).hexdigest()
        with self._alone(credential_id, key), database.write() as connection:
            if not store.try_lock(connection, credential_id, key):
                raise _in_flight()
            kept = store.find(connection, credential_id, key)
            if kept is not None:
                return _replay(kept, digest)
            answer = work(connection)
            body = answer.body if answer.kept is None else answer.kept
            store.keep(connection, credential_id, key, KeptAnswer(digest, answer.status, body), now)
        return answer

    @contextmanager
    def _alone(self, credential_id: str, key: str) -> Iterator[None]:
        mark = (credential_id, key)
        with self._lock:
            if mark in self._at_work:
                raise _in_flight()
            self._at_work.add(mark)
        try:
            yield
        finally:
            with self._lock:
                self._at_work.discard(mark)


def check_key(key: str) -> str:
    """A key of 1 to 255 visible ASCII characters. Raises :class:`Invalid`.

    >>> check_key("4f1c")
    '4f1c'
    """
    if not 1 <= len(key) <= MAX_KEY or not all("!" <= character <= "~" for character in key):
        raise Invalid(
            f"Idempotency-Key is 1 to {MAX_KEY} visible ASCII characters, such as a UUID",
            code="idempotency.key",
            where="Idempotency-Key",
        )
    return key


def _replay(kept: KeptAnswer, digest: str) -> Answer:
    if kept.request_hash != digest:
        raise Conflict(
            "this Idempotency-Key came with another request before; take a new key for a new request",
            code="idempotency.other_request",
            where="Idempotency-Key",
        )
    return Answer(kept.status, kept.body, replayed=True)


def _in_flight() -> Conflict:
    return Conflict(
        "a request with this Idempotency-Key is at work; try again in a second",
        code="idempotency.in_flight",
        where="Idempotency-Key",
    )
