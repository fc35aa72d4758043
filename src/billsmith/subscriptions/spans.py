"""What is owed for which part of which period: the spans of fees and of usage, and what a change makes of them.

A fee's span says: this quantity of this fee, for this part of that period, due then. What an invoice asks for is the difference
between what was owed as it was known at the last run and what is owed as it is known now (:func:`fees_to_bill`): so a change in
the middle of a period paid in advance credits what is unused and charges what is new, and so does one that is dated back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import NamedTuple

import msgspec

from billsmith.catalog.catalog import Catalog
from billsmith.catalog.offer import Fee, Proration, Timing, UsageCharge
from billsmith.subscriptions.proration import share
from billsmith.subscriptions.subscription import PlanRef, Subscription, known
from billsmith.subscriptions.timeline import Phase, Segment, phases, plan_of, runs, timeline
from billsmith.units.calendar import Interval, Schedule
from billsmith.units.periods import Period


class FeeSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A fee for ``part`` of the billing period ``whole``: ``share`` of the price of ``quantity``; below zero it is given back.

    A fee that is asked for once has an empty ``part`` at its instant.
    """

    subscription: str
    offer: PlanRef
    fee: Fee
    quantity: Decimal
    part: Period
    whole: Period
    share: Fraction
    due_at: int

    @property
    def is_whole(self) -> bool:
        """Whether the fee isn't divided: asked for once, or never prorated."""
        return not self.fee.recurs or self.fee.proration is Proration.NONE


class UsageSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A usage charge for the usage in ``part`` of the metering period ``whole``, due when the part has ended."""

    offer: PlanRef
    charge: UsageCharge
    part: Period
    whole: Period

    @property
    def due_at(self) -> int:
        """When it can be billed."""
        return self.part.end


class UsageDue(NamedTuple):
    """A plan and add-ons whose usage falls due, and by interval for which parts of which periods: alike for many."""

    plan: PlanRef
    add_ons: tuple[PlanRef, ...]
    periods: tuple[tuple[Interval | None, tuple[tuple[Period, Period], ...]], ...]


def fees_to_bill(subscription: Subscription, catalog: Catalog, since: int | None, until: int) -> tuple[FeeSpan, ...]:
    """The fees that a run at ``until`` bills, after a run at ``since`` billed all that was due and known then.

    ``since`` is ``None`` for the first run. What was billed and no longer holds comes back with a share below zero.
    """
    now = known(subscription, until)
    if since is not None and known(subscription, since) == now:  # nothing was learnt: only what has fallen due is new
        return tuple(span for span in fee_spans(now, catalog, until, since) if span.due_at > since)
    before = () if since is None else fee_spans(known(subscription, since), catalog, since)
    return difference(before, fee_spans(now, catalog, until), subscription.zone)


def fee_spans(subscription: Subscription | None, catalog: Catalog, until: int, start: int | None = None) -> tuple[FeeSpan, ...]:
    """Every fee due at or before an instant: of all periods, or of those that end at ``start`` or later."""
    if subscription is None:
        return ()
    segments = timeline(subscription, catalog)
    spans = [span for span in _once(segments, subscription, catalog) if span.due_at <= until]
    for phase in phases(segments, subscription, catalog):
        spans += [span for span in _recurring(phase, segments, subscription, catalog, start, until) if span.due_at <= until]
    return tuple(spans)


def usage_spans(subscription: Subscription, catalog: Catalog, since: int | None, until: int) -> tuple[UsageSpan, ...]:
    """The usage charges whose part ended after ``since`` (none: ever) and at or before ``until``."""
    intervals = partial(intervals_of, catalog=catalog)
    return tuple(span for due in usage_due(subscription, catalog, since, until, intervals) for span in spans_due(due, catalog))


def usage_due(
    subscription: Subscription,
    catalog: Catalog,
    since: int | None,
    until: int,
    intervals: Callable[[PlanRef, tuple[PlanRef, ...]], Iterable[Interval | None]],
) -> Iterator[UsageDue]:
    """The same, before single charges are looked at (:func:`spans_due`). ``intervals`` is :func:`intervals_of` the catalog."""
    segments = timeline(subscription, catalog)
    for phase in phases(segments, subscription, catalog):
        for run, segment in runs(segments):
            served = phase.period.overlap(run)
            if served is not None:
                periods = [
                    (each, tuple(_metered(served, phase.schedule, each, since, until)))
                    for each in intervals(segment.plan, segment.add_ons)
                ]
                yield UsageDue(segment.plan, segment.add_ons, tuple(periods))


def intervals_of(plan: PlanRef, add_ons: tuple[PlanRef, ...], catalog: Catalog) -> tuple[Interval | None, ...]:
    """How often the charges of a plan and add-ons are metered; ``None`` is with the plan."""
    return tuple(dict.fromkeys(charge.interval for _, charge in _charges(plan, add_ons, catalog)))


def spans_due(due: UsageDue, catalog: Catalog) -> Iterator[UsageSpan]:
    """The spans of each charge of the plan, then of the add-ons."""
    periods = dict(due.periods)
    for offer, charge in _charges(due.plan, due.add_ons, catalog):
        for part, whole in periods[charge.interval]:
            yield UsageSpan(offer=offer, charge=charge, part=part, whole=whole)


def billing_periods(subscription: Subscription, catalog: Catalog, span: Period) -> list[tuple[Period, Period]]:
    """The billing periods that share time with ``span``: each whole, with the part of it that the subscription has."""
    found = []
    for phase in phases(timeline(subscription, catalog), subscription, catalog):
        served = phase.period.overlap(span)
        if served is not None:
            for whole in phase.schedule.between(served.start, served.end):
                part = whole.overlap(phase.period)
                assert part is not None
                found.append((whole, part))
    return found


def charged_share(
    subscription: Subscription, catalog: Catalog, served: Period, whole: Period, by: Proration = Proration.DAY
) -> Fraction:
    """The share of a period in which fees ran, in the part of it that was served: what a minimum spend is prorated by."""
    parts = [segment.period.overlap(served) for segment in timeline(subscription, catalog) if segment.charged]
    return sum((share(part, whole, by, subscription.zone) for part in parts if part is not None), Fraction(0))


def difference(before: Iterable[FeeSpan], after: Iterable[FeeSpan], zone: str) -> tuple[FeeSpan, ...]:
    """What must be billed so that ``before``, which was, becomes ``after``: credits first, each as a part of its period."""
    old, new = _by_key(before), _by_key(after)
    given_back = [_negative(span) for key, spans in old.items() for span in _missing(spans, new.get(key, []), zone)]
    charges = [span for key, spans in new.items() for span in _missing(spans, old.get(key, []), zone)]
    return (*given_back, *charges)


_Key = tuple[str, PlanRef, Decimal, Period]


def _by_key(spans: Iterable[FeeSpan]) -> dict[_Key, list[FeeSpan]]:
    groups: dict[_Key, list[FeeSpan]] = {}
    for span in spans:
        groups.setdefault((span.fee.code, span.offer, span.quantity, span.whole), []).append(span)
    return groups


def _missing(spans: list[FeeSpan], others: list[FeeSpan], zone: str) -> Iterator[FeeSpan]:
    """The parts of ``spans`` that ``others`` don't have. What isn't divided is there or not."""
    for span in spans:
        if span.is_whole:
            if not others:
                yield span
            continue
        for part in _without(span.part, [other.part for other in others]):
            divided = share(part, span.whole, span.fee.proration, zone)
            if divided:
                yield msgspec.structs.replace(span, part=part, share=divided)


def _without(part: Period, others: Iterable[Period]) -> list[Period]:
    """What is left of a period when the others are cut out of it."""
    left = []
    start = part.start
    for other in sorted(others):
        cut = part.overlap(other)
        if cut is not None:
            if cut.start > start:
                left.append(Period(start, cut.start))
            start = max(start, cut.end)
    return [*left, Period(start, part.end)] if start < part.end else left


def _negative(span: FeeSpan) -> FeeSpan:
    return msgspec.structs.replace(span, share=-span.share)


def _offers(segment: Segment, catalog: Catalog) -> Iterator[tuple[PlanRef, Fee]]:
    for fee in plan_of(segment.plan, catalog).fees:
        yield segment.plan, fee
    for reference in segment.add_ons:
        for fee in catalog.add_on(reference.code, reference.version).fees:
            yield reference, fee


def _once(segments: tuple[Segment, ...], subscription: Subscription, catalog: Catalog) -> Iterator[FeeSpan]:
    """The fees asked for once: when their plan or add-on first begins."""
    seen: set[tuple[str, str]] = set()
    for segment in segments:
        for offer, fee in _offers(segment, catalog):
            if not fee.recurs and (offer.code, fee.code) not in seen:
                seen.add((offer.code, fee.code))
                at = Period(segment.period.start, segment.period.start)
                yield _span(subscription, offer, fee, segment, at, at, Fraction(1), at.start)


def _recurring(
    phase: Phase,
    segments: tuple[Segment, ...],
    subscription: Subscription,
    catalog: Catalog,
    start: int | None,
    until: int,
) -> Iterator[FeeSpan]:
    first = phase.period.start if start is None else max(phase.period.start, start - 1)
    for whole in phase.schedule.between(first, min(phase.period.end, until + 1)):
        spans: dict[_Key, FeeSpan] = {}
        latest: dict[_Key, _Key] = {}
        for segment in segments:
            served = whole.overlap(phase.period)
            part = served and segment.period.overlap(served)
            if not segment.charged or part is None or served is None:
                continue
            for offer, fee in _offers(segment, catalog):
                if fee.recurs:
                    _lay(spans, latest, subscription, offer, fee, segment, part, whole, served.end)
        yield from spans.values()


def _lay(
    spans: dict[_Key, FeeSpan],
    latest: dict[_Key, _Key],
    subscription: Subscription,
    offer: PlanRef,
    fee: Fee,
    segment: Segment,
    part: Period,
    whole: Period,
    served_until: int,
) -> None:
    """Add a part of a fee's period; one that only goes on from the part before it is joined to that.

    ``latest`` says where the newest part of each fee and quantity stands: after a pause that is a span of its own.
    """
    whole_once = fee.proration is Proration.NONE
    quantity = _quantity(fee, segment)
    same = (fee.code, offer, Decimal(0) if whole_once else quantity, whole)
    key = latest.get(same, same)
    earlier = spans.get(key)
    if earlier is not None and (whole_once or earlier.part.end == part.start):
        part = Period(earlier.part.start, part.end)
        quantity = earlier.quantity
    elif earlier is not None:
        key = latest[same] = (fee.code, offer, quantity, part)
    due = part.start if fee.timing is Timing.ADVANCE else served_until
    divided = share(part, whole, fee.proration, subscription.zone)
    if divided:
        spans[key] = _span(subscription, offer, fee, segment, part, whole, divided, due, quantity)


def _span(
    subscription: Subscription,
    offer: PlanRef,
    fee: Fee,
    segment: Segment,
    part: Period,
    whole: Period,
    divided: Fraction,
    due_at: int,
    quantity: Decimal | None = None,
) -> FeeSpan:
    return FeeSpan(
        subscription=subscription.id,
        offer=offer,
        fee=fee,
        quantity=_quantity(fee, segment) if quantity is None else quantity,
        part=part,
        whole=whole,
        share=divided,
        due_at=due_at,
    )


def _quantity(fee: Fee, segment: Segment) -> Decimal:
    return segment.quantities.get(fee.code, fee.quantity)


def _charges(plan: PlanRef, add_ons: Iterable[PlanRef], catalog: Catalog) -> Iterator[tuple[PlanRef, UsageCharge]]:
    for charge in plan_of(plan, catalog).charges:
        yield plan, charge
    for reference in add_ons:
        for charge in catalog.add_on(reference.code, reference.version).charges:
            yield reference, charge


def _metered(
    served: Period, schedule: Schedule, interval: Interval | None, since: int | None, until: int
) -> Iterator[tuple[Period, Period]]:
    """The metering periods that fall due: the part that was served, and the whole."""
    if interval is not None:
        schedule = msgspec.structs.replace(schedule, interval=interval)
    for whole in schedule.between(served.start if since is None else max(served.start, since), min(served.end, until)):
        part = whole.overlap(served)
        assert part is not None
        if (since is None or part.end > since) and part.end <= until:
            yield part, whole
