"""Several prices for the same usage, added up: a base fee and a price per unit, for example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from billsmith.catalog.price import Price, Takes, refuse
from billsmith.rating.context import Context
from billsmith.rating.models.parts import Piece
from billsmith.rating.usage import Usage


class Combined(Price, frozen=True, kw_only=True, tag_field="model", tag="sum"):
    """Each of ``prices`` is applied to all of the usage; the amounts are added."""

    takes: ClassVar[Takes] = Takes.PARTS

    prices: tuple[Price, ...]

    def __post_init__(self) -> None:
        refuse(not self.prices, "a sum has at least one price", "price.no_parts", "prices")
        super().__post_init__()

    @property
    def inner(self) -> tuple[Price, ...]:
        """The prices added up."""
        return self.prices


def combined(price: Combined, usage: Usage, context: Context) -> Sequence[Piece]:
    """The same usage for each price."""
    return [Piece("", part, usage) for part in price.prices]
