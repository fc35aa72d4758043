"""What a subscription asks for between two runs: which fee for which days, which usage of which period.

A subscription is its start and the changes that people recorded. What was known at an instant says, for every day, what had
been agreed; fees are charged for days, so a run charges the days that are now agreed and were not asked for yet, and gives back
those that were asked for and are agreed no longer.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

from tests.simulator.auditor.calendars import clock, day_of, days, first_at, midnight, periods
from tests.simulator.script import Change

FOREVER = 2**53
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_1970 = dt.date(1970, 1, 1)

Offer = tuple[str, int]
"""The code and version of a plan or an add-on."""
Span = tuple[int, int]


class Step(NamedTuple):
    """What one document bills of a subscription: from what was due and known, to what was due and known."""

    since: int | None
    since_known: int
    until: int
    known: int


@dataclass
class Billed:
    """How far a subscription is billed; ``open`` again where the document was taken back."""

    until: int
    known: int
    open: bool = False


@dataclass
class Subscription:
    """What was recorded of a subscription, and how far it is billed."""

    key: str
    customer: str
    zone: str
    plan: Offer
    starts: int
    recorded: int
    quantities: Mapping[str, Fraction]
    billing_day: int
    changes: list[tuple[Change, Offer]] = field(default_factory=list)
    billed: list[Billed] = field(default_factory=list)

    def known_at(self, instant: int) -> list[tuple[Change, Offer]]:
        """The changes recorded by an instant, in the order in which they take effect."""
        known = [each for each in self.changes if each[0].now <= instant]
        return sorted(known, key=lambda each: (each[0].at, each[0].now))


class State(NamedTuple):
    """A stretch of a subscription's life in which nothing changes."""

    start: int
    end: int
    plan: Offer
    quantities: Mapping[str, Fraction]
    add_ons: Mapping[str, Offer]
    charged: bool


class Fee(NamedTuple):
    """A fee of an offer, in a quantity, for a span of one of its periods: an amount of what it costs whole."""

    offer: Offer
    fee: Mapping[str, Any]
    quantity: Fraction
    whole: Span
    span: Span
    share: Fraction


class Usage(NamedTuple):
    """A charge of an offer for the usage in a span of one of its periods."""

    offer: Offer
    charge: Mapping[str, Any]
    whole: Span
    span: Span


Offers = Mapping[Offer, Mapping[str, Any]]


