"""``/v1/wallets``: credit bought or given, and what is left of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from billsmith.accounts.authorisation import Scope, may_reach
from billsmith.api.lookups import account_of_field
from billsmith.api.operations import Made, Operation, QueryParameter
from billsmith.api.subscriptions import Codes
from billsmith.api.values import AccountName, Amount, CurrencyCode, Id, Instant, instant_text, read_instant
from billsmith.ledger.wallets import Grant
from billsmith.storage import accounts, agreements
from billsmith.storage.agreements import StoredGrant
from billsmith.storage.database import Connection
from billsmith.units.errors import Forbidden, NotFound
from billsmith.units.ids import parse_id
from billsmith.units.instants import format_instant
from billsmith.units.rounding import plain
from billsmith.wire.face import Call
from billsmith.wire.json import RawDecimal, exact
from billsmith.workflows import wallets as workflow
from billsmith.workflows.new_ids import new_id
from billsmith.workflows.wallets import Balance

Every = Literal["day", "week", "month", "quarter", "year"]


class GrantCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credit for an account at or below the issuer (the caller's account unless named), in the account's currency unless given.

    ``every``: it is filled up again then, carrying over at most ``rollover`` of the rest. ``paid``: money was received for it
    (each time). The lowest ``priority`` is used first. ``only`` names the meters and fees that it pays.
    """

    account: AccountName
    amount: RawDecimal
    issuer: AccountName | None = None
    currency: CurrencyCode | None = None
    paid: bool = True
    priority: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 50
    effective_at: Instant | None = None
    expires_at: Instant | None = None
    only: Codes = ()
    every: Every | None = None
    rollover: RawDecimal | UnsetType = UNSET


class GrantVoid(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing needs to be said."""


class GrantView(msgspec.Struct, frozen=True, kw_only=True):
    """A grant, and what is ``left`` of it now."""

    id: Id
    issuer_id: Id
    account_id: Id
    amount: Amount
    left: Amount
    currency: CurrencyCode
    paid: bool
    priority: int
    every: str | None
    rollover: Amount
    only: list[str]
    effective_at: Instant
    expires_at: Instant | None
    voided_at: Instant | None


class GrantList(msgspec.Struct, frozen=True, kw_only=True):
    """An account's grants, oldest first."""

    items: list[GrantView]


def list_grants(call: Call) -> GrantList:
    """``GET /v1/wallets``."""
    with call.services.database.read() as connection:
        holder = account_of_field(connection, call.principal, call.parameters.text("account"), "account")
        found = workflow.balances(connection, None, holder, call.services.clock())
        return GrantList(items=[_view(connection, each) for each in found])


def get_grant(call: Call) -> GrantView:
    """``GET /v1/wallets/{grant}``."""
    with call.services.database.read() as connection:
        found = _of_path(connection, call)
        return _view(connection, workflow.balance(connection, found, call.services.clock()))


def create_grant(connection: Connection, call: Call, body: GrantCreate) -> Made:
    """``POST /v1/wallets``."""
    now = call.services.clock()
    holder = account_of_field(connection, call.principal, body.account, "account")
    issuer = account_of_field(connection, call.principal, body.issuer, "issuer")
    effective_at = read_instant(body.effective_at, "effective_at")
    begins = now if effective_at is None else effective_at
    new = Grant(
        id=new_id(),
        amount=exact(body.amount, "amount"),
        priority=body.priority,
        effective_at=begins,
        expires_at=read_instant(body.expires_at, "expires_at"),
        scope=frozenset(body.only),
        paid=body.paid,
        recurrence=workflow.every(body.every, begins, holder.time_zone),
        rollover=Decimal(0) if isinstance(body.rollover, UnsetType) else exact(body.rollover, "rollover"),
    )
    currency = body.currency or holder.currency
    stored = workflow.give(connection, issuer, holder, new, currency, now=now, actor=call.principal.actor)
    return Made(_view(connection, workflow.balance(connection, stored, now)), f"/v1/wallets/{new.id}")


def void_grant(connection: Connection, call: Call, _body: GrantVoid) -> Made:
    """``POST /v1/wallets/{grant}/void``."""
    found = _of_path(connection, call)
    if not may_reach(call.principal, accounts.by_seq(connection, found.issuer_seq)):
        raise Forbidden("only those who run its issuer take a grant back", code="access.not_issuer")
    now = call.services.clock()
    return Made(_view(connection, workflow.take_back(connection, found, now=now, actor=call.principal.actor)))


def _of_path(connection: Connection, call: Call) -> StoredGrant:
    id = parse_id(call.path_values["grant"])
    found = agreements.grant(connection, id) if id is not None else None
    if found is None or not may_reach(call.principal, accounts.by_seq(connection, found.account_seq)):
        raise NotFound("no such grant, or not one that this account may see", code="wallet.unknown")
    return found


def _view(connection: Connection, found: Balance) -> GrantView:
    stored, grant = found.stored, found.stored.grant
    return GrantView(
        id=grant.id,
        issuer_id=accounts.by_seq(connection, stored.issuer_seq).id,
        account_id=accounts.by_seq(connection, stored.account_seq).id,
        amount=plain(grant.amount),
        left=plain(found.left),
        currency=stored.currency,
        paid=grant.paid,
        priority=grant.priority,
        every=None if grant.recurrence is None else grant.recurrence.interval.unit.value,
        rollover=plain(grant.rollover),
        only=sorted(grant.scope),
        effective_at=format_instant(grant.effective_at),
        expires_at=instant_text(grant.expires_at),
        voided_at=instant_text(found.voided_at),
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/wallets",
        id="listGrants",
        tag="wallets",
        summary="List an account's grants",
        scope=Scope.BILLING_READ,
        query=(
            QueryParameter(
                name="account",
                description="Whose: a UUID or an external id (the caller's account).",
                schema={"type": "string", "minLength": 1, "maxLength": 128},
            ),
        ),
        answer=GrantList,
        read=list_grants,
    ),
    Operation(
        method="POST",
        path="/v1/wallets",
        id="createGrant",
        tag="wallets",
        summary="Grant credit",
        description="The next invoices use it up before anything is to be paid.",
        scope=Scope.BILLING_WRITE,
        body=GrantCreate,
        example={"account": "acme", "amount": "250.00"},
        status=201,
        answer=GrantView,
        write=create_grant,
    ),
    Operation(
        method="GET",
        path="/v1/wallets/{grant}",
        id="getGrant",
        tag="wallets",
        summary="Get a grant",
        scope=Scope.BILLING_READ,
        answer=GrantView,
        read=get_grant,
    ),
    Operation(
        method="POST",
        path="/v1/wallets/{grant}/void",
        id="voidGrant",
        tag="wallets",
        summary="Take back what is left of a grant",
        description="Void already: no change.",
        scope=Scope.BILLING_WRITE,
        body=GrantVoid,
        answer=GrantView,
        write=void_grant,
    ),
)
