"""The amount travels on the event."""

from __future__ import annotations

from typing import ClassVar

from billsmith.catalog.price import Price, Takes
from billsmith.metering.quantity import Quantity
from billsmith.rating.charge import Priced
from billsmith.rating.context import Context
from billsmith.rating.trace import Sum, Term
from billsmith.rating.usage import Usage
from billsmith.units.errors import InvalidPrice
from billsmith.units.exact import Exact, exact, total


class Dynamic(Price, frozen=True, kw_only=True, tag_field="model", tag="dynamic"):
    """What the events themselves state, summed."""

    takes: ClassVar[Takes] = Takes.EVENTS
    needs_amount: ClassVar[bool] = True


def dynamic(price: Dynamic, usage: Usage, context: Context) -> Priced:
    """The sum of the amounts on the events. Raises :class:`InvalidPrice` where one has none.

    >>> from decimal import Decimal
    >>> from billsmith.rating.usage import usage_of
    >>> dynamic(Dynamic(), usage_of(Quantity(Decimal(3), amount=Decimal("0.31"))), Context(currency="EUR")).amount
    Decimal('0.31')
    """
    amount = stated_by_events(usage)
    return Priced(amount, (Sum(usage.value, (Term(amount, name=context.stated),), amount, context.unit),))


def stated_by_events(usage: Usage) -> Exact:
    """What the events of a usage state together. Raises :class:`InvalidPrice` where one has no amount."""
    if usage.value and not usage.items:
        raise InvalidPrice("a dynamic price needs usage that states its amount", code="price.no_amount_on_event")
    return total([_stated(item) for item in usage.items])


def _stated(item: Quantity) -> Exact:
    if item.amount is None:
        raise InvalidPrice(
            "an event that is priced dynamically states no amount. Name the meter's amount_field, or send the amount",
            code="price.no_amount_on_event",
        )
    return exact(item.amount)
