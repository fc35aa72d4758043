"""Agreements and wallets in the database: what was agreed and granted, and what invoices used of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from billsmith.accounts.model import Account
from billsmith.ledger.wallets import Grant
from billsmith.storage import changes
from billsmith.storage.changes import Change
from billsmith.storage.direct import Direct
from billsmith.storage.schema import invoice
from billsmith.storage.schema_billing import agreement as table
from billsmith.storage.schema_billing import agreement_use as use_table
from billsmith.storage.schema_billing import correction, wallet_grant, wallet_movement
from billsmith.subscriptions.agreements import Agreement, Ended
from billsmith.units.currency import from_minor
from billsmith.units.errors import Conflict
from billsmith.units.exact import Exact
from billsmith.units.exact import add as add_up
from billsmith.units.instants import format_instant
from billsmith.units.rounding import ZERO, plain

_agreements = msgspec.json.Decoder(Agreement)


class Stored(NamedTuple):
    """An agreement of an account with an issuer."""

    seq: int
    id: str
    account_seq: int
    body: Agreement


class Use(NamedTuple):
    """What an invoice used of an agreement, or a note that corrects it did. ``batch`` is that of the run that made either."""

    invoice_seq: int
    batch: str
    amount: Exact


class StoredGrant(NamedTuple):
    """A grant of a wallet, with the currency that it is in."""

    seq: int
    account_seq: int
    issuer_seq: int
    currency: str
    grant: Grant


class Movement(NamedTuple):
    """What happened to a grant: a ``burn`` for an invoice, or a ``void``."""

    account_seq: int
    grant_id: str
    at: int
    what: str
    amount_minor: int
    invoice_seq: int | None


def add(connection: Connection, issuer: Account, account: Account, id: str, body: Agreement, *, now: int, actor: str) -> Stored:
    """Keep an agreement."""
    seq = connection.execute(
        insert(table)
        .values(
            id=id,
            issuer_seq=issuer.seq,
            account_seq=account.seq,
            body=msgspec.json.encode(body).decode(),
            recorded_at=now,
            recorded_by=actor,
        )
        .returning(table.c.seq)
    ).scalar_one()
    kind = "agreement.ended" if isinstance(body, Ended) else "agreement.made"
    facts = {"what": type(body).__name__}
    changes.note(connection, Change(kind, account.seq, id, now, actor, facts, issuer=issuer.seq))
    return Stored(seq, id, account.seq, body)


def by_id(connection: Connection, id: str) -> tuple[Stored, int] | None:
    """The agreement with that id and its issuer by the store's number, whose-ever it is. Only for callers that check that."""
    query = select(table.c.seq, table.c.id, table.c.account_seq, table.c.body, table.c.issuer_seq).where(table.c.id == id)
    row = connection.execute(query).first()
    return None if row is None else (Stored(row.seq, row.id, row.account_seq, _agreements.decode(row.body)), row.issuer_seq)


def of_accounts(connection: Connection, issuer_seq: int, accounts: Sequence[int], known_at: int) -> dict[int, list[Stored]]:
    """What accounts agreed to with an issuer, as known at an instant, in the order in which it was recorded."""
    found: dict[int, list[Stored]] = {seq: [] for seq in accounts}
    query = select(table.c.seq, table.c.id, table.c.account_seq, table.c.body).where(
        table.c.issuer_seq == issuer_seq, table.c.account_seq.in_(accounts), table.c.recorded_at <= known_at
    )
    for seq, id, account_seq, body in connection.execute(query.order_by(table.c.seq)):
        found[account_seq].append(Stored(seq, id, account_seq, _agreements.decode(body)))
    return found


def uses(connection: Connection, seqs: Sequence[int]) -> dict[int, list[Use]]:
    """What invoices used of agreements, by the agreements' numbers."""
    found: dict[int, list[Use]] = {seq: [] for seq in seqs}
    if seqs:
        query = (
            select(use_table.c.agreement_seq, _OF, invoice.c.batch, use_table.c.amount)
            .join_from(use_table, invoice, use_table.c.invoice_seq == invoice.c.seq)
            .join(correction, correction.c.note_seq == use_table.c.invoice_seq, isouter=True)
        )
        for seq, of, batch, amount in connection.execute(query.where(use_table.c.agreement_seq.in_(seqs))):
            found[seq].append(Use(of, batch, _exact(amount)))
    return found


