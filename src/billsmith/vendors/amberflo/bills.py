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
        return total((self.usage, self.fees, minus(self.discounts), self.commitments, minus(self.prepaid)))


def bill(parts: Parts, start: int, end: int, convert: Callable[[Decimal], Decimal] = lambda amount: amount) -> Bill:
    """The bill of a period in whole seconds. ``convert`` takes each part into another currency before they are summed.

    >>> shown = bill(Parts(usage=Decimal("8.50"), fees=Decimal(2), discounts=Decimal(1), prepaid=Decimal("0.5")), 0, 3600)
    >>> shown.totalPriceBeforeDiscount, shown.totalPriceBeforePrepaid, shown.totalPrice
    (Decimal('10.5'), Decimal('9.5'), Decimal('9'))
    """
    usage, fees, discounts = convert(parts.usage), convert(parts.fees), convert(parts.discounts)
    invoice_fees, commitments, prepaid = convert(parts.invoice_fees), convert(parts.commitments), convert(parts.prepaid)
    discountable, prepayable = convert(parts.discountable), convert(parts.prepayable)
    before_discount = EXACT.add(usage, fees)
    before_commitments = EXACT.add(EXACT.subtract(before_discount, discounts), invoice_fees)
    before_prepaid = EXACT.add(before_commitments, commitments)
    return Bill(
        commitmentsFees=shown(commitments),
        discountableBasePrice=shown(EXACT.add(usage, discountable)),
        discountableFixPrice=shown(discountable),
        endTimeInSeconds=end,
        fixPrice=shown(fees),
        invoiceBasedFees=shown(invoice_fees),
        itemPrice=shown(usage),
        prepaid=shown(prepaid),
        prepayableCommitmentsFees=ZERO,
        prepayableFixPrice=shown(prepayable),
        prepayableNotDiscountableFees=shown(convert(parts.prepayable_only)),
        startTimeInSeconds=start,
        totalDiscount=shown(discounts),
        totalPrepayablePrice=shown(EXACT.add(usage, prepayable)),
        totalPrice=shown(EXACT.subtract(before_prepaid, prepaid)),
        totalPriceBeforeCommitments=shown(before_commitments),
        totalPriceBeforeDiscount=shown(before_discount),
        totalPriceBeforePrepaid=shown(before_prepaid),
    )


def empty_bill(start: int, end: int) -> Bill:
    """The bill of a period in which nothing was asked for.

    >>> empty_bill(0, 3600) == bill(Parts(), 0, 3600)
    True
    """
    return msgspec.structs.replace(_EMPTY, startTimeInSeconds=start, endTimeInSeconds=end)


def shown(amount: Decimal) -> Decimal:
    """An amount without zeros at its end; most are zero, and need no work."""
    return trimmed(amount) if amount else ZERO


def minus(amount: Decimal) -> Decimal:
    """The amount with the other sign, exactly; zero has none."""
    return EXACT.minus(amount)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum of amounts.

    >>> total([Decimal("0.10"), Decimal("0.25")])
    Decimal('0.35')
    """
    whole = ZERO
    for amount in amounts:
        whole = EXACT.add(whole, amount)
    return whole


_EMPTY = bill(Parts(), 0, 0)
