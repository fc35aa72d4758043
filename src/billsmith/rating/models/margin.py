"""What the events cost us, sold so that a percentage of the price is ours."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from billsmith.catalog.price import Price, Takes, refuse
from billsmith.rating.charge import Priced
from billsmith.rating.context import Context
from billsmith.rating.models.dynamic import stated_by_events
from billsmith.rating.trace import Sum, Term
from billsmith.rating.usage import Usage
from billsmith.units.exact import divide, subtract
from billsmith.units.rounding import plain

_HUNDRED = Decimal(100)


class Margin(Price, frozen=True, kw_only=True, tag_field="model", tag="margin"):
    """The amounts that the events state, divided so that ``percent`` of the price is left: 80.00 at 20 % is 100.00."""

    takes: ClassVar[Takes] = Takes.EVENTS
    needs_amount: ClassVar[bool] = True

    percent: Decimal

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse(
            not 0 <= self.percent < _HUNDRED,
            "a margin is from 0 to below 100 percent of the price; for percent of the cost use markup",
            "price.margin_range",
            "percent",
        )


def margin(price: Margin, usage: Usage, context: Context) -> Priced:
    """Cost over what the margin leaves of a price. Raises :class:`InvalidPrice` where an event states no amount.

    >>> from billsmith.metering.quantity import Quantity
    >>> from billsmith.rating.usage import usage_of
    >>> bought = usage_of(Quantity(Decimal(1), amount=Decimal("80.00")))
    >>> margin(Margin(percent=Decimal(20)), bought, Context(currency="EUR")).amount
    Decimal('100')
    """
    cost = stated_by_events(usage)
    amount = divide(cost, (_HUNDRED - price.percent).scaleb(-2))
    terms = (
        Term(cost, name=context.stated),
        Term(subtract(amount, cost), name=f"a margin of {plain(price.percent)} %"),
    )
    return Priced(amount, (Sum(usage.value, terms, amount, context.unit),))