def used_by(connection: Connection, documents: Sequence[int]) -> dict[tuple[int, int], Exact]:
    """What documents used, those of notes with the invoice that they correct: by invoice and agreement, by numbers."""
    found: dict[tuple[int, int], Exact] = {}
    query = (
        select(_OF, use_table.c.agreement_seq, use_table.c.amount)
        .join_from(use_table, correction, correction.c.note_seq == use_table.c.invoice_seq, isouter=True)
        .where(use_table.c.invoice_seq.in_(documents))
    )
    for of, seq, amount in connection.execute(query):
        found[of, seq] = add_up(found.get((of, seq), ZERO), _exact(amount))
    return found


#: The invoice that a use is of: a note's is that of the invoice which it corrects.
_OF = func.coalesce(correction.c.invoice_seq, use_table.c.invoice_seq)


def _exact(text: str) -> Exact:
    return Fraction(text) if "/" in text else Decimal(text)


def add_uses(connection: Connection, rows: Iterable[tuple[int, int, Exact]]) -> None:
    """Keep what invoices, and notes, used: agreement, document, amount."""
    Direct(connection).add(use_table, [(seq, invoice, str(amount)) for seq, invoice, amount in rows])


def forget_uses(connection: Connection, invoice_seq: int) -> None:
    """An invoice was voided: it used nothing."""
    connection.execute(delete(use_table).where(use_table.c.invoice_seq == invoice_seq))


def add_grant(
    connection: Connection, issuer: Account, account: Account, grant: Grant, currency: str, *, now: int, actor: str
) -> StoredGrant:
    """Keep a grant. Raises :class:`Conflict` where the id is taken."""
    if connection.execute(select(wallet_grant.c.seq).where(wallet_grant.c.id == grant.id)).first():
        raise Conflict("there is a grant with that id already", code="wallet.id_taken", where="id")
    seq = connection.execute(
        insert(wallet_grant)
        .values(
            id=grant.id,
            issuer_seq=issuer.seq,
            account_seq=account.seq,
            currency=currency,
            body=msgspec.json.encode(grant).decode(),
            recorded_at=now,
            recorded_by=actor,
            by_clock=int(grant.expires_at is not None or grant.recurrence is not None),
            next_at=grant.effective_at if grant.recurrence is not None else grant.expires_at,
        )
        .returning(wallet_grant.c.seq)
    ).scalar_one()
    facts = {
        "amount": plain(grant.amount),
        "currency": currency,
        "expires_at": None if grant.expires_at is None else format_instant(grant.expires_at),
    }
    changes.note(connection, Change("wallet.granted", account.seq, grant.id, now, actor, facts, issuer=issuer.seq))
    return StoredGrant(seq, account.seq, issuer.seq, currency, grant)


def grants(
    connection: Connection, issuer_seq: int | None, accounts: Sequence[int], known_at: int | None = None
) -> dict[int, list[StoredGrant]]:
    """The grants of accounts by an issuer (``None``: any), oldest first, as known at an instant; voids are not on them."""
    found: dict[int, list[StoredGrant]] = {seq: [] for seq in accounts}
    query = select(wallet_grant).where(wallet_grant.c.account_seq.in_(accounts))
    if issuer_seq is not None:
        query = query.where(wallet_grant.c.issuer_seq == issuer_seq)
    if known_at is not None:
        query = query.where(wallet_grant.c.recorded_at <= known_at)
    for row in connection.execute(query.order_by(wallet_grant.c.seq)):
        found[row.account_seq].append(stored_grant(row))
    return found


def grant(connection: Connection, id: str) -> StoredGrant | None:
    """The grant with that id, whose-ever it is. Only for callers that check that."""
    row = connection.execute(select(wallet_grant).where(wallet_grant.c.id == id)).first()
    return stored_grant(row) if row else None


