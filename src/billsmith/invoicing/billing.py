"""Spans and charges → draft lines: what is asked for, with its period and its trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any, TypeVar

import msgspec

from billsmith.catalog.catalog import Catalog
from billsmith.catalog.offer import Plan, UsageCharge
from billsmith.catalog.price import Price
from billsmith.invoicing.model import LineKind
from billsmith.invoicing.terms import Minimum
from billsmith.invoicing.totals import DraftLine
from billsmith.ledger.wallets import Grant
from billsmith.metering.quantity import Quantity
from billsmith.rating.charge import Charge
from billsmith.rating.context import Context
from billsmith.rating.rate import rate
from billsmith.rating.usage import Given
from billsmith.subscriptions.proration import prorate
from billsmith.subscriptions.spans import (
    FeeSpan,
    UsageSpan,
    billing_periods,
    charged_share,
    fee_spans,
    fees_to_bill,
    intervals_of,
    spans_due,
    usage_due,
    usage_spans,
)
from billsmith.subscriptions.subscription import PlanRef, Subscription, known
from billsmith.subscriptions.timeline import plan_of, timeline
from billsmith.units.calendar import anniversary_at
from billsmith.units.currency import currency_exponent
from billsmith.units.exact import Exact, add, subtract, total
from billsmith.units.ids import derived_id
from billsmith.units.periods import Period
from billsmith.units.rounding import Rounding
from billsmith.units.wording import say_money


def fee_line(
    span: FeeSpan, currency: str, overrides: Mapping[str, Price] | None = None, mode: Rounding = Rounding.HALF_UP
) -> DraftLine:
    """A fee's span as a line: the price of its quantity, times its share of the period. Below zero it is a credit.

    ``overrides`` are the subscription's own prices, by component.
    """
    fee = span.fee
    price = (overrides or {}).get(fee.code, fee.price)
    charge = rate(price, span.quantity, Context(currency=currency, unit=fee.unit, rounding=mode))
    amount = prorate(charge.exact, span.share)
    return DraftLine(
        description=fee.name or fee.code,
        amount=amount,
        currency=currency,
        kind=LineKind.FEE if span.share > 0 else LineKind.CREDIT,
        quantity=span.quantity,
        unit=fee.unit,
        period=span.part,
        tax_category=fee.tax_category,
        plan=span.offer.code,
        subscription=span.subscription,
        component=fee.code,
        trace=(*charge.sentences, *_prorated(charge.exact, span.share, amount, currency_exponent(currency))),
    )


def usage_line(
    charge: Charge,
    span: UsageSpan,
    dimensions: Mapping[str, str] | None = None,
    *,
    subscription: str = "",
    in_words: bool = True,
) -> DraftLine:
    """A rated usage as a line, with its price for a unit and the charge's trace where it is to say how it came about."""
    usage = span.charge
    return DraftLine(
        description=usage.name or usage.key,
        amount=charge.exact,
        currency=charge.currency,
        kind=LineKind.USAGE,
        quantity=charge.quantity if isinstance(charge.quantity, Decimal) else None,
        unit=charge.unit,
        unit_price=charge.unit_price if in_words else None,
        period=span.part,
        tax_category=usage.tax_category,
        meter=usage.meter,
        plan=span.offer.code,
        subscription=subscription,
        component=usage.key,
        dimensions=dict(dimensions) if dimensions else {},
        trace=charge.sentences if in_words else (),
    )


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What a subscription asks for in one run: its lines, the span that each is for, and the minimums to hold against them.

    ``earlier`` is usage that earlier runs billed and that the minimums count too. ``tariffs`` have the spans of usage.
    """

    lines: tuple[DraftLine, ...]
    minimums: tuple[Minimum, ...]
    spans: tuple[FeeSpan | UsageSpan, ...] = ()
    earlier: tuple[DraftLine, ...] = ()
    tariffs: tuple[Tariff, ...] = ()


Measured = Callable[[UsageSpan], Given]
T = TypeVar("T")

#: Tariffs that a book keeps: subscriptions that began on different days of a month, or moved within it, have their own.
_TARIFFS = 1_024


class Tariff:
    """The usage that falls due of a plan with its add-ons in some periods, and its prices: one for all that are alike in it."""

    def __init__(self, spans: Iterable[UsageSpan], book: Book, zone: str) -> None:
        self.spans = tuple(spans)
        self.prices = tuple([book.price(span.offer, span.charge, zone) for span in self.spans])
        self._unused: dict[tuple[int, int], DraftLine] = {}
        self._kept: dict[str, Any] = {}
        self._in_words, self._shared = book.in_words, book.shared

    def kept(self, name: str, make: Callable[[tuple[UsageSpan, ...]], T]) -> T:
        """What is made of the spans, once for all that have them; by name, as a tariff may stand in several catalogs."""
        if name not in self._kept:
            self._kept[name] = make(self.spans)
        made: T = self._kept[name]
        return made

    def lines(self, subscription: Subscription, usages: Sequence[Given]) -> Sequence[DraftLine]:
        """The spans as lines of a subscription."""
        if self._shared is None or subscription.overrides:
            return [self.line(place, subscription, usage) for place, usage in enumerate(usages)]
        return self._shared.lines(self, subscription, usages)

    def line(self, place: int, subscription: Subscription, usage: Given) -> DraftLine:
        """The span at a place as a line of a subscription."""
        span = self.spans[place]
        price, context = self.prices[place]
        if subscription.overrides:
            price = subscription.overrides.get(span.charge.key, price)
        elif (events := _events_of_nothing(usage)) is not None:  # as with most meters in most months: the same for everybody
            if (place, events) not in self._unused:
                self._unused[place, events] = usage_line(rate(price, usage, context), span, in_words=self._in_words)
            return msgspec.structs.replace(self._unused[place, events], subscription=subscription.id)
        return usage_line(rate(price, usage, context), span, subscription=subscription.id, in_words=self._in_words)


class Shared:
    """What several books charge alike for one subscription's usage, charged once: they are the sides of a simulation."""

    def __init__(self) -> None:
        self._subscription = ""
        self._made: list[tuple[Tariff, Sequence[Given], Sequence[DraftLine]]] = []
        self._alike = lru_cache(_TARIFFS)(_alike)

    def lines(self, tariff: Tariff, subscription: Subscription, usages: Sequence[Given]) -> Sequence[DraftLine]:
        """The lines of a tariff. What another made of the very same usage, at the same price, is taken as it is."""
        if subscription.id != self._subscription:
            self._subscription, self._made = subscription.id, []
        known: dict[int, DraftLine] = {}
        for other, counted, lines in self._made:
            for place, there in self._alike(tariff, other):
                if usages[place] is counted[there]:
                    known[place] = lines[there]
        made = [
            known[place] if place in known else tariff.line(place, subscription, usage) for place, usage in enumerate(usages)
        ]
        self._made.append((tariff, usages, made))
        return made


