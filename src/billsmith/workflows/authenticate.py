"""From what a caller shows to who it is: one place for every kind of credential and every face.

A wrong secret, an unknown id, an expired or revoked credential, a closed account: all are the same :class:`Unauthorized`, in
words and in time (secrets are looked up by their hash, so nothing is compared byte by byte).
"""

from __future__ import annotations

import hmac

from billsmith.accounts.authorisation import Credential, CredentialKind, Principal
from billsmith.accounts.model import AccountStatus
from billsmith.storage import credentials, openings
from billsmith.storage.database import Database
from billsmith.storage.openings import Opened
from billsmith.units.errors import Unauthorized
from billsmith.units.ids import parse_id
from billsmith.units.instants import SECOND
from billsmith.workflows.clock import Clock
from billsmith.workflows.credentials import new_token, secret_hash
from billsmith.workflows.limits import RateLimit

_MAX_SECRET = 512


class Authenticator:
    """Checks credentials against the store, and slows down those who guess."""

    def __init__(
        self, database: Database, clock: Clock, *, failures_per_minute: int = 600, tokens_per_minute: int = 120
    ) -> None:
        self._database = database
        self._clock = clock
        self._failures = RateLimit(failures_per_minute, "failed credentials", clock)
        self._tokens = RateLimit(tokens_per_minute, "tokens for one client", clock)

    def api_key(self, secret: str, address: str) -> Principal:
        """Who an api-key is."""
        self._failures.check(address)
        with self._database.read() as connection:
            found = openings.by_secret(connection, _hash(secret), self._clock())
            return self._principal(found, {CredentialKind.API_KEY}, address)

    def basic(self, user: str, secret: str, address: str) -> Principal:
        """Who a user name (the credential's id) and its secret are."""
        self._failures.check(address)
        with self._database.read() as connection:
            found = openings.by_secret(connection, _hash(secret), self._clock())
            if found is not None and not _same_id(found.credential, user):
                found = None
            return self._principal(found, {CredentialKind.BASIC}, address)

    def token(self, face: str, token: str, address: str) -> Principal:
        """Who a token of that face stands for."""
        self._failures.check(address)
        with self._database.read() as connection:
            found = openings.by_token(connection, _hash(token), face, self._clock())
            return self._principal(found, {CredentialKind.OAUTH_CLIENT}, address)

    def token_or_key(self, face: str, secret: str, address: str) -> Principal:
        """Who a Bearer is, where a face takes its own tokens and api-keys alike."""
        self._failures.check(address)
        now = self._clock()
        with self._database.read() as connection:
            kind = CredentialKind.OAUTH_CLIENT
            found = openings.by_token(connection, _hash(secret), face, now)
            if found is None:
                kind = CredentialKind.API_KEY
                found = openings.by_secret(connection, _hash(secret), now)
            return self._principal(found, {kind}, address)

    def client(self, client_id: str, secret: str, address: str) -> Principal:
        """Who an OAuth client is."""
        self._failures.check(address)
        with self._database.read() as connection:
            found = openings.by_secret(connection, _hash(secret), self._clock())
            if found is not None and not _same_id(found.credential, client_id):
                found = None
            return self._principal(found, {CredentialKind.OAUTH_CLIENT}, address)

    def grant_token(self, face: str, principal: Principal, *, lifetime: int) -> tuple[str, int]:
        """A token of a face for a client, ``lifetime`` nanoseconds long, and when it ends."""
        self._tokens.check(principal.credential_id)
        self._tokens.mark(principal.credential_id)
        now = self._clock()
        token = new_token()
        # Whole seconds: clients are told the end in seconds, and must not be told later than it is.
        expires_at = (now + lifetime) // SECOND * SECOND
        with self._database.write() as connection:
            credentials.add_token(connection, _hash(token), principal.credential_id, face, now=now, expires_at=expires_at)
        return token, expires_at

    def _principal(self, found: Opened | None, kinds: set[CredentialKind], address: str) -> Principal:
        if found is not None:
            credential, account = found
            opens = credential.kind in kinds and credential.counts_at(self._clock())
            if opens and account.status is AccountStatus.OPEN:
                return Principal(account=account, credential_id=credential.id, scopes=credential.scopes)
        self._failures.mark(address)
        raise Unauthorized("the credential is missing, wrong, expired or revoked", code="access.unauthorized")


def _hash(secret: str) -> str:
    return secret_hash(secret[:_MAX_SECRET])


def _same_id(credential: Credential, given: str) -> bool:
    return hmac.compare_digest(credential.id, parse_id(given[:64]) or "")
