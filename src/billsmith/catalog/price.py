"""A price: one model, and what is done before and after it.

Every model is a subclass of :class:`Price` in a file of ``billsmith.rating.models``; its name in a catalog is its struct's
tag. What all of them share stands here: the fields that ``billsmith.rating.steps`` applies, in the order given there.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from typing import ClassVar

from billsmith.units.errors import InvalidPrice
from billsmith.units.rounding import MAX_PLACES, Rounding
from billsmith.units.values import Value

#: How many prices may stand inside each other.
MAX_DEPTH = 8

_HUNDRED = Decimal(100)


class Takes(Enum):
    """What a model looks at."""

    QUANTITY = "the total quantity"
    AMOUNT = "an amount of money"
    EVENTS = "each event's amount"
    NOTHING = "nothing; it is charged as it stands"
    PARTS = "parts of the usage, each with a price of its own"


class Convert(Value, frozen=True, kw_only=True):
    """Another unit: the quantity times ``multiply_by`` or divided by ``divide_by``, rounded only where ``rounding`` is given.

    ``places`` after the point are kept by the rounding; below zero it rounds to tens, hundreds …
    """

    multiply_by: Decimal | None = None
    divide_by: Decimal | None = None
    rounding: Rounding | None = None
    places: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.multiply_by is None) == (self.divide_by is None):
            raise InvalidPrice("a conversion has either multiply_by or divide_by", code="price.convert_one_factor")
        if (self.multiply_by or self.divide_by or 0) <= 0:
            raise InvalidPrice("a conversion's factor must be above zero", code="price.convert_factor")
        if not -MAX_PLACES <= self.places <= MAX_PLACES:
            raise InvalidPrice(f"places are from -{MAX_PLACES} to {MAX_PLACES}", code="price.convert_places", where="places")


class Commitment(Value, frozen=True, kw_only=True):
    """Money (or units, priced) promised; what goes beyond it costs ``overage_factor`` times as much.

    With ``true_up`` the commitment is paid even where less was used. Inside ``windows`` it holds for each window of time.
    """

    amount: Decimal | None = None
    units: Decimal | None = None
    overage_factor: Decimal = Decimal(1)
    true_up: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.amount is None) == (self.units is None):
            raise InvalidPrice("a commitment has either an amount or units", code="price.commitment_one_kind")
        if min(self.amount or 0, self.units or 0, self.overage_factor) < 0:
            raise InvalidPrice("a commitment and its factor can't be below zero", code="price.commitment_negative")


class Price(Value, frozen=True, kw_only=True, dict=True):
    """What every price model has beside its own fields.

    ``convert`` and ``free_units`` change the quantity before the model sees it; ``commitment``, ``discount_percent``,
    ``maximum`` and ``minimum`` change the amount after it. All are exact; amounts are in the plan's currency.
    """

    takes: ClassVar[Takes] = Takes.QUANTITY
    signed: ClassVar[bool] = False
    """Whether a quantity below zero gives money back; where not, it counts as zero."""
    needs_windows: ClassVar[bool] = False
    """Whether the usage must come by windows of time."""
    needs_amount: ClassVar[bool] = False
    """Whether the events must state their own amount."""

    convert: Convert | None = None
    free_units: Decimal | None = None
    commitment: Commitment | None = None
    discount_percent: Decimal | None = None
    maximum: Decimal | None = None
    minimum: Decimal | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_bounds()
        self._check_nesting()

    @property
    def inner(self) -> tuple[Price, ...]:
        """The prices inside this one."""
        return ()

    @property
    def counts_from_zero(self) -> bool:
        """Whether a quantity below zero counts as zero: the model looks at one, and has no way of giving money back."""
        return not self.signed and self.takes in (Takes.QUANTITY, Takes.AMOUNT)

    @property
    def needs_dimensions(self) -> tuple[str, ...]:
        """The dimensions by which the usage must be grouped."""
        return ()

    @property
    def needs_each_event(self) -> bool:
        """Whether the total and the number of events aren't enough."""
        return False

    def walk(self) -> Iterator[Price]:
        """This price and all prices inside it."""
        yield self
        for price in self.inner:
            yield from price.walk()

    @property
    def depth(self) -> int:
        """How many prices stand inside each other, this one included."""
        return 1 + max((price.depth for price in self.inner), default=0)

    def _check_bounds(self) -> None:
        if self.free_units is not None and self.free_units < 0:
            raise InvalidPrice("free units can't be below zero", code="price.free_units_negative", where="free_units")
        if self.discount_percent is not None and not 0 <= self.discount_percent <= _HUNDRED:
            raise InvalidPrice(
                f"a discount of {self.discount_percent} %; it is from 0 to 100",
                code="price.discount_range",
                where="discount_percent",
            )
        for name in ("maximum", "minimum"):
            if (getattr(self, name) or 0) < 0:
                raise InvalidPrice(f"a {name} can't be below zero", code=f"price.{name}_negative", where=name)
        if self.maximum is not None and self.minimum is not None and self.minimum > self.maximum:
            raise InvalidPrice(
                f"the minimum ({self.minimum}) is above the maximum ({self.maximum}). Lower one, or drop it",
                code="price.minimum_above_maximum",
                where="minimum",
            )

    def _check_nesting(self) -> None:
        for name in ("convert", "free_units"):
            if getattr(self, name) is not None and self.takes is not Takes.QUANTITY:
                raise InvalidPrice(
                    f"{name} changes a quantity, but {self.model} looks at {self.takes.value}. Move it into the price that "
                    "takes the quantity, or drop it",
                    code="price.no_quantity_to_change",
                    where=name,
                )
        if self.commitment is not None and self.commitment.units is not None and self.takes is not Takes.QUANTITY:
            raise InvalidPrice(
                f"committed units need a price per quantity, but {self.model} looks at {self.takes.value}. Commit an amount",
                code="price.no_quantity_to_commit",
                where="commitment.units",
            )
        if self.commitment is not None and self.takes is Takes.NOTHING:
            raise InvalidPrice(
                f"a commitment can't be used up by {self.model}, which is charged as it stands. Drop it",
                code="price.nothing_to_commit",
                where="commitment",
            )
        if self.depth > MAX_DEPTH:
            raise InvalidPrice(f"prices stand more than {MAX_DEPTH} deep in each other", code="price.too_deep")

    @property
    def model(self) -> str:
        """The model's name, as a catalog writes it."""
        return model_name(type(self))


def model_name(kind: type[Price]) -> str:
    """The name of a price model, as a catalog writes it."""
    return str(kind.__struct_config__.tag)


def price_models() -> dict[str, type[Price]]:
    """Every price model that is loaded, by name. ``billsmith.rating`` loads those of the house."""
    found: dict[str, type[Price]] = {}
    waiting = [*Price.__subclasses__()]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if isinstance(kind.__struct_config__.tag, str):
            found[model_name(kind)] = kind
    return dict(sorted(found.items()))


def refuse(problem: bool, message: str, code: str, where: str | None = None) -> None:
    """Raise :class:`InvalidPrice` where there is a problem: how models check their fields."""
    if problem:
        raise InvalidPrice(message, code=code, where=where)
