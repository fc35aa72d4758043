"""A fixed fee, whatever was used."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from billsmith.catalog.price import Price, Takes, refuse
from billsmith.rating.charge import Priced
from billsmith.rating.context import Context
from billsmith.rating.trace import Sum, Term
from billsmith.rating.usage import Usage


class Flat(Price, frozen=True, kw_only=True, tag_field="model", tag="flat"):
    """``amount`` once, also where nothing was used."""

    takes: ClassVar[Takes] = Takes.NOTHING

    amount: Decimal

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse(self.amount < 0, "a flat amount can't be below zero", "price.negative_amount", "amount")


def flat(price: Flat, usage: Usage, context: Context) -> Priced:
    """The amount.

    >>> from billsmith.rating.usage import NO_USAGE
    >>> flat(Flat(amount=Decimal("49.00")), NO_USAGE, Context(currency="EUR")).amount
    Decimal('49.00')
    """
    return Priced(price.amount, (Sum(None, (Term(price.amount, name="flat fee"),), price.amount),))
