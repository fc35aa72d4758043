"""Each tier prices the units that lie in it."""

from __future__ import annotations

from billsmith.catalog.price import Price
from billsmith.rating.charge import Priced
from billsmith.rating.context import Context
from billsmith.rating.models.tiers import Boundary, Tier, check_ascending, reached, tier_terms
from billsmith.rating.trace import Sum, Term
from billsmith.rating.usage import Usage
from billsmith.units.exact import total


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


def graduated(price: Graduated, usage: Usage, context: Context) -> Priced:
    """The sum over the tiers reached.

    >>> from decimal import Decimal as D
    >>> from billsmith.rating.usage import usage_of
    >>> tiers = (Tier(up_to=D(1000), unit_amount=D("0.10")), Tier(unit_amount=D("0.08")))
    >>> graduated(Graduated(tiers=tiers), usage_of(1250), Context(currency="EUR")).amount
    Decimal('120.00')
    """
    quantity = usage.value
    terms: list[Term] = []
    if quantity or price.flat_on_zero:
        for tier, units in reached(price.tiers, quantity, price.boundary):
            terms += tier_terms(tier, units)
    amount = total([term.amount for term in terms])
    return Priced(amount, (Sum(quantity, tuple(terms), amount, context.unit),))
