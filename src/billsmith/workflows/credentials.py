"""Making, rotating and revoking credentials. A secret is shown once, at its making; only its hash is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable

import argon2

from billsmith.accounts.authorisation import DEFAULT_SCOPES, Credential, CredentialKind, Scope
from billsmith.accounts.model import Account, AccountStatus, check_text
from billsmith.storage import credentials as store
from billsmith.storage.database import Connection
from billsmith.units.errors import Conflict, Invalid, NotFound
from billsmith.units.ids import format_id
from billsmith.units.instants import DAY, HOUR

#: How long an old secret opens beside the new one, unless told otherwise.
ROTATION_OVERLAP = 24 * HOUR
MAX_ROTATION_OVERLAP = 90 * DAY

_MIN_PASSWORD = 12
_passwords = argon2.PasswordHasher()


def create(
    connection: Connection,
    account: Account,
    kind: CredentialKind,
    *,
    now: int,
    scopes: Iterable[Scope] = DEFAULT_SCOPES,
    expires_at: int | None = None,
    label: str = "",
    password: str | None = None,
    actor: str = "command line",
) -> tuple[Credential, str]:
    """A new credential of an account, and its secret (for a user: the password that was given).

    Raises :class:`Invalid`: an expiry that has passed, no scope, a password that is too short; :class:`Conflict` for an account
    that is closed.
    """
    if account.status is AccountStatus.CLOSED:
        raise Conflict(f"{account.name!r} is closed; it gets no more keys", code="account.closed")
    if expires_at is not None and expires_at <= now:
        raise Invalid("the expiry has passed already", code="credential.expired", where="expires")
    granted = frozenset(scopes)
    if not granted:
        raise Invalid("a credential needs at least one scope", code="credential.no_scope", where="scope")
    credential = Credential(
        id=format_id(secrets.token_bytes(16)),
        account_id=account.id,
        kind=kind,
        scopes=granted,
        label=check_text(label, "label", 200, empty=True),
        created_at=now,
        expires_at=expires_at,
    )
    secret, digest = _secret_of(kind, password)
    store.add(connection, credential, account, digest, actor)
    return credential, secret


def rotate(
    connection: Connection,
    credential: Credential,
    *,
    now: int,
    overlap: int = ROTATION_OVERLAP,
    actor: str = "command line",
) -> str:
    """A new secret for a credential; the old one opens for ``overlap`` nanoseconds more."""
    if credential.revoked_at is not None:
        raise Conflict("this credential was revoked; make a new one", code="credential.revoked")
    if credential.kind is CredentialKind.USER:
        raise Invalid("a user's password is set anew, not rotated", code="credential.not_rotatable")
    if not 0 <= overlap <= MAX_ROTATION_OVERLAP:
        raise Invalid("the overlap is between zero and ninety days", code="credential.overlap", where="overlap")
    secret, digest = _secret_of(credential.kind, None)
    store.rotate(connection, credential.id, digest, now, now + overlap, actor)
    return secret


def get(connection: Connection, id: str) -> Credential:
    """A credential by its id. Raises :class:`NotFound`."""
    found = store.by_id(connection, id)
    if found is None:
        raise NotFound("no such credential; `billsmith keys list` shows them all", code="credential.unknown")
    return found


def secret_hash(secret: str) -> str:
    """What is kept of a high-entropy secret: its SHA-256. (A slow hash protects only what can be guessed.)"""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def password_matches(digest: str, password: str) -> bool:
    """Whether a password has that argon2 hash."""
    try:
        return _passwords.verify(digest, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def new_token() -> str:
    """A token of 256 random bits."""
    return secrets.token_urlsafe(32)


def _secret_of(kind: CredentialKind, password: str | None) -> tuple[str, str]:
    if kind is CredentialKind.USER:
        if password is None or len(password) < _MIN_PASSWORD:
            raise Invalid(
                f"a user needs a password of at least {_MIN_PASSWORD} characters", code="credential.password", where="password"
            )
        return password, _passwords.hash(password)
    if password is not None:
        raise Invalid("only a user has a password; other kinds get a secret", code="credential.password", where="password")
    secret = f"bs_{secrets.token_urlsafe(32)}"
    return secret, secret_hash(secret)
