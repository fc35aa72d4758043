"""``/v1/accounts``: the caller's account and those below it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from billsmith.accounts.authorisation import Principal, Scope
from billsmith.accounts.model import MAX_EXTERNAL_ID, MAX_NAME, Account, AccountStatus, Profile
from billsmith.api import cursors
from billsmith.api.lookups import account_of_field, account_of_path
from billsmith.api.operations import Made, Operation, QueryParameter, bound_to, limit_of, list_parameters
from billsmith.api.values import CLEAN, AccountName, CurrencyCode, Id, Instant, ShortText, Text
from billsmith.storage import accounts
from billsmith.storage.database import Connection
from billsmith.storage.upgrade import cursor_key
from billsmith.units.errors import Forbidden, Invalid
from billsmith.units.instants import format_instant
from billsmith.wire.face import Call
from billsmith.workflows.close_account import close
from billsmith.workflows.new_ids import new_id

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME, extra_json_schema=CLEAN)]
ExternalId = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_EXTERNAL_ID, extra_json_schema=CLEAN)]
Country = Annotated[str, msgspec.Meta(pattern="^([A-Z]{2})?$", description="ISO 3166, two letters.")]
TaxIds = Annotated[tuple[ShortText, ...], msgspec.Meta(max_length=20)]


class AccountProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands on documents about an account. In a change, a field that is not given stays as it is."""

    line1: Text | UnsetType = UNSET
    line2: Text | UnsetType = UNSET
    city: Text | UnsetType = UNSET
    region: Text | UnsetType = UNSET
    postal_code: ShortText | UnsetType = UNSET
    country: Country | UnsetType = UNSET
    tax_ids: TaxIds | UnsetType = UNSET
    email: Text | UnsetType = UNSET
    language: ShortText | UnsetType = UNSET
    billing_entity: Text | UnsetType = UNSET


class AccountCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new account. Currency and time zone are its parent's unless given; the parent is the caller's account unless named."""

    name: Name
    external_id: ExternalId | None = None
    parent: AccountName | None = None
    currency: CurrencyCode | None = None
    time_zone: ShortText | None = None
    profile: AccountProfile = AccountProfile()


class AccountUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes. Issued invoices keep what they say."""

    name: Name | UnsetType = UNSET
    external_id: ExternalId | UnsetType = UNSET
    currency: CurrencyCode | UnsetType = UNSET
    time_zone: ShortText | UnsetType = UNSET
    profile: AccountProfile | UnsetType = UNSET


