"""Each tier prices the units that lie in it."""

from __future__ import annotations

from functools import cached_property

from billsmith.catalog.price import Price
from billsmith.rating.charge import Priced
from billsmith.rating.context import Context
from billsmith.rating.models.tiers import Boundary, Stair, Tier, check_ascending, stair_of, stairs_of, tier_terms
from billsmith.rating.trace import Sum
from billsmith.rating.usage import Usage
from billsmith.units.exact import add, subtract, total
from billsmith.units.rounding import ZERO


class Graduated(Price, frozen=True, kw_only=True, tag_field="model", tag="graduated"):
    """Tiers one after another: the units in each at its unit amount, plus the flat amount of every tier reached.

    With ``flat_on_zero`` a quantity of 0 bills the first tier's flat amount. Beyond the last bound the last tier goes on.
    """

    tiers: tuple[Tier, ...]
    boundary: Boundary = Boundary.UPPER_INCLUSIVE
    flat_on_zero: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ascending(self.tiers)

    @cached_property
    def stairs(self) -> tuple[Stair, ...]:
        """What a quantity in each tier begins with: the full tiers below it are the same for whoever reaches it."""
        return stairs_of(self.tiers)


def graduated(price: Graduated, usage: Usage, context: Context) -> Priced:
    """The sum over the tiers reached.

    >>> from decimal import Decimal as D
    >>> from billsmith.rating.usage import usage_of
    >>> tiers = (Tier(up_to=D(1000), unit_amount=D("0.10")), Tier(unit_amount=D("0.08")))
    >>> graduated(Graduated(tiers=tiers), usage_of(1250), Context(currency="EUR")).amount
    Decimal('120.00')
    """
    quantity = usage.value
    if not quantity and not price.flat_on_zero:
        return Priced(ZERO, (Sum(quantity, (), ZERO, context.unit),))
    stair = stair_of(price.stairs, quantity, price.boundary)
    terms = tier_terms(stair.tier, subtract(quantity, stair.lower))
    amount = add(stair.amount, terms[0].amount if len(terms) == 1 else total([term.amount for term in terms]))
    return Priced(amount, (Sum(quantity, stair.terms + terms, amount, context.unit),))
