"""``/v1/subscriptions``: who is on which plan, from when, and every change, dated back and ahead."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import msgspec

from billsmith.accounts.authorisation import Scope, may_reach
from billsmith.accounts.model import Account
from billsmith.api import cursors
from billsmith.api.lookups import account_of_field
from billsmith.api.operations import Made, Operation, QueryParameter, bound_to, limit_of, list_parameters
from billsmith.api.values import CLEAN, AccountName, Id, Instant, decimal_text, instant_text, read_instant
from billsmith.storage import accounts, subscriptions
from billsmith.storage.database import Connection
from billsmith.storage.subscriptions import Stored
from billsmith.storage.upgrade import cursor_key
from billsmith.subscriptions.subscription import ChangePlan, PlanRef
from billsmith.subscriptions.timeline import FOREVER, ends_at
from billsmith.units.errors import Forbidden, NotFound
from billsmith.units.ids import parse_id
from billsmith.units.instants import format_instant, local_date, start_of_day
from billsmith.wire.face import Call
from billsmith.wire.json import RawDecimal, exact
from billsmith.workflows import subscriptions as workflow
from billsmith.workflows.billing_cases import plan_at
from billsmith.workflows.new_ids import new_id
from billsmith.workflows.subscriptions import NewSubscription

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=128, extra_json_schema=CLEAN)]
Version = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Quantities = Annotated[dict[Code, RawDecimal], msgspec.Meta(max_length=200)]
Codes = Annotated[tuple[Code, ...], msgspec.Meta(max_length=50)]


class SubscriptionCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account goes on a plan. The issuer is the caller's account unless named; the account itself gets the invoices."""

    account: AccountName
    plan: Code
    version: Version | None = None
    catalog: Code | None = None
    issuer: AccountName | None = None
    recipient: AccountName | None = None
    starts_at: Instant | None = None
    quantities: Quantities = {}
    billing_day: Annotated[int, msgspec.Meta(ge=0, le=31)] = 0


class SubscriptionChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes, all from one instant on: now unless given, past or to come."""

    at: Instant | None = None
    plan: Code | None = None
    version: Version | None = None
    quantities: Quantities = {}
    add_ons: Codes = ()
    drop_add_ons: Codes = ()
    pause: bool = False
    resume: bool = False
    end_trial: bool = False


class SubscriptionCancel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When it ends: now unless given; with ``day_counts`` after that local day. A later call takes an earlier end back."""

    at: Instant | None = None
    day_counts: bool = False


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """A change: what, from when, and when it was recorded."""

    change: str
    at: Instant
    recorded_at: Instant
    detail: str


