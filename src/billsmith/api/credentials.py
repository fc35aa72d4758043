"""``/v1/credentials``: keys of the caller's account and of those below it. A secret is shown once, when it is made."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from billsmith.accounts.authorisation import Credential, CredentialKind, Principal, Scope, check_grant, may_reach
from billsmith.accounts.model import Account
from billsmith.api import cursors
from billsmith.api.lookups import account_of_field
from billsmith.api.operations import Made, Operation, QueryParameter, bound_to, limit_of, list_parameters
from billsmith.api.values import AccountName, Id, Instant, Text, instant_text, read_instant
from billsmith.storage import accounts
from billsmith.storage import credentials as store
from billsmith.storage.database import Connection
from billsmith.storage.upgrade import cursor_key
from billsmith.units.errors import NotFound
from billsmith.units.ids import parse_id
from billsmith.units.instants import SECOND, format_instant
from billsmith.wire.face import Call
from billsmith.workflows import credentials as workflow
from billsmith.workflows.credentials import MAX_ROTATION_OVERLAP, ROTATION_OVERLAP

Kind = Literal["api-key", "oauth-client", "basic"]
Overlap = Annotated[int, msgspec.Meta(ge=0, le=MAX_ROTATION_OVERLAP // SECOND)]


class CredentialCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new credential, of the caller's account unless another is named. Its scopes are among the caller's own."""

    kind: Kind
    account: AccountName | None = None
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1, max_length=len(Scope))] = (Scope.INVOICES_READ,)
    label: Text = ""
    expires_at: Instant | None = None


class CredentialRotate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how many seconds the old secret opens beside the new one."""

    overlap_seconds: Overlap = ROTATION_OVERLAP // SECOND


class CredentialRevoke(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing needs to be said."""


class CredentialView(msgspec.Struct, frozen=True, kw_only=True):
    """A credential, without its secret."""

    id: Id
    account_id: Id
    kind: CredentialKind
    label: str
    scopes: list[Scope]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None


class CredentialWithSecret(CredentialView, frozen=True, kw_only=True):
    """A credential whose secret was just made. When the request is repeated with its Idempotency-Key, the secret is not told
    again: ``secret_shown`` is false and ``secret`` is left out."""

    secret_shown: bool
    secret: str | UnsetType = UNSET


class CredentialPage(msgspec.Struct, frozen=True, kw_only=True):
    """Credentials, oldest first, and the cursor of the next page (null: this is the last)."""

    items: list[CredentialView]
    next_cursor: str | None


def list_credentials(call: Call) -> CredentialPage:
    """``GET /v1/credentials``."""
    limit, cursor = limit_of(call.parameters), call.parameters.text("cursor")
    with call.services.database.read() as connection:
        secret = cursor_key(connection)
        account = account_of_field(connection, call.principal, call.parameters.text("account"), "account")
        after = None if cursor is None else cursors.read(secret, bound_to(call), cursor)
        found = store.of_account(connection, account, after=after, limit=limit + 1)
    more = len(found) > limit
    return CredentialPage(
        items=[view(each) for each in found[:limit]],
        next_cursor=cursors.write(secret, bound_to(call), found[limit - 1].id) if more else None,
    )


def get_credential(call: Call) -> CredentialView:
    """``GET /v1/credentials/{credential}``."""
    with call.services.database.read() as connection:
        return view(_of_path(connection, call)[0])


def create_credential(connection: Connection, call: Call, body: CredentialCreate) -> Made:
    """``POST /v1/credentials``."""
    account = account_of_field(connection, call.principal, body.account, "account")
    check_grant(call.principal, account, body.scopes)
    made, secret = workflow.create(
        connection,
        account,
        CredentialKind(body.kind),
        now=call.services.clock(),
        scopes=body.scopes,
        expires_at=read_instant(body.expires_at, "expires_at"),
        label=body.label,
        actor=call.principal.actor,
    )
    return Made(_with_secret(made, secret), f"/v1/credentials/{made.id}", _with_secret(made, None))


