"""Every unit costs the same."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from billsmith.catalog.price import Price, refuse
from billsmith.rating.charge import Priced
from billsmith.rating.context import Context
from billsmith.rating.trace import Sum, Term
from billsmith.rating.usage import Usage
from billsmith.units.exact import multiply


class PerUnit(Price, frozen=True, kw_only=True, tag_field="model", tag="per_unit"):
    """``unit_amount`` for each unit. A quantity below zero gives money back."""

    signed: ClassVar[bool] = True

    unit_amount: Decimal

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse(self.unit_amount < 0, "a unit's amount can't be below zero", "price.negative_amount", "unit_amount")


def per_unit(price: PerUnit, usage: Usage, context: Context) -> Priced:
    """Quantity × unit amount.

    >>> from billsmith.rating.usage import usage_of
    >>> per_unit(PerUnit(unit_amount=Decimal("0.05")), usage_of(1000), Context(currency="EUR")).amount
    Decimal('50.00')
    """
    quantity = usage.value
    amount = multiply(quantity, price.unit_amount)
    return Priced(amount, (Sum(quantity, (Term(amount, quantity, price.unit_amount),), amount, context.unit),))