class AccountClose(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing needs to be said."""


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """An account. ``parent_id`` is null for the caller's own."""

    id: Id
    parent_id: Id | None
    external_id: str
    name: str
    status: AccountStatus
    currency: CurrencyCode
    time_zone: str
    profile: AccountProfile
    created_at: Instant
    updated_at: Instant


class AccountPage(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts, one above another first, and the cursor of the next page (null: this is the last)."""

    items: list[AccountView]
    next_cursor: str | None


def list_accounts(call: Call) -> AccountPage:
    """``GET /v1/accounts``."""
    limit, cursor = limit_of(call.parameters), call.parameters.text("cursor")
    parent_name = call.parameters.text("parent")
    with call.services.database.read() as connection:
        secret = cursor_key(connection)
        after = None
        if cursor is not None:
            after = accounts.by_id(connection, cursors.read(secret, bound_to(call), cursor))
        if parent_name is None:
            found = accounts.tree_page(connection, call.principal.account, after=after, limit=limit + 1)
        else:
            parent = account_of_field(connection, call.principal, parent_name, "parent")
            found = accounts.children_page(connection, parent, after=after, limit=limit + 1)
    more = len(found) > limit
    return AccountPage(
        items=[view(each, call.principal) for each in found[:limit]],
        next_cursor=cursors.write(secret, bound_to(call), found[limit - 1].id) if more else None,
    )


def get_account(call: Call) -> AccountView:
    """``GET /v1/accounts/{account}``."""
    with call.services.database.read() as connection:
        return view(account_of_path(connection, call.principal, call.path_values["account"]), call.principal)


def create_account(connection: Connection, call: Call, body: AccountCreate) -> Made:
    """``POST /v1/accounts``."""
    made = accounts.create(
        connection,
        id=new_id(),
        name=body.name,
        now=call.services.clock(),
        actor=call.principal.actor,
        parent=account_of_field(connection, call.principal, body.parent, "parent"),
        external_id=body.external_id,
        currency=body.currency,
        time_zone=body.time_zone,
        profile=_merged(Profile(), body.profile),
    )
    return Made(view(made, call.principal), f"/v1/accounts/{made.id}")


def update_account(connection: Connection, call: Call, body: AccountUpdate) -> Made:
    """``PATCH /v1/accounts/{account}``. An account's external id is its parent's word for it: it can't change its own."""
    account = account_of_path(connection, call.principal, call.path_values["account"])
    values: dict[str, Any] = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not UNSET}
    if not values:
        raise Invalid("nothing to change is given", code="account.no_change")
    if "external_id" in values:
        _check_below(call.principal, account, "its external id is changed from above")
    if body.profile is not UNSET:
        values["profile"] = _merged(account.profile, body.profile)
    changed = accounts.change(connection, account, now=call.services.clock(), actor=call.principal.actor, **values)
    return Made(view(changed, call.principal))


def close_account(connection: Connection, call: Call, _body: AccountClose) -> Made:
    """``POST /v1/accounts/{account}/close``. Nobody closes the account that it acts for."""
    account = account_of_path(connection, call.principal, call.path_values["account"])
    _check_below(call.principal, account, "it is closed from above")
    return Made(view(close(connection, account, now=call.services.clock(), actor=call.principal.actor), call.principal))


def view(account: Account, principal: Principal) -> AccountView:
    """An account as the caller sees it: what stands above its own is not its business."""
    return AccountView(
        id=account.id,
        parent_id=None if account.seq == principal.account.seq else account.parent_id,
        external_id=account.external_id,
        name=account.name,
        status=account.status,
        currency=account.currency,
        time_zone=account.time_zone,
        profile=AccountProfile(**msgspec.structs.asdict(account.profile)),
        created_at=format_instant(account.created_at),
        updated_at=format_instant(account.updated_at),
    )


def _check_below(principal: Principal, account: Account, why: str) -> None:
    if account.seq == principal.account.seq:
        raise Forbidden(f"this is the account that the credential acts for; {why}", code="account.own")


def _merged(profile: Profile, given: AccountProfile) -> Profile:
    fields = {name: value for name, value in msgspec.structs.asdict(given).items() if value is not UNSET}
    return msgspec.structs.replace(profile, **fields)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/accounts",
        id="listAccounts",
        tag="accounts",
        summary="List the caller's account and those below it",
        description="In the tree's order: an account comes before those below it. With `parent`, its direct children, oldest "
        "first.",
        scope=Scope.ACCOUNTS_READ,
        query=(
            *list_parameters(),
            QueryParameter(
                name="parent",
                description="Only the direct children of this account (a UUID or an external id).",
                schema={"type": "string", "minLength": 1, "maxLength": 128},
            ),
        ),
        answer=AccountPage,
        read=list_accounts,
    ),
    Operation(
        method="POST",
        path="/v1/accounts",
        id="createAccount",
        tag="accounts",
        summary="Make an account below the caller's",
        description="A root account is made on the command line only.",
        scope=Scope.ACCOUNTS_WRITE,
        body=AccountCreate,
        example={"name": "Acme", "external_id": "acme", "profile": {"country": "NL"}},
        status=201,
        answer=AccountView,
        write=create_account,
    ),
    Operation(
        method="GET",
        path="/v1/accounts/{account}",
        id="getAccount",
        tag="accounts",
        summary="Read an account",
        scope=Scope.ACCOUNTS_READ,
        answer=AccountView,
        read=get_account,
    ),
    Operation(
        method="PATCH",
        path="/v1/accounts/{account}",
        id="updateAccount",
        tag="accounts",
        summary="Change an account",
        scope=Scope.ACCOUNTS_WRITE,
        body=AccountUpdate,
        example={"profile": {"email": "billing@acme.example"}},
        answer=AccountView,
        write=update_account,
    ),
    Operation(
        method="POST",
        path="/v1/accounts/{account}/close",
        id="closeAccount",
        tag="accounts",
        summary="Close an account",
        description="Its credentials stop to count at once; its invoices stay. Closed already: no change.",
        scope=Scope.ACCOUNTS_WRITE,
        body=AccountClose,
        answer=AccountView,
        write=close_account,
    ),
)
