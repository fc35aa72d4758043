"""Another price for each combination of dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

from billsmith.catalog.price import Price, Takes, refuse
from billsmith.metering.quantity import Quantity
from billsmith.rating.context import Context
from billsmith.rating.models.parts import Piece
from billsmith.rating.usage import Usage, usage_of
from billsmith.units.errors import InvalidPrice
from billsmith.units.values import Value


class Cell(Value, frozen=True, kw_only=True):
    """The price of usage whose dimensions are those of ``when``; a dimension not named may be anything."""

    when: dict[str, str]
    price: Price


class Matrix(Price, frozen=True, kw_only=True, tag_field="model", tag="matrix"):
    """Usage by ``dimensions``: each combination is priced on its own, by the first cell that matches or by ``otherwise``.

    Without ``otherwise``, usage that no cell matches can't be rated and says so.
    """

    takes: ClassVar[Takes] = Takes.PARTS

    dimensions: tuple[str, ...]
    cells: tuple[Cell, ...]
    otherwise: Price | None = None

    def __post_init__(self) -> None:
        refuse(not self.dimensions, "a matrix has at least one dimension", "price.no_dimensions", "dimensions")
        refuse(not self.cells, "a matrix has at least one cell", "price.no_parts", "cells")
        for index, cell in enumerate(self.cells):
            strange = sorted(set(cell.when) - set(self.dimensions))
            refuse(
                bool(strange),
                f"{', '.join(strange)} is not among this matrix's {', '.join(self.dimensions)}. Add it, or mend the cell",
                "price.unknown_dimension",
                f"cells[{index}].when",
            )
            hidden = next((other for other in self.cells[:index] if other.when.items() <= cell.when.items()), None)
            refuse(
                hidden is not None,
                "a cell before this one matches all that this one does. Drop one, or put this one first",
                "price.cell_never_reached",
                f"cells[{index}].when",
            )
        super().__post_init__()
        again = {name for price in self.inner for part in price.walk() if isinstance(part, Matrix) for name in part.dimensions}
        refuse(
            bool(again & set(self.dimensions)),
            f"a matrix inside this one has {', '.join(sorted(again & set(self.dimensions)))} again. One of them is enough",
            "price.dimension_twice",
            "dimensions",
        )

    @cached_property
    def named_cells(self) -> dict[tuple[str, ...], tuple[str, Price]]:
        """Label and price of the cells that name every dimension, by its values. No cell before one matches the same."""
        whole = [cell for cell in self.cells if len(cell.when) == len(self.dimensions)]
        by_values = {tuple(cell.when[name] for name in self.dimensions): cell.price for cell in whole}
        return {values: (_label(self, values), price) for values, price in by_values.items()}

    @property
    def needs_dimensions(self) -> tuple[str, ...]:
        """The matrix's dimensions."""
        return self.dimensions

    @property
    def inner(self) -> tuple[Price, ...]:
        """The cells' prices, and the one for the rest."""
        prices = tuple(cell.price for cell in self.cells)
        return prices if self.otherwise is None else (*prices, self.otherwise)


def matrix(price: Matrix, usage: Usage, context: Context) -> Sequence[Piece]:
    """The usage of each combination, in the order of its first appearance. Raises :class:`InvalidPrice` without a match.

    >>> from decimal import Decimal as D
    >>> from billsmith.rating.models.per_unit import PerUnit
    >>> europe = Cell(when={"region": "eu"}, price=PerUnit(unit_amount=D(2)))
    >>> usage = usage_of(Quantity(D(5), dimensions={"region": "eu"}))
    >>> pieces = matrix(Matrix(dimensions=("region",), cells=(europe,)), usage, Context(currency="EUR"))
    >>> pieces[0].label, pieces[0].usage.value
    ('region eu', Decimal('5'))
    """
    names = price.dimensions
    groups: dict[tuple[str, ...], list[Quantity]] = {}
    for item in _items(price, usage):
        groups.setdefault(tuple([item.dimensions.get(name, "") for name in names]), []).append(item)
    return [_piece(price, values, items) for values, items in groups.items()]


def _items(price: Matrix, usage: Usage) -> tuple[Quantity, ...]:
    if usage.items or not usage.value:
        return usage.items
    raise InvalidPrice(
        f"a matrix price needs usage by {', '.join(price.dimensions)}, but got a total. Group the meter by these dimensions",
        code="price.no_dimensions_in_usage",
    )


def _piece(price: Matrix, values: tuple[str, ...], items: list[Quantity]) -> Piece:
    label, found = price.named_cells.get(values) or (_label(price, values), _price_for(price, values))
    if found is None:
        raise InvalidPrice(
            f"no cell of the matrix has a price for {label}. Add one, or an otherwise", code="price.no_cell", where="cells"
        )
    return Piece(label, found, usage_of(items[0] if len(items) == 1 else items))


def _label(price: Matrix, values: tuple[str, ...]) -> str:
    """The values by name; a dimension that the usage lacks is said to be missing."""
    pairs = zip(price.dimensions, values, strict=True)
    return ", ".join([f"{name} {value}" if value else f"no {name}" for name, value in pairs])


def _price_for(price: Matrix, values: tuple[str, ...]) -> Price | None:
    """The price of the first cell that matches and leaves a dimension open, or the one for the rest."""
    dimensions = dict(zip(price.dimensions, values, strict=True)).items()
    for cell in price.cells:
        if cell.when.items() <= dimensions:
            return cell.price
    return price.otherwise
