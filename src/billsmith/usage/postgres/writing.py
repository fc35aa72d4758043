"""A group of batches, written in one transaction; many processes may do so at once.

Names and months first, each durable for itself. Then, in the transaction: a lock per owner (shared; alone for corrections, so
that a batch sees an identity's rows as they are until it commits) → identities, in the order of their hashes, so that writers
wait for each other one way only → what becomes of each item → rows, by COPY → seqs and commit, sent together, so that the
lock on numbers is held for no longer than the database takes to write its log.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from uuid import UUID
from zlib import crc32

import msgspec
import psycopg

from billsmith.events.event import Event
from billsmith.units.errors import Unavailable
from billsmith.usage.hashing import Hashing
from billsmith.usage.postgres.connections import Connection, connect, is_passing, translated
from billsmith.usage.postgres.decide import Decided, decide
from billsmith.usage.postgres.months import Months
from billsmith.usage.postgres.packed import bigs, ints, uuids, wrapped
from billsmith.usage.postgres.prepare import Prepared, hashes
from billsmith.usage.postgres.rows import COPY, line, lines
from billsmith.usage.postgres.schema import SCHEMA, Made
from billsmith.usage.postgres.states import histories
from billsmith.usage.postgres.subjects import Subjects
from billsmith.usage.postgres.types import Types
from billsmith.usage.singly import CORRECTED, Identity
from billsmith.usage.store import Entry, Receipt, Replace, Void

#: Rows of the group are numbered from here until they have their seqs.
_HERE = 2**62
_TRIES = 5
#: Owners share this many locks, so that a batch of many owners doesn't take all that the database has.
_OWNERS = 256

_CLAIM = f"SELECT * FROM {SCHEMA}.claim(%s::integer[], %s::boolean[], %s, %s, %s, %s)"
_NUMBER = f"SELECT before FROM {SCHEMA}.number(%s, %s, %s)"
_AMEND = f"""
INSERT INTO {SCHEMA}.amendments
SELECT %s, place, hash, time, subject, CASE WHEN undoes > {_HERE} THEN %s ELSE batch END,
    CASE WHEN undoes > {_HERE} THEN undoes - {_HERE} ELSE undoes - before END
FROM unnest(%s::integer[], %s::uuid[], %s::bigint[], %s::integer[], %s::bigint[]) AS a (place, hash, time, subject, undoes)
LEFT JOIN LATERAL (
    SELECT batch, before FROM {SCHEMA}.batches WHERE undoes > 0 AND last >= undoes ORDER BY last LIMIT 1) undone ON true
"""


class Writing:
    """What the one writing thread of a process does, on a connection of its own."""

    def __init__(self, url: str, store: Made) -> None:
        self._url, self._store, self._hashing = url, store, Hashing(store.key)
        self._connection: Connection | None = None
        self._subjects, self._types, self._months = Subjects(), Types(), Months()
        self._committing = False

    def write(self, group: Sequence[Prepared]) -> list[Receipt]:
        """Commit a group; receipts for its batches. Raises :class:`Busy`, :class:`Unavailable`; then it may be sent again."""
        with translated("write", "usage.cannot_write"):
            for attempt in range(_TRIES):
                self._committing = False
                idle = self._connection is not None
                try:
                    return self._written(self._connected(), group)
                except psycopg.Error as error:
                    self._let_go()
                    # two that met; or the server went away while the connection was idle, and nothing was committed
                    gone = idle and not self._committing and isinstance(error, psycopg.OperationalError)
                    if attempt == _TRIES - 1 or not (is_passing(error) or gone):
                        raise
                except Unavailable:
                    self._let_go()
                    raise
        raise AssertionError("a try either returns or raises")

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = connect(self._url)
        return self._connection

    def _let_go(self) -> None:
        """After an error: the next try begins with a connection of which nothing is pending."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def close(self) -> None:
        """Close the connection."""
        self._let_go()

    # ── the transaction ──

    def _written(self, connection: Connection, group: Sequence[Prepared]) -> list[Receipt]:
        sent = _Sent(group)
        self._subjects.forget_too_many()
        subjects = self._subjects.learn(connection, sent.events)
        times = [event.time for event in sent.events]
        self._types.learn(connection, {event.type for event in (*sent.events, *sent.replacing)})
        self._subjects.learn(connection, sent.replacing)
        self._months.make(connection, times + [event.time for event in sent.replacing])
        batch, known = _begin(connection, self._store, group, _identities(sent, subjects, times))
        if sent.corrected:
            known |= _known(connection, sent.corrected.difference(sent.hashes))
        decided = decide(
            group,
            known,
            seq=_HERE,
            subjects=subjects,
            subject=self._subjects.number,
            history=lambda wanted: self._histories(connection, wanted),
        )
        if not decided.count:
            connection.execute("ROLLBACK")
            return _receipts(decided, _highest(connection))
        self._put(connection, batch, decided)
        self._committing = True
        return _receipts(decided, commit(connection, batch, decided.count, decided.live))

    def _histories(self, connection: Connection, wanted: Iterable[Identity]) -> dict[Identity, list[Entry]]:
        found = self._rows_of(connection, list(wanted))
        # rows are taken back under the names that they had, which this process may not have met
        self._subjects.learn(connection, [one.event for rows in found.values() for one in rows])
        return found

    def _rows_of(self, connection: Connection, wanted: Sequence[Identity]) -> dict[Identity, list[Entry]]:
        return histories(connection, list(zip(hashes(self._hashing, wanted), wanted, strict=True)))

    def _put(self, connection: Connection, batch: int, decided: Decided) -> None:
        with connection.cursor() as cursor, cursor.copy(f"COPY {SCHEMA}.events {COPY} FROM STDIN") as copy:
            copy.write(_text(batch, decided))
        if not decided.amended:
            return
        amended = hashes(self._hashing, [row.event.identity for row in decided.amended])
        connection.execute(
            f"UPDATE {SCHEMA}.identities SET body = {CORRECTED} WHERE hash = ANY(%s)",
            [uuids(set(amended))],
        )
        listed = [
            (row.seq - _HERE, UUID(bytes=hash), row.event.time, row.subject, row.undoes)
            for row, hash in zip(decided.amended, amended, strict=True)
        ]
        connection.execute(_AMEND, [batch, batch, *map(list, zip(*listed, strict=True))])


