"""What a change in the middle of a paid period costs: the credit for what is unused, the charge for what is new."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import msgspec

from billsmith.subscriptions.proration import prorate
from billsmith.units.exact import Exact, multiply, subtract
from billsmith.units.rounding import ZERO


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """``credit`` for the old, ``charge`` for the new, both exact and zero or more; to be rounded as two lines."""

    credit: Exact
    charge: Exact


def plan_change(old: Exact, new: Exact, remaining: Fraction, *, new_periods: bool = False) -> Quote:
    """Another price for the ``remaining`` share of a period paid in advance.

    Where the new plan's periods begin anew at the change (another interval), its first is charged whole.

    >>> plan_change(Decimal(100), Decimal(300), Fraction(20, 30))
    Quote(credit=Fraction(200, 3), charge=Decimal('200'))
    """
    return Quote(credit=prorate(old, remaining), charge=new if new_periods else prorate(new, remaining))


def quantity_change(unit_amount: Exact, old: Decimal, new: Decimal, remaining: Fraction) -> Quote:
    """Another quantity at the same price: only the difference is charged, or given back.

    >>> quantity_change(Decimal(10), Decimal(2), Decimal(6), Fraction(1, 2))
    Quote(credit=Decimal('0'), charge=Decimal('20'))
    """
    difference = prorate(multiply(unit_amount, subtract(new, old)), remaining)
    return Quote(credit=max(multiply(difference, Decimal(-1)), ZERO), charge=max(difference, ZERO))


def discounted(amount: Exact, fixed_discount: Exact) -> Exact:
    """A period's amount with a fixed discount taken off, never below zero: discounts of whole periods come before proration.

    >>> discounted(Decimal(20), Decimal(5))
    Decimal('15')
    """
    return max(subtract(amount, fixed_discount), ZERO)