def rotate_credential(connection: Connection, call: Call, body: CredentialRotate) -> Made:
    """``POST /v1/credentials/{credential}/rotate``. A new secret is as good as a new credential, so the same rule holds."""
    credential, account = _of_path(connection, call)
    check_grant(call.principal, account, credential.scopes)
    overlap = body.overlap_seconds * SECOND
    secret = workflow.rotate(connection, credential, now=call.services.clock(), overlap=overlap, actor=call.principal.actor)
    return Made(_with_secret(credential, secret), kept=_with_secret(credential, None))


def revoke_credential(connection: Connection, call: Call, _body: CredentialRevoke) -> Made:
    """``POST /v1/credentials/{credential}/revoke``."""
    credential, _account = _of_path(connection, call)
    store.revoke(connection, credential.id, call.services.clock(), call.principal.actor)
    return Made(view(workflow.get(connection, credential.id)))


def view(credential: Credential) -> CredentialView:
    """A credential as it is shown."""
    return CredentialView(
        id=credential.id,
        account_id=credential.account_id,
        kind=credential.kind,
        label=credential.label,
        scopes=sorted(credential.scopes),
        created_at=format_instant(credential.created_at),
        expires_at=instant_text(credential.expires_at),
        revoked_at=instant_text(credential.revoked_at),
    )


def _with_secret(credential: Credential, secret: str | None) -> CredentialWithSecret:
    return CredentialWithSecret(
        **msgspec.structs.asdict(view(credential)),
        secret_shown=secret is not None,
        secret=UNSET if secret is None else secret,
    )


def _of_path(connection: Connection, call: Call) -> tuple[Credential, Account]:
    return _reachable(connection, call.principal, parse_id(call.path_values["credential"]))


def _reachable(connection: Connection, principal: Principal, id: str | None) -> tuple[Credential, Account]:
    """A credential of an account at or below the caller's. Raises :class:`NotFound`, the same for another's and for none."""
    credential = None if id is None else store.by_id(connection, id)
    account = None if credential is None else accounts.by_id(connection, credential.account_id)
    if credential is None or account is None or not may_reach(principal, account):
        raise NotFound("no such credential at or below this account", code="credential.unknown")
    return credential, account


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/credentials",
        id="listCredentials",
        tag="credentials",
        summary="List an account's credentials",
        scope=Scope.CREDENTIALS_WRITE,
        query=(
            *list_parameters(),
            QueryParameter(
                name="account",
                description="Whose: a UUID or an external id; the caller's account unless given.",
                schema={"type": "string", "minLength": 1, "maxLength": 128},
            ),
        ),
        answer=CredentialPage,
        read=list_credentials,
    ),
    Operation(
        method="POST",
        path="/v1/credentials",
        id="createCredential",
        tag="credentials",
        summary="Make a credential",
        description="The secret is in this answer and nowhere else. A user with a password is made on the command line.",
        scope=Scope.CREDENTIALS_WRITE,
        body=CredentialCreate,
        example={"kind": "api-key", "account": "acme", "label": "portal"},
        status=201,
        answer=CredentialWithSecret,
        write=create_credential,
    ),
    Operation(
        method="GET",
        path="/v1/credentials/{credential}",
        id="getCredential",
        tag="credentials",
        summary="Read a credential",
        scope=Scope.CREDENTIALS_WRITE,
        answer=CredentialView,
        read=get_credential,
    ),
    Operation(
        method="POST",
        path="/v1/credentials/{credential}/rotate",
        id="rotateCredential",
        tag="credentials",
        summary="Give a credential a new secret",
        description="The old secret opens for a while beside the new one: `overlap_seconds`, a day unless given.",
        scope=Scope.CREDENTIALS_WRITE,
        body=CredentialRotate,
        example={"overlap_seconds": 86400},
        answer=CredentialWithSecret,
        write=rotate_credential,
    ),
    Operation(
        method="POST",
        path="/v1/credentials/{credential}/revoke",
        id="revokeCredential",
        tag="credentials",
        summary="End a credential at once",
        description="Tokens made with it end too. Revoked already: no change.",
        scope=Scope.CREDENTIALS_WRITE,
        body=CredentialRevoke,
        answer=CredentialView,
        write=revoke_credential,
    ),
)
