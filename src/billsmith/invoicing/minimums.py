"""Minimum spend: what the lines in scope lack is asked for as a line of its own, prorated where the period was."""

from __future__ import annotations

from fractions import Fraction

import msgspec

from billsmith.invoicing.exchange import convert, rate_on
from billsmith.invoicing.model import LineKind
from billsmith.invoicing.terms import Minimum, State, Terms, as_seen, in_scope
from billsmith.invoicing.totals import DraftLine
from billsmith.ledger.commitments import true_up
from billsmith.units.currency import currency_exponent
from billsmith.units.exact import Exact, multiply, simplest, total
from billsmith.units.wording import say_money


def meet_minimums(state: State, terms: Terms) -> State:
    """Add the true-up of each minimum that the lines do not reach."""
    for minimum in terms.minimums:
        if minimum.currency not in ("", terms.currency):
            state, minimum = _converted(state, minimum, terms)
        state = _meet(state, minimum, terms)
    return state


def _converted(state: State, minimum: Minimum, terms: Terms) -> tuple[State, Minimum]:
    """A minimum that a plan states in another currency, at the invoice's own rate, which it records."""
    rate = rate_on(terms.exchange_rates, minimum.currency, terms.currency, terms.date)
    amount, before = (simplest(convert(each, rate, terms.currency)) for each in (minimum.amount, minimum.billed_before))
    used = state.rates_used if rate in state.rates_used else (*state.rates_used, rate)
    return msgspec.structs.replace(state, rates_used=used), msgspec.structs.replace(
        minimum, amount=amount, billed_before=before, currency=""
    )


def _meet(state: State, minimum: Minimum, terms: Terms) -> State:
    first, after = minimum.places or (0, len(state.lines))
    nets = [net for line, net in zip(state.lines[first:after], state.nets[first:after], strict=True) if _covers(minimum, line)]
    used = total([minimum.billed_before, *nets])
    asked = simplest(multiply(minimum.amount, minimum.share))
    missing = true_up(asked, used)
    if not missing:
        return state
    line = DraftLine(
        description=minimum.name,
        amount=missing,
        kind=LineKind.TRUE_UP,
        tax_category=minimum.tax_category,
        subscription=minimum.subscription,
        period=minimum.period,
        trace=(_explained(minimum, asked, used, missing, currency_exponent(terms.currency)),),
    )
    return msgspec.structs.replace(state, lines=(*state.lines, line), nets=(*state.nets, as_seen(missing, terms)))


def _covers(minimum: Minimum, line: DraftLine) -> bool:
    period = minimum.period
    timely = period is None or (line.period is not None and period.holds(line.period))
    return timely and in_scope(line, minimum.applies_to) and minimum.subscription in ("", line.subscription)


def _explained(minimum: Minimum, asked: Exact, used: Exact, missing: Exact, places: int) -> str:
    prorated = "" if minimum.share == 1 else f" ({say_money(minimum.amount, places)} × {Fraction(minimum.share)})"
    return f"minimum {say_money(asked, places)}{prorated} − {say_money(used, places)} used = {say_money(missing, places)}"
