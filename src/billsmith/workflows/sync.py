"""A pull: one walk through a vendor's whole list, of which only the differences are written.

No vendor has a filter for what changed, so a walk asks for everything. Each chunk comes in by the import's own mapping, in one
transaction with what the walk has met, its counts and the mark from which a later run goes on: killed anywhere and run again,
the store is as if nothing had happened. Only a walk that saw the whole list and understood all of it moves the watermark and
tells what disappeared; nothing that the vendor leaves out ever deletes anything of ours (promise P15).
"""

from __future__ import annotations

import datetime as dt
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from billsmith.invoicing.model import InvoiceStatus
from billsmith.storage import invoices, sync, sync_connections
from billsmith.storage.database import Connection, Database
from billsmith.storage.sync import Counts, Difference, Problem, Record, Walk, WalkState
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.currency import from_minor
from billsmith.units.errors import BillsmithError
from billsmith.units.instants import MINUTE, format_instant
from billsmith.units.rounding import plain
from billsmith.workflows.clock import Clock
from billsmith.workflows.import_invoices import Came, Imported, Plan, RowError, bring_in
from billsmith.workflows.new_ids import new_id
from billsmith.workflows.sync_source import Ending, Piece, Source

#: Pieces of nothing but what the walk has met already, after which it is said to go in a circle.
MAX_REPEATS = 3
#: A record that is not final at the vendor yet: known, looked at again next time, and no fault of the list.
NOT_FINAL = "import.not_final"
#: After a failure the next try comes no later than this.
RETRY_MINUTES = 60
#: The named steps of a run, in order: what a test may stop at. ``writing`` and ``ending`` lie within a transaction.
STEPS = ("begun", "answered", "writing", "written", "ending", "ended")

Step = Callable[[str], None]
Progress = Callable[[int], None]

#: What a later statement may not change, as the kind of difference that a user looks for.
_REFUSED = {"import.amount_changed": "amount", "import.recipient_changed": "customer"}


class Stopped(Exception):
    """Raised by a ``progress`` function to stop a run in good order."""


def run(
    database: Database,
    of: VendorConnection,
    source: Source,
    plan: Plan,
    *,
    clock: Clock,
    since: dt.date | None = None,
    progress: Progress = lambda _count: None,
    step: Step = lambda _name: None,
) -> Walk:
    """Walk a vendor's list, or go on where a killed run stopped; gives the walk as it ended.

    What the vendor or the network does wrong ends the walk (state ``failed``) and is told there, not raised. Raises
    :class:`Busy` while another run of the connection is at work, and whatever our own store raises.
    """
    pull = _Pull(database, of, plan, clock, step)
    pull.begin(since)
    step("begun")
    try:
        walk = pull.through(source, since, progress)
        step("ended")
        return walk
    except (KeyboardInterrupt, Stopped):
        pull.leave()  # the walk stays as it is: the next run goes on
        raise


