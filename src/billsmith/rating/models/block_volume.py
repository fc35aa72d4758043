"""The tier of blocks that the quantity falls in prices all of it."""

from __future__ import annotations

from billsmith.catalog.price import Price
from billsmith.rating.charge import Priced
from billsmith.rating.context import Context
from billsmith.rating.models.blocks import Block, block_term, check_blocks, filled
from billsmith.rating.trace import Sum
from billsmith.rating.usage import Usage
from billsmith.units.exact import total


class BlockVolume(Price, frozen=True, kw_only=True, tag_field="model", tag="block_volume"):
    """One tier's blocks for the whole quantity; the quantity before proration picks the tier."""

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_blocks(self.blocks)


def block_volume(price: BlockVolume, usage: Usage, context: Context) -> Priced:
    """All units in blocks of the tier they reach.

    >>> from decimal import Decimal as D
    >>> from billsmith.rating.usage import usage_of
    >>> blocks = (Block(size=D(100), amount=D(1), max_blocks=D(10)), Block(size=D(1000), amount=D(1)))
    >>> block_volume(BlockVolume(blocks=blocks), usage_of(1001), Context(currency="EUR")).amount
    Decimal('2')
    """
    *_, (block, _) = filled(price.blocks, usage.full)
    terms = (block_term(block, usage.value),) if usage.value else ()
    amount = total([term.amount for term in terms])
    return Priced(amount, (Sum(usage.value, terms, amount, context.unit),))