class _Sent:
    """The items of a group: events with their hashes and bodies in their order, and what is corrected."""

    def __init__(self, group: Sequence[Prepared]) -> None:
        self.events: list[Event] = []
        self.hashes: list[bytes] = []
        self.bodies: list[int] = []
        self.replacing: list[Event] = []
        self.corrected: set[bytes] = set()
        for batch in group:
            if all(batch.bodies):  # no corrections, as nearly always
                self.events += batch.items  # type: ignore[arg-type]
                self.hashes += batch.identities
                self.bodies += batch.bodies
            else:
                self._one_by_one(batch)

    def _one_by_one(self, batch: Prepared) -> None:
        for item, hash, body in zip(batch.items, batch.identities, batch.bodies, strict=True):
            if isinstance(item, Event):
                self.events.append(item)
                self.hashes.append(hash)
                self.bodies.append(body)
                continue
            self.corrected.add(hash)
            if isinstance(item, Replace):
                self.replacing.append(item.event)


def _identities(sent: _Sent, subjects: Sequence[int], times: Sequence[int]) -> list[bytes]:
    """What is put in for each event, as columns."""
    return [uuids(sent.hashes), wrapped(sent.bodies), ints(subjects), bigs(times)]


def _begin(
    connection: Connection, store: Made, group: Sequence[Prepared], identities: Sequence[bytes]
) -> tuple[int, dict[bytes, int]]:
    """Begin, with the locks of all owners, and put identities in. Gives the batch's number, and the bodies of those there."""
    owners = _owners(group)
    keys = sorted(owners)
    with connection.pipeline():
        connection.execute("BEGIN")
        claim = connection.execute(_CLAIM, [keys, [owners[key] for key in keys], *identities])
    row = claim.fetchone()
    assert row is not None
    batch, number, there, known = row
    if number != store.number:
        raise Unavailable("the usage store was replaced by a copy; start this process anew", code="usage.replaced")
    return batch, _bodies(zip(there or (), known or (), strict=True))


def _known(connection: Connection, hashes: Collection[bytes]) -> dict[bytes, int]:
    if not hashes:
        return {}
    rows = connection.execute(f"SELECT hash, body FROM {SCHEMA}.identities WHERE hash = ANY(%s)", [uuids(hashes)]).fetchall()
    return _bodies(rows)


def _bodies(rows: Iterable[tuple[UUID, int]]) -> dict[bytes, int]:
    return {hash.bytes: body % 2**64 for hash, body in rows}


def _text(batch: int, decided: Decided) -> str:
    """All rows as COPY takes them."""
    runs = [lines(batch, run.first - _HERE, run.subjects, run.ends) for run in decided.runs]
    return "".join(runs + [line(batch, seq - _HERE, sign, subject, end) for seq, sign, subject, end in decided.rows])


def _owners(group: Sequence[Prepared]) -> dict[int, bool]:
    """The locks of a group's owners, and whether each must be had alone."""
    owners: dict[str, bool] = {}
    for batch in group:
        if all(batch.bodies):
            for owner in {item.owner for item in batch.items}:  # type: ignore[union-attr]
                owners.setdefault(owner, False)
            continue
        for item in batch.items:
            if isinstance(item, Event):
                owners.setdefault(item.owner, False)
            else:
                owners[item.owner if isinstance(item, Void) else item.event.owner] = True
    keys: dict[int, bool] = {}
    for owner, alone in owners.items():
        key = crc32(owner.encode()) % _OWNERS
        keys[key] = keys.get(key, False) or alone
    return keys


def commit(connection: Connection, batch: int, rows: int, live: int) -> int:
    """Give the batch its seqs, and commit. Gives the seq before them."""
    with connection.pipeline():
        cursor = connection.execute(_NUMBER, [batch, rows, live])
        connection.execute("COMMIT")
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def _highest(connection: Connection) -> int:
    row = connection.execute(f"SELECT max(last) FROM {SCHEMA}.batches").fetchone()
    assert row is not None
    return int(row[0])


def _receipts(decided: Decided, before: int) -> list[Receipt]:
    return [msgspec.structs.replace(receipt, seq=before + receipt.seq - _HERE) for receipt in decided.receipts]