def _alike(one: Tariff, other: Tariff) -> list[tuple[int, int]]:
    """The places at which two tariffs charge the same for the same usage."""

    def told(tariff: Tariff) -> dict[tuple[str, str, Period], int]:
        return {(span.offer.code, span.charge.key, span.part): place for place, span in enumerate(tariff.spans)}

    there = told(other)
    pairs = [(place, there[key]) for key, place in told(one).items() if key in there]
    return [(place, at) for place, at in pairs if _terms_at(one, place) == _terms_at(other, at)]


def _terms_at(tariff: Tariff, place: int) -> tuple[Any, ...]:
    return *tariff.prices[place], msgspec.structs.replace(tariff.spans[place].charge, price=None)


def _events_of_nothing(usage: Given) -> int | None:
    """How many events, at most one, make up a plain zero: one of no group or window and without money of its own."""
    if type(usage) is not tuple or len(usage) != 1 or usage[0].value:
        return None
    (one,) = usage
    is_plain = type(one.value) is Decimal and str(one.value) == "0" and one == Quantity(one.value, one.events)
    return one.events if is_plain and one.events <= 1 else None


class Book:
    """A catalog as billing reads it, with what it looks up again and again kept: one for all subscriptions of a run.

    Lines of usage say how they came about, unless it is not ``in_words``. Books with the same ``shared`` charge once what they
    charge alike.
    """

    def __init__(self, catalog: Catalog, *, in_words: bool = True, shared: Shared | None = None) -> None:
        self.catalog, self.in_words, self.shared = catalog, in_words, shared
        self._plans = {PlanRef(plan.code, plan.version): plan for plan in catalog.plans}
        self._prices: dict[tuple[PlanRef, str, str], tuple[Price, Context]] = {}
        self._tariff = lru_cache(_TARIFFS)(lambda due, zone: Tariff(spans_due(due, catalog), self, zone))
        self._intervals = lru_cache(_TARIFFS)(partial(intervals_of, catalog=catalog))

    def tariffs(self, subscription: Subscription, since: int | None, until: int) -> list[Tariff]:
        """The :func:`usage_spans` of a subscription, as they are priced."""
        due = usage_due(subscription, self.catalog, since, until, self._intervals)
        return [self._tariff(each, subscription.zone) for each in due]

    def currency(self, offer: PlanRef) -> str:
        """The currency in which a plan or add-on is priced."""
        plan = self._plans.get(offer)
        return (plan.currency if plan else "") or self.catalog.currency

    def price(self, offer: PlanRef, charge: UsageCharge, zone: str) -> tuple[Price, Context]:
        """What a charge costs, and the circumstances in which it does."""
        key = (offer, charge.key, zone)
        if key not in self._prices:
            meter = self.catalog.meter_of((offer.code, offer.version), charge)
            context = Context(currency=self.currency(offer), unit=meter.unit, zone=zone)
            self._prices[key] = (self.catalog.price_of(charge, self._plans.get(offer)), context)
        return self._prices[key]