class SubscriptionView(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription as it is known now. ``plan`` is the one that it ends on; its history is in ``changes``."""

    id: Id
    issuer_id: Id
    account_id: Id
    recipient_id: Id
    catalog: str
    plan: str
    version: int
    starts_at: Instant
    ends_at: Instant | None
    time_zone: str
    quantities: dict[str, str]
    billing_day: int
    billed_until: Instant | None
    recorded_at: Instant
    changes: list[ChangeView]


class SubscriptionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Subscriptions, oldest first, and the cursor of the next page (null: this is the last)."""

    items: list[SubscriptionView]
    next_cursor: str | None


def list_subscriptions(call: Call) -> SubscriptionPage:
    """``GET /v1/subscriptions``."""
    limit, cursor = limit_of(call.parameters), call.parameters.text("cursor")
    with call.services.database.read() as connection:
        within = account_of_field(connection, call.principal, call.parameters.text("account"), "account")
        secret = cursor_key(connection)
        after = None
        if cursor is not None:
            after = subscriptions.by_id(connection, cursors.read(secret, bound_to(call), cursor))
        found = subscriptions.page(connection, within=within, after_seq=after.seq if after else 0, limit=limit + 1)
        items = _views(connection, found[:limit])
    last = found[limit - 1].subscription.id if len(found) > limit else None
    return SubscriptionPage(items=items, next_cursor=cursors.write(secret, bound_to(call), last) if last else None)


def get_subscription(call: Call) -> SubscriptionView:
    """``GET /v1/subscriptions/{subscription}``."""
    with call.services.database.read() as connection:
        return _views(connection, [_of_path(connection, call)])[0]


def create_subscription(connection: Connection, call: Call, body: SubscriptionCreate) -> Made:
    """``POST /v1/subscriptions``."""
    principal, now = call.principal, call.services.clock()
    account = account_of_field(connection, principal, body.account, "account")
    issuer = account_of_field(connection, principal, body.issuer, "issuer")
    zone = account.time_zone
    starts_at = read_instant(body.starts_at, "starts_at")
    made = workflow.create(
        connection,
        issuer,
        account,
        NewSubscription(
            plan=body.plan,
            version=body.version,
            catalog=body.catalog,
            starts_at=start_of_day(local_date(now, zone), zone) if starts_at is None else starts_at,
            quantities=_quantities(body.quantities),
            recipient=None if body.recipient is None else account_of_field(connection, principal, body.recipient, "recipient"),
            billing_day=body.billing_day,
        ),
        id=new_id(),
        now=now,
        actor=principal.actor,
    )
    return Made(_views(connection, [made])[0], f"/v1/subscriptions/{made.subscription.id}")


def change_subscription(connection: Connection, call: Call, body: SubscriptionChange) -> Made:
    """``POST /v1/subscriptions/{subscription}/changes``."""
    found, now = _changeable(connection, call), call.services.clock()
    at = read_instant(body.at, "at")
    changes = workflow.changes_of(
        connection,
        found,
        at=now if at is None else at,
        now=now,
        plan=body.plan,
        version=body.version,
        quantities=_quantities(body.quantities),
        add=body.add_ons,
        drop=body.drop_add_ons,
        pause=body.pause,
        resume=body.resume,
        end_trial=body.end_trial,
    )
    changed = workflow.change(connection, found, changes, call.principal.actor)
    return Made(_views(connection, [changed])[0])


def cancel_subscription(connection: Connection, call: Call, body: SubscriptionCancel) -> Made:
    """``POST /v1/subscriptions/{subscription}/cancel``."""
    found, now = _changeable(connection, call), call.services.clock()
    at = read_instant(body.at, "at")
    ended = workflow.cancel(
        connection, found, at=now if at is None else at, now=now, actor=call.principal.actor, day_counts=body.day_counts
    )
    return Made(_views(connection, [ended])[0])


def _of_path(connection: Connection, call: Call) -> Stored:
    """The subscription that the path names, of an account at or below the caller's. Raises :class:`NotFound`."""
    id = parse_id(call.path_values["subscription"])
    found = subscriptions.by_id(connection, id) if id is not None else None
    if found is None or not may_reach(call.principal, accounts.by_seq(connection, found.account_seq)):
        raise NotFound("no such subscription, or not one that this account may see", code="subscription.unknown")
    return found


def _changeable(connection: Connection, call: Call) -> Stored:
    found = _of_path(connection, call)
    if not may_reach(call.principal, accounts.by_seq(connection, found.issuer_seq)):
        raise Forbidden("only those who run its issuer change a subscription", code="access.not_issuer")
    return found


def _quantities(sent: dict[str, msgspec.Raw]) -> dict[str, Decimal]:
    return {name: exact(raw, f"quantities.{name}") for name, raw in sent.items()}


def _views(connection: Connection, found: list[Stored]) -> list[SubscriptionView]:
    seqs = {seq for each in found for seq in (each.issuer_seq, each.account_seq, each.recipient_seq)}
    people = accounts.by_seqs(connection, seqs)
    billed = subscriptions.billed(connection, [each.seq for each in found])
    return [_view(each, people, billed[each.seq][-1].mark.until if billed[each.seq] else None) for each in found]


def _view(found: Stored, people: dict[int, Account], billed_until: int | None) -> SubscriptionView:
    subscription = found.subscription
    plan, end = plan_at(subscription, FOREVER), ends_at(subscription)
    return SubscriptionView(
        id=subscription.id,
        issuer_id=people[found.issuer_seq].id,
        account_id=people[found.account_seq].id,
        recipient_id=people[found.recipient_seq].id,
        catalog=found.catalog,
        plan=plan.code,
        version=plan.version,
        starts_at=format_instant(subscription.starts_at),
        ends_at=None if end == FOREVER else format_instant(end),
        time_zone=subscription.zone,
        quantities={name: decimal_text(value) or "0" for name, value in subscription.quantities.items()},
        billing_day=subscription.billing_day,
        billed_until=instant_text(billed_until),
        recorded_at=format_instant(subscription.recorded_at),
        changes=[
            ChangeView(
                change=str(each.__struct_config__.tag),
                at=format_instant(each.at),
                recorded_at=format_instant(each.recorded_at),
                detail=_detail(each),
            )
            for each in subscription.changes
        ],
    )


def _detail(change: Any) -> str:
    if isinstance(change, ChangePlan):
        return _reference(change.plan)
    said = {name: getattr(change, name) for name in change.__struct_fields__ if name not in ("at", "recorded_at")}
    return ", ".join(f"{name}: {_reference(value) if isinstance(value, PlanRef) else value}" for name, value in said.items())


def _reference(plan: PlanRef) -> str:
    return f"{plan.code} version {plan.version}"


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/subscriptions",
        id="listSubscriptions",
        tag="subscriptions",
        summary="List subscriptions",
        scope=Scope.BILLING_READ,
        query=(
            *list_parameters(),
            QueryParameter(
                name="account",
                description="Only those of this account and below it: a UUID or an external id.",
                schema={"type": "string", "minLength": 1, "maxLength": 128},
            ),
        ),
        answer=SubscriptionPage,
        read=list_subscriptions,
    ),
    Operation(
        method="POST",
        path="/v1/subscriptions",
        id="createSubscription",
        tag="subscriptions",
        summary="Put an account on a plan",
        scope=Scope.BILLING_WRITE,
        body=SubscriptionCreate,
        example={"account": "acme", "plan": "starter", "quantities": {"seats": "5"}},
        status=201,
        answer=SubscriptionView,
        write=create_subscription,
    ),
    Operation(
        method="GET",
        path="/v1/subscriptions/{subscription}",
        id="getSubscription",
        tag="subscriptions",
        summary="Get a subscription",
        scope=Scope.BILLING_READ,
        answer=SubscriptionView,
        read=get_subscription,
    ),
    Operation(
        method="POST",
        path="/v1/subscriptions/{subscription}/changes",
        id="changeSubscription",
        tag="subscriptions",
        summary="Change a subscription",
        description="What was billed already is set right on the next invoice.",
        scope=Scope.BILLING_WRITE,
        body=SubscriptionChange,
        example={"quantities": {"seats": "8"}, "at": "2027-01-11T00:00:00Z"},
        answer=SubscriptionView,
        write=change_subscription,
    ),
    Operation(
        method="POST",
        path="/v1/subscriptions/{subscription}/cancel",
        id="cancelSubscription",
        tag="subscriptions",
        summary="End a subscription",
        scope=Scope.BILLING_WRITE,
        body=SubscriptionCancel,
        example={"at": "2026-12-31T00:00:00Z"},
        answer=SubscriptionView,
        write=cancel_subscription,
    ),
)
