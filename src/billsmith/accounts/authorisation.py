"""The one rule of who may see and do what. Every face, the native API and every query go through it.

The rule in three sentences: a credential acts for its account, with its scopes and no others. It reaches accounts at or below
its own. It sees the invoices that its account issued and those issued to its account or to one below it; nothing else.

``storage`` spells the second and third sentence in SQL (a path prefix; issuer or recipient); a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from billsmith.accounts.model import Account
from billsmith.units.errors import Forbidden, Invalid


class Scope(StrEnum):
    """What a credential may do."""

    INVOICES_READ = "invoices:read"
    INVOICES_WRITE = "invoices:write"
    ACCOUNTS_READ = "accounts:read"
    ACCOUNTS_WRITE = "accounts:write"
    CREDENTIALS_WRITE = "credentials:write"
    EVENTS_WRITE = "events:write"
    USAGE_READ = "usage:read"
    USAGE_WRITE = "usage:write"
    BILLING_READ = "billing:read"
    BILLING_WRITE = "billing:write"
    SYNC_READ = "sync:read"
    SYNC_WRITE = "sync:write"
    CHANGES_READ = "changes:read"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"


ALL_SCOPES = frozenset(Scope)
#: What a key may do unless it was made with other scopes: read the account's invoices.
DEFAULT_SCOPES = frozenset({Scope.INVOICES_READ})


class CredentialKind(StrEnum):
    """How a caller shows who it is."""

    API_KEY = "api-key"
    OAUTH_CLIENT = "oauth-client"
    BASIC = "basic"
    USER = "user"


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A key to an account, without its secret: of that only a hash is kept."""

    id: str
    account_id: str
    kind: CredentialKind
    scopes: frozenset[Scope]
    label: str = ""
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None

    def counts_at(self, now: int) -> bool:
        """Whether it opens anything at that instant."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who is calling: an account, through a credential."""

    account: Account
    credential_id: str
    scopes: frozenset[Scope]

    @property
    def actor(self) -> str:
        """How history names the caller."""
        return f"credential:{self.credential_id}"


def require(principal: Principal, scope: Scope) -> None:
    """Raise :class:`Forbidden` unless the credential has the scope."""
    if scope not in principal.scopes:
        raise Forbidden(
            f"this credential lacks the scope {scope.value}; make one with `billsmith keys create … --scope {scope.value}`",
            code="access.scope",
        )


def may_reach(principal: Principal, target: Account) -> bool:
    """Whether an account lies at or below the caller's."""
    return target.is_at_or_below(principal.account)


def may_see_invoice(principal: Principal, issuer: Account, recipient: Account) -> bool:
    """Whether the caller may see an invoice between these two."""
    return Scope.INVOICES_READ in principal.scopes and (
        issuer.seq == principal.account.seq or recipient.is_at_or_below(principal.account)
    )


def may_change_invoice(principal: Principal, issuer: Account) -> bool:
    """Whether the caller may pay, void or otherwise move an invoice: whoever runs its issuer."""
    return Scope.INVOICES_WRITE in principal.scopes and may_reach(principal, issuer)


def check_grant(principal: Principal, target: Account, scopes: Iterable[Scope]) -> None:
    """A credential makes others only at or below its account, with no scope that it lacks. Raises :class:`Forbidden`."""
    require(principal, Scope.CREDENTIALS_WRITE)
    beyond = sorted(scope.value for scope in set(scopes) - principal.scopes)
    if beyond:
        raise Forbidden(f"this credential can't grant what it lacks: {', '.join(beyond)}", code="access.grant")
    if not may_reach(principal, target):
        raise Forbidden("that account does not lie at or below this credential's", code="access.grant")


def parse_scopes(words: Iterable[str]) -> frozenset[Scope]:
    """Read scopes by their words. Raises ``Invalid``.

    >>> sorted(parse_scopes(["invoices:read"]))
    [<Scope.INVOICES_READ: 'invoices:read'>]
    """
    scopes = set()
    for word in words:
        try:
            scopes.add(Scope(word))
        except ValueError:
            known = ", ".join(scope.value for scope in Scope)
            raise Invalid(
                f"{word[:40]!r} is not a scope; there are {known}", code="access.unknown_scope", where="scope"
            ) from None
    return frozenset(scopes)
