"""Steps before the model: the quantity in the price's unit, and what of it is billed."""

from __future__ import annotations

from billsmith.catalog.price import Convert, Price
from billsmith.rating.charge import State
from billsmith.rating.context import Context
from billsmith.rating.trace import Change
from billsmith.rating.usage import Usage
from billsmith.units.exact import Exact, divide, multiply, subtract
from billsmith.units.rounding import ZERO, round_to
from billsmith.units.wording import ROUNDED


def convert_units(price: Price, state: State, context: Context) -> State:
    """From the meter's unit to the price's."""
    rule = price.convert
    assert rule is not None
    factor = rule.divide_by if rule.multiply_by is None else rule.multiply_by
    assert factor is not None
    step = "divide" if rule.multiply_by is None else "multiply"
    detail = "" if rule.rounding is None else f", rounded {ROUNDED[rule.rounding]}"
    usage = Usage(converted(rule, state.usage.value), converted(rule, state.usage.full))
    return _becomes(state, usage, step, factor, detail)


def converted(rule: Convert, value: Exact) -> Exact:
    """A quantity in the other unit.

    >>> from decimal import Decimal as D
    >>> from billsmith.units.rounding import Rounding
    >>> converted(Convert(divide_by=D(1000), rounding=Rounding.CEILING), D(1400))
    Decimal('2')
    """
    if rule.multiply_by is not None:
        result = multiply(value, rule.multiply_by)
    else:
        assert rule.divide_by is not None
        result = divide(value, rule.divide_by)
    return result if rule.rounding is None else round_to(result, rule.places, rule.rounding)


def count_from_zero(price: Price, state: State, context: Context) -> State:
    """Below zero there are no tiers, packages or blocks: only a price that says it is ``signed`` gives money back."""
    if state.usage.value >= ZERO:
        return state
    return _becomes(state, Usage(ZERO, max(state.usage.full, ZERO)), "below_zero", ZERO)


def take_free_units(price: Price, state: State, context: Context) -> State:
    """Free units are not billed; those that earlier splits used up don't come again, as the price is of their sum."""
    free = price.free_units
    assert free is not None
    if not free or state.usage.value <= 0:
        return state
    usage = Usage(_less(state.usage.value, free), _less(state.usage.full, free))
    return _becomes(state, usage, "free_units", min(free, state.usage.value))


def _less(value: Exact, free: Exact) -> Exact:
    return subtract(value, free) if value > free else ZERO


def _becomes(state: State, usage: Usage, step: str, by: Exact, detail: str = "") -> State:
    change = Change(step, state.usage.value, by, usage.value, detail)
    return State(usage, state.amount, (*state.trace, change))
