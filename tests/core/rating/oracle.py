"""An auditor: what a price costs, computed from plain data with fractions. It shares no code with billsmith.

A price is the dict that a catalog spells, numbers as texts. A usage is a list of dicts ``{value, events, full, amount, start,
dims}``; ``start`` is in whole hours, the zone is UTC.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Any

Price = dict[str, Any]
Item = dict[str, Any]


def cost(price: Price, usage: list[Item], final: bool = True) -> Fraction:
    """The exact amount: quantity rules, then the model, then the limits."""
    value = sum((Fraction(item["value"]) for item in usage), Fraction(0))
    full = sum((Fraction(item.get("full", item["value"])) for item in usage), Fraction(0))
    value, full = _converted(price, value), _converted(price, full)
    if value < 0 and price["model"] not in (
        "per_unit",
        "percentage",
        "dynamic",
        "markup",
        "margin",
        "flat",
        "sum",
        "matrix",
        "windows",
        "hours",
    ):
        value, full = Fraction(0), max(full, Fraction(0))
    free = Fraction(price.get("free_units") or 0)
    if value > 0:
        value, full = max(value - free, Fraction(0)), max(full - free, Fraction(0))
    amount = _model(price, value, full, usage, final)
    amount = _committed(price, amount, final)
    amount -= amount * Fraction(price.get("discount_percent") or 0) / 100
    if price.get("maximum") is not None:
        amount = min(amount, Fraction(price["maximum"]))
    if price.get("minimum") is not None and final:
        amount = max(amount, Fraction(price["minimum"]))
    return amount


def half_up(amount: Fraction, places: int) -> Fraction:
    """Rounded half away from zero."""
    scale = 10**places
    size = floor(abs(amount) * scale + Fraction(1, 2))
    return Fraction(size if amount >= 0 else -size, scale)


def _converted(price: Price, value: Fraction) -> Fraction:
    rule = price.get("convert")
    if not rule:
        return value
    value = value * Fraction(rule["multiply_by"]) if rule.get("multiply_by") else value / Fraction(rule["divide_by"])
    scale = Fraction(10) ** int(rule.get("places", 0))
    if rule.get("rounding") == "ceiling":
        return Fraction(ceil(value * scale)) / scale
    if rule.get("rounding") == "floor":
        return Fraction(floor(value * scale)) / scale
    return value


def _committed(price: Price, amount: Fraction, final: bool) -> Fraction:
    rule = price.get("commitment")
    if not rule:
        return amount
    if rule.get("amount") is not None:
        floor_amount = Fraction(rule["amount"])
    else:
        units = Fraction(rule["units"])
        floor_amount = _model(price, units, units, [{"value": units}], final)
    if amount > floor_amount:
        return floor_amount + (amount - floor_amount) * Fraction(rule.get("overage_factor", 1))
    return floor_amount if rule.get("true_up") and final else amount


def _model(price: Price, value: Fraction, full: Fraction, usage: list[Item], final: bool) -> Fraction:
    model = price["model"]
    if model == "per_unit":
        return value * Fraction(price["unit_amount"])
    if model == "flat":
        return Fraction(price["amount"])
    if model == "package":
        round_ = floor if price.get("rounding") == "floor" else ceil
        return round_(value / Fraction(price["size"])) * Fraction(price["amount"])
    if model in ("graduated", "graduated_percentage"):
        return _graduated(price, value)
    if model == "volume":
        return _volume(price, value, full)
    if model == "block_graduated":
        return sum((_blocks(block, units) for block, units in _block_spans(price, value)), Fraction(0))
    if model == "block_volume":
        holding = [block for block, units in _block_spans(price, full)][-1]
        return _blocks(holding, value)
    if model == "percentage":
        return _percentage(price, usage)
    if model in ("dynamic", "markup", "margin"):
        bought = sum((Fraction(item["amount"]) for item in usage), Fraction(0))
        rate = Fraction(price.get("percent", 0)) / 100
        return bought / (1 - rate) if model == "margin" else bought * (1 + rate)
    return sum((cost(inner, part, final) for inner, part in _parts(price, usage)), Fraction(0))


def _bounds(price: Price) -> list[tuple[Fraction, Fraction | None, dict[str, Any]]]:
    """Each tier with its lower and upper end; the last has none."""
    spans, lower = [], Fraction(0)
    for index, tier in enumerate(price["tiers"]):
        last = index == len(price["tiers"]) - 1
        upper = None if last or tier.get("up_to") is None else Fraction(tier["up_to"])
        spans.append((lower, upper, tier))
        lower = upper if upper is not None else lower
    return spans


def _tier_cost(tier: dict[str, Any], units: Fraction) -> Fraction:
    rate = Fraction(tier.get("rate_percent", 0)) / 100 if "rate_percent" in tier else Fraction(tier.get("unit_amount", 0))
    amount = units * rate + Fraction(tier.get("flat_amount", 0))
    return amount if tier.get("maximum") is None else min(amount, Fraction(tier["maximum"]))


def _graduated(price: Price, value: Fraction) -> Fraction:
    if value == 0 and not price.get("flat_on_zero"):
        return Fraction(0)
    upper_belongs_below = price.get("boundary", "upper_inclusive") == "upper_inclusive"
    amount = Fraction(0)
    for index, (lower, upper, tier) in enumerate(_bounds(price)):
        if index and (value < lower or (value == lower and upper_belongs_below)):
            break
        end = value if upper is None else min(value, upper)
        amount += _tier_cost(tier, end - lower)
    return amount


def _volume(price: Price, value: Fraction, full: Fraction) -> Fraction:
    if value == 0 and full == 0 and not price.get("flat_on_zero"):
        return Fraction(0)
    inclusive = price.get("boundary", "upper_inclusive") == "upper_inclusive"
    for _, upper, tier in _bounds(price):
        if upper is None or full < upper or (full == upper and inclusive):
            return _tier_cost(tier, value)
    raise AssertionError("the last tier has no end")


def _block_spans(price: Price, value: Fraction) -> list[tuple[dict[str, Any], Fraction]]:
    spans, left = [], value
    for index, block in enumerate(price["blocks"]):
        last = index == len(price["blocks"]) - 1
        room = left if last else min(left, Fraction(block["size"]) * Fraction(block["max_blocks"]))
        spans.append((block, room))
        left -= room
        if left == 0:
            break
    return spans


def _blocks(block: dict[str, Any], units: Fraction) -> Fraction:
    return ceil(units / Fraction(block["size"])) * Fraction(block["amount"])


def _percentage(price: Price, usage: list[Item]) -> Fraction:
    rate, fixed = Fraction(price["rate_percent"]) / 100, Fraction(price.get("fixed_per_event", 0))
    events_free = price.get("free_events")
    money_free = None if price.get("free_amount") is None else Fraction(price["free_amount"])
    seen, amount, open_ = 0, Fraction(0), events_free is not None or money_free is not None
    running = Fraction(0)
    for item in usage:
        value, events = Fraction(item["value"]), item.get("events", 1)
        charged = value
        if open_ and (events_free is None or seen < events_free) and (money_free is None or running < money_free):
            if money_free is None or running + value < money_free:
                seen, running = seen + 1, running + value
                continue
            charged = running + value - money_free
            open_ = False
        fee = charged * rate + fixed * events
        if price.get("minimum_per_event") is not None:
            fee = max(fee, Fraction(price["minimum_per_event"]))
        if price.get("maximum_per_event") is not None:
            fee = min(fee, Fraction(price["maximum_per_event"]))
        amount += fee
    return amount


def _parts(price: Price, usage: list[Item]) -> list[tuple[Price, list[Item]]]:
    if price["model"] == "sum":
        return [(inner, usage) for inner in price["prices"]]
    groups: dict[Any, tuple[Price, list[Item]]] = {}
    for item in usage:
        if price["model"] == "windows":
            key, inner = item["start"], price["price"]
        elif price["model"] == "hours":
            key, inner = _band(price, item["start"] % 24)
        else:
            key, inner = _cell(price, item["dims"])
        groups.setdefault(key, (inner, []))[1].append(item)
    return list(groups.values())


def _band(price: Price, hour: int) -> tuple[int, Price]:
    for index, band in enumerate(price["bands"]):
        hours, at = set(), int(band["from_hour"]) % 24
        while True:
            hours.add(at)
            at = (at + 1) % 24
            if at == int(band["to_hour"]) % 24:
                break
        if hour in hours:
            return index, band["price"]
    return -1, price["otherwise"]


def _cell(price: Price, dims: dict[str, str]) -> tuple[tuple[str, ...], Price]:
    key = tuple(dims.get(name, "") for name in price["dimensions"])
    named = dict(zip(price["dimensions"], key, strict=True))
    for cell in price["cells"]:
        if all(named[name] == value for name, value in cell["when"].items()):
            return key, cell["price"]
    return key, price["otherwise"]
