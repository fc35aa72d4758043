"""``/v1/connections``: vendors whose invoices are pulled into the caller's account and those below it.

A pull takes minutes, so it is asked for here and done by the server's own schedule (or ``billsmith sync run --due``); its walks
tell how it went. A secret comes in and never goes out.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from billsmith.accounts.authorisation import Scope
from billsmith.accounts.model import check_currency
from billsmith.api import cursors
from billsmith.api.lookups import account_of_field
from billsmith.api.operations import Made, Operation, QueryParameter, bound_to, limit_of, list_parameters
from billsmith.api.values import CLEAN, AccountName, CurrencyCode, Id, Instant, ShortText, Text, instant_text
from billsmith.storage import accounts, sync, sync_connections
from billsmith.storage.database import Connection
from billsmith.storage.sync import Walk
from billsmith.storage.sync_connections import VendorConnection
from billsmith.storage.upgrade import cursor_key
from billsmith.units.errors import NotFound
from billsmith.units.instants import format_instant
from billsmith.wire.face import Call
from billsmith.workflows import connections as workflow
from billsmith.workflows.connections import MAX_EVERY, MAX_SECRET, MIN_EVERY, Secret

Vendor = Literal["acronis", "myreports", "hostway", "amberflo"]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, extra_json_schema=CLEAN)]
Url = Annotated[str, msgspec.Meta(max_length=500, examples=["https://cloud.example.com"], extra_json_schema=CLEAN)]
SecretText = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SECRET, extra_json_schema=CLEAN)]
Every = Annotated[int, msgspec.Meta(ge=MIN_EVERY, le=MAX_EVERY)]


class ConnectionCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new connection. ``account`` is ours with the vendor; ``url`` is the vendor's API; ``only`` limits it to some of the
    vendor's accounts or customers. The secret is stored sealed and is never shown."""

    vendor: Vendor
    name: Name
    secret: SecretText
    url: Url
    account: AccountName | None = None
    client_id: Text = ""
    user: Text = ""
    login_url: Url = ""
    refresh: bool = False
    only: Annotated[tuple[ShortText, ...], msgspec.Meta(max_length=1000)] = ()
    currency: CurrencyCode | None = None
    every_minutes: Every | None = None


class ConnectionStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing needs to be said."""


class SecretRenewal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The secret that the vendor gave in place of the old one; it is stored sealed and never shown."""

    secret: SecretText


class WalkView(msgspec.Struct, frozen=True, kw_only=True):
    """One pass over a vendor's list. Only a ``complete`` one saw and understood all of it; ``reason`` says why not."""

    id: Id
    state: str
    started_at: Instant
    ended_at: Instant | None
    since: str | None
    seen: int
    added: int
    moved: int
    unchanged: int
    set_aside: int
    disappeared: int
    accounts_made: int
    stated_total: int | None
    code: str
    reason: str


class ConnectionView(msgspec.Struct, frozen=True, kw_only=True):
    """A connection, without its secret. ``whole_at`` is when a walk last saw the whole list."""

    id: Id
    account_id: Id
    name: str
    vendor: str
    url: str
    every_minutes: int | None
    due_at: Instant | None
    created_at: Instant
    whole_at: Instant | None
    records: int
    problems: int
    last_walk: WalkView | None


class ConnectionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Connections, oldest first, and the cursor of the next page (null: this is the last)."""

    items: list[ConnectionView]
    next_cursor: str | None


class WalkPage(msgspec.Struct, frozen=True, kw_only=True):
    """Walks, newest first, and the cursor of the next page (null: this is the last)."""

    items: list[WalkView]
    next_cursor: str | None


class ProblemView(msgspec.Struct, frozen=True, kw_only=True):
    """A record that did not come in: its key at the vendor, where it stood, and why. It goes away once the record comes in."""

    place: str
    vendor_key: str | None
    path: str
    code: str
    message: str


class ProblemPage(msgspec.Struct, frozen=True, kw_only=True):
    """Problems by ``place``; ``more`` says that there are others after the last one."""

    items: list[ProblemView]
    more: bool


def list_connections(call: Call) -> ConnectionPage:
    """``GET /v1/connections``."""
    limit, cursor = limit_of(call.parameters), call.parameters.text("cursor")
    with call.services.database.read() as connection:
        secret, own = cursor_key(connection), call.principal.account
        after = None
        if cursor is not None:
            after = sync_connections.find(connection, cursors.read(secret, bound_to(call), cursor), own)
        found = sync_connections.page(connection, own, after=after, limit=limit + 1)
        items = [view(connection, each) for each in found[:limit]]
    more = len(found) > limit
    return ConnectionPage(items=items, next_cursor=cursors.write(secret, bound_to(call), items[-1].id) if more else None)


def get_connection(call: Call) -> ConnectionView:
    """``GET /v1/connections/{connection}``."""
    with call.services.database.read() as connection:
        return view(connection, of_path(connection, call))


def list_walks(call: Call) -> WalkPage:
    """``GET /v1/connections/{connection}/walks``."""
    limit, cursor = limit_of(call.parameters), call.parameters.text("cursor")
    with call.services.database.read() as connection:
        secret, of = cursor_key(connection), of_path(connection, call)
        before = None
        if cursor is not None:
            before = sync.walk_by_id(connection, of, cursors.read(secret, bound_to(call), cursor))
        found = sync.last_walks(connection, of, limit=limit + 1, before=None if before is None else before.seq)
    items = [walk_view(each) for each in found[:limit]]
    more = len(found) > limit
    return WalkPage(items=items, next_cursor=cursors.write(secret, bound_to(call), items[-1].id) if more else None)


def list_problems(call: Call) -> ProblemPage:
    """``GET /v1/connections/{connection}/problems``."""
    limit = limit_of(call.parameters)
    with call.services.database.read() as connection:
        of = of_path(connection, call)
        found = sync.problems(connection, of, after=call.parameters.text("after") or "", limit=limit + 1)
    return ProblemPage(
        items=[
            ProblemView(place=each.place, vendor_key=each.vendor_key, path=each.path, code=each.code, message=each.message)
            for each in found[:limit]
        ],
        more=len(found) > limit,
    )


def create_connection(connection: Connection, call: Call, body: ConnectionCreate) -> Made:
    """``POST /v1/connections``."""
    options: dict[str, Any] = {
        name: list(value) if name == "only" else value
        for name in ("url", "login_url", "client_id", "user", "refresh", "only", "currency")
        if (value := getattr(body, name))
    }
    if body.currency is not None:
        check_currency(body.currency)
    made = workflow.add(
        connection,
        account_of_field(connection, call.principal, body.account, "account"),
        name=body.name,
        vendor=body.vendor,
        options=options,
        secret=Secret(text=body.secret),
        sealer=call.services.sealer,
        now=call.services.clock(),
        actor=call.principal.actor,
        every_minutes=body.every_minutes,
    )
    return Made(view(connection, made), f"/v1/connections/{made.id}")


def run_connection(connection: Connection, call: Call, _body: ConnectionStep) -> Made:
    """``POST /v1/connections/{connection}/run``."""
    of = of_path(connection, call)
    sync_connections.ask(connection, of, call.services.clock(), call.principal.actor)
    return Made(view(connection, sync_connections.get(connection, of.id)))


def renew_secret(connection: Connection, call: Call, body: SecretRenewal) -> Made:
    """``POST /v1/connections/{connection}/secret``."""
    of = of_path(connection, call)
    new, services = Secret(text=body.secret), call.services
    workflow.renew(connection, of, new, services.sealer, now=services.clock(), actor=call.principal.actor)
    return Made(view(connection, sync_connections.get(connection, of.id)))


def remove_connection(connection: Connection, call: Call, _body: ConnectionStep) -> Made:
    """``POST /v1/connections/{connection}/remove``."""
    of = of_path(connection, call)
    shown = view(connection, of)
    sync_connections.remove(connection, of, call.services.clock(), call.principal.actor)
    return Made(shown)


def view(connection: Connection, of: VendorConnection) -> ConnectionView:
    """A connection as it is shown."""
    walks = sync.last_walks(connection, of, limit=1)
    whole = None if of.watermark_walk is None else sync.walk_of(connection, of.watermark_walk).ended_at
    return ConnectionView(
        id=of.id,
        account_id=accounts.by_seq(connection, of.account_seq).id,
        name=of.name,
        vendor=of.vendor,
        url=of.options["url"],
        every_minutes=of.every_minutes,
        due_at=instant_text(of.due_at),
        created_at=format_instant(of.created_at),
        whole_at=instant_text(whole),
        records=sync.count_records(connection, of),
        problems=sync.count_problems(connection, of),
        last_walk=walk_view(walks[0]) if walks else None,
    )


def walk_view(walk: Walk) -> WalkView:
    """A walk as it is shown."""
    counts = walk.counts
    return WalkView(
        id=walk.id,
        state=walk.state.value,
        started_at=format_instant(walk.started_at),
        ended_at=instant_text(walk.ended_at),
        since=None if walk.since is None else walk.since.isoformat(),
        seen=counts.seen,
        added=counts.added,
        moved=counts.moved,
        unchanged=counts.unchanged,
        set_aside=counts.set_aside,
        disappeared=counts.disappeared,
        accounts_made=counts.accounts_made,
        stated_total=walk.stated_total,
        code=walk.code,
        reason=walk.reason,
    )


def of_path(connection: Connection, call: Call) -> VendorConnection:
    """The connection that a path names, of an account at or below the caller's. Raises :class:`NotFound`, the same for
    another's and for none."""
    found = sync_connections.find(connection, call.path_values["connection"], call.principal.account)
    if found is None:
        raise NotFound("no such connection at or below this account", code="sync.unknown")
    return found


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/connections",
        id="listConnections",
        tag="connections",
        summary="List connections to vendors",
        scope=Scope.SYNC_READ,
        query=list_parameters(),
        answer=ConnectionPage,
        read=list_connections,
    ),
    Operation(
        method="POST",
        path="/v1/connections",
        id="createConnection",
        tag="connections",
        summary="Connect an account with a vendor",
        description="The secret is stored sealed with the server's key (BILLSMITH_SECRET_KEY); without a key it is refused.",
        scope=Scope.SYNC_WRITE,
        body=ConnectionCreate,
        example={
            "vendor": "amberflo",
            "name": "metering",
            "url": "https://app.amberflo.io",
            "secret": "api-key",
            "every_minutes": 60,
        },
        status=201,
        answer=ConnectionView,
        write=create_connection,
    ),
    Operation(
        method="GET",
        path="/v1/connections/{connection}",
        id="getConnection",
        tag="connections",
        summary="Read a connection",
        scope=Scope.SYNC_READ,
        answer=ConnectionView,
        read=get_connection,
    ),
    Operation(
        method="POST",
        path="/v1/connections/{connection}/run",
        id="runConnection",
        tag="connections",
        summary="Ask for a pull",
        description="It is due from now on; the server begins it within a minute. Its walk tells how it went.",
        scope=Scope.SYNC_WRITE,
        body=ConnectionStep,
        answer=ConnectionView,
        write=run_connection,
    ),
    Operation(
        method="POST",
        path="/v1/connections/{connection}/secret",
        id="renewConnectionSecret",
        tag="connections",
        summary="Give a connection another secret",
        description="What the connection pulled stays. The secret is stored sealed with the server's key.",
        scope=Scope.SYNC_WRITE,
        body=SecretRenewal,
        example={"secret": "api-key"},
        answer=ConnectionView,
        write=renew_secret,
    ),
    Operation(
        method="POST",
        path="/v1/connections/{connection}/remove",
        id="removeConnection",
        tag="connections",
        summary="Forget a connection, its secret and its walks",
        description="The invoices that it brought stay.",
        scope=Scope.SYNC_WRITE,
        body=ConnectionStep,
        answer=ConnectionView,
        write=remove_connection,
    ),
    Operation(
        method="GET",
        path="/v1/connections/{connection}/walks",
        id="listWalks",
        tag="connections",
        summary="List a connection's walks",
        scope=Scope.SYNC_READ,
        query=list_parameters(),
        answer=WalkPage,
        read=list_walks,
    ),
    Operation(
        method="GET",
        path="/v1/connections/{connection}/problems",
        id="listProblems",
        tag="connections",
        summary="List records that did not come in",
        scope=Scope.SYNC_READ,
        query=(
            list_parameters()[0],
            QueryParameter(
                name="after",
                description="The `place` of the last one on the page before.",
                schema={"type": "string", "minLength": 1, "maxLength": 300},
            ),
        ),
        answer=ProblemPage,
        read=list_problems,
    ),
)
