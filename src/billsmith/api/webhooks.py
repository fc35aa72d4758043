"""``/v1/webhooks``: addresses that are told what changed at or below an account, signed, in order, at least once.

A message is sent by the server's jobs (or ``billsmith jobs run``); its attempts can be read. A secret is shown once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from billsmith.accounts.authorisation import Scope, require
from billsmith.api import cursors
from billsmith.api.lookups import account_of_field
from billsmith.api.operations import Made, Operation, QueryParameter, bound_to, limit_of, list_parameters
from billsmith.api.values import CLEAN, AccountName, Id, Instant, Text, instant_text, read_instant
from billsmith.storage import accounts, webhooks
from billsmith.storage.change_kinds import KINDS
from billsmith.storage.database import Connection
from billsmith.storage.upgrade import cursor_key
from billsmith.storage.webhooks import Webhook
from billsmith.units.instants import SECOND, format_instant
from billsmith.wire.face import Call
from billsmith.workflows import webhooks as workflow
from billsmith.workflows.webhooks import MAX_ROTATION_OVERLAP, MAX_URL, ROTATION_OVERLAP

Url = Annotated[
    str, msgspec.Meta(min_length=1, max_length=MAX_URL, examples=["https://shop.example/hooks"], extra_json_schema=CLEAN)
]
Kind = Annotated[str, msgspec.Meta(max_length=64, examples=["invoice.*"], extra_json_schema=CLEAN)]
Kinds = Annotated[tuple[Kind, ...], msgspec.Meta(max_length=len(KINDS))]
Overlap = Annotated[int, msgspec.Meta(ge=0, le=MAX_ROTATION_OVERLAP // SECOND)]


class WebhookCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new webhook. ``kinds`` are those of `/v1/changes`, or `invoice.*` for an area; none: all. It is told of what changes at
    or below ``account`` (the caller's) from now on."""

    url: Url
    kinds: Kinds = ()
    account: AccountName | None = None
    description: Text = ""


class WebhookUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given changes, the rest stays."""

    url: Url | None = None
    kinds: Kinds | None = None
    description: Text | None = None


class WebhookStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing needs to be said."""


class WebhookDisable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why it is told nothing any more."""

    reason: Text = ""


class WebhookRotate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long the secret before signs beside the new one."""

    overlap_seconds: Overlap = ROTATION_OVERLAP // SECOND


class WebhookReplay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From where: ``after`` a change, by its id, or ``since`` an instant."""

    after: Id | None = None
    since: Instant | None = None


class WebhookView(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook. ``failing_since`` is when what waits was first tried, ``due_at`` when it is tried next; ``reason`` says
    why one is disabled."""

    id: Id
    account_id: Id
    url: str
    description: str
    kinds: tuple[str, ...]
    state: str
    reason: str
    attempts: int
    failing_since: Instant | None
    due_at: Instant | None
    created_at: Instant


class WebhookWithSecret(WebhookView, frozen=True, kw_only=True):
    """A webhook whose secret was just made. When the request is repeated with its Idempotency-Key, the secret is not told
    again: ``secret_shown`` is false and ``secret`` is left out."""

    secret_shown: bool
    secret: str | UnsetType = UNSET


class WebhookPage(msgspec.Struct, frozen=True, kw_only=True):
    """Webhooks, oldest first, and the cursor of the next page (null: this is the last)."""

    items: list[WebhookView]
    next_cursor: str | None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt to tell of a change: the status of the answer (null: there was none), and what was wrong with it."""

    number: int
    change: Id
    kind: str
    at: Instant
    took_ms: int
    arrived: bool
    status: int | None
    code: str
    message: str


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts of the last thirty days, the last first; ``more`` says that there are others before the last one."""

    items: list[DeliveryView]
    more: bool


def list_webhooks(call: Call) -> WebhookPage:
    """``GET /v1/webhooks``."""
    limit, cursor, own = limit_of(call.parameters), call.parameters.text("cursor"), call.principal.account
    with call.services.database.read() as connection:
        secret = cursor_key(connection)
        after = None if cursor is None else webhooks.find(connection, cursors.read(secret, bound_to(call), cursor), own)
        found = webhooks.page(connection, own, after_seq=0 if after is None else after.seq, limit=limit + 1)
        items = [view(connection, each) for each in found[:limit]]
    more = len(found) > limit
    return WebhookPage(items=items, next_cursor=cursors.write(secret, bound_to(call), items[-1].id) if more else None)