def movements(connection: Connection, accounts: Sequence[int]) -> dict[int, list[Movement]]:
    """All that happened to the grants of accounts, in the order of each grant."""
    found: dict[int, list[Movement]] = {seq: [] for seq in accounts}
    table = wallet_movement
    query = select(table.c.account_seq, table.c.grant_id, table.c.at, table.c.what, table.c.amount_minor, table.c.invoice_seq)
    rows = connection.execute(
        query.where(table.c.account_seq.in_(accounts)).order_by(table.c.account_seq, table.c.grant_id, table.c.step)
    )
    for row in rows:
        found[row.account_seq].append(Movement(*row))
    return found


def add_movements(connection: Connection, new: Sequence[Movement], *, now: int, actor: str) -> None:
    """Keep what happened to grants; the caller holds the issuer's lock or the accounts'."""
    if not new:
        return
    table = wallet_movement
    steps: dict[tuple[int, str], int] = {}
    query = select(table.c.account_seq, table.c.grant_id, func.max(table.c.step)).group_by(
        table.c.account_seq, table.c.grant_id
    )
    for account_seq, grant_id, step in connection.execute(
        query.where(table.c.account_seq.in_({one.account_seq for one in new}))
    ):
        steps[account_seq, grant_id] = step
    rows: list[dict[str, Any]] = []
    for one in new:
        key = (one.account_seq, one.grant_id)
        steps[key] = steps.get(key, 0) + 1
        rows.append({**one._asdict(), "step": steps[key], "recorded_at": now, "recorded_by": actor})
    connection.execute(insert(table), rows)
    by_clock = wallet_grant.c.id.in_({one.grant_id for one in new}) & (wallet_grant.c.by_clock == 1)
    connection.execute(update(wallet_grant).where(by_clock).values(next_at=now))  # what was lost may be another amount now
    changes.note(connection, *_noted(connection, new, now, actor))


def _noted(connection: Connection, new: Sequence[Movement], now: int, actor: str) -> Iterable[Change]:
    query = select(wallet_grant.c.id, wallet_grant.c.issuer_seq, wallet_grant.c.currency)
    of = {row.id: row for row in connection.execute(query.where(wallet_grant.c.id.in_({one.grant_id for one in new})))}
    for one in new:
        # A plan's included credit is no grant that anybody gave: its use stands on the invoice alone.
        grant = of.get(one.grant_id)
        if grant is not None:
            kind = "wallet.voided" if one.what == "void" else "wallet.used"
            facts = {"amount": plain(from_minor(one.amount_minor, grant.currency)), "currency": grant.currency}
            yield Change(kind, one.account_seq, one.grant_id, now, actor, facts, issuer=grant.issuer_seq)


def due_grants(connection: Connection, now: int, *, limit: int = 100) -> list[str]:
    """The ids of grants to which the clock did something that the ledger may not have, the longest waiting first."""
    query = select(wallet_grant.c.id).where(wallet_grant.c.next_at.is_not(None), wallet_grant.c.next_at <= now)
    return list(connection.execute(query.order_by(wallet_grant.c.next_at, wallet_grant.c.seq).limit(limit)).scalars())


def lock_grant(connection: Connection, id: str) -> StoredGrant:
    """A grant under its row's lock."""
    query = select(wallet_grant).where(wallet_grant.c.id == id)
    return stored_grant(connection.execute(query.with_for_update() if connection.dialect.name == "postgresql" else query).one())


def look_again(connection: Connection, stored: StoredGrant, at: int | None) -> None:
    """Note when the clock does something to a grant next (``None``: nothing any more)."""
    connection.execute(update(wallet_grant).where(wallet_grant.c.seq == stored.seq).values(next_at=at))


_grants = msgspec.json.Decoder(Grant)


def stored_grant(row: Any) -> StoredGrant:
    """A grant of a row of its table."""
    return StoredGrant(row.seq, row.account_seq, row.issuer_seq, row.currency, _grants.decode(row.body))
