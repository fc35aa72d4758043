"""The double-entry ledger in the database: entries are appended, never changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, func, select

from billsmith.ledger.postings import Posting, Transaction
from billsmith.storage.direct import Direct
from billsmith.storage.schema_billing import ledger_entry as table
from billsmith.units.ids import format_id, id_bytes


class Subject(IntEnum):
    """Of what an entry tells. The numbers are stored and never change."""

    INVOICE = 0
    GRANT = 1


class Entry(NamedTuple):
    """A transaction with its place: the subject's row, and the step (from 0) of what happened to it."""

    subject: int
    subject_seq: int
    step: int
    transaction: Transaction


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    id: bytes
    what: str
    reference: str
    postings: list[tuple[str, int, str]]


_kept = msgspec.msgpack.Decoder(_Kept)
_encode = msgspec.msgpack.Encoder().encode


def append(connection: Connection, entries: Iterable[Entry]) -> None:
    """Keep transactions at the steps that they name."""
    Direct(connection).add(table, map(row, entries))


def append_next(connection: Connection, subject: Subject, subject_seq: int, transactions: Sequence[Transaction]) -> None:
    """Keep what happened next to a subject, which the caller holds locked."""
    query = select(func.coalesce(func.max(table.c.step), -1)).where(
        table.c.subject == int(subject), table.c.subject_seq == subject_seq
    )
    first = connection.execute(query).scalar_one() + 1
    append(
        connection,
        (Entry(subject, subject_seq, first + index, transaction) for index, transaction in enumerate(transactions)),
    )


def book(connection: Connection, invoice_seq: int, transactions: Sequence[Transaction]) -> None:
    """Keep what happened next to a document that we issued; of one that came from elsewhere the ledger knows nothing.

    The caller holds the document locked. What moves nothing is left out.
    """
    query = select(func.max(table.c.step)).where(table.c.subject == int(Subject.INVOICE), table.c.subject_seq == invoice_seq)
    last = connection.execute(query).scalar_one()
    if last is not None:
        moving = [each for each in transactions if any(posting.amount_minor for posting in each.postings)]
        append(connection, (Entry(Subject.INVOICE, invoice_seq, last + place, each) for place, each in enumerate(moving, 1)))


def has_document(connection: Connection, invoice_seq: int) -> bool:
    """Whether a document was issued here; of one that came from elsewhere the ledger knows nothing."""
    query = select(table.c.step).where(table.c.subject == int(Subject.INVOICE), table.c.subject_seq == invoice_seq)
    return connection.execute(query.limit(1)).first() is not None


def row(entry: Entry) -> tuple[int, int, int, int, bytes]:
    """An entry as it is kept."""
    transaction = entry.transaction
    kept = _Kept(
        id_bytes(transaction.id),
        transaction.what,
        transaction.reference,
        [(posting.account, posting.amount_minor, posting.currency) for posting in transaction.postings],
    )
    return int(entry.subject), entry.subject_seq, entry.step, transaction.at, _encode(kept)


def entries(connection: Connection, subject: Subject | None = None, subject_seq: int | None = None) -> Iterator[Entry]:
    """The entries, of a subject if one is named. Raises :class:`Invalid` at one that isn't balanced."""
    query = select(table).order_by(table.c.subject, table.c.subject_seq, table.c.step)
    if subject is not None:
        query = query.where(table.c.subject == int(subject))
    if subject_seq is not None:
        query = query.where(table.c.subject_seq == subject_seq)
    for found in connection.execute(query, execution_options={"yield_per": 1000}):
        yield Entry(found.subject, found.subject_seq, found.step, _transaction(found))


def _transaction(found: Any) -> Transaction:
    kept = _kept.decode(found.body)
    return Transaction(
        id=format_id(kept.id),
        at=found.at,
        what=kept.what,
        reference=kept.reference,
        postings=tuple(Posting(*each) for each in kept.postings),
    )
