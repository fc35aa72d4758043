"""What the events cost us, and a percentage of it on top."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from billsmith.catalog.price import Price, Takes, refuse
from billsmith.rating.charge import Priced
from billsmith.rating.context import Context
from billsmith.rating.models.dynamic import stated_by_events
from billsmith.rating.trace import Sum, Term
from billsmith.rating.usage import Usage
from billsmith.units.exact import add
from billsmith.units.exact import percent as percent_of


class Markup(Price, frozen=True, kw_only=True, tag_field="model", tag="markup"):
    """The amounts that the events state, raised by ``percent`` of them: 100.00 at 20 % is 120.00."""

    takes: ClassVar[Takes] = Takes.EVENTS
    needs_amount: ClassVar[bool] = True

    percent: Decimal

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse(self.percent < 0, "a markup can't be below zero; give a discount_percent", "price.markup_negative", "percent")


def markup(price: Markup, usage: Usage, context: Context) -> Priced:
    """Cost plus markup. Raises :class:`InvalidPrice` where an event states no amount.

    >>> from billsmith.metering.quantity import Quantity
    >>> from billsmith.rating.usage import usage_of
    >>> bought = usage_of(Quantity(Decimal(1), amount=Decimal("100.00")))
    >>> markup(Markup(percent=Decimal(20)), bought, Context(currency="EUR")).amount
    Decimal('120.0000')
    """
    cost = stated_by_events(usage)
    added = percent_of(cost, price.percent)
    amount = add(cost, added)
    terms = (Term(cost, name=context.stated), Term(added, cost, price.percent, rate_unit="%"))
    return Priced(amount, (Sum(usage.value, terms, amount, context.unit),))
