"""The tier that the quantity falls in prices all of it."""

from __future__ import annotations

from billsmith.catalog.price import Price
from billsmith.rating.charge import Priced
from billsmith.rating.context import Context
from billsmith.rating.models.tiers import Boundary, Tier, check_ascending, tier_holding, tier_terms
from billsmith.rating.trace import Sum, Term
from billsmith.rating.usage import Usage
from billsmith.units.exact import total


class Volume(Price, frozen=True, kw_only=True, tag_field="model", tag="volume"):
    """One tier for the whole quantity: its unit amount for every unit, plus its flat amount once.

    The quantity before proration picks the tier; the prorated one is priced. With ``flat_on_zero`` a quantity of 0 bills the
    first tier's flat amount. Beyond the last bound the last tier goes on.
    """

    tiers: tuple[Tier, ...]
    boundary: Boundary = Boundary.UPPER_INCLUSIVE
    flat_on_zero: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ascending(self.tiers)


def volume(price: Volume, usage: Usage, context: Context) -> Priced:
    """All units at the price of the tier they reach.

    >>> from decimal import Decimal as D
    >>> from billsmith.rating.usage import usage_of
    >>> tiers = (Tier(up_to=D(100), unit_amount=D("1.00")), Tier(unit_amount=D("0.50")))
    >>> volume(Volume(tiers=tiers), usage_of(150), Context(currency="EUR")).amount
    Decimal('75.00')
    """
    quantity = usage.value
    terms: tuple[Term, ...] = ()
    if quantity or usage.full or price.flat_on_zero:
        terms = tier_terms(tier_holding(price.tiers, usage.full, price.boundary), quantity)
    amount = total([term.amount for term in terms])
    return Priced(amount, (Sum(quantity, terms, amount, context.unit),))
