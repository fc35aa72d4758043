"""How an amount came about, as values that say themselves aloud.

A trace is a sequence of :class:`Sum`, :class:`Change` and :class:`Part`; :func:`say` makes its sentences. It is data first, so
that an API can show it and a test can read it; the words are made only where somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from billsmith.units.exact import Exact
from billsmith.units.wording import say_money, say_number, say_rate


class Term(msgspec.Struct, frozen=True, omit_defaults=True):
    """One addend: ``count`` × ``rate``, or an amount with a name. ``rate_unit`` is ``"%"`` for a percentage."""

    amount: Exact
    count: Exact | None = None
    rate: Exact | None = None
    name: str = ""
    rate_unit: str = ""


class Sum(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model made of a quantity: terms that sum to ``result``. Without ``quantity`` they don't depend on one."""

    quantity: Exact | None
    terms: tuple[Term, ...]
    result: Exact
    unit: str = ""
    money: bool = False
    """Whether the quantity is an amount of money."""


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step that changed a quantity or an amount; ``step`` names the wording below."""

    step: str
    before: Exact
    by: Exact
    after: Exact
    detail: str = ""


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one part of the usage cost, with a trace of its own."""

    label: str
    trace: tuple[Entry, ...]
    amount: Exact


Entry = Sum | Change | Part

#: How each step is read aloud. ``q`` marks a quantity, ``m`` money, ``r`` a rate.
_WORDING = {
    "multiply": "{before_q} × {by_r}{detail} = {after_q}",
    "divide": "{before_q} ÷ {by_r}{detail} = {after_q}",
    "free_units": "{before_q} less {by_q} free = {after_q}",
    "below_zero": "{before_q} is below zero and counts as {after_q}",
    "commitment": "committed {by_m}: {before_m} {detail} {after_m}",
    "overage": "over the committed {by_m}: {before_m}, the excess {detail} = {after_m}",
    "discount": "{by_r} % discount: {before_m} less {detail} = {after_m}",
    "maximum": "at most {by_m}: {before_m} becomes {after_m}",
    "minimum": "at least {by_m}: {before_m} becomes {after_m}",
    "billed_before": "{before_m} less {by_m} billed before = {after_m}",
    "rounded": "{before_m} rounded {detail} = {after_m}",
    "rounded_split": "{before_m}, so that all splits sum to the whole rounded {detail} = {after_m}",
}


def say(trace: tuple[Entry, ...], places: int = 2) -> tuple[str, ...]:
    """The trace's sentences; money is shown with at least ``places`` after the point.

    >>> from decimal import Decimal as D
    >>> terms = (Term(D("100.00"), D(1000), D("0.10")), Term(D("20.00"), D(250), D("0.08")))
    >>> say((Sum(D(1250), terms, D("120.00"), unit="calls"),))
    ('1,250 calls: 1,000 × 0.10 + 250 × 0.08 = 120.00',)
    """
    return tuple(_sentences(trace, places, ""))


def _sentences(trace: tuple[Entry, ...], places: int, label: str) -> Iterator[str]:
    for entry in trace:
        if type(entry) is Sum:
            yield label + _say_sum(entry, places)
        elif type(entry) is Change:
            yield label + _say_change(entry, places)
        elif type(entry) is Part:
            yield from _sentences(entry.trace, places, f"{label}{entry.label}, " if entry.label else label)


def _say_sum(entry: Sum, places: int) -> str:
    subject = _say_subject(entry, places)
    result = say_money(entry.result, places)
    terms = entry.terms
    if not terms:
        return subject + result
    words = " + ".join([_say_term(term, places) for term in terms])
    if len(terms) == 1 and terms[0].count is None:
        return subject + words
    return f"{subject}{words} = {result}"


def _say_subject(entry: Sum, places: int) -> str:
    if entry.quantity is None:
        return ""
    quantity = say_money(entry.quantity, places) if entry.money else say_number(entry.quantity)
    return f"{quantity} {entry.unit}: " if entry.unit else f"{quantity}: "


def _say_term(term: Term, places: int) -> str:
    if term.count is None or term.rate is None:
        amount = say_money(term.amount, places)
        return f"{term.name} {amount}" if term.name else amount
    if term.rate_unit:
        return f"{say_money(term.count, places)} × {say_rate(term.rate)} {term.rate_unit}"
    name = f" {_singular(term.name) if term.count == 1 else term.name}" if term.name else ""
    return f"{say_number(term.count)}{name} × {say_rate(term.rate)}"


def _singular(name: str) -> str:
    """One of what a name counts: "packages of 10" is a package of 10."""
    first, space, rest = name.partition(" ")
    return first.removesuffix("s") + space + rest


def _say_change(entry: Change, places: int) -> str:
    return _WORDING[entry.step].format(
        before_q=say_number(entry.before),
        by_q=say_number(entry.by),
        after_q=say_number(entry.after),
        before_m=say_money(entry.before, places),
        by_m=say_money(entry.by, places),
        after_m=say_money(entry.after, places),
        by_r=say_rate(entry.by),
        detail=entry.detail,
    )