def bill(
    subscription: Subscription,
    book: Book,
    measured: Measured,
    since: int | None,
    until: int,
    earlier: tuple[DraftLine, ...] | None = None,
) -> Bill:
    """What a run at ``until`` asks of a subscription, after a run at ``since`` (``None``: the first).

    ``measured`` gives the usage of a span as the engine measured it: of the spans that are billed, then of those that earlier
    runs billed and that a minimum counts (:func:`usage_of_minimums`), unless ``earlier`` has their lines. Fees come first, then
    usage, each in the plan's order. Amounts are in the plan's currency (the catalog's unless the plan has its own), named on
    the lines.
    """
    held = known(subscription, until)
    if held is None:
        return Bill(lines=(), minimums=())
    owed = fees_to_bill(subscription, book.catalog, since, until)
    tariffs = book.tariffs(held, since, until)
    used = [span for tariff in tariffs for span in tariff.spans]
    fees = [fee_line(span, book.currency(span.offer), subscription.overrides) for span in owed]
    usage = [line for tariff in tariffs for line in tariff.lines(held, [measured(span) for span in tariff.spans])]
    lines = (*fees, *usage)
    if earlier is None:
        before = usage_of_minimums(held, book.catalog, since, until)
        earlier = tuple(_usage(span, held, book, measured(span)) for span in before)
    minimums = tuple(_minimums(held, book, lines, earlier, since, until))
    return Bill(lines=lines, minimums=minimums, spans=(*owed, *used), earlier=earlier, tariffs=tuple(tariffs))


