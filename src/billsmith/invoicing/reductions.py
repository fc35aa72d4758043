"""What lowers an invoice before tax: line discounts, then coupons.

A discount on a line becomes a line of its own beneath the same meter. A coupon is one amount over all lines in its scope:
shared by what is left of each, so that every tax category is lowered by its part, and shown as one line for each category.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from billsmith.invoicing.model import LineKind
from billsmith.invoicing.terms import AppliedCoupon, CouponUse, LineDiscount, State, Terms, as_seen, in_scope
from billsmith.invoicing.totals import DraftLine
from billsmith.units.exact import Exact, divide, multiply, percent, subtract, total
from billsmith.units.rounding import ZERO

_MINUS_ONE = Decimal(-1)


def discount_lines(state: State, terms: Terms) -> State:
    """Take the line discounts off, each from what the one before it left."""
    for discount in terms.discounts:
        state = _discount(state, discount, terms)
    return state


def _discount(state: State, discount: LineDiscount, terms: Terms) -> State:
    nets, added = list(state.nets), []
    for index, line in enumerate(state.lines):
        net = nets[index]
        if net > 0 and in_scope(line, discount.applies_to):
            off = as_seen(_off(net, discount.percent, discount.amount), terms)
            nets[index] = subtract(net, off)
            added.append(
                msgspec.structs.replace(
                    line,
                    description=f"{discount.name}: {line.description}",
                    amount=multiply(off, _MINUS_ONE),
                    kind=LineKind.DISCOUNT,
                    quantity=None,
                    unit_price=None,
                    trace=(),
                )
            )
    return _extended(state, nets, added)


def apply_coupons(state: State, terms: Terms) -> State:
    """Take the coupons off in their order (:func:`coupon_order`), each from what the one before it left."""
    for applied in sorted(terms.coupons, key=coupon_order):
        if applied.periods_left is None or applied.periods_left > 0:
            state = _apply(state, applied, terms)
    return state


def coupon_order(applied: AppliedCoupon) -> tuple[int, bool]:
    """The key by which coupons are taken off: their ``order``, then those with a scope first; else as given."""
    return (applied.coupon.order, not applied.coupon.applies_to)


def after_use(applied: AppliedCoupon, use: CouponUse | None) -> AppliedCoupon | None:
    """What an account holds of a coupon after an invoice, or ``None`` when it is used up.

    >>> from billsmith.catalog.reductions import Coupon
    >>> welcome = AppliedCoupon(coupon=Coupon(code="WELCOME", percent=Decimal(10), periods=3), periods_left=3)
    >>> after_use(welcome, CouponUse(code="WELCOME", amount=Decimal(5), shares={})).periods_left
    2
    """
    periods = None if applied.periods_left is None else applied.periods_left - 1
    left = applied.left if applied.left is None or use is None else subtract(applied.left, use.amount)
    used_up = (periods is not None and periods <= 0) or (left is not None and left <= 0)
    return None if used_up else msgspec.structs.replace(applied, periods_left=periods, left=left)


def _apply(state: State, applied: AppliedCoupon, terms: Terms) -> State:
    coupon = applied.coupon
    scope = [index for index, line in enumerate(state.lines) if state.nets[index] and in_scope(line, coupon.applies_to)]
    subtotal = max(total(state.nets[index] for index in scope), ZERO)
    off = _off(subtotal, coupon.percent, coupon.amount if applied.left is None else applied.left)
    if coupon.maximum is not None:
        off = min(off, coupon.maximum)
    off = as_seen(off, terms)
    if not off:
        return state
    shares = _shares(off, [index for index in scope if state.nets[index] > 0], state.nets)
    nets = [subtract(net, shares[index]) if index in shares else net for index, net in enumerate(state.nets)]
    use = CouponUse(code=coupon.code, amount=off, shares=shares)
    extended = _extended(state, nets, _coupon_lines(state, applied, shares))
    return msgspec.structs.replace(extended, coupon_uses=(*state.coupon_uses, use))


def _off(net: Exact, rate: Decimal | None, amount: Exact | None) -> Exact:
    if rate is not None:
        return percent(net, rate)
    assert amount is not None
    return min(amount, net)


def _shares(off: Exact, places: Sequence[int], nets: Sequence[Exact]) -> dict[int, Exact]:
    whole = total(nets[index] for index in places)
    return {index: divide(multiply(off, nets[index]), whole) for index in places}


def _coupon_lines(state: State, applied: AppliedCoupon, shares: dict[int, Exact]) -> list[DraftLine]:
    coupon = applied.coupon
    by_category: dict[str, list[Exact]] = {}
    for index, share in shares.items():
        by_category.setdefault(state.lines[index].tax_category, []).append(share)
    return [
        DraftLine(
            description=coupon.name or coupon.code,
            amount=multiply(total(parts), _MINUS_ONE),
            kind=LineKind.COUPON,
            tax_category=category,
            component=coupon.code,
            group=f"coupon:{coupon.code}",
        )
        for category, parts in by_category.items()
    ]


def _extended(state: State, nets: Sequence[Exact], added: Sequence[DraftLine]) -> State:
    return msgspec.structs.replace(state, lines=(*state.lines, *added), nets=(*nets, *([ZERO] * len(added))))
