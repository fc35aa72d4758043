"""Each tier takes its share of the amount that lies in it."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from billsmith.catalog.price import Price, Takes, refuse
from billsmith.rating.charge import Priced
from billsmith.rating.context import Context
from billsmith.rating.models.tiers import Boundary, check_ascending, reached
from billsmith.rating.trace import Sum, Term
from billsmith.rating.usage import Usage
from billsmith.units.exact import percent, total
from billsmith.units.rounding import ZERO
from billsmith.units.values import Value


class PercentageTier(Value, frozen=True, kw_only=True):
    """Of the amount up to ``up_to``, ``rate_percent``, and ``flat_amount`` once."""

    up_to: Decimal | None = None
    rate_percent: Decimal = ZERO
    flat_amount: Decimal = ZERO

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rate_percent", "flat_amount"):
            refuse(getattr(self, name) < 0, f"a tier's {name} can't be below zero", "price.negative_amount", name)


class GraduatedPercentage(Price, frozen=True, kw_only=True, tag_field="model", tag="graduated_percentage"):
    """Tiers of an amount: the part in each at its rate, plus the flat amount of every tier reached.

    With ``flat_on_zero`` an amount of 0 bills the first tier's flat amount. Beyond the last bound the last tier goes on.
    """

    takes: ClassVar[Takes] = Takes.AMOUNT

    tiers: tuple[PercentageTier, ...]
    boundary: Boundary = Boundary.UPPER_INCLUSIVE
    flat_on_zero: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ascending(self.tiers)


def graduated_percentage(price: GraduatedPercentage, usage: Usage, context: Context) -> Priced:
    """The sum over the tiers reached.

    >>> from decimal import Decimal as D
    >>> from billsmith.rating.usage import usage_of
    >>> tiers = (PercentageTier(up_to=D(10), rate_percent=D(1), flat_amount=D(200)), PercentageTier(rate_percent=D(2)))
    >>> graduated_percentage(GraduatedPercentage(tiers=tiers), usage_of(11), Context(currency="EUR")).amount
    Decimal('200.12')
    """
    amount = usage.value
    terms: list[Term] = []
    if amount or price.flat_on_zero:
        for tier, part in reached(price.tiers, amount, price.boundary):
            if tier.flat_amount:
                terms.append(Term(tier.flat_amount, name="flat fee"))
            if part:
                terms.append(Term(percent(part, tier.rate_percent), part, tier.rate_percent, rate_unit="%"))
    result = total([term.amount for term in terms])
    return Priced(result, (Sum(amount, tuple(terms), result, money=True),))
