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
    priced = model_price(price, state.usage, context)
    return State(state.usage, priced.amount, state.trace + priced.trace)


def model_price(price: Price, usage: Usage, context: Context) -> Priced:
    """What the model alone says, without the steps around it."""
    model = MODELS.get(type(price))
    if model is not None:
        return model(price, usage, context)
    return _sum_of_parts(PARTS[type(price)](price, usage, context), usage, context)


def _sum_of_parts(pieces: Sequence[Piece], usage: Usage, context: Context) -> Priced:
    parts = []
    for piece in pieces:
        state = run(piece.price, piece.usage, context)
        parts.append(Part(piece.label, state.trace, state.amount))
    amount = total([part.amount for part in parts])
    if len(parts) == 1:
        return Priced(amount, tuple(parts))
    terms = tuple([Term(part.amount) for part in parts])
    return Priced(amount, (*parts, Sum(usage.value, terms, amount, context.unit)))


def hold_commitment(price: Price, state: State, context: Context) -> State:
    """The commitment in money: as stated, or its units at the model's price."""
    commitment = price.commitment
    if commitment is None:
        return state
    if commitment.amount is not None:
        return settle_commitment(commitment, commitment.amount, state, context)
    assert commitment.units is not None
    committed = model_price(price, usage_of(commitment.units), context).amount
    return settle_commitment(commitment, committed, state, context)


Step = Callable[[Price, State, Context], State]

#: The order; see above for the reasons.
STEPS: tuple[Step, ...] = (
    convert_units,
    count_from_zero,
    take_free_units,
    apply_model,
    hold_commitment,
    discount,
    at_most,
    at_least,
)


def run(price: Price, usage: Usage, context: Context) -> State:
    """Take a usage through all steps."""
    state = State(usage)
    for step in STEPS:
        state = step(price, state, context)
    return state
