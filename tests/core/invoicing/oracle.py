"""An independent oracle: what an invoice must come to, in plain fractions, written from the definitions.

It shares no code with billsmith and imports nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction


def half_up(amount: Fraction) -> int:
    """To a whole number, halves away from zero."""
    sign = -1 if amount < 0 else 1
    return sign * int(abs(amount) + Fraction(1, 2))


def per_unit(quantity: Fraction, price: Fraction) -> Fraction:
    return quantity * price


def graduated(quantity: Fraction, tiers: list[tuple[Fraction | None, Fraction]]) -> Fraction:
    """Each unit at the price of the tier it lies in; a bound belongs to the lower tier."""
    amount, low = Fraction(0), Fraction(0)
    for bound, price in tiers:
        high = quantity if bound is None else min(quantity, bound)
        amount += max(high - low, Fraction(0)) * price
        low = max(low, high)
    return amount


def volume(quantity: Fraction, tiers: list[tuple[Fraction | None, Fraction]]) -> Fraction:
    """All units at the price of the tier that the total lies in."""
    return next(quantity * price for bound, price in tiers if bound is None or quantity <= bound)


def package(quantity: Fraction, size: Fraction, price: Fraction) -> Fraction:
    packages = quantity / size
    return price * -(-packages.numerator // packages.denominator)


@dataclass
class Bill:
    """Charges in whole cents, and what is done to them."""

    charges: list[tuple[str, str, int]]
    """name, tax category, cents"""
    line_discounts: list[tuple[set[str], Fraction]] = field(default_factory=list)
    """names (none: all), percent"""
    coupons: list[tuple[set[str], Fraction | None, int]] = field(default_factory=list)
    """names (none: all), percent or None, fixed cents"""
    minimum: Fraction | None = None
    minimum_category: str = ""
    taxes: list[tuple[str, Fraction]] = field(default_factory=list)
    """category, percent; several of one category stack"""
    credit_notes: list[int] = field(default_factory=list)
    wallet: int = 0


@dataclass
class Result:
    net: int
    tax: int
    total: int
    due: int


def bill(given: Bill) -> Result:
    """Line discounts, coupons, minimum, taxes, credit notes, wallet; what a reader sees is rounded where it stands."""
    left = [Fraction(cents) for _, _, cents in given.charges]
    lines = [(category, cents) for _, category, cents in given.charges]

    for names, percent in given.line_discounts:
        for place, (name, category, _) in enumerate(given.charges):
            if left[place] > 0 and (not names or name in names):
                off = half_up(left[place] * percent / 100)
                left[place] -= off
                lines.append((category, -off))

    limited_first = sorted(given.coupons, key=lambda coupon: not coupon[0])
    for names, percent, fixed in limited_first:
        scope = [place for place, (name, _, _) in enumerate(given.charges) if not names or name in names]
        whole = max(sum((left[place] for place in scope), Fraction(0)), Fraction(0))
        off = half_up(whole * percent / 100 if percent is not None else min(Fraction(fixed), whole))
        if not off:
            continue
        positive = [place for place in scope if left[place] > 0]
        base = sum(left[place] for place in positive)
        shares = {place: off * left[place] / base for place in positive}
        by_category: dict[str, Fraction] = {}
        for place in positive:
            category = given.charges[place][1]
            by_category[category] = by_category.get(category, Fraction(0)) + shares[place]
            left[place] -= shares[place]
        lines += list(zip(by_category, largest_remainder(-off, [-share for share in by_category.values()]), strict=True))

    if given.minimum is not None:
        missing = half_up(given.minimum - sum(left, Fraction(0)))
        if given.minimum > sum(left, Fraction(0)):
            lines.append((given.minimum_category, missing))

    net = sum(cents for _, cents in lines)
    present = {category for category, _ in lines}
    tax = sum(
        half_up(sum(cents for line_category, cents in lines if line_category == category) * percent / 100)
        for category, percent in given.taxes
        if category in present
    )
    total = due = net + tax
    for credit in [*given.credit_notes, given.wallet]:
        due -= max(min(credit, due), 0)
    return Result(net, tax, total, due)


def largest_remainder(whole: int, shares: list[Fraction]) -> list[int]:
    """Whole parts of shares that sum to a whole: floors, then the largest remainders get one more, earlier ones first."""
    parts = [share.numerator // share.denominator for share in shares]
    order = sorted(range(len(shares)), key=lambda place: (parts[place] - shares[place], place))
    for place in order[: whole - sum(parts)]:
        parts[place] += 1
    return parts