def get_webhook(call: Call) -> WebhookView:
    """``GET /v1/webhooks/{webhook}``."""
    with call.services.database.read() as connection:
        return view(connection, _of_path(connection, call))


def list_deliveries(call: Call) -> DeliveryPage:
    """``GET /v1/webhooks/{webhook}/deliveries``."""
    limit = limit_of(call.parameters)
    with call.services.database.read() as connection:
        of = _of_path(connection, call)
        before = call.parameters.integer("before", low=1, high=2**62)
        found = webhooks.attempts(connection, of, before=before, limit=limit + 1)
    items = [
        DeliveryView(
            number=number,
            change=change,
            kind=kind,
            at=format_instant(attempt.at),
            took_ms=attempt.took_ms,
            arrived=attempt.arrived,
            status=attempt.status,
            code=attempt.code,
            message=attempt.message,
        )
        for number, attempt, change, kind in found[:limit]
    ]
    return DeliveryPage(items=items, more=len(found) > limit)


def create_webhook(connection: Connection, call: Call, body: WebhookCreate) -> Made:
    """``POST /v1/webhooks``. Who is told of changes sees them, so it takes the scope to read them."""
    require(call.principal, Scope.CHANGES_READ)
    made, secret = workflow.create(
        connection,
        account_of_field(connection, call.principal, body.account, "account"),
        url=body.url,
        kinds=body.kinds,
        description=body.description,
        sealer=call.services.sealer,
        now=call.services.clock(),
        actor=call.principal.actor,
    )
    shown = view(connection, made)
    return Made(_with_secret(shown, secret), f"/v1/webhooks/{made.id}", _with_secret(shown, None))


def update_webhook(connection: Connection, call: Call, body: WebhookUpdate) -> Made:
    """``PATCH /v1/webhooks/{webhook}``."""
    require(call.principal, Scope.CHANGES_READ)
    of = _of_path(connection, call)
    now, actor = call.services.clock(), call.principal.actor
    changed = workflow.update(
        connection, of, url=body.url, kinds=body.kinds, description=body.description, now=now, actor=actor
    )
    return Made(view(connection, changed))


def disable_webhook(connection: Connection, call: Call, body: WebhookDisable) -> Made:
    """``POST /v1/webhooks/{webhook}/disable``."""
    of = _of_path(connection, call)
    reason = body.reason or "somebody said so"
    return Made(
        view(connection, workflow.disable(connection, of, reason=reason, now=call.services.clock(), actor=call.principal.actor))
    )


def enable_webhook(connection: Connection, call: Call, _body: WebhookStep) -> Made:
    """``POST /v1/webhooks/{webhook}/enable``."""
    of = _of_path(connection, call)
    return Made(view(connection, workflow.enable(connection, of, now=call.services.clock(), actor=call.principal.actor)))


def rotate_webhook(connection: Connection, call: Call, body: WebhookRotate) -> Made:
    """``POST /v1/webhooks/{webhook}/rotate``. Who has the secret can speak in our name: it takes the scope to read changes."""
    require(call.principal, Scope.CHANGES_READ)
    changed, secret = workflow.rotate(
        connection,
        _of_path(connection, call),
        sealer=call.services.sealer,
        now=call.services.clock(),
        actor=call.principal.actor,
        overlap=body.overlap_seconds * SECOND,
    )
    shown = view(connection, changed)
    return Made(_with_secret(shown, secret), kept=_with_secret(shown, None))


def ask_for_test(connection: Connection, call: Call, _body: WebhookStep) -> Made:
    """``POST /v1/webhooks/{webhook}/test``."""
    of = _of_path(connection, call)
    workflow.ask_for_test(connection, of, now=call.services.clock(), actor=call.principal.actor)
    return Made(view(connection, of))


def replay_webhook(connection: Connection, call: Call, body: WebhookReplay) -> Made:
    """``POST /v1/webhooks/{webhook}/replay``."""
    of = _of_path(connection, call)
    since = read_instant(body.since, "since")
    place = workflow.place_of(connection, call.principal.account, after=body.after, since=since)
    moved = workflow.replay(connection, of, place, now=call.services.clock(), actor=call.principal.actor)
    return Made(view(connection, moved))