def new_holder() -> str:
    """A name for this run, by which others can tell whether it still lives: machine, process, chance."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(4)}"


def is_gone(holder: str | None) -> bool:
    """Whether a run is known to be dead: it was a process of this machine that is no more. Others are waited for."""
    host, _, rest = (holder or "").rpartition(":")[0].rpartition(":")
    if host != socket.gethostname()[:60] or not rest.isdigit():
        return False
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


class _Pull:
    """One run: the lease, the walk, and what it counted."""

    def __init__(self, database: Database, of: VendorConnection, plan: Plan, clock: Clock, step: Step) -> None:
        self.database = database
        self.of = of
        self.plan = plan
        self.clock = clock
        self.step = step
        self.holder = new_holder()
        self.counts = Counts()
        self.stated_total: int | None = None
        self.repeats = 0
        self.read_before = 0
        self.walk: Walk

    def begin(self, since: dt.date | None) -> None:
        """Take the lease, and the walk that a killed run left, or a new one."""
        now = self.clock()
        with self.database.write() as connection:
            before = self.of.lease_holder
            dead = before if is_gone(before) else None
            sync_connections.take_lease(connection, self.of, self.holder, now, from_dead=dead)
            left = sync.running_walk(connection, self.of)
            if left is not None and left.since == since:
                self.walk = sync.go_on(connection, left)
                self.counts, self.stated_total, self.read_before = left.counts, left.stated_total, left.counts.seen
                return
            if left is not None:
                reason = "another run, with other dates, took its place"
                sync.end_walk(
                    connection,
                    self.of,
                    left,
                    state=WalkState.FAILED,
                    counts=left.counts,
                    now=now,
                    actor=self.plan.actor,
                    code="sync.replaced",
                    reason=reason,
                )
            self.walk = sync.start_walk(connection, self.of, id=new_id(), since=since, now=now)

    def through(self, source: Source, since: dt.date | None, progress: Progress) -> Walk:
        """The walk, to its end."""
        pieces = source.walk(mark=self.walk.mark, since=since)
        while True:
            try:
                piece = next(pieces, None)  # only here the vendor is asked
            except BillsmithError as error:
                return self.end(WalkState.FAILED, error.code, error.message)
            self.step("answered")
            if piece is None:
                return self.end_whole()
            if isinstance(piece, Ending):
                return self.end(WalkState.PARTIAL, piece.code, piece.reason)
            fresh = self.take(piece, since)
            progress(len(piece.rows))
            if self.goes_in_a_circle(piece, fresh):
                return self.end(
                    WalkState.PARTIAL,
                    "sync.circle",
                    f"the last {MAX_REPEATS} answers held only what came before: {piece.where}",
                )

    def goes_in_a_circle(self, piece: Piece, fresh: int) -> bool:
        """Whether the last pieces held only what the walk had met. What a killed run had read may well be read again once."""
        if fresh or not piece.rows:
            self.repeats = 0
        elif self.read_before > 0:
            self.read_before -= len(piece.rows)
        else:
            self.repeats += 1
        return self.repeats >= MAX_REPEATS

    def take(self, piece: Piece, since: dt.date | None) -> int:
        """Write a piece, a chunk a transaction; its mark goes with the last. Gives how many records were new to the walk."""
        self.stated_total = piece.stated_total if piece.stated_total is not None else self.stated_total
        wanted = [row for row in piece.rows if isinstance(row, RowError) or since is None or row.invoice.date >= since]
        mark, fresh = self.walk.mark, 0
        for start in range(0, max(len(wanted), 1), invoices.CHUNK):
            chunk = wanted[start : start + invoices.CHUNK]
            if start + invoices.CHUNK >= len(wanted):
                mark = piece.mark
            with self.database.write() as connection:
                sync_connections.keep_lease(connection, self.of, self.holder, self.clock())
                counts = msgspec.structs.replace(self.counts)
                fresh += _Chunk(connection, self.of, self.walk, self.plan, counts, piece.where).write(chunk, self.clock())
                sync.save_progress(connection, self.walk, counts=counts, mark=mark, stated_total=self.stated_total)
                self.step("writing")
            self.counts = counts
            self.step("written")
        return fresh

    def end_whole(self) -> Walk:
        """The list was read to its end: was it all of it, and understood?"""
        with self.database.write() as connection:
            sync_connections.keep_lease(connection, self.of, self.holder, self.clock())
            code, reason = self.shortcoming(connection)
            if self.walk.since is None:
                sync.clear_older_problems(connection, self.of, self.walk)
            if not code:
                if self.tells_what_is_gone():
                    self.counts.disappeared = sync.note_disappeared(connection, self.of, self.walk)
                sync_connections.set_watermark(connection, self.of, self.walk.seq)
            return self.close(connection, WalkState.PARTIAL if code else WalkState.COMPLETE, code, reason)

    def shortcoming(self, connection: Connection) -> tuple[str, str]:
        """Why a walk that came to the end of the list is not complete: a code and words; both empty where it is."""
        if self.walk.since is not None:
            return "sync.since", f"only invoices dated from {self.walk.since} on were looked at"
        if self.counts.unreadable:
            return "sync.unreadable", f"{self.counts.unreadable} records could not be understood; see `billsmith sync problems`"
        seen = sync.count_seen(connection, self.of, self.walk)
        if self.stated_total is not None and self.stated_total != seen:
            return "sync.count", f"the vendor says that there are {self.stated_total} invoices, but {seen} came"
        if not seen and sync.count_records(connection, self.of):
            return "sync.empty", "the list was empty, but it held invoices before"
        return "", ""

    def tells_what_is_gone(self) -> bool:
        """Whether what was not met is gone. A walk with an interruption in it may have missed what moved meanwhile, unless the
        vendor's own count says that nothing is missing."""
        return not self.walk.resumed or self.stated_total is not None

    def end(self, state: WalkState, code: str, reason: str) -> Walk:
        """End the walk short of the list's end."""
        with self.database.write() as connection:
            sync_connections.keep_lease(connection, self.of, self.holder, self.clock())
            return self.close(connection, state, code, reason)

    def close(self, connection: Connection, state: WalkState, code: str, reason: str) -> Walk:
        """Write the walk's end, when the next is due, and let go."""
        now = self.clock()
        sync.end_walk(
            connection,
            self.of,
            self.walk,
            state=state,
            counts=self.counts,
            now=now,
            actor=self.plan.actor,
            code=code,
            reason=reason,
        )
        if self.of.every_minutes is not None:
            failed = state is WalkState.FAILED
            wait = min(self.of.every_minutes, RETRY_MINUTES) if failed else self.of.every_minutes
            sync_connections.set_due(connection, self.of, now + wait * MINUTE)
        elif self.of.due_at is not None:
            sync_connections.set_due(connection, self.of, None)
        sync_connections.drop_lease(connection, self.of, self.holder)
        self.step("ending")
        return sync.walk_of(connection, self.walk.seq)

    def leave(self) -> None:
        """Let go without an end."""
        with self.database.write() as connection:
            sync_connections.drop_lease(connection, self.of, self.holder)


