"""What a secret or a token opens: the credential and its account, by one statement. Every request begins with it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from billsmith.accounts.authorisation import Credential, CredentialKind, Scope, parse_scopes
from billsmith.accounts.model import Account, AccountStatus, Profile
from billsmith.storage.account_ids import id_text
from billsmith.storage.database import Connection
from billsmith.storage.direct import Direct

_OPENED = """
SELECT c.id, c.kind, c.scopes, c.label, c.created_at, c.expires_at, c.revoked_at,
       a.seq, a.id, p.id, a.path, a.external_id, a.name, a.status, a.currency, a.time_zone, a.profile,
       a.created_at, a.updated_at
FROM {table} s
JOIN credential c ON c.seq = s.credential_seq
JOIN account a ON a.seq = c.account_seq
LEFT JOIN account p ON p.seq = a.parent_seq
WHERE s.hash = ? AND {condition}
"""
_BY_SECRET = _OPENED.format(table="credential_secret", condition="(s.expires_at IS NULL OR s.expires_at > ?)")
_BY_TOKEN = _OPENED.format(table="token", condition="s.expires_at > ? AND s.face = ?")


class Opened(NamedTuple):
    """A credential, and whose it is."""

    credential: Credential
    account: Account


def by_secret(connection: Connection, secret_hash: str, now: int) -> Opened | None:
    """What a secret's hash opens now."""
    return _opened(Direct(connection).row(_BY_SECRET, (secret_hash, now)))


def by_token(connection: Connection, token_hash: str, face: str, now: int) -> Opened | None:
    """What a token of that face opens, while it has not run out."""
    return _opened(Direct(connection).row(_BY_TOKEN, (token_hash, now, face)))


def _opened(row: tuple[Any, ...] | None) -> Opened | None:
    if row is None:
        return None
    (
        id, kind, scopes, label, created_at, expires_at, revoked_at,
        seq, account_id, parent_id, path, external_id, name, status, currency, time_zone, profile, made_at, updated_at,
    ) = row  # fmt: skip
    account = Account(
        seq=seq,
        id=id_text(account_id),
        parent_id=None if parent_id is None else id_text(parent_id),
        path=path,
        external_id=external_id,
        name=name,
        status=AccountStatus(status),
        currency=currency,
        time_zone=time_zone,
        profile=_profile(profile),
        created_at=made_at,
        updated_at=updated_at,
    )
    credential = Credential(
        id=id_text(id),
        account_id=account.id,
        kind=CredentialKind(kind),
        scopes=_scopes(scopes),
        label=label,
        created_at=created_at,
        expires_at=expires_at,
        revoked_at=revoked_at,
    )
    return Opened(credential, account)


@lru_cache(maxsize=1024)
def _profile(text: str) -> Profile:
    return msgspec.json.decode(text, type=Profile)


@lru_cache(maxsize=256)
def _scopes(text: str) -> frozenset[Scope]:
    return parse_scopes(text.split())
