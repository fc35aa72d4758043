"""How an amount came about, as values that say themselves aloud.

A trace is a sequence of :class:`Sum`, :class:`Change` and :class:`Part`; :func:`say` makes its sentences. It is data first, so
that an API can show it and a test can read it; the words are made only where somebody asks.
"""

from __future__ import annotations

import msgspec

from billsmith.units.exact import Exact
from billsmith.units.wording import say_money, say_number, say_rate


class Term(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One addend: ``count`` × ``rate``, or an amount with a name. ``rate_unit`` is ``"%"`` for a percentage.

    ``words`` is how it is read aloud, where it is the same on so many invoices that its price keeps it.
    """

    amount: Exact
    count: Exact | None = None
    rate: Exact | None = None
    name: str = ""
    rate_unit: str = ""
    words: str = ""


def in_words(term: Term) -> Term:
    """The same term with its words kept, where they are the same in every currency: a count × a rate."""
    if term.count is None or term.rate is None or term.rate_unit:
        return term
    return msgspec.structs.replace(term, words=_say_term(term, 0))


class Sum(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a model made of a quantity: terms that sum to ``result``. Without ``quantity`` they don't depend on one."""

    quantity: Exact | None
    terms: tuple[Term, ...]
    result: Exact
    unit: str = ""
    money: bool = False
    """Whether the quantity is an amount of money."""


class Change(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One step that changed a quantity or an amount; ``step`` names the wording below."""

    step: str
    before: Exact
    by: Exact
    after: Exact
    detail: str = ""


class Part(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What one part of the usage cost, with a trace of its own."""

    label: str
    trace: tuple[Entry, ...]
    amount: Exact


Entry = Sum | Change | Part


def say(trace: tuple[Entry, ...], places: int = 2) -> tuple[str, ...]:
    """The trace's sentences; money is shown with at least ``places`` after the point.

    >>> from decimal import Decimal as D
    >>> terms = (Term(D("100.00"), D(1000), D("0.10")), Term(D("20.00"), D(250), D("0.08")))
    >>> say((Sum(D(1250), terms, D("120.00"), unit="calls"),))
    ('1,250 calls: 1,000 × 0.10 + 250 × 0.08 = 120.00',)
    """
    sentences: list[str] = []
    _say_all(trace, places, "", sentences)
    return tuple(sentences)


def _say_all(trace: tuple[Entry, ...], places: int, label: str, sentences: list[str]) -> None:
    for entry in trace:
        if type(entry) is Sum:
            sentences.append(label + _say_sum(entry, places))
        elif type(entry) is Change:
            sentences.append(label + _say_change(entry, places))
        elif type(entry) is Part:
            _say_all(entry.trace, places, f"{label}{entry.label}, " if entry.label else label, sentences)


def _say_sum(entry: Sum, places: int) -> str:
    quantity, terms = entry.quantity, entry.terms
    if quantity is None:
        subject = number = ""
    else:
        number = say_money(quantity, places) if entry.money else say_number(quantity)
        subject = f"{number} {entry.unit}: " if entry.unit else f"{number}: "
        if entry.unit and quantity == 1:
            subject = _one_of(entry)
    if len(terms) == 1:
        term = terms[0]
        count, rate = term.count, term.rate
        if count is None or rate is None:
            return subject + _say_term(term, places)
        if count is quantity and not entry.money and not term.rate_unit and not term.name:  # mostly, and its words are known
            return f"{subject}{number} × {say_rate(rate)} = {say_money(entry.result, places)}"
        return f"{subject}{_say_term(term, places)} = {say_money(entry.result, places)}"
    result = say_money(entry.result, places)
    if not terms:
        return subject + result
    return f"{subject}{' + '.join([term.words or _say_term(term, places) for term in terms])} = {result}"


def _one_of(entry: Sum) -> str:
    """One of a unit: what it is called alone nobody says, and ``unit`` may be a plural.

    >>> from decimal import Decimal as D
    >>> _one_of(Sum(D(1), (Term(D("5.00"), D(1), D("5.00")),), D("5.00"), unit="seats"))
    'seats: '
    """
    [first, *more] = entry.terms or (Term(entry.result),)
    is_said = not more and first.count == 1 and not first.name and not first.rate_unit
    return f"{entry.unit}: " if is_said else f"{entry.unit}, 1: "


def _say_term(term: Term, places: int) -> str:
    count, rate, name = term.count, term.rate, term.name
    if count is None or rate is None:
        amount = say_money(term.amount, places)
        return f"{name} {amount}" if name else amount
    if term.rate_unit:
        return f"{say_money(count, places)} × {say_rate(rate)} {term.rate_unit}"
    if name:
        return f"{say_number(count)} {_singular(name) if count == 1 else name} × {say_rate(rate)}"
    return f"{say_number(count)} × {say_rate(rate)}"


def _singular(name: str) -> str:
    """One of what a name counts: "packages of 10" is a package of 10."""
    first, space, rest = name.partition(" ")
    return first.removesuffix("s") + space + rest


#: How the steps that change a quantity are read aloud: {0} before, {1} by how much, {2} after, {3} in detail.
_QUANTITY_WORDS = {
    "multiply": "{0} × {1}{3} = {2}",
    "divide": "{0} ÷ {1}{3} = {2}",
    "free_units": "{0} less {1} free = {2}",
    "below_zero": "{0} is below zero and counts as {2}",
}

#: The same of the steps that change an amount.
_AMOUNT_WORDS = {
    "commitment": "committed {1}: {0} is trued up to {2}",
    "overage": "over the committed {1}: {0}, the excess {3} = {2}",
    "discount": "{3}: {0} less {1} = {2}",
    "maximum": "at most {1}: {0} becomes {2}",
    "minimum": "at least {1}: {0} becomes {2}",
    "billed_before": "{0} less {1} billed before = {2}",
    "rounded_split": "rounded so that all splits sum to the whole, {3}: {2}",
}


def _say_change(step: Change, places: int) -> str:
    if step.step == "rounded":  # nearly every trace has it, so it comes first and is short
        return f"rounded {step.detail}: {say_money(step.after, places)}"
    words = _QUANTITY_WORDS.get(step.step)
    if words is not None:
        return words.format(say_number(step.before), say_number(step.by), say_number(step.after), step.detail)
    before, by, after = say_money(step.before, places), say_money(step.by, places), say_money(step.after, places)
    return _AMOUNT_WORDS[step.step].format(before, by, after, step.detail)
