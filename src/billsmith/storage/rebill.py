"""Which pulled lines were charged on, as what, and which invoice asks for each charge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Table, insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from billsmith.accounts.model import Account
from billsmith.invoicing.model import Line, Period
from billsmith.storage.schema_sync import rebill_charge as charges
from billsmith.storage.schema_sync import rebill_line as lines

_encoder = msgspec.msgpack.Encoder()
_lines = msgspec.msgpack.Decoder(Line)


class Claim(NamedTuple):
    """A line of an invoice of ours that came from a vendor."""

    invoice_seq: int
    line: int


class NewCharge(NamedTuple):
    """What one customer is to be charged of a claimed line."""

    claim: Claim
    recipient_seq: int
    currency: str
    period: Period
    line: Line


class OpenCharge(NamedTuple):
    """A charge that no invoice asks for yet."""

    seq: int
    line: Line


class Group(NamedTuple):
    """Open charges that belong on one invoice."""

    recipient_seq: int
    currency: str
    period: Period


def claimed(connection: Connection, issuer: Account, invoice_seqs: Sequence[int]) -> dict[Claim, str]:
    """Which lines of these invoices an issuer has charged on, and by which rule."""
    query = select(lines.c.invoice_seq, lines.c.line, lines.c.rule).where(
        lines.c.issuer_seq == issuer.seq, lines.c.invoice_seq.in_(invoice_seqs)
    )
    return {Claim(row.invoice_seq, row.line): row.rule for row in connection.execute(query)}


def claim(connection: Connection, issuer: Account, rules: dict[Claim, str], now: int) -> set[Claim]:
    """Take lines for an issuer's rules; gives those that nobody had taken before, also at the same moment."""
    if not rules:
        return set()
    taken = _insert(connection, lines).on_conflict_do_nothing().returning(lines.c.invoice_seq, lines.c.line)
    rows = [
        {"issuer_seq": issuer.seq, "invoice_seq": each.invoice_seq, "line": each.line, "rule": rule, "claimed_at": now}
        for each, rule in sorted(rules.items())
    ]
    return {Claim(row.invoice_seq, row.line) for row in connection.execute(taken, rows)}


def keep(connection: Connection, issuer: Account, new: Sequence[NewCharge]) -> None:
    """Keep the charges of claimed lines, in the transaction of the claim."""
    if new:
        connection.execute(
            insert(charges),
            [
                {
                    "issuer_seq": issuer.seq,
                    "invoice_seq": each.claim.invoice_seq,
                    "line": each.claim.line,
                    "recipient_seq": each.recipient_seq,
                    "currency": each.currency,
                    "period_start": each.period.start,
                    "period_end": each.period.end,
                    "body": _encoder.encode(each.line),
                }
                for each in new
            ],
        )


def open_groups(connection: Connection, issuer: Account) -> list[Group]:
    """For whom charges wait, in which currency and period."""
    key = (charges.c.recipient_seq, charges.c.currency, charges.c.period_start, charges.c.period_end)
    query = select(*key).where(charges.c.issuer_seq == issuer.seq, charges.c.issued_seq.is_(None)).group_by(*key).order_by(*key)
    return [Group(row[0], row[1], Period(row[2], row[3])) for row in connection.execute(query)]


def open_charges(connection: Connection, issuer: Account, group: Group, limit: int) -> list[OpenCharge]:
    """The charges that wait in a group, oldest first, locked for this transaction."""
    query = (
        select(charges.c.seq, charges.c.body)
        .where(
            charges.c.issuer_seq == issuer.seq,
            charges.c.issued_seq.is_(None),
            charges.c.recipient_seq == group.recipient_seq,
            charges.c.currency == group.currency,
            charges.c.period_start == group.period.start,
            charges.c.period_end == group.period.end,
        )
        .order_by(charges.c.invoice_seq, charges.c.line, charges.c.seq)
        .limit(limit)
    )
    if connection.dialect.name == "postgresql":
        query = query.with_for_update()
    return [OpenCharge(row.seq, _lines.decode(row.body)) for row in connection.execute(query)]


def mark_issued(connection: Connection, seqs: Sequence[int], invoice_seq: int) -> None:
    """Say which invoice asks for charges."""
    for start in range(0, len(seqs), 500):
        some = seqs[start : start + 500]
        connection.execute(update(charges).where(charges.c.seq.in_(some)).values(issued_seq=invoice_seq))


def _insert(connection: Connection, into: Table) -> Any:
    return sqlite_insert(into) if connection.dialect.name == "sqlite" else postgres_insert(into)
