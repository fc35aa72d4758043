"""Rating: a price and a usage give a charge, the same one for ever."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from billsmith.catalog.price import Price
from billsmith.rating.charge import Charge, State
from billsmith.rating.context import Context
from billsmith.rating.steps import run
from billsmith.rating.trace import Change, Entry
from billsmith.rating.usage import NO_USAGE, Given, Usage, together, usage_of
from billsmith.units.errors import InvalidPrice
from billsmith.units.exact import Exact, exact, subtract
from billsmith.units.rounding import EXACT, ZERO, round_to
from billsmith.units.wording import ROUNDED


def rate(price: Price, usage: Given, context: Context) -> Charge:
    """What a price asks for a usage: the exact amount, the rounded amount, and why.

    ``usage`` is a total, or quantities by group of dimensions, window of time or event, where the price asks for them. In a
    split of a period (``context.previous``, ``context.previously_billed``) it is price(previous + this) − price(previous), so
    that the splits sum to the whole, also rounded.

    Raises :class:`InvalidPrice` where the price can't rate such usage, and :class:`InvalidNumber` for a float.

    >>> from decimal import Decimal as D
    >>> from billsmith.rating.models.graduated import Graduated
    >>> from billsmith.rating.models.tiers import Tier
    >>> calls = Graduated(tiers=(Tier(up_to=D(1000), unit_amount=D("0.10")), Tier(unit_amount=D("0.08"))))
    >>> charge = rate(calls, 1250, Context(currency="EUR", unit="calls"))
    >>> charge.rounded, charge.sentences
    (Decimal('120.00'), ('1,250 calls: 1,000 × 0.10 + 250 × 0.08 = 120.00',))
    """
    this = usage_of(usage)
    if context.previous is None and context.previously_billed is None:
        state = run(price, this, context)
        return _charge(state, context, ZERO, ZERO, state.trace)
    return _rate_split(price, this, context)


def _rate_split(price: Price, this: Usage, context: Context) -> Charge:
    earlier = NO_USAGE if context.previous is None else usage_of(context.previous)
    before = run(price, earlier, msgspec.structs.replace(context, final=False))
    state = run(price, together(earlier, this), context)
    billed = before.amount if context.previously_billed is None else exact(context.previously_billed)
    change = (Change("billed_before", state.amount, billed, subtract(state.amount, billed)),) if billed else ()
    return _charge(state, context, billed, before.usage.value, state.trace + change)


#: The largest amount that a charge may have; more digits than anybody owes, and all that a store keeps.
_LIMIT = Decimal(10) ** 30
_LEAST = -_LIMIT


def _charge(state: State, context: Context, billed: Exact, previous_quantity: Exact, trace: tuple[Entry, ...]) -> Charge:
    places = context.digits
    if not _LEAST < state.amount < _LIMIT:
        raise InvalidPrice(
            "this comes to 10^30 or more. Check the price and the unit of the usage", code="price.amount_too_large"
        )
    amount = subtract(state.amount, billed) if billed else state.amount
    rounded = round_to(state.amount, places, context.rounding)
    if billed:
        rounded = EXACT.subtract(rounded, round_to(billed, places, context.rounding))
    if rounded != amount:
        step = "rounded_split" if billed else "rounded"
        trace = (*trace, Change(step, amount, ZERO, rounded, ROUNDED[context.rounding]))
    return Charge(
        currency=context.currency,
        exact=amount,
        rounded=rounded,
        places=places,
        quantity=subtract(state.usage.value, previous_quantity) if previous_quantity else state.usage.value,
        previous_quantity=previous_quantity,
        unit=context.unit,
        trace=trace,
    )