def usage_of_minimums(subscription: Subscription, catalog: Catalog, since: int | None, until: int) -> tuple[UsageSpan, ...]:
    """The usage that was billed by ``since`` in billing periods with a minimum that end later, up to ``until``.

    A plan that bills its usage more often than its fees holds its minimum against all of it.
    """
    if since is None:
        return ()
    return tuple(
        span
        for _, part, _ in _with_minimum(subscription, catalog, since, until)
        if part.start < since
        for span in usage_spans(subscription, catalog, part.start, since)
        if part.holds(span.part)
    )


def included_grants(subscription: Subscription, catalog: Catalog, span: Period) -> list[Grant]:
    """The credits that come with the plan, for each billing period that begins in ``span``."""
    grants = []
    for whole, part in billing_periods(subscription, catalog, span):
        if not span.contains(part.start):
            continue
        plan = _plan_at(subscription, catalog, part.start)
        for index, credit in enumerate(plan.credits):
            lasting = credit.expires_after
            grants.append(
                Grant(
                    id=derived_id("included", subscription.id, plan.code, str(index), str(whole.start)),
                    amount=credit.amount,
                    priority=credit.priority,
                    effective_at=part.start,
                    expires_at=anniversary_at(lasting, part.start, subscription.zone).boundary(1) if lasting else None,
                    scope=frozenset(credit.meters),
                    paid=False,
                )
            )
    return grants


def _usage(span: UsageSpan, subscription: Subscription, book: Book, usage: Given) -> DraftLine:
    price, context = book.price(span.offer, span.charge, subscription.zone)
    charge = rate(subscription.overrides.get(span.charge.key, price), usage, context)
    return usage_line(charge, span, subscription=subscription.id, in_words=book.in_words)


def _with_minimum(
    subscription: Subscription, catalog: Catalog, since: int | None, until: int
) -> Iterator[tuple[Period, Period, Plan]]:
    """The billing periods that ended between the runs and have a minimum: whole, the part that was served, the plan.

    A period that another rhythm cut short ends there: its minimum is for that part, and what follows counts for the next.
    """
    if all(plan.minimum is None for plan in catalog.plans):
        return
    for whole, part in billing_periods(
        subscription, catalog, Period(subscription.starts_at if since is None else since, until)
    ):
        plan = _plan_at(subscription, catalog, part.start)
        if plan.minimum is not None and part.end <= until:
            yield whole, part, plan


def _minimums(
    subscription: Subscription,
    book: Book,
    lines: Sequence[DraftLine],
    earlier: Sequence[DraftLine],
    since: int | None,
    until: int,
) -> Iterator[Minimum]:
    """The minimums of the billing periods that ended between the runs, each held against all that was asked for the period."""
    catalog = book.catalog
    for whole, part, plan in _with_minimum(subscription, catalog, since, until):
        assert plan.minimum is not None
        assert plan.minimum.amount is not None
        owed = [span for span in fee_spans(subscription, catalog, until, whole.start) if part.holds(span.part)]
        asked = total(fee_line(span, book.currency(span.offer), subscription.overrides).amount for span in owed)
        here = total(line.amount for line in lines if line.meter == "" and line.period is not None and part.holds(line.period))
        used = total(line.amount for line in earlier if line.period is not None and part.holds(line.period))
        yield Minimum(
            amount=plan.minimum.amount,
            share=charged_share(subscription, catalog, part, whole),
            subscription=subscription.id,
            period=part,
            billed_before=add(subtract(asked, here), used),
            currency=plan.currency or catalog.currency,
        )


def _plan_at(subscription: Subscription, catalog: Catalog, instant: int) -> Plan:
    segments = timeline(subscription, catalog)
    segment = next(each for each in segments if each.period.contains(instant))
    return plan_of(segment.plan, catalog)


def _prorated(whole: Exact, share: Fraction, amount: Exact, places: int) -> tuple[str, ...]:
    if share == 1:
        return ()
    return (f"{say_money(whole, places)} × {share} of the period = {say_money(amount, places)}",)