def view(connection: Connection, of: Webhook) -> WebhookView:
    """A webhook as it is shown: without its secret."""
    return WebhookView(
        id=of.id,
        account_id=accounts.by_seq(connection, of.account_seq).id,
        url=of.url,
        description=of.description,
        kinds=of.kinds,
        state=of.state,
        reason=of.reason,
        attempts=of.attempts,
        failing_since=instant_text(of.failing_since),
        due_at=format_instant(of.due_at) if of.attempts and of.state == webhooks.OPEN else None,
        created_at=format_instant(of.created_at),
    )


def _with_secret(shown: WebhookView, secret: str | None) -> WebhookWithSecret:
    return WebhookWithSecret(
        **msgspec.structs.asdict(shown),
        secret_shown=secret is not None,
        secret=UNSET if secret is None else secret,
    )


def _of_path(connection: Connection, call: Call) -> Webhook:
    return workflow.get(connection, call.path_values["webhook"], call.principal.account)


def _step(
    name: str,
    id: str,
    summary: str,
    body: type[msgspec.Struct],
    write: Callable[[Connection, Call, Any], Made],
    answer: type[msgspec.Struct] = WebhookView,
    example: Mapping[str, Any] = {},
) -> Operation:
    return Operation(
        method="POST",
        path=f"/v1/webhooks/{{webhook}}/{name}",
        id=id,
        tag="webhooks",
        summary=summary,
        scope=Scope.WEBHOOKS_WRITE,
        body=body,
        write=write,
        answer=answer,
        example=example,
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/webhooks",
        id="listWebhooks",
        tag="webhooks",
        summary="List webhooks of the account and of those below it",
        scope=Scope.WEBHOOKS_READ,
        query=list_parameters(),
        answer=WebhookPage,
        read=list_webhooks,
    ),
    Operation(
        method="POST",
        path="/v1/webhooks",
        id="createWebhook",
        tag="webhooks",
        summary="Have changes told to an address",
        description="Messages follow Standard Webhooks 1.0. The secret is in this answer and nowhere else. "
        "It also takes the scope `changes:read`.",
        scope=Scope.WEBHOOKS_WRITE,
        body=WebhookCreate,
        example={"url": "https://shop.example/hooks", "kinds": ["invoice.*", "payment.recorded"]},
        status=201,
        answer=WebhookWithSecret,
        write=create_webhook,
    ),
    Operation(
        method="GET",
        path="/v1/webhooks/{webhook}",
        id="getWebhook",
        tag="webhooks",
        summary="Get a webhook",
        scope=Scope.WEBHOOKS_READ,
        answer=WebhookView,
        read=get_webhook,
    ),
    Operation(
        method="PATCH",
        path="/v1/webhooks/{webhook}",
        id="updateWebhook",
        tag="webhooks",
        summary="Change a webhook's address, kinds or description",
        scope=Scope.WEBHOOKS_WRITE,
        body=WebhookUpdate,
        example={"kinds": ["invoice.*"]},
        answer=WebhookView,
        write=update_webhook,
    ),
    Operation(
        method="GET",
        path="/v1/webhooks/{webhook}/deliveries",
        id="listDeliveries",
        tag="webhooks",
        summary="List what was tried, the last first",
        scope=Scope.WEBHOOKS_READ,
        query=(
            list_parameters()[0],
            QueryParameter(
                name="before",
                description="Attempts before the one of this number.",
                schema={"type": "integer", "minimum": 1, "maximum": 2**62},
            ),
        ),
        answer=DeliveryPage,
        read=list_deliveries,
    ),
    _step("disable", "disableWebhook", "Tell a webhook nothing any more", WebhookDisable, disable_webhook),
    _step("enable", "enableWebhook", "Go on telling it, from where it stopped", WebhookStep, enable_webhook),
    _step("rotate", "rotateWebhook", "Give it a new secret", WebhookRotate, rotate_webhook, answer=WebhookWithSecret),
    _step("test", "testWebhook", "Have a test message sent in its turn", WebhookStep, ask_for_test),
    _step(
        "replay",
        "replayWebhook",
        "Tell it again what came after a change",
        WebhookReplay,
        replay_webhook,
        example={"since": "2026-10-01T00:00:00Z"},
    ),
)
