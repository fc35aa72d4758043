"""Windows of time, each priced on its own: an hour's peak, a day's commitment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from billsmith.catalog.price import Price, Takes, refuse
from billsmith.metering.quantity import Quantity
from billsmith.rating.context import Context
from billsmith.rating.models.parts import Piece
from billsmith.rating.usage import Usage, usage_of
from billsmith.units.errors import InvalidPrice
from billsmith.units.instants import format_instant


class Windows(Price, frozen=True, kw_only=True, tag_field="model", tag="windows"):
    """``price`` for the quantity of each window of time; the amounts are added. Windows don't nest."""

    takes: ClassVar[Takes] = Takes.PARTS
    needs_windows: ClassVar[bool] = True

    price: Price

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse(
            any(isinstance(part, Windows) for part in self.price.walk()),
            "windows inside windows: the usage is cut into windows once. Drop one of them",
            "price.windows_twice",
            "price",
        )

    @property
    def inner(self) -> tuple[Price, ...]:
        """The price of a window."""
        return (self.price,)


def windows(price: Windows, usage: Usage, context: Context) -> Sequence[Piece]:
    """The usage of each window, in the order of time. Raises :class:`InvalidPrice` for usage without windows."""
    groups: dict[int, list[Quantity]] = {}
    for item in timed_items(usage):
        groups.setdefault(start_of(item), []).append(item)
    return [Piece(format_instant(start), price.price, usage_of(groups[start])) for start in sorted(groups)]


def timed_items(usage: Usage) -> tuple[Quantity, ...]:
    """The quantities by window. Raises :class:`InvalidPrice` where there is only a total."""
    if usage.value and not usage.items:
        raise _no_windows()
    return usage.items


def start_of(item: Quantity) -> int:
    """The first instant of a quantity's window. Raises :class:`InvalidPrice` where it has none."""
    if item.start is None:
        raise _no_windows()
    return item.start


def _no_windows() -> InvalidPrice:
    return InvalidPrice(
        "this price needs usage by windows of time, but got a total. Give the charge a window", code="price.no_windows_in_usage"
    )
