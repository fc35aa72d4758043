"""Commitments for a term, drawn down by what the invoice asks for.

What a prepaid commitment covers is taken off, for it has been paid; what goes beyond any commitment costs its overage factor;
what is left of one that was promised is trued up when its term ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from billsmith.invoicing.model import LineKind
from billsmith.invoicing.terms import Draw, State, Terms, as_seen, in_scope
from billsmith.invoicing.totals import DraftLine
from billsmith.ledger.commitments import Commitment, draw_down
from billsmith.units.currency import currency_exponent
from billsmith.units.exact import Exact, divide, multiply, subtract, total
from billsmith.units.rounding import ZERO
from billsmith.units.wording import say_money

_MINUS_ONE = Decimal(-1)


def draw_commitments(state: State, terms: Terms) -> State:
    """Draw each commitment down by what discounts have left of the lines in its scope."""
    for commitment in terms.commitments:
        state = _draw(state, commitment, terms)
    return state


def _draw(state: State, commitment: Commitment, terms: Terms) -> State:
    nets = {
        index: net
        for index, (line, net) in enumerate(zip(state.lines, state.nets, strict=True))
        if net and in_scope(line, commitment.applies_to)
    }
    used = total(nets.values())
    drawn = draw_down(commitment.left, used, commitment.overage_factor)
    beyond = subtract(used, drawn.covered)
    added: list[tuple[DraftLine, Exact]] = []
    if commitment.prepaid:
        added += _by_category(state, nets, multiply(drawn.covered, _MINUS_ONE), commitment, "covered", LineKind.CREDIT)
    extra = subtract(drawn.overage, beyond)
    if extra:
        added += _by_category(state, nets, as_seen(extra, terms), commitment, "overage", LineKind.ADJUSTMENT)
    left = drawn.left
    if commitment.closing:
        if left and not commitment.prepaid:
            added.append(_true_up(commitment, left, used, terms))
        left = ZERO
    return msgspec.structs.replace(
        state,
        lines=(*state.lines, *(line for line, _ in added)),
        nets=(*state.nets, *(net for _, net in added)),
        draws=(*state.draws, Draw(commitment=commitment.id, covered=drawn.covered, left=left)),
    )


def _by_category(
    state: State, nets: Mapping[int, Exact], amount: Exact, commitment: Commitment, what: str, kind: LineKind
) -> list[tuple[DraftLine, Exact]]:
    """An amount shared by the tax categories of the lines that it is on, in proportion to them."""
    by_category: dict[str, list[Exact]] = {}
    for index, net in nets.items():
        by_category.setdefault(state.lines[index].tax_category, []).append(net)
    whole = total(nets.values())
    shares = (
        {category: divide(multiply(amount, total(parts)), whole) for category, parts in by_category.items()} if whole else {}
    )
    return [
        (
            DraftLine(
                description=f"Commitment {commitment.id}: {what}",
                amount=share,
                kind=kind,
                tax_category=category,
                component=commitment.id,
                group=f"commitment:{commitment.id}:{what}",
            ),
            share,
        )
        for category, share in shares.items()
        if share
    ]


def _true_up(commitment: Commitment, left: Exact, used: Exact, terms: Terms) -> tuple[DraftLine, Exact]:
    places = currency_exponent(terms.currency)
    line = DraftLine(
        description=f"Commitment {commitment.id}: true-up",
        amount=left,
        kind=LineKind.TRUE_UP,
        tax_category=commitment.tax_category,
        component=commitment.id,
        trace=(f"{say_money(commitment.left, places)} left − {say_money(used, places)} used = {say_money(left, places)}",),
    )
    return line, as_seen(left, terms)
