"""The order in which a price is applied, and the models there are.

``STEPS`` is the one place that knows the order:

1. the quantity is converted to the price's unit, for free units and tiers are stated in that unit;
2. below zero it counts as nothing, where the model has no way of giving money back;
3. free units come off, before any tier is reached;
4. the model prices what is left;
5. a commitment is held against the price as agreed, before anybody gives a discount on it;
6. the discount is taken of what would be paid;
7. the maximum holds for what is paid in the end, so it comes after the discount;
8. the minimum comes last: what is paid is never less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from billsmith.catalog.price import Price
from billsmith.rating.charge import Priced, State
from billsmith.rating.context import Context
from billsmith.rating.limits import at_least, at_most, discount, settle_commitment
from billsmith.rating.models.block_graduated import BlockGraduated, block_graduated
from billsmith.rating.models.block_volume import BlockVolume, block_volume
from billsmith.rating.models.combined import Combined, combined
from billsmith.rating.models.dynamic import Dynamic, dynamic
from billsmith.rating.models.flat import Flat, flat
from billsmith.rating.models.graduated import Graduated, graduated
from billsmith.rating.models.graduated_percentage import GraduatedPercentage, graduated_percentage
from billsmith.rating.models.hours import Hours, hours
from billsmith.rating.models.margin import Margin, margin
from billsmith.rating.models.markup import Markup, markup
from billsmith.rating.models.matrix import Matrix, matrix
from billsmith.rating.models.package import Package, package
from billsmith.rating.models.parts import Piece
from billsmith.rating.models.per_unit import PerUnit, per_unit
from billsmith.rating.models.percentage import Percentage, percentage
from billsmith.rating.models.volume import Volume, volume
from billsmith.rating.models.windows import Windows, windows
from billsmith.rating.quantities import convert_units, count_from_zero, take_free_units
from billsmith.rating.trace import Part, Sum, Term
from billsmith.rating.usage import Usage, usage_of
from billsmith.units.exact import total
from billsmith.units.rounding import ZERO

#: The models that price a usage themselves.
MODELS: dict[type[Price], Callable[[Any, Usage, Context], Priced]] = {
    PerUnit: per_unit,
    Flat: flat,
    Graduated: graduated,
    Volume: volume,
    Package: package,
    BlockGraduated: block_graduated,
    BlockVolume: block_volume,
    Percentage: percentage,
    GraduatedPercentage: graduated_percentage,
    Dynamic: dynamic,
    Markup: markup,
    Margin: margin,
}

#: The models that give each part of a usage to a price inside them.
PARTS: dict[type[Price], Callable[[Any, Usage, Context], Sequence[Piece]]] = {
    Combined: combined,
    Matrix: matrix,
    Windows: windows,
    Hours: hours,
}


def apply_model(price: Price, state: State, context: Context) -> State:
    """The model's amount for the usage."""
    usage = state.usage
    priced = model_price(price, usage, context)
    return State(usage, priced.amount, state.trace + priced.trace)


def model_price(price: Price, usage: Usage, context: Context) -> Priced:
    """What the model alone says, without the steps around it."""
    model = MODELS.get(type(price))
    if model is not None:
        return model(price, usage, context)
    return _sum_of_parts(PARTS[type(price)](price, usage, context), usage, context)


def _sum_of_parts(pieces: Sequence[Piece], usage: Usage, context: Context) -> Priced:
    parts = []
    for piece in pieces:
        price = piece.price
        if steps_of(price) is _MODEL_ALONE:  # every cell of most matrices
            priced: Priced | State = model_price(price, piece.usage, context)
        else:
            priced = run(price, piece.usage, context)
        parts.append(Part(piece.label, priced.trace, priced.amount))
    amount = total([part.amount for part in parts])
    if len(parts) == 1:
        return Priced(amount, tuple(parts))
    together = (Term(amount, name="together"),)
    return Priced(amount, (*parts, Sum(usage.value, together, amount, context.unit)))


def hold_commitment(price: Price, state: State, context: Context) -> State:
    """The commitment in money: as stated, or its units at the model's price."""
    commitment = price.commitment
    assert commitment is not None
    if commitment.amount is not None:
        return settle_commitment(commitment, commitment.amount, state, context)
    assert commitment.units is not None
    committed = model_price(price, usage_of(commitment.units), context).amount
    return settle_commitment(commitment, committed, state, context)


Step = Callable[[Price, State, Context], State]

#: The order; see above for the reasons. Beside each step what a price must have for it; "" where nothing.
STEPS: tuple[tuple[Step, str], ...] = (
    (convert_units, "convert"),
    (count_from_zero, "counts_from_zero"),
    (take_free_units, "free_units"),
    (apply_model, ""),
    (hold_commitment, "commitment"),
    (discount, "discount_percent"),
    (at_most, "maximum"),
    (at_least, "minimum"),
)
_MODEL_ALONE: tuple[Step, ...] = (apply_model,)
_FROM_ZERO: tuple[Step, ...] = (count_from_zero, apply_model)


def run(price: Price, usage: Usage, context: Context) -> State:
    """Take a usage through the steps that the price asks for."""
    steps = steps_of(price)
    if steps is _MODEL_ALONE or (steps is _FROM_ZERO and usage.value >= ZERO):  # most prices, and every part of a matrix
        priced = model_price(price, usage, context)
        return State(usage, priced.amount, priced.trace)
    state = State(usage)
    for step in steps:
        state = step(price, state, context)
    return state


def steps_of(price: Price) -> tuple[Step, ...]:
    """The steps that a price asks for, in order. Found once for each price and kept beside its fields."""
    known: tuple[Step, ...] | None = price.__dict__.get("steps")
    if known is None:
        known = tuple(step for step, field in STEPS if not field or _asks(price, field))
        known = next((each for each in (_MODEL_ALONE, _FROM_ZERO) if each == known), known)
        price.__dict__["steps"] = known
    return known


def _asks(price: Price, field: str) -> bool:
    """Whether a price has what a step is for. A maximum of 0 is one, so ``None`` and ``False`` are told by identity."""
    value = getattr(price, field)
    return value is not None and value is not False
