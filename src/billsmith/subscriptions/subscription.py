"""Who agreed to what, from when: a subscription and everything that happened to it.

A change holds from its instant ``at`` on; ``recorded_at`` is when we learnt of it. So a change may be dated back or ahead, and
what was known at any instant (:func:`known`) can be told for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from billsmith.catalog.price import Price
from billsmith.units.errors import Invalid


class PlanRef(msgspec.Struct, frozen=True, order=True):
    """A version of a plan."""

    code: str
    version: int = 1


class Change(msgspec.Struct, frozen=True, kw_only=True, tag_field="change"):
    """Something that happens to a subscription at an instant."""

    at: int
    recorded_at: int = 0


class ChangePlan(Change, frozen=True, kw_only=True, tag="plan"):
    """Another plan (or version) from the instant on. Another interval or alignment starts the billing periods anew."""

    plan: PlanRef


class ChangeQuantity(Change, frozen=True, kw_only=True, tag="quantity"):
    """Another quantity of a fee, such as seats. Raises :class:`Invalid` below zero."""

    component: str
    quantity: Decimal

    def __post_init__(self) -> None:
        _check_quantity(self.component, self.quantity)


class AddAddOn(Change, frozen=True, kw_only=True, tag="add"):
    """An add-on begins."""

    add_on: PlanRef


class DropAddOn(Change, frozen=True, kw_only=True, tag="drop"):
    """An add-on ends."""

    code: str


class Pause(Change, frozen=True, kw_only=True, tag="pause"):
    """Fees stop; usage, if there is any, is still measured and charged."""


class Resume(Change, frozen=True, kw_only=True, tag="resume"):
    """Fees go on."""


class EndTrial(Change, frozen=True, kw_only=True, tag="trial"):
    """The trial ends at this instant instead of after the plan's days."""


class End(Change, frozen=True, kw_only=True, tag="end"):
    """The subscription ends. With ``day_counts`` the local day of the instant is still charged."""

    day_counts: bool = False


AnyChange = ChangePlan | ChangeQuantity | AddAddOn | DropAddOn | Pause | Resume | EndTrial | End


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """An account on a plan from an instant on.

    ``zone`` is the account's; ``quantities`` of fees are those that differ from the plan's. Periods are anchored on the local
    day of ``starts_at``, or with ``anchor_to_instant`` at its very time; ``billing_day`` (1 to 31) is another day of the month
    to return to. ``overrides`` are prices of fees and charges that were agreed for this subscription alone.
    """

    id: str
    account: str
    plan: PlanRef
    starts_at: int
    zone: str = "UTC"
    quantities: dict[str, Decimal] = {}
    changes: tuple[AnyChange, ...] = ()
    anchor_to_instant: bool = False
    billing_day: int = 0
    overrides: dict[str, Price] = {}
    recorded_at: int = 0

    def __post_init__(self) -> None:
        for component, quantity in self.quantities.items():
            _check_quantity(component, quantity)


def known(subscription: Subscription, at: int) -> Subscription | None:
    """The subscription as it was known at an instant; ``None`` where it wasn't yet.

    >>> later = Pause(at=10, recorded_at=50)
    >>> known(Subscription(id="s", account="a", plan=PlanRef("basic"), starts_at=0, changes=(later,)), 49).changes
    ()
    """
    if subscription.recorded_at > at:
        return None
    changes = tuple(change for change in subscription.changes if change.recorded_at <= at)
    return msgspec.structs.replace(subscription, changes=changes)


def changed(subscription: Subscription, *changes: AnyChange) -> Subscription:
    """The subscription with more changes, kept in the order in which they were recorded.

    Raises :class:`Invalid` for a change before the subscription starts.
    """
    for change in changes:
        if change.at < subscription.starts_at:
            raise Invalid(
                f"a change at {change.at} lies before the subscription's start ({subscription.starts_at}). "
                "Date it to the start, or move the start",
                code="subscription.change_before_start",
                where="changes",
            )
    return msgspec.structs.replace(subscription, changes=(*subscription.changes, *changes))


def in_time(subscription: Subscription) -> list[AnyChange]:
    """The changes in the order of their instants; of two at one instant the one recorded later comes later and counts."""
    return sorted(subscription.changes, key=lambda change: (change.at, change.recorded_at))


def with_quantity(quantities: Mapping[str, Decimal], component: str, quantity: Decimal) -> dict[str, Decimal]:
    """The quantities with one of them set."""
    return {**quantities, component: quantity}


def _check_quantity(component: str, quantity: Decimal) -> None:
    if not isinstance(quantity, Decimal) or not quantity.is_finite() or quantity < 0:
        raise Invalid(
            f"{component}: {quantity!r} is not a quantity; it is a decimal, zero or more",
            code="subscription.quantity",
            where="quantity",
        )
