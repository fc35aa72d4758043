"""Corrections of usage in the database: who asked for what, and how far it came.

A sender's corrections are made one after the other, in the order in which they were asked for; whoever works at one notes each
step under the condition that nobody else has noted it meanwhile.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, text, update

from billsmith.accounts.model import Account
from billsmith.storage import changes
from billsmith.storage.accounts import stands_below
from billsmith.storage.changes import Change
from billsmith.storage.schema_usage import usage_correction as table

OPEN, DONE, REFUSED = "open", "done", "refused"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A correction as it stands, in short. ``place`` is JSON that this package doesn't read."""

    seq: int
    id: str
    sender_seq: int
    kind: str
    state: str
    reason: str
    expected: int
    as_of_seq: int | None
    matched: int | None
    changed: int
    place: str | None
    end_seq: int | None
    created_at: int
    finished_at: int | None
    actor: str


class Correction(Summary, frozen=True, kw_only=True):
    """A correction with all that was asked: ``what`` is JSON as well, of a thousand events perhaps."""

    what: str


_short = select(*(column for column in table.c if column.name != "what"))


def add(
    connection: Connection,
    sender: Account,
    *,
    id: str,
    kind: str,
    what: str,
    reason: str,
    expected: int,
    now: int,
    actor: str,
) -> Correction:
    """Note what is to be corrected. A sender's are numbered in the order in which they can be read."""
    if connection.dialect.name == "postgresql":  # on SQLite every writer is alone anyway
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": -1 - sender.seq})
    values = {
        "id": id,
        "sender_seq": sender.seq,
        "kind": kind,
        "state": OPEN,
        "what": what,
        "reason": reason,
        "expected": expected,
        "changed": 0,
        "created_at": now,
        "actor": actor,
    }
    facts = {"kind": kind, "expected": expected}
    changes.note(connection, Change("usage.correction_asked", sender.seq, id, now, actor, facts))
    return _correction(connection.execute(insert(table).values(values).returning(table)).one())


def begin(connection: Connection, correction: Correction, *, as_of_seq: int, matched: int) -> None:
    """Note the state that is corrected, and how many events that are."""
    _update(connection, correction, as_of_seq=as_of_seq, matched=matched)


def refuse(connection: Connection, correction: Correction, *, as_of_seq: int, matched: int, now: int) -> None:
    """Note that another number of events was found than was expected, so that nothing was done."""
    if _update(connection, correction, as_of_seq=as_of_seq, matched=matched, state=REFUSED, finished_at=now):
        facts = {"kind": correction.kind, "expected": correction.expected, "matched": matched}
        changes.note(connection, _change("usage.correction_refused", correction, now, facts))


def advance(connection: Connection, correction: Correction, *, place: str, changed: int) -> None:
    """Note how far it came; ``changed`` more are."""
    _update(connection, correction, place=place, changed=correction.changed + changed)


def finish(connection: Connection, correction: Correction, *, changed: int, end_seq: int, now: int) -> None:
    """Note that it came to its end with ``changed`` more, and the state that it left."""
    changed += correction.changed
    if _update(connection, correction, state=DONE, changed=changed, end_seq=end_seq, finished_at=now):
        facts = {"kind": correction.kind, "events": changed}
        changes.note(connection, _change("usage.corrected", correction, now, facts))


def _change(kind: str, of: Correction, now: int, facts: dict[str, Any]) -> Change:
    return Change(kind, of.sender_seq, of.id, now, of.actor, facts)


def _update(connection: Connection, seen: Correction, **values: Any) -> bool:
    """Change the row, unless it is no longer as it was seen: then another noted the step already. Whether it was changed."""
    done = connection.execute(
        update(table)
        .where(
            table.c.seq == seen.seq,
            table.c.state == OPEN,
            table.c.as_of_seq.is_not_distinct_from(seen.as_of_seq),
            table.c.place.is_not_distinct_from(seen.place),
        )
        .values(**values)
    )
    return bool(done.rowcount)


def by_id(connection: Connection, id: str) -> Correction | None:
    """The correction with that id, whose-ever it is. Only for callers that check that."""
    row = connection.execute(select(table).where(table.c.id == id)).first()
    return _correction(row) if row else None


def first_open(connection: Connection, sender_seq: int, upto: int) -> Correction | None:
    """The first of a sender's corrections, up to one of them, that did not come to its end."""
    query = select(table).where(table.c.sender_seq == sender_seq, table.c.seq <= upto, table.c.state == OPEN)
    row = connection.execute(query.order_by(table.c.seq).limit(1)).first()
    return _correction(row) if row else None


def oldest_open(connection: Connection, *, before: int) -> Correction | None:
    """The first correction of anybody that was asked for before an instant and did not come to its end."""
    query = select(table).where(table.c.state == OPEN, table.c.created_at < before).order_by(table.c.seq).limit(1)
    row = connection.execute(query).first()
    return _correction(row) if row else None


def page(connection: Connection, within: Account, *, before: int | None = None, limit: int = 100) -> list[Summary]:
    """Corrections of what accounts at or below one sent, the newest first, those before one."""
    query = _short.where(stands_below(table.c.sender_seq, within))
    if before is not None:
        query = query.where(table.c.seq < before)
    return [Summary(**row._mapping) for row in connection.execute(query.order_by(table.c.seq.desc()).limit(limit))]


def _correction(row: Any) -> Correction:
    return Correction(**row._mapping)