class _Chunk:
    """The records of one transaction."""

    def __init__(
        self, connection: Connection, of: VendorConnection, walk: Walk, plan: Plan, counts: Counts, where: str
    ) -> None:
        self.connection = connection
        self.of = of
        self.walk = walk
        self.plan = plan
        self.counts = counts
        self.where = where

    def write(self, rows: Sequence[Imported | RowError], now: int) -> int:
        """Bring in what is new or says something new; gives how many records the walk had not met before."""
        connection, of, walk = self.connection, self.of, self.walk
        unread = [row for row in rows if isinstance(row, RowError)]
        hashes = {row.vendor_key: content_hash(row) for row in rows if isinstance(row, Imported)}
        keys = sorted({*hashes, *(error.vendor_key for error in unread if error.vendor_key)})
        known = sync.known_records(connection, of, keys)
        met = sync.seen_in(connection, of, walk, keys)
        troubled = sync.problem_keys(connection, of, keys)
        same = {key for key in hashes if key not in troubled and _came_as(known.get(key), hashes[key])}
        chunk = bring_in(connection, self.plan, [row for row in rows if row.vendor_key not in same], now=now)
        came = {each.row.vendor_key: each for each in chunk.came}
        refused = [error for error in chunk.report.errors if error.vendor_key not in came]
        kept = {key: (hashes[key], came[key].seq if key in came else None) for key in hashes.keys() - same}
        sync.see_again(connection, of, walk, sorted(known.keys() - kept.keys()))
        sync.keep_records(connection, of, walk, kept)
        sync.clear_problems(connection, of, sorted(came))
        sync.set_aside(connection, of, walk, [self._problem(error) for error in chunk.report.errors])
        sync.note_accounts(connection, of, chunk.made)
        back = [key for key in keys if key in known and known[key].disappeared]
        news = [
            error
            for error in refused
            if error.vendor_key in known and known[error.vendor_key].hash != hashes.get(error.vendor_key)
        ]
        sync.note_differences(connection, of, self._differences(list(came.values()), back, news))
        counts = self.counts
        first = [each for key, each in came.items() if key not in met]
        counts.added += sum(each.new for each in first)
        counts.moved += sum(bool(each.moved) for each in came.values())
        counts.unchanged += len(same - met) + sum(not each.new and not each.moved for each in first)
        counts.set_aside += sum(error.vendor_key not in met for error in refused)
        counts.unreadable += sum(error.code != NOT_FINAL and error.vendor_key not in met for error in unread)
        counts.accounts_made += chunk.report.accounts_made
        return len(set(keys) - met) + sum(not error.vendor_key for error in unread)

    def _problem(self, error: RowError) -> Problem:
        path = f"{self.where}: {error.where}"
        return Problem(
            place=error.vendor_key or f"?{path}"[:300],
            vendor_key=error.vendor_key or None,
            path=path,
            code=error.code,
            message=error.message,
        )

    def _differences(self, came: Sequence[Came], back: Sequence[str], refused: Sequence[RowError]) -> Iterator[Difference]:
        for each in came:
            if each.moved:
                yield self._difference(each.row.vendor_key, "status", moved_words(each.moved, each.row.invoice.currency))
        for vendor_key in back:
            yield self._difference(vendor_key, "back", "")
        for error in refused:
            if error.code in _REFUSED:
                yield self._difference(error.vendor_key, _REFUSED[error.code], error.message)

    def _difference(self, vendor_key: str, what: str, detail: str) -> Difference:
        return Difference(walk_seq=self.walk.seq, vendor_key=vendor_key, what=what, detail=detail)


def content_hash(row: Imported) -> bytes:
    """Sixteen bytes that change with anything that a vendor says of an invoice, but not with where it stood in the answer."""
    said = msgspec.json.encode(msgspec.structs.replace(row, where=""), order="sorted")
    return blake2b(said, digest_size=16).digest()


def _came_as(before: Record | None, hash: bytes) -> bool:
    """Whether a record came in before, and says now what it said then."""
    return before is not None and before.invoice_seq is not None and before.hash == hash


def moved_words(moved: Mapping[str, tuple[Any, Any]], currency: str) -> str:
    """What moved, in words.

    >>> moved_words({"paid_minor": (0, 12375), "status": (InvoiceStatus.ISSUED, InvoiceStatus.PAID)}, "USD")
    'paid: 0.00 → 123.75, status: issued → paid'
    """
    return ", ".join(_change(name, *values, currency) for name, values in moved.items())


def _change(name: str, before: Any, after: Any, currency: str) -> str:
    if name == "extras":
        return "fields that only the vendor has"
    what = name.removesuffix("_minor").replace("_", " ")
    return f"{what}: {_word(name, before, currency)} → {_word(name, after, currency)}"


def _word(name: str, value: Any, currency: str) -> str:
    """A field's value in a difference's words."""
    if value is None or value == "":
        return "none"
    if isinstance(value, InvoiceStatus):
        return value.word
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_minor"):
        return plain(from_minor(value, currency))
    return format_instant(value, digits=0) if name.endswith("_at") else str(value)
