"""Credentials, their secrets' hashes, and tokens. No secret is kept, only what it hashes to.

What a secret or token opens is read by ``storage/openings.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from billsmith.accounts.authorisation import Credential, CredentialKind, parse_scopes
from billsmith.accounts.model import Account
from billsmith.storage import changes
from billsmith.storage.accounts import path_range
from billsmith.storage.changes import Change
from billsmith.storage.schema import account as account_table
from billsmith.storage.schema import credential as table
from billsmith.storage.schema import credential_secret as secret_table
from billsmith.storage.schema import token as token_table
from billsmith.units.ids import parse_id
from billsmith.units.instants import format_instant

_columns = select(table, account_table.c.id.label("account_id")).join_from(
    table, account_table, table.c.account_seq == account_table.c.seq
)


def add(connection: Connection, credential: Credential, account: Account, secret_hash: str, actor: str) -> None:
    """Keep a new credential and its secret's hash."""
    seq = connection.execute(
        insert(table)
        .values(
            id=credential.id,
            account_seq=account.seq,
            kind=credential.kind.value,
            label=credential.label,
            scopes=" ".join(sorted(scope.value for scope in credential.scopes)),
            created_at=credential.created_at,
            expires_at=credential.expires_at,
        )
        .returning(table.c.seq)
    ).scalar_one()
    connection.execute(insert(secret_table).values(hash=secret_hash, credential_seq=seq, created_at=credential.created_at))
    facts = {"kind": credential.kind.value, "scopes": sorted(scope.value for scope in credential.scopes)}
    changes.note(connection, Change("credential.created", account.seq, credential.id, credential.created_at, actor, facts))


def by_id(connection: Connection, id: str) -> Credential | None:
    """The credential with that id."""
    row = connection.execute(_columns.where(table.c.id == id)).first()
    return _credential(row) if row else None


def secrets_of(connection: Connection, credential_id: str, now: int) -> list[str]:
    """The hashes that open a credential now."""
    rows = connection.execute(
        select(secret_table.c.hash)
        .join(table, secret_table.c.credential_seq == table.c.seq)
        .where(table.c.id == credential_id, or_(secret_table.c.expires_at.is_(None), secret_table.c.expires_at > now))
    )
    return [row.hash for row in rows]


def below(
    connection: Connection, account: Account | None, *, after_seq: int = 0, limit: int = 1000
) -> list[tuple[int, Credential]]:
    """Credentials of the accounts at or below ``account`` (``None``: all), oldest first, each with the store's number."""
    query = _columns.where(table.c.seq > after_seq).order_by(table.c.seq).limit(limit)
    if account is not None:
        start, end = path_range(account.path)
        query = query.where(account_table.c.path >= start, account_table.c.path < end)
    return [(row.seq, _credential(row)) for row in connection.execute(query)]


def known_below(connection: Connection, account: Account, ids: Iterable[str]) -> set[str]:
    """Which of these ids are credentials of accounts at or below ``account``. What is no id is none."""
    start, end = path_range(account.path)
    wanted = {id for id in ids if parse_id(id) == id}
    query = select(table.c.id).join(account_table, table.c.account_seq == account_table.c.seq)
    rows = connection.execute(query.where(table.c.id.in_(wanted), account_table.c.path >= start, account_table.c.path < end))
    return {row.id for row in rows}


def of_account(connection: Connection, account: Account, *, after: str | None, limit: int) -> list[Credential]:
    """Credentials of one account, oldest first, those after the one with the id ``after``."""
    query = _columns.where(table.c.account_seq == account.seq).order_by(table.c.seq).limit(limit)
    if after is not None:
        query = query.where(table.c.seq > select(table.c.seq).where(table.c.id == after).scalar_subquery())
    return [_credential(row) for row in connection.execute(query)]


def rotate(connection: Connection, credential_id: str, secret_hash: str, now: int, old_until: int, actor: str) -> None:
    """Give a credential a new secret; the one before it opens until ``old_until``."""
    seq = _seq(connection, credential_id)
    connection.execute(
        update(secret_table)
        .where(
            secret_table.c.credential_seq == seq,
            or_(secret_table.c.expires_at.is_(None), secret_table.c.expires_at > old_until),
        )
        .values(expires_at=old_until)
    )
    connection.execute(insert(secret_table).values(hash=secret_hash, credential_seq=seq, created_at=now))
    facts = {"old_until": format_instant(old_until)}
    changes.note(connection, Change("credential.rotated", _account_seq(connection, seq), credential_id, now, actor, facts))


def revoke(connection: Connection, credential_id: str, now: int, actor: str = "command line") -> None:
    """End a credential and every token made with it, at once. Again: no change."""
    live = (table.c.id == credential_id) & table.c.revoked_at.is_(None)
    ended = connection.execute(update(table).where(live).values(revoked_at=now).returning(table.c.account_seq)).first()
    if ended is not None:
        changes.note(connection, Change("credential.revoked", ended.account_seq, credential_id, now, actor, {}))
    connection.execute(delete(token_table).where(token_table.c.credential_seq == _seq(connection, credential_id)))


def add_token(connection: Connection, token_hash: str, credential_id: str, face: str, *, now: int, expires_at: int) -> None:
    """Keep a token's hash, bound to one face; tokens that ran out go."""
    connection.execute(delete(token_table).where(token_table.c.expires_at <= now))
    connection.execute(
        insert(token_table).values(
            hash=token_hash,
            credential_seq=_seq(connection, credential_id),
            face=face,
            issued_at=now,
            expires_at=expires_at,
        )
    )


def seq_of(connection: Connection, credential_id: str) -> int:
    """The store's number of a credential."""
    return _seq(connection, credential_id)


def _seq(connection: Connection, credential_id: str) -> int:
    return int(connection.execute(select(table.c.seq).where(table.c.id == credential_id)).scalar_one())


def _account_seq(connection: Connection, seq: int) -> int:
    return int(connection.execute(select(table.c.account_seq).where(table.c.seq == seq)).scalar_one())


def _credential(row: Row[Any]) -> Credential:
    return Credential(
        id=row.id,
        account_id=row.account_id,
        kind=CredentialKind(row.kind),
        scopes=parse_scopes(row.scopes.split()),
        label=row.label,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
