"""Subscriptions: begun, changed (from any instant, past or to come) and ended. Nothing that was recorded is edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from billsmith.accounts.model import Account, AccountStatus
from billsmith.catalog.price import Price
from billsmith.storage import accounts, catalogs, subscriptions
from billsmith.storage.database import Connection
from billsmith.storage.subscriptions import Stored
from billsmith.subscriptions.subscription import (
    AddAddOn,
    AnyChange,
    ChangePlan,
    ChangeQuantity,
    DropAddOn,
    End,
    EndTrial,
    Pause,
    PlanRef,
    Resume,
    Subscription,
    changed,
)
from billsmith.subscriptions.timeline import timeline
from billsmith.units.errors import Conflict, Invalid
from billsmith.workflows.billing_cases import plan_at
from billsmith.workflows.catalogs import check_plan, same_currency, the_catalog

#: Changes that one subscription may have: more than one a week for a century.
MAX_CHANGES = 5_000


class NewSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription to begin: on the plan that is offered unless a ``version`` is named.

    Without a ``recipient`` the account itself gets the invoices.
    """

    plan: str
    starts_at: int
    version: int | None = None
    catalog: str | None = None
    quantities: Mapping[str, Decimal] = {}
    recipient: Account | None = None
    anchor_to_instant: bool = False
    billing_day: int = 0
    overrides: Mapping[str, Price] = {}


def create(
    connection: Connection, issuer: Account, account: Account, asked: NewSubscription, *, id: str, now: int, actor: str
) -> Stored:
    """Begin a subscription of an account by an issuer at or above it. It may begin in the past, or in days to come.

    Raises :class:`Invalid` for accounts that don't stand so, a plan that isn't offered, a quantity of no fee; :class:`Conflict`
    for a closed account or an id that is taken.
    """
    recipient = asked.recipient or account
    _check_places(issuer, recipient, account)
    code = the_catalog(connection, issuer, asked.catalog)
    plan = check_plan(connection, issuer, code, asked.plan, asked.version)
    if not 0 <= asked.billing_day <= 31:
        raise Invalid("a billing day is 1 to 31", code="subscription.billing_day", where="billing_day")
    fees, charges = _components(connection, issuer, code, plan)
    _check_known(asked.quantities, fees, "quantities")
    _check_known(asked.overrides, fees | charges, "overrides")
    subscription = Subscription(
        id=id,
        account=account.id,
        plan=plan,
        starts_at=asked.starts_at,
        zone=account.time_zone,
        quantities=dict(asked.quantities),
        anchor_to_instant=asked.anchor_to_instant,
        billing_day=asked.billing_day,
        overrides=dict(asked.overrides),
        recorded_at=now,
    )
    return subscriptions.add(
        connection, subscription, issuer=issuer, account=account, recipient=recipient, catalog=code, actor=actor
    )


def change(connection: Connection, found: Stored, changes: Sequence[AnyChange], actor: str) -> Stored:
    """Record changes of a subscription. The last recorded of two at one instant counts.

    Raises :class:`Invalid` for a change before its start or of something that its plan hasn't got, :class:`Conflict` for a plan
    in another currency.
    """
    found = subscriptions.lock(connection, found.subscription.id)
    issuer = accounts.by_seq(connection, found.issuer_seq)
    for each in changes:
        _check_change(connection, issuer, found, each)
        found = found._replace(subscription=changed(found.subscription, each))
        subscriptions.add_change(connection, found, each, actor)
    if len(found.subscription.changes) > MAX_CHANGES:
        raise Invalid(f"a subscription has at most {MAX_CHANGES} changes", code="subscription.too_many_changes")
    return found


def changes_of(
    connection: Connection,
    found: Stored,
    *,
    at: int,
    now: int,
    plan: str | None = None,
    version: int | None = None,
    quantities: Mapping[str, Decimal] | None = None,
    add: Sequence[str] = (),
    drop: Sequence[str] = (),
    pause: bool = False,
    resume: bool = False,
    end_trial: bool = False,
) -> list[AnyChange]:
    """The changes that a caller asks for in words, all at one instant. Raises :class:`Invalid` where there are none."""
    issuer = accounts.by_seq(connection, found.issuer_seq)
    result: list[AnyChange] = []
    if plan is not None:
        reference = check_plan(connection, issuer, found.catalog, plan, version)
        result.append(ChangePlan(at=at, recorded_at=now, plan=reference))
    for component, quantity in (quantities or {}).items():
        result.append(ChangeQuantity(at=at, recorded_at=now, component=component, quantity=quantity))
    if add:
        shelf = catalogs.load(connection, issuer, found.catalog)
        for code in add:
            offered = shelf.add_on(code, shelf.offers.get("add_on", {}).get(code))
            result.append(AddAddOn(at=at, recorded_at=now, add_on=PlanRef(offered.code, offered.version)))
    result += [DropAddOn(at=at, recorded_at=now, code=code) for code in drop]
    if pause:
        result.append(Pause(at=at, recorded_at=now))
    if resume:
        result.append(Resume(at=at, recorded_at=now))
    if end_trial:
        result.append(EndTrial(at=at, recorded_at=now))
    if not result:
        raise Invalid("nothing to change is given", code="subscription.no_change")
    return result


def cancel(connection: Connection, found: Stored, *, at: int, now: int, actor: str, day_counts: bool = False) -> Stored:
    """End a subscription at an instant; with ``day_counts`` after that local day. A later end takes an earlier one back."""
    return change(connection, found, [End(at=at, recorded_at=now, day_counts=day_counts)], actor)


def _check_places(issuer: Account, recipient: Account, account: Account) -> None:
    if not (recipient.is_at_or_below(issuer) and account.is_at_or_below(recipient)):
        raise Invalid(
            "the account stands at or below who gets the invoices, and that one at or below the issuer",
            code="subscription.places",
            where="account",
        )
    for each in (issuer, recipient, account):
        if each.status is AccountStatus.CLOSED:
            raise Conflict(f"{each.name!r} is closed; it takes no more subscriptions", code="account.closed")


def _components(connection: Connection, issuer: Account, catalog: str, plan: PlanRef) -> tuple[set[str], set[str]]:
    found = catalogs.load(connection, issuer, catalog).plan(plan.code, plan.version)
    return {fee.code for fee in found.fees}, {charge.key for charge in found.charges}


def _check_known(given: Mapping[str, object], known: set[str], where: str) -> None:
    for name in given:
        if name not in known:
            raise Invalid(
                f"{name[:60]!r} is nothing of this plan; known: {', '.join(sorted(known)) or 'none'}",
                code="subscription.unknown_component",
                where=where,
            )


def _check_change(connection: Connection, issuer: Account, found: Stored, each: AnyChange) -> None:
    subscription = found.subscription
    if isinstance(each, ChangePlan):
        same_currency(connection, issuer, found.catalog, plan_at(subscription, each.recorded_at), each.plan)
    if isinstance(each, ChangeQuantity):
        shelf = catalogs.load(connection, issuer, found.catalog)
        known: set[str] = set()
        for segment in timeline(subscription, shelf):
            known |= {fee.code for fee in shelf.plan(segment.plan.code, segment.plan.version).fees}
            known |= {fee.code for one in segment.add_ons for fee in shelf.add_on(one.code, one.version).fees}
        _check_known({each.component: each}, known, "quantities")
