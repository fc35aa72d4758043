"""Units are sold in packages; one begun is paid whole."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property

from billsmith.catalog.price import Price, refuse
from billsmith.rating.charge import Priced
from billsmith.rating.context import Context
from billsmith.rating.trace import Sum, Term
from billsmith.rating.usage import Usage
from billsmith.units.exact import divide, multiply
from billsmith.units.rounding import Rounding, round_to
from billsmith.units.wording import say_number


class Package(Price, frozen=True, kw_only=True, tag_field="model", tag="package"):
    """``amount`` for each ``size`` units. ``rounding`` says whether one begun counts (ceiling) or only full ones (floor)."""

    size: Decimal
    amount: Decimal
    rounding: Rounding = Rounding.CEILING

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse(self.size <= 0, "a package holds more than zero units", "price.package_size", "size")
        refuse(self.amount < 0, "a package's amount can't be below zero", "price.negative_amount", "amount")

    @cached_property
    def packages(self) -> str:
        """What is counted, in words."""
        return f"packages of {say_number(self.size)}"


def package(price: Package, usage: Usage, context: Context) -> Priced:
    """Packages × amount.

    >>> from billsmith.rating.usage import usage_of
    >>> hundred = Package(size=Decimal(100), amount=Decimal("5.00"))
    >>> package(hundred, usage_of(101), Context(currency="EUR")).amount
    Decimal('10.00')
    """
    packages = round_to(divide(usage.value, price.size), 0, price.rounding)
    amount = multiply(packages, price.amount)
    term = Term(amount, packages, price.amount, name=price.packages)
    return Priced(amount, (Sum(usage.value, (term,), amount, context.unit),))
