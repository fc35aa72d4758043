"""Steps after the model: what a commitment, a discount, a maximum and a minimum make of its amount."""

from __future__ import annotations

from billsmith.catalog.price import Commitment, Price
from billsmith.rating.charge import State
from billsmith.rating.context import Context
from billsmith.rating.trace import Change
from billsmith.units.exact import Exact, add, multiply, percent, subtract
from billsmith.units.wording import say_money, say_rate


def discount(price: Price, state: State, context: Context) -> State:
    """A percentage off what would be paid."""
    assert price.discount_percent is not None
    off = percent(state.amount, price.discount_percent)
    return _becomes(state, "discount", off, subtract(state.amount, off), f"{say_rate(price.discount_percent)} % discount")


def at_most(price: Price, state: State, context: Context) -> State:
    """Never more than the maximum."""
    assert price.maximum is not None
    if state.amount <= price.maximum:
        return state
    return _becomes(state, "maximum", price.maximum, price.maximum)


def at_least(price: Price, state: State, context: Context) -> State:
    """Never less than the minimum, which the last split of a period settles."""
    assert price.minimum is not None
    if state.amount >= price.minimum or not context.final:
        return state
    return _becomes(state, "minimum", price.minimum, price.minimum)


def settle_commitment(commitment: Commitment, committed: Exact, state: State, context: Context) -> State:
    """The excess at the overage factor; with a true-up, in the last split, at least what was committed."""
    if state.amount > committed:
        excess = subtract(state.amount, committed)
        amount = add(committed, multiply(excess, commitment.overage_factor))
        detail = f"{say_money(excess, context.digits)} × {say_rate(commitment.overage_factor)}"
        return _becomes(state, "overage", committed, amount, detail)
    if commitment.true_up and context.final and state.amount < committed:
        return _becomes(state, "commitment", committed, committed)
    return state


def _becomes(state: State, step: str, by: Exact, amount: Exact, detail: str = "") -> State:
    return State(state.usage, amount, (*state.trace, Change(step, state.amount, by, amount, detail)))
