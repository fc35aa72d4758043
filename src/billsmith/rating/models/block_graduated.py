"""Tiers of blocks, filled one after another."""

from __future__ import annotations

from billsmith.catalog.price import Price
from billsmith.rating.charge import Priced
from billsmith.rating.context import Context
from billsmith.rating.models.blocks import Block, block_term, check_blocks, filled
from billsmith.rating.trace import Sum
from billsmith.rating.usage import Usage
from billsmith.units.exact import total


class BlockGraduated(Price, frozen=True, kw_only=True, tag_field="model", tag="block_graduated"):
    """Each tier prices the blocks that lie in it."""

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_blocks(self.blocks)


def block_graduated(price: BlockGraduated, usage: Usage, context: Context) -> Priced:
    """The sum over the tiers filled.

    >>> from decimal import Decimal as D
    >>> from billsmith.rating.usage import usage_of
    >>> blocks = (Block(size=D(100), amount=D(1), max_blocks=D(10)), Block(size=D(1000), amount=D(1)))
    >>> block_graduated(BlockGraduated(blocks=blocks), usage_of(2500), Context(currency="EUR")).amount
    Decimal('12')
    """
    terms = tuple(block_term(block, units) for block, units in filled(price.blocks, usage.value) if units)
    amount = total([term.amount for term in terms])
    return Priced(amount, (Sum(usage.value, terms, amount, context.unit),))