class Reading:
    """A subscription as it was known at an instant."""

    def __init__(self, subscription: Subscription, offers: Offers, known: int) -> None:
        self.sub, self.offers, self.zone = subscription, offers, subscription.zone
        self.changes = subscription.known_at(known)
        self.end = self._end()
        self.states = list(self._states())
        self.phases = list(self._phases())

    def _end(self) -> int:
        ends = [change for change, _ in self.changes if change.what in ("end", "end_of_day")]
        if not ends:
            return FOREVER
        last = max(ends, key=lambda end: end.now)
        return midnight(day_of(last.at, self.zone) + dt.timedelta(days=1), self.zone) if last.what == "end_of_day" else last.at

    def _trial_end(self) -> int:
        told = [change for change, _ in self.changes if change.what == "end_trial"]
        if told:
            return max(told, key=lambda change: change.now).at
        lasting = self.offers[self.sub.plan].get("trial_days", 0)
        if not lasting:
            return self.sub.starts
        return first_at(clock(self.sub.starts, self.zone) + dt.timedelta(days=lasting), self.zone)

    def _states(self) -> Iterator[State]:
        trial = self._trial_end()
        cuts = {self.sub.starts, trial, self.end, *(change.at for change, _ in self.changes)}
        plan, quantities, add_ons, paused = self.sub.plan, dict(self.sub.quantities), dict[str, Offer](), False
        for start, end in pairwise(sorted(cut for cut in cuts if self.sub.starts <= cut <= self.end)):
            for change, offer in self.changes:
                if change.at != start:
                    continue
                if change.what == "plan":
                    plan = offer
                elif change.what == "quantity":
                    quantities = {**quantities, change.name: Fraction(change.value)}
                elif change.what == "add":
                    add_ons = {**add_ons, change.name: offer}
                elif change.what == "drop":
                    add_ons = {name: each for name, each in add_ons.items() if name != change.name}
                elif change.what in ("pause", "resume"):
                    paused = change.what == "pause"
            yield State(start, end, plan, quantities, add_ons, charged=not paused and start >= trial)

    def _phases(self) -> Iterator[tuple[Span, Mapping[str, Any], dt.date, int]]:
        """Spans with one way of cutting periods: the plan, the day from which periods are counted, the day wanted."""
        found: list[tuple[int, Mapping[str, Any]]] = []
        for state in self.states:
            plan = self.offers[state.plan]
            if not found or _rhythm(plan) != _rhythm(found[-1][1]):
                found.append((state.start, plan))
        ends = [*(start for start, _ in found[1:]), *(state.end for state in self.states[-1:])]
        for (start, plan), end in zip(found, ends, strict=True):
            if plan.get("alignment") == "calendar":
                yield (start, end), plan, _1970, 0
            else:
                yield (start, end), plan, day_of(start, self.zone), self.sub.billing_day

    def periods(self, span: Span, interval: str | None = None) -> Iterator[tuple[Span, Span]]:
        """Billing periods that share time with a span: each whole, and the part that its phase has."""
        for phase, plan, anchor, wanted in self.phases:
            start, end = max(phase[0], span[0]), min(phase[1], span[1])
            months = _MONTHS[interval or plan.get("interval", "month")]
            for whole in periods(anchor, months, wanted, self.zone, start, end):
                yield whole, (max(whole[0], phase[0]), min(whole[1], phase[1]))

    def fees(self, due: int) -> list[Fee]:
        """Every fee that is due by an instant."""
        return [*self._once(due), *self._recurring(due)]

    def _fees_of(self, state: State) -> Iterator[tuple[Offer, Mapping[str, Any], Fraction]]:
        for offer in (state.plan, *(state.add_ons[name] for name in sorted(state.add_ons))):
            for fee in self.offers[offer].get("fees", ()):
                yield offer, fee, state.quantities.get(fee["code"], Fraction(fee.get("quantity", 1)))

    def _once(self, due: int) -> Iterator[Fee]:
        seen = set()
        for state in self.states:
            for offer, fee, quantity in self._fees_of(state):
                if not fee.get("recurs", True) and (offer[0], fee["code"]) not in seen and state.start <= due:
                    seen.add((offer[0], fee["code"]))
                    yield Fee(offer, fee, quantity, (state.start,) * 2, (state.start,) * 2, Fraction(1))

    def _recurring(self, due: int) -> Iterator[Fee]:
        for whole, served in self.periods((self.sub.starts, due + 1)):
            pieces: list[Fee] = []
            for state in self.states:
                start, end = max(state.start, served[0]), min(state.end, served[1])
                if start >= end or not state.charged:
                    continue
                for offer, fee, quantity in self._fees_of(state):
                    if fee.get("recurs", True):
                        self._lay(pieces, Fee(offer, fee, quantity, whole, (start, end), Fraction(0)))
            for piece in pieces:
                due_at = served[1] if piece.fee.get("timing") == "arrears" else piece.span[0]
                if due_at <= due:
                    yield piece

    def _lay(self, pieces: list[Fee], new: Fee) -> None:
        """Another piece; one that only goes on is joined to the piece before it. A fee that isn't divided is one piece."""
        undivided = new.fee.get("proration") == "none"
        for index, piece in enumerate(pieces):
            if (piece.offer, piece.fee["code"]) != (new.offer, new.fee["code"]):
                continue
            if undivided or (piece.span[1] == new.span[0] and piece.quantity == new.quantity):
                span = (piece.span[0], new.span[1])
                pieces[index] = piece._replace(span=span, share=self.share(new.fee, span, new.whole))
                return
        share = self.share(new.fee, new.span, new.whole)
        if share:
            pieces.append(new._replace(share=share))

    def share(self, fee: Mapping[str, Any], span: Span, whole: Span) -> Fraction:
        """What part of a period's fee a span costs."""
        by = fee.get("proration", "day")
        if by == "none":
            return Fraction(1)
        if by == "second":
            return Fraction(span[1] - span[0], whole[1] - whole[0])
        return Fraction(days(*span, self.zone), days(*whole, self.zone))

    def charged_days(self, part: Span, whole: Span) -> Fraction:
        """How much of a period are the days in a part of it in which fees ran."""
        spans = [(max(state.start, part[0]), min(state.end, part[1])) for state in self.states if state.charged]
        ran = sum(days(*span, self.zone) for span in spans if span[0] < span[1])
        return Fraction(ran, days(*whole, self.zone))

    def plan_at(self, instant: int) -> Mapping[str, Any]:
        """The plan that holds at an instant."""
        return self.offers[next(state.plan for state in self.states if state.start <= instant < state.end)]

    def usage(self, since: int | None, until: int) -> list[Usage]:
        """The usage charges whose span ended after ``since``, up to ``until``."""
        stretches: list[State] = []
        for state in self.states:
            last = stretches[-1] if stretches else None
            if last is not None and (last.plan, last.add_ons) == (state.plan, state.add_ons):
                stretches[-1] = last._replace(end=state.end)
            else:
                stretches.append(state)
        found = []
        for stretch in stretches:
            window = (stretch.start if since is None else max(stretch.start, since), min(stretch.end, until))
            for offer in (stretch.plan, *(stretch.add_ons[name] for name in sorted(stretch.add_ons))):
                for charge in self.offers[offer].get("charges", ()):
                    for whole, part in self.periods(window, charge.get("interval")):
                        span = (max(part[0], stretch.start), min(part[1], stretch.end))
                        if span[0] < span[1] <= until and (since is None or span[1] > since):
                            found.append(Usage(offer, charge, whole, span))
        return found


def difference(before: Sequence[Fee], after: Sequence[Fee], reading: Reading) -> list[Fee]:
    """What turns the fees that were asked for into those that are owed: first what is given back, with a share below zero."""
    back = [fee._replace(share=-fee.share) for fee in _beyond(before, after, reading)]
    return [*back, *_beyond(after, before, reading)]


def _beyond(fees: Sequence[Fee], others: Sequence[Fee], reading: Reading) -> Iterator[Fee]:
    for fee in fees:
        same = [
            other.span
            for other in others
            if (other.offer, other.fee["code"], other.quantity, other.whole)
            == (fee.offer, fee.fee["code"], fee.quantity, fee.whole)
        ]
        if fee.whole[0] == fee.whole[1] or fee.fee.get("proration") == "none":
            if not same:
                yield fee
            continue
        for span in _without(fee.span, same):
            share = reading.share(fee.fee, span, fee.whole)
            if share:
                yield fee._replace(span=span, share=share)


def _without(span: Span, others: Sequence[Span]) -> list[Span]:
    left = [span]
    for start, end in others:
        left = [piece for a, b in left for piece in ((a, min(b, start)), (max(a, end), b)) if piece[0] < piece[1]]
    return left


def _rhythm(plan: Mapping[str, Any]) -> tuple[str, str]:
    return plan.get("interval", "month"), plan.get("alignment", "anniversary")
