"""A subscription's life as segments in which nothing changes, and the billing periods that cut across them."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from billsmith.catalog.catalog import Catalog
from billsmith.catalog.offer import Alignment, Plan
from billsmith.subscriptions.proration import end_of_day
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
    in_time,
    with_quantity,
)
from billsmith.units.calendar import Schedule, Unit, anniversary, anniversary_at, billing_day, calendar_schedule
from billsmith.units.instants import local_instant, local_reading
from billsmith.units.periods import Period

FOREVER = 2**63 - 1


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A span in which the agreement stands still. ``charged`` is false while a trial or a pause keeps fees off."""

    period: Period
    plan: PlanRef
    quantities: dict[str, Decimal] = {}
    add_ons: tuple[PlanRef, ...] = ()
    paused: bool = False
    trial: bool = False

    @property
    def charged(self) -> bool:
        """Whether fees run."""
        return not (self.paused or self.trial)


class Phase(msgspec.Struct, frozen=True):
    """A span with one schedule of billing periods. Another interval or alignment begins another phase."""

    period: Period
    schedule: Schedule


def ends_at(subscription: Subscription) -> int:
    """Where the subscription ends, exclusive: the end recorded last counts; a far future where there is none."""
    ends = [change for change in subscription.changes if isinstance(change, End)]
    if not ends:
        return FOREVER
    last = max(ends, key=lambda end: end.recorded_at)
    return end_of_day(last.at, subscription.zone) if last.day_counts else last.at


def trial_end(subscription: Subscription, catalog: Catalog) -> int:
    """Where the trial ends: as recorded last, else after the first plan's days, at the time of day of the start."""
    told = [change for change in subscription.changes if isinstance(change, EndTrial)]
    if told:
        return max(told, key=lambda change: change.recorded_at).at
    days = plan_of(subscription.plan, catalog).trial_days
    if not days:
        return subscription.starts_at
    day, time = local_reading(subscription.starts_at, subscription.zone)
    return local_instant(day + dt.timedelta(days=days), time, subscription.zone)


def plan_of(reference: PlanRef, catalog: Catalog) -> Plan:
    """The plan of a reference. Raises :class:`InvalidCatalog` where the catalog lacks it."""
    return catalog.plan(reference.code, reference.version)


def timeline(subscription: Subscription, catalog: Catalog) -> tuple[Segment, ...]:
    """The segments from the subscription's start to its end, without gap. A change belongs to what follows it."""
    end = ends_at(subscription)
    trial = trial_end(subscription, catalog)
    changes = in_time(subscription)
    cuts = sorted({subscription.starts_at, trial, *(change.at for change in changes)} | {end})
    cuts = [cut for cut in cuts if subscription.starts_at <= cut <= end]
    segments = []
    state = Segment(period=Period(0, 0), plan=subscription.plan, quantities=subscription.quantities)
    for start, stop in itertools.pairwise(cuts):
        for change in changes:
            if change.at == start:
                state = _after(state, change)
        segments.append(msgspec.structs.replace(state, period=Period(start, stop), trial=start < trial))
    return tuple(segments)


def phases(segments: tuple[Segment, ...], subscription: Subscription, catalog: Catalog) -> list[Phase]:
    """The spans between changes of the billing interval or alignment, each with its schedule."""
    if not segments:  # it ended before it began
        return []
    starts: list[tuple[int, Plan]] = []
    for segment in segments:
        plan = plan_of(segment.plan, catalog)
        if not starts or (plan.interval, plan.alignment) != (starts[-1][1].interval, starts[-1][1].alignment):
            starts.append((segment.period.start, plan))
    ends = [start for start, _ in starts[1:]] + [segments[-1].period.end]
    return [
        Phase(Period(start, end), schedule_for(plan, start, subscription))
        for (start, plan), end in zip(starts, ends, strict=True)
    ]


def schedule_for(plan: Plan, start: int, subscription: Subscription) -> Schedule:
    """The billing periods of a plan for a subscription on it from an instant."""
    zone, interval = subscription.zone, plan.interval
    if plan.alignment is Alignment.CALENDAR:
        return calendar_schedule(interval, zone)
    if subscription.anchor_to_instant or interval.unit is Unit.HOUR:
        return anniversary_at(interval, start, zone, day=subscription.billing_day)
    return anniversary(interval, billing_day(start, zone), zone, day=subscription.billing_day)


def runs(segments: tuple[Segment, ...]) -> Iterator[tuple[Period, Segment]]:
    """Neighbouring segments with the same plan and add-ons as one span: where usage is charged without a cut."""
    start: Segment | None = None
    end = 0
    for segment in segments:
        if start is not None and (segment.plan, segment.add_ons) != (start.plan, start.add_ons):
            yield Period(start.period.start, end), start
            start = None
        start, end = start or segment, segment.period.end
    if start is not None:
        yield Period(start.period.start, end), start


def _after(state: Segment, change: AnyChange) -> Segment:
    replace = msgspec.structs.replace
    match change:
        case ChangePlan(plan=plan):
            return replace(state, plan=plan)
        case ChangeQuantity(component=component, quantity=quantity):
            return replace(state, quantities=with_quantity(state.quantities, component, quantity))
        case AddAddOn(add_on=add_on):
            kept = [each for each in state.add_ons if each.code != add_on.code]
            return replace(state, add_ons=tuple(sorted([*kept, add_on])))
        case DropAddOn(code=code):
            return replace(state, add_ons=tuple(each for each in state.add_ons if each.code != code))
        case Pause():
            return replace(state, paused=True)
        case Resume():
            return replace(state, paused=False)
        case _:
            return state
