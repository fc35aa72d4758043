"""Minimum spend: what the lines in scope lack is asked for as a line of its own, prorated where the period was."""

from __future__ import annotations

from fractions import Fraction

import msgspec

from billsmith.invoicing.model import LineKind, RoundingPlace
from billsmith.invoicing.terms import Minimum, MinimumBasis, State, Terms, in_scope
from billsmith.invoicing.totals import DraftLine
from billsmith.ledger.commitments import true_up
from billsmith.units.currency import currency_exponent, from_minor, to_minor
from billsmith.units.exact import Exact, multiply, simplest, total
from billsmith.units.rounding import ZERO
from billsmith.units.wording import say_money


def meet_minimums(state: State, terms: Terms) -> State:
    """Add the true-up of each minimum that the lines do not reach."""
    for minimum in terms.minimums:
        state = _meet(state, minimum, terms)
    return state


def _meet(state: State, minimum: Minimum, terms: Terms) -> State:
    scope = [index for index, line in enumerate(state.lines) if _covers(minimum, line)]
    used = total(_held(state, index, terms) for index in scope)
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
        trace=(_explained(minimum, asked, used, missing, currency_exponent(terms.currency)),),
    )
    net = missing if terms.place is RoundingPlace.INVOICE else from_minor(to_minor(missing, terms.currency, terms.mode), terms.currency)
    return msgspec.structs.replace(state, lines=(*state.lines, line), nets=(*state.nets, net))


def _covers(minimum: Minimum, line: DraftLine) -> bool:
    return in_scope(line, minimum.applies_to) and minimum.subscription in ("", line.subscription)


def _held(state: State, index: int, terms: Terms) -> Exact:
    """What a line counts towards a minimum. The exact amount is the line's own where no discount changed it."""
    line = state.lines[index]
    if terms.minimum_basis is MinimumBasis.PLACE or line.kind in (LineKind.DISCOUNT, LineKind.COUPON):
        return state.nets[index]
    return state.nets[index] if state.coupon_uses or terms.discounts else line.amount


def _explained(minimum: Minimum, asked: Exact, used: Exact, missing: Exact, places: int) -> str:
    prorated = "" if minimum.share == 1 else f" ({say_money(minimum.amount, places)} × {Fraction(minimum.share)})"
    used_text = say_money(used, places) if used else say_money(ZERO, places)
    return f"minimum {say_money(asked, places)}{prorated} − {used_text} used = {say_money(missing, places)}"
