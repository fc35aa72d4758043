"""A bill: the parts of an invoice's amount and the sums that Amberflo shows of them, as one closed algebra.

Amberflo names the sums but publishes no formula; the order of its price machine (usage and fees, discounts, commitments,
prepaid credit) gives this one, and every bill that we write keeps it::

    totalPriceBeforeDiscount    = itemPrice + fixPrice
    totalPriceBeforeCommitments = totalPriceBeforeDiscount - totalDiscount + invoiceBasedFees
    totalPriceBeforePrepaid     = totalPriceBeforeCommitments + commitmentsFees
    totalPrice                  = totalPriceBeforePrepaid - prepaid
    discountableBasePrice       = itemPrice + discountableFixPrice
    totalPrepayablePrice        = itemPrice + prepayableFixPrice
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import lru_cache

import msgspec

from billsmith.units.rounding import EXACT, trimmed
from billsmith.vendors.amberflo.shapes import ZERO, Amount, Bill


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a bill is made of, exactly and without zeros at the ends.

    ``discountable``, ``prepayable`` and ``prepayable_only`` are shares of ``fees``.
    """

    usage: Amount = ZERO
    fees: Amount = ZERO
    discounts: Amount = ZERO
    invoice_fees: Amount = ZERO
    commitments: Amount = ZERO
    prepaid: Amount = ZERO
    discountable: Amount = ZERO
    prepayable: Amount = ZERO
    prepayable_only: Amount = ZERO
    """Fees that can be paid with prepaid credit but take no discount."""

    def converted(self, convert: Callable[[Amount], Amount]) -> Parts:
        """Each part in another currency."""
        return Parts(**{name: convert(amount) for name, amount in msgspec.structs.asdict(self).items()})


def bill(parts: Parts, start: int, end: int) -> Bill:
    """The bill of a period in whole seconds.

    >>> shown = bill(Parts(usage=Decimal("8.5"), fees=Decimal(2), discounts=Decimal(1), prepaid=Decimal("0.5")), 0, 3600)
    >>> shown.totalPriceBeforeDiscount, shown.totalPriceBeforePrepaid, shown.totalPrice
    (Decimal('10.5'), Decimal('9.5'), Decimal('9'))
    """
    usage, fees, discounts, prepaid = parts.usage, parts.fees, parts.discounts, parts.prepaid
    invoice_fees, commitments = parts.invoice_fees, parts.commitments
    discountable, prepayable = parts.discountable, parts.prepayable
    before_discount = plus(usage, fees)
    before_commitments = plus(plus(before_discount, minus(discounts)), invoice_fees)
    before_prepaid = plus(before_commitments, commitments)
    return Bill(
        commitmentsFees=commitments,
        discountableBasePrice=plus(usage, discountable),
        discountableFixPrice=discountable,
        endTimeInSeconds=end,
        fixPrice=fees,
        invoiceBasedFees=invoice_fees,
        itemPrice=usage,
        prepaid=prepaid,
        prepayableCommitmentsFees=ZERO,
        prepayableFixPrice=prepayable,
        prepayableNotDiscountableFees=parts.prepayable_only,
        startTimeInSeconds=start,
        totalDiscount=discounts,
        totalPrepayablePrice=plus(usage, prepayable),
        totalPrice=plus(before_prepaid, minus(prepaid)),
        totalPriceBeforeCommitments=before_commitments,
        totalPriceBeforeDiscount=before_discount,
        totalPriceBeforePrepaid=before_prepaid,
    )


@lru_cache(maxsize=1024)
def empty_bill(start: int, end: int) -> Bill:
    """The bill of a period in which nothing was asked for.

    >>> empty_bill(0, 3600) == bill(Parts(), 0, 3600)
    True
    """
    return bill(_NOTHING, start, end)


def shown(amount: Amount) -> Amount:
    """An amount without zeros at its end; most are zero, and need no work."""
    return trimmed(Decimal(amount)) if amount else ZERO


def minus(amount: Amount) -> Amount:
    """The amount with the other sign, exactly; zero has none."""
    return EXACT.minus(amount) if amount else ZERO


def plus(one: Amount, other: Amount) -> Amount:
    """The exact sum of two amounts without zeros at their ends, likewise; mostly one of them is zero.

    >>> plus(Decimal("0.1"), Decimal("0.9"))
    Decimal('1')
    """
    if not other:
        return one
    return shown(EXACT.add(one, other)) if one else other


def total(amounts: Iterable[Amount]) -> Amount:
    """The exact sum of amounts, as :func:`plus` makes it.

    >>> total([Decimal("0.1"), Decimal("0.25")])
    Decimal('0.35')
    """
    whole = ZERO
    for amount in amounts:
        whole = plus(whole, amount)
    return whole


_NOTHING = Parts()
