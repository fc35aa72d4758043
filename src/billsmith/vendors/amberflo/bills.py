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

import msgspec

from billsmith.units.rounding import EXACT, trimmed
from billsmith.vendors.amberflo.shapes import ZERO, Bill


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a bill is made of, exactly. ``discountable``, ``prepayable`` and ``prepayable_only`` are shares of ``fees``."""

    usage: Decimal = ZERO
    fees: Decimal = ZERO
    discounts: Decimal = ZERO
    invoice_fees: Decimal = ZERO
    commitments: Decimal = ZERO
    prepaid: Decimal = ZERO
    discountable: Decimal = ZERO
    prepayable: Decimal = ZERO
    prepayable_only: Decimal = ZERO
    """Fees that can be paid with prepaid credit but take no discount."""

    @property
    def without_invoice_fees(self) -> Decimal:
        """The total that the other parts make."""
        return add(self.usage, self.fees, minus(self.discounts), self.commitments, minus(self.prepaid))


def bill(parts: Parts, start: int, end: int, convert: Callable[[Decimal], Decimal] = lambda amount: amount) -> Bill:
    """The bill of a period in whole seconds. ``convert`` takes each part into another currency before they are summed.

    >>> shown = bill(Parts(usage=Decimal("8.50"), fees=Decimal(2), discounts=Decimal(1), prepaid=Decimal("0.5")), 0, 3600)
    >>> shown.totalPriceBeforeDiscount, shown.totalPriceBeforePrepaid, shown.totalPrice
    (Decimal('10.5'), Decimal('9.5'), Decimal('9'))
    """
    usage, fees, discounts = convert(parts.usage), convert(parts.fees), convert(parts.discounts)
    invoice_fees, commitments, prepaid = convert(parts.invoice_fees), convert(parts.commitments), convert(parts.prepaid)
    before_commitments = add(usage, fees, minus(discounts), invoice_fees)
    return Bill(
        commitmentsFees=trimmed(commitments),
        discountableBasePrice=add(usage, convert(parts.discountable)),
        discountableFixPrice=trimmed(convert(parts.discountable)),
        endTimeInSeconds=end,
        fixPrice=trimmed(fees),
        invoiceBasedFees=trimmed(invoice_fees),
        itemPrice=trimmed(usage),
        prepaid=trimmed(prepaid),
        prepayableCommitmentsFees=ZERO,
        prepayableFixPrice=trimmed(convert(parts.prepayable)),
        prepayableNotDiscountableFees=trimmed(convert(parts.prepayable_only)),
        startTimeInSeconds=start,
        totalDiscount=trimmed(discounts),
        totalPrepayablePrice=add(usage, convert(parts.prepayable)),
        totalPrice=add(before_commitments, commitments, minus(prepaid)),
        totalPriceBeforeCommitments=before_commitments,
        totalPriceBeforeDiscount=add(usage, fees),
        totalPriceBeforePrepaid=add(before_commitments, commitments),
    )


def minus(amount: Decimal) -> Decimal:
    """The amount with the other sign, exactly; zero has none."""
    return EXACT.minus(amount)


def add(*amounts: Decimal) -> Decimal:
    """The exact sum, without zeros at its end."""
    return total(amounts)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum of amounts, without zeros at its end.

    >>> total([Decimal("0.10"), Decimal("0.20")])
    Decimal('0.3')
    """
    whole = ZERO
    for amount in amounts:
        whole = EXACT.add(whole, amount)
    return trimmed(whole)
