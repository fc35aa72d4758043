"""What a quantity costs, in fractions, and the one rounding rule: to the currency's places, a half away from zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

PLACES = {"JPY": 0, "EUR": 2, "USD": 2, "KWD": 3}


def minor(amount: Fraction, currency: str) -> int:
    """An amount in minor units."""
    scaled = abs(amount) * 10 ** PLACES[currency]
    rounded = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return rounded if amount >= 0 else -rounded


def major(amount_minor: int, currency: str) -> Fraction:
    """Minor units as an amount."""
    return Fraction(amount_minor, 10 ** PLACES[currency])


def shared(total: int, shares: Sequence[Fraction]) -> list[int]:
    """A whole as parts by their exact shares: each floored, the rest to the largest remainders, the first first."""
    parts = [share.numerator // share.denominator for share in shares]
    order = sorted(range(len(shares)), key=lambda index: (-(shares[index] - parts[index]), index))
    for index in order[: total - sum(parts)]:
        parts[index] += 1
    return parts


def cost(price: Mapping[str, Any], quantity: Fraction) -> Fraction:
    """What a price asks for a quantity."""
    if price["model"] == "flat":
        return Fraction(price["amount"])
    left = max(quantity - Fraction(price.get("free_units", 0)), Fraction(0))
    amount = _MODELS[price["model"]](price, left)
    if "discount_percent" in price:
        amount -= amount * Fraction(price["discount_percent"]) / 100
    if "maximum" in price:
        amount = min(amount, Fraction(price["maximum"]))
    if "minimum" in price:
        amount = max(amount, Fraction(price["minimum"]))
    return amount


def _per_unit(price: Mapping[str, Any], quantity: Fraction) -> Fraction:
    return quantity * Fraction(price["unit_amount"])


def _package(price: Mapping[str, Any], quantity: Fraction) -> Fraction:
    return -(-quantity // Fraction(price["size"])) * Fraction(price["amount"])


def _graduated(price: Mapping[str, Any], quantity: Fraction) -> Fraction:
    amount, below = Fraction(0), Fraction(0)
    for tier in price["tiers"]:
        if quantity <= below:
            break
        top = Fraction(tier["up_to"]) if "up_to" in tier else quantity
        amount += Fraction(tier.get("flat_amount", 0))
        amount += (min(top, quantity) - below) * Fraction(tier.get("unit_amount", 0))
        below = top
    return amount


def _volume(price: Mapping[str, Any], quantity: Fraction) -> Fraction:
    if not quantity:
        return Fraction(0)
    tier = next(tier for tier in price["tiers"] if "up_to" not in tier or quantity <= Fraction(tier["up_to"]))
    return quantity * Fraction(tier.get("unit_amount", 0)) + Fraction(tier.get("flat_amount", 0))


_MODELS = {"per_unit": _per_unit, "package": _package, "graduated": _graduated, "volume": _volume}
