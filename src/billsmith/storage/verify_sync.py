"""What must be true of what pulls left behind: walks, watermarks and records agree with one another and with our invoices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select, and_, exists, func, not_, or_, select

from billsmith.storage import schema
from billsmith.storage.database import Database
from billsmith.storage.schema_sync import (
    rebill_charge,
    rebill_line,
    sync_connection,
    sync_difference,
    sync_problem,
    sync_record,
    sync_walk,
)
from billsmith.storage.sync import MAX_PROBLEMS, WalkState
from billsmith.storage.verify_owed import Tell

#: Rows that are told of each thing that should not be.
_TOLD = 100

_names = sync_connection.c.name
_complete = WalkState.COMPLETE.value
_running = WalkState.RUNNING.value


def check_pulls(database: Database, tell: Tell) -> int:
    """Every walk, record, difference and problem fits the others, and the invoice that it names. Gives how many records there
    are."""
    with database.snapshot() as connection:
        for where, what in faults(connection):
            tell(where, what)
        return int(connection.execute(select(func.count()).select_from(sync_record)).scalar_one())


def faults(connection: Connection) -> Iterator[tuple[str, str]]:
    """Where something does not fit, and what."""
    for query, what in (*_walks(), *_records(), *_differences(), *_problems()):
        for row in connection.execute(query.limit(_TOLD)):
            yield f"connection {row.name}, {row.key}", what
    for row in connection.execute(_charges().limit(_TOLD)):
        yield f"charge row {row.seq}", "its line is not marked as charged on, or another issuer's document asks for it"


def _of(table: Any, key: Any) -> Select[Any]:
    """Rows of a table with their connection's name and a key to be found by."""
    return select(_names.label("name"), key.label("key")).join_from(
        table, sync_connection, sync_connection.c.seq == table.c.connection_seq
    )


def _has_walk(table: Any, column: Any, *more: Any) -> Any:
    """Whether a column names a walk of the same connection."""
    return exists().where(sync_walk.c.seq == column, sync_walk.c.connection_seq == table.c.connection_seq, *more)


def _walks() -> Iterator[tuple[Select[Any], str]]:
    walk, of = sync_walk.c, sync_connection.c
    running = walk.state == _running
    walks = _of(sync_walk, walk.id)
    yield walks.where(walk.state.not_in([each.value for each in WalkState])), "the walk's state is none"
    yield (
        walks.where(or_(and_(running, walk.ended_at.is_not(None)), and_(~running, walk.ended_at.is_(None)))),
        ("the walk runs and has an end, or has ended without one"),
    )
    yield walks.where(~running, walk.mark.is_not(None)), "the walk has ended, but has a mark from which to go on"
    yield (
        walks.where(walk.state == _complete, or_(walk.code != "", walk.since.is_not(None), walk.unreadable > 0)),
        ("the walk is called complete, though something was missing"),
    )
    yield (
        walks.where(walk.state.in_([WalkState.PARTIAL.value, WalkState.FAILED.value]), walk.code == ""),
        ("the walk is not complete, and nothing says why"),
    )
    several = select(walk.connection_seq).where(running).group_by(walk.connection_seq).having(func.count() > 1)
    yield walks.where(running, walk.connection_seq.in_(several)), "another walk of the connection runs too"
    newest = select(func.max(walk.seq)).where(walk.connection_seq == of.seq, walk.state == _complete).scalar_subquery()
    marks = select(_names.label("name"), of.id.label("key"))
    yield (
        marks.where(func.coalesce(newest, -1) != func.coalesce(of.watermark_walk, -1)),
        ("the watermark is not the last complete walk"),
    )
    yield marks.where(of.lease_holder.is_(None) != of.lease_until.is_(None)), "it is held by nobody for a while, or for ever"


def _records() -> Iterator[tuple[Select[Any], str]]:
    record, ids = sync_record.c, schema.vendor_id.c
    records = _of(sync_record, record.vendor_key)
    met = and_(_has_walk(sync_record, record.first_walk), _has_walk(sync_record, record.last_walk))
    yield records.where(or_(not_(met), record.first_walk > record.last_walk)), "no walk of the connection met the record so"
    told = exists().where(
        sync_difference.c.connection_seq == record.connection_seq,
        sync_difference.c.vendor_key == record.vendor_key,
        sync_difference.c.walk_seq == record.disappeared_walk,
        sync_difference.c.what == "disappeared",
    )
    by_a_whole_walk = _has_walk(sync_record, record.disappeared_walk, sync_walk.c.state == _complete)
    gone = and_(by_a_whole_walk, record.disappeared_walk > record.last_walk, told)
    yield (
        records.where(record.disappeared_walk.is_not(None), not_(gone)),
        ("the record is said to be gone, but no complete walk after it was met told so"),
    )
    known = exists().where(
        ids.vendor == sync_connection.c.vendor,
        ids.owner_seq == sync_connection.c.account_seq,
        ids.kind == "invoice",
        ids.vendor_key == record.vendor_key,
        ids.our_seq == record.invoice_seq,
    )
    yield (
        records.where(record.invoice_seq.is_not(None), ~known),
        "the record's invoice is not the one that the vendor's key names",
    )
    newest = select(func.max(sync_walk.c.seq)).where(sync_walk.c.connection_seq == record.connection_seq).scalar_subquery()
    aside = sync_problem.c
    why = exists().where(aside.connection_seq == record.connection_seq, aside.place == record.vendor_key)
    many = select(func.count()).where(aside.connection_seq == record.connection_seq).scalar_subquery()
    yield (
        records.where(record.invoice_seq.is_(None), record.last_walk == newest, ~why, many < MAX_PROBLEMS),
        ("the record did not come in, and no problem says why"),
    )


def _differences() -> Iterator[tuple[Select[Any], str]]:
    change, record = sync_difference.c, sync_record.c
    known = exists().where(record.connection_seq == change.connection_seq, record.vendor_key == change.vendor_key)
    yield (
        _of(sync_difference, change.vendor_key).where(not_(and_(_has_walk(sync_difference, change.walk_seq), known))),
        ("a change is told of a record, or by a walk, that is not there"),
    )


def _problems() -> Iterator[tuple[Select[Any], str]]:
    problem = sync_problem.c
    problems = _of(sync_problem, problem.place)
    met = and_(_has_walk(sync_problem, problem.first_walk), _has_walk(sync_problem, problem.last_walk))
    yield problems.where(or_(not_(met), problem.first_walk > problem.last_walk)), "no walk of the connection met the problem so"
    yield problems.where(problem.vendor_key != problem.place), "the problem stands at another place than its record's key"


def _charges() -> Select[Any]:
    """Charges of pulled lines without their claim, or on a document that another account issued."""
    charge, claim, invoice = rebill_charge.c, rebill_line.c, schema.invoice.c
    claimed = exists().where(
        claim.issuer_seq == charge.issuer_seq, claim.invoice_seq == charge.invoice_seq, claim.line == charge.line
    )
    asked = exists().where(invoice.seq == charge.issued_seq, invoice.issuer_seq == charge.issuer_seq)
    return select(charge.seq).where(or_(~claimed, and_(charge.issued_seq.is_not(None), ~asked)))
