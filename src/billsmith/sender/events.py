"""Sending events from a program: into a buffer on disk at once, from there to the server by a thread of its own."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec

from billsmith.events.event import Event
from billsmith.events.limits import MAX_DIGITS, MAX_PLACES, check
from billsmith.sender.spool import Position, Spool, take
from billsmith.units.errors import InvalidNumber, Unavailable
from billsmith.units.instants import format_instant, parse_instant
from billsmith.units.rounding import parse_decimal

log = logging.getLogger("billsmith.sender")

#: Events and bytes of one request.
BATCH = 1_000
BATCH_BYTES = 1024 * 1024
#: Seconds between two attempts: the first wait, and the longest.
FIRST_WAIT = 0.2
LONGEST_WAIT = 60.0
#: Seconds within which what was sent is synced to disk, with the policy ``interval``.
SYNC_EVERY = 1.0
_encode = msgspec.json.Encoder(decimal_format="number").encode
_chance = secrets.SystemRandom()
DEAD_LETTERS = "dead-letters.ndjson"

Sync = Literal["always", "interval", "never"]


class Problem(msgspec.Struct, frozen=True):
    """An event that the server did not take. ``event`` is its JSON, as it stands in the file of dead letters."""

    code: str
    message: str
    event: msgspec.Raw


class Events:
    """Sends usage events, each at least once on the wire and exactly once in the account.

    ``send`` puts an event into the buffer on disk and comes back; it never waits for the network. A thread delivers in
    batches, and again with the same ids for as long as the server can't be reached or has no room. A process that is killed
    loses nothing that ``send`` came back for; a machine that loses power nothing that was synced: at once with
    ``sync="always"``, within a second with ``"interval"``, when the system likes with ``"never"``; or by :meth:`flush`.

    What the server does not take (a conflict, or an event that it can't keep) goes to ``dead-letters.ndjson`` in the buffer's
    folder and, if given, to ``on_problem``. A buffer may be named by any number of processes of one machine: each has a
    part of its own, and takes up what others left behind.

    >>> import tempfile
    >>> events = Events("http://127.0.0.1:9", "a key", buffer=tempfile.mkdtemp())
    >>> id = events.send(type="api.call", account="acme", value=3, dimensions={"region": "eu"})
    >>> events.waiting  # nobody listens there: it stays in the buffer
    True
    >>> events.close(timeout=0)
    False
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        buffer: str | Path,
        source: str = "api",
        sync: Sync = "interval",
        most_bytes: int = 1024**3,
        timeout: float = 30.0,
        on_problem: Callable[[Problem], None] | None = None,
    ) -> None:
        """``buffer`` is a folder on a local disk, at most ``most_bytes`` of it; ``timeout`` is for one request, in seconds.

        Raises :class:`Invalid` for a URL that is none.
        """
        from billsmith.sender.delivery import Connection  # ssl and http take a while to load

        self._connection = Connection(url, api_key, timeout=timeout)
        self._folder = Path(buffer)
        self._source, self._sync, self._most_bytes, self._on_problem = source, sync, most_bytes, on_problem
        self._begin()
        _open.add(self)

    def _begin(self) -> None:
        """Take a part of the buffer, and start the thread: at first, and anew in a process that was forked."""
        self._pid = os.getpid()
        self._spools = take(self._folder, most_bytes=self._most_bytes)
        self._changed = threading.Condition()
        self._closing = False
        self._unsynced = False
        self._thread = threading.Thread(target=self._deliver_for_ever, name="billsmith-sender", daemon=True)
        self._thread.start()

    def send(
        self,
        *,
        type: str,
        account: str,
        value: Decimal | int | str = 1,
        time: int | str | None = None,
        id: str | None = None,
        source: str | None = None,
        dimensions: Mapping[str, str] | None = None,
    ) -> str:
        """Put an event into the buffer; gives its id, a new one unless given.

        ``time`` is RFC 3339 or nanoseconds UTC (now). Raises :class:`Invalid` for an event that no store could keep, and
        :class:`Busy` where the buffer is full, :class:`Unavailable` after :meth:`close`.
        """
        event = Event(
            owner="",
            source=self._source if source is None else source,
            id=secrets.token_hex(16) if id is None else id,
            type=type,
            account=account,
            time=_instant(time),
            value=_number(value),
            dimensions=dict(dimensions or {}),
        )
        check(event)
        if self._closing:
            raise Unavailable("this sender was closed", code="event.sender_closed")
        if os.getpid() != self._pid:
            self._begin()
        spool = self._spools[0]
        spool.append(_record(event))
        if self._sync == "always":
            spool.sync()
        with self._changed:
            self._unsynced = True
            self._changed.notify_all()
        return event.id

    @property
    def waiting(self) -> bool:
        """Whether something was not delivered yet."""
        return any(spool.has_more() for spool in self._spools)

    def flush(self, timeout: float = 10.0) -> bool:
        """Sync the buffer, then wait at most ``timeout`` seconds until all that was sent before is delivered; whether it is."""
        until = time.monotonic() + timeout
        ends = [(spool, spool.end()) for spool in self._spools]
        for spool in self._spools:
            spool.sync()
        with self._changed:
            self._changed.notify_all()
            while not all(_is_delivered(spool, end) for spool, end in ends):
                left = until - time.monotonic()
                if left <= 0 or not self._thread.is_alive():
                    return False
                self._changed.wait(left)
        return True

    def close(self, timeout: float = 10.0) -> bool:
        """As :meth:`flush`, then end the thread. What was not delivered waits in the buffer for the next process."""
        if self._closing:
            return not self.waiting
        delivered = self.flush(timeout)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(max(timeout, 1.0))
        if not self._thread.is_alive():
            self._connection.close()
            for spool in self._spools:
                spool.close()
        return delivered

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ── the thread ──

    def _deliver_for_ever(self) -> None:
        wait, synced = FIRST_WAIT, time.monotonic()
        while not self._closing:
            try:
                if self._sync == "interval" and self._unsynced and time.monotonic() - synced >= SYNC_EVERY:
                    self._unsynced, synced = False, time.monotonic()
                    self._spools[0].sync()
                pause = self._deliver_once()
            except OSError as error:  # the disk: what is in the buffer is tried again
                log.warning("the buffer of events can't be read or written: %s", error)
                pause = LONGEST_WAIT
            if pause is None:
                wait = FIRST_WAIT
                continue
            if pause == 0:
                self._idle()
                continue
            if pause < 0:  # again, after a while that grows, and never the same for all senders
                pause, wait = _chance.uniform(wait / 2, wait), min(wait * 2, LONGEST_WAIT)
            self._rest(pause)

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._changed:
            while not self._closing and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)

    def _idle(self) -> None:
        with self._changed:
            if not self._closing and not self.waiting:
                self._changed.wait(SYNC_EVERY)

    def _deliver_once(self) -> float | None:
        """Deliver one batch. ``None``: go on; zero: nothing waits; else rest so many seconds, a negative one: ever longer."""
        for spool in self._spools:
            batch = spool.read(BATCH, BATCH_BYTES)
            if batch.damaged:
                log.warning("%d lines of the buffer were damaged, as a loss of power leaves them", batch.damaged)
            if batch.records or batch.damaged:
                pause = self._deliver(batch.records) if batch.records else None
                if pause is None:
                    self._delivered(spool, batch.end)
                return pause
        return 0.0

    def _delivered(self, spool: Spool, end: Position) -> None:
        spool.deliver(end)
        with self._changed:
            self._changed.notify_all()

    def _deliver(self, records: list[bytes]) -> float | None:
        from billsmith.sender.delivery import Delivered, Unreadable

        outcome = self._connection.send(records)
        if isinstance(outcome, Delivered):
            for fault in outcome.faults:
                self._give_up(records[fault.index], fault.code, fault.message)
            return None
        if isinstance(outcome, Unreadable):
            if len(records) == 1:
                self._give_up(records[0], outcome.code, outcome.message)
                return None
            middle = len(records) // 2
            for half in (records[:middle], records[middle:]):
                pause = self._deliver(half)
                if pause is not None:
                    return pause
            return None
        log.info("events were not delivered: %s", outcome.reason)
        return -1.0 if outcome.after is None else max(outcome.after, FIRST_WAIT) * _chance.uniform(1.0, 1.25)

    def _give_up(self, record: bytes, code: str, message: str) -> None:
        problem = Problem(code, message, msgspec.Raw(record))
        with (self._folder / DEAD_LETTERS).open("ab") as letters:
            letters.write(msgspec.json.encode(problem) + b"\n")
            letters.flush()
            os.fsync(letters.fileno())
        if self._on_problem is not None:
            try:
                self._on_problem(problem)
            except Exception:
                log.exception("on_problem failed")


#: Senders that are open, so that the end of the program gives each a moment to deliver.
_open: weakref.WeakSet[Events] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for events in list(_open):
        if events._pid == os.getpid():
            events.close(timeout=1.0)


def _is_delivered(spool: Spool, end: Position) -> bool:
    return spool.delivered >= end or not spool.has_more()


def _instant(given: int | str | None) -> int:
    if given is None:
        return time.time_ns()
    return given if isinstance(given, int) else parse_instant(given, where="time")


def _number(given: Decimal | int | str) -> Decimal:
    if isinstance(given, Decimal):
        return given
    if isinstance(given, int | str):
        return parse_decimal(str(given), max_digits=MAX_DIGITS, max_places=MAX_PLACES, where="value")
    raise InvalidNumber(
        f"{given!r} is not exact; give a Decimal, a whole number or text", code="number.not_exact", where="value"
    )


def _record(event: Event) -> bytes:
    sent = {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "account": event.account,
        "time": format_instant(event.time),
        "value": event.value,
        "dimensions": event.dimensions,
    }
    return _encode(sent)
