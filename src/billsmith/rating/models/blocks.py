"""Blocks: tiers whose unit is a block of units; a block begun is paid whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from billsmith.catalog.price import refuse
from billsmith.rating.trace import Term
from billsmith.units.exact import Exact, divide, multiply, subtract
from billsmith.units.rounding import ZERO, Rounding, round_to
from billsmith.units.values import Value
from billsmith.units.wording import say_number


class Block(Value, frozen=True, kw_only=True):
    """``max_blocks`` blocks of ``size`` units at ``amount`` each. A price's last tier goes on beyond its ``max_blocks``."""

    size: Decimal
    amount: Decimal
    max_blocks: Decimal | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse(self.size <= 0, "a block holds more than zero units", "price.block_size", "size")
        refuse(self.amount < 0, "a block's amount can't be below zero", "price.negative_amount", "amount")
        refuse(
            self.max_blocks is not None and self.max_blocks <= 0,
            "a tier holds more than zero blocks. Raise max_blocks, or drop the tier",
            "price.block_count",
            "max_blocks",
        )


def check_blocks(blocks: Sequence[Block]) -> None:
    """Raise :class:`InvalidPrice` unless there are blocks and only the last has no end."""
    refuse(not blocks, "a block price has at least one tier of blocks", "price.no_tiers", "blocks")
    for index, block in enumerate(blocks[:-1]):
        refuse(
            block.max_blocks is None,
            "only the last tier may have no max_blocks. Give it one, or drop the tiers after it",
            "price.tier_without_end",
            f"blocks[{index}].max_blocks",
        )


def filled(blocks: Sequence[Block], quantity: Exact) -> Iterator[tuple[Block, Exact]]:
    """The tiers that a quantity reaches, each with the units that fill it. A bound belongs to the tier below it.

    >>> small = Block(size=Decimal(100), amount=Decimal(1), max_blocks=Decimal(10))
    >>> large = Block(size=Decimal(1000), amount=Decimal(1))
    >>> [units for _, units in filled((small, large), Decimal(2500))]
    [Decimal('1000'), Decimal('1500')]
    """
    left = quantity
    for block in blocks[:-1]:
        assert block.max_blocks is not None
        room = multiply(block.size, block.max_blocks)
        if left <= room:
            yield block, left
            return
        yield block, room
        left = subtract(left, room)
    yield blocks[-1], left


def block_term(block: Block, units: Exact) -> Term:
    """The blocks that units take, each begun one whole, and what they cost.

    >>> block_term(Block(size=Decimal(100), amount=Decimal(2)), Decimal(101)).amount
    Decimal('4')
    """
    blocks = round_to(divide(units, block.size), 0, Rounding.CEILING) if units else ZERO
    return Term(multiply(blocks, block.amount), blocks, block.amount, name=f"blocks of {say_number(block.size)}")
