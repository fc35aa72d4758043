"""Random prices as a catalog spells them, and usage that they can rate; a seed makes the same ones again.

A seed instead of hypothesis' own drawing: a price three deep takes a hundred draws, which made the laws forty times as slow.
"""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import strategies as st

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.catalog.price import Price
from billsmith.catalog.reading import from_tree
from billsmith.catalog.text import Listing, Mapping, Node, Scalar
from billsmith.metering.quantity import Quantity
from billsmith.units.instants import HOUR

REGIONS = ("eu", "us", "asia")

Spelled = dict[str, Any]


def number(random: Random, low: int, high: int, places: int = 2) -> str:
    """A decimal's text; half of them are whole, so that borders are hit."""
    if random.random() < 0.5:
        return str(random.randint(low, high))
    return str(Decimal(random.randint(low * 10**places, high * 10**places)).scaleb(-places))


def _rate(random: Random) -> str:
    return number(random, 0, 20, 4)


def _amount(random: Random) -> str:
    return number(random, 0, 200)


def _some(random: Random, **makers: Any) -> Spelled:
    """Some of the optional fields: each with a chance of one in three."""
    return {name: make() for name, make in makers.items() if random.random() < 1 / 3}


def _tiers(random: Random, rate: str) -> list[Spelled]:
    """One to four ascending tiers with small bounds, so that quantities often lie on one."""
    bounds = sorted(random.sample(range(1, 41), random.randint(0, 3)))
    tiers = []
    for bound in [*bounds, random.choice([None, 60])]:
        tier = _some(random, flat_amount=lambda: _amount(random))
        if random.random() < 0.8:
            tier[rate] = _rate(random)
        if rate == "unit_amount":
            tier |= _some(random, maximum=lambda: _amount(random))
        tiers.append(tier if bound is None else {**tier, "up_to": str(bound)})
    return tiers


def _tiered(random: Random) -> Spelled:
    return _some(
        random,
        boundary=lambda: random.choice(["upper_inclusive", "lower_inclusive"]),
        flat_on_zero=lambda: random.random() < 0.5,
    )


def _blocks(random: Random) -> list[Spelled]:
    return [
        {"size": str(random.randint(1, 9)), "amount": _amount(random), "max_blocks": str(random.randint(1, 5))}
        for _ in range(random.randint(1, 3))
    ]


def _before(random: Random) -> Spelled:
    """What changes a quantity."""

    def convert() -> Spelled:
        factor = random.choice(["divide_by", "multiply_by"])
        rounding: Spelled = random.choice([{}, {"rounding": "ceiling"}, {"rounding": "floor", "places": random.randint(-1, 2)}])
        return {factor: str(random.randint(1, 7)), **rounding}

    return _some(random, convert=convert, free_units=lambda: number(random, 0, 10))


def _after(random: Random, *, units: bool = False) -> Spelled:
    """What changes an amount."""

    def commitment() -> Spelled:
        kind = "units" if units and random.random() < 0.5 else "amount"
        optional = _some(random, overage_factor=lambda: number(random, 0, 3), true_up=lambda: random.random() < 0.5)
        return {kind: number(random, 0, 50), **optional}

    return _some(
        random,
        discount_percent=lambda: number(random, 0, 100),
        maximum=lambda: number(random, 20, 300),
        minimum=lambda: number(random, 0, 20),
        commitment=commitment,
    )


def quantity_price(random: Random) -> Spelled:
    """A price of a total quantity."""
    model = random.choice(["per_unit", "graduated", "volume", "package", "block_graduated", "block_volume"])
    around = {"model": model, **_before(random), **_after(random, units=True)}
    if model == "per_unit":
        return {**around, "unit_amount": _rate(random)}
    if model in ("graduated", "volume"):
        return {**around, "tiers": _tiers(random, "unit_amount"), **_tiered(random)}
    if model == "package":
        return {
            **around,
            "size": str(random.randint(1, 9)),
            "amount": _amount(random),
            "rounding": random.choice(["ceiling", "floor"]),
        }
    return {**around, "blocks": _blocks(random)}


def leaf_price(random: Random) -> Spelled:
    """A price without another inside."""
    if random.random() < 0.6:
        return quantity_price(random)
    model = random.choice(["flat", "graduated_percentage", "dynamic", "markup", "margin", "percentage", "percentage"])
    around = {"model": model, **_after(random)}
    if model == "flat":
        around.pop("commitment", None)
        return {**around, "amount": _amount(random)}
    if model == "graduated_percentage":
        return {**around, "tiers": _tiers(random, "rate_percent"), **_tiered(random)}
    if model == "dynamic":
        return around
    if model in ("markup", "margin"):
        return {**around, "percent": number(random, 0, 95)}
    limits = _some(
        random,
        fixed_per_event=lambda: _amount(random),
        minimum_per_event=lambda: number(random, 0, 2),
        maximum_per_event=lambda: number(random, 2, 50),
        free_events=lambda: random.randint(1, 4),
        free_amount=lambda: number(random, 1, 60),
    )
    return {**around, "rate_percent": _rate(random), **limits}


def any_price(random: Random, depth: int = 3, *, matrix: bool = True, windows: bool = True) -> Spelled:
    """A price up to three deep."""
    if depth == 1 or random.random() < 0.4:
        return leaf_price(random)
    choices = ["sum", "hours", *(["matrix"] if matrix else []), *(["windows"] if windows else [])]
    model = random.choice(choices)

    def inner() -> Spelled:
        return any_price(random, depth - 1, matrix=matrix and model != "matrix", windows=windows and model != "windows")

    around = {"model": model, **_after(random)}
    if model == "sum":
        return {**around, "prices": [inner() for _ in range(random.randint(1, 3))]}
    if model == "windows":
        return {**around, "price": inner()}
    if model == "hours":
        bands = random.choice([[(22, 6)], [(0, 12), (12, 13)], [(9, 17)], [(23, 24)], [(0, 24)]])
        spelled = [{"from_hour": start, "to_hour": end, "price": inner()} for start, end in bands]
        return {**around, "bands": spelled, "otherwise": inner()}
    cells = [{"when": {"region": name}, "price": inner()} for name in random.sample(REGIONS, random.randint(1, 3))]
    return {**around, "dimensions": ["region"], "cells": cells, "otherwise": inner()}


def any_items(random: Random, at_most: int = 5) -> list[Spelled]:
    """Usage in detail, in the order of time."""
    items = [
        {
            "value": number(random, 0, 50),
            "amount": _amount(random),
            "start": random.randint(0, 47),
            "dims": {"region": random.choice(REGIONS)},
        }
        for _ in range(random.randint(0, at_most))
    ]
    return sorted(items, key=lambda item: item["start"])


_SEEDS = st.integers(0, 2**64 - 1)

QUANTITY_PRICES = _SEEDS.map(lambda seed: quantity_price(Random(seed)))
PRICES = _SEEDS.map(lambda seed: any_price(Random(seed)))
ITEMS = _SEEDS.map(lambda seed: any_items(Random(seed)))


def numbers(low: int, high: int, places: int = 2) -> st.SearchStrategy[str]:
    """Decimals as texts."""
    return st.one_of(
        st.integers(low, high).map(str),
        st.integers(low * 10**places, high * 10**places).map(lambda value: str(Decimal(value).scaleb(-places))),
    )


def built(spelled: Spelled) -> Price:
    """The price that a catalog would make of it."""
    price: Price = from_tree(Price, _tree(spelled), "price")
    return price


def _tree(value: Any) -> Node:
    if isinstance(value, dict):
        return Mapping({name: _tree(item) for name, item in value.items()}, 1)
    if isinstance(value, list):
        return Listing(tuple(map(_tree, value)), 1)
    return Scalar(str(value).lower() if isinstance(value, bool) else str(value), 1)


def quantities(items: list[Spelled]) -> list[Quantity]:
    """The same items as the engine's quantities."""
    return [
        Quantity(
            Decimal(item["value"]),
            start=item["start"] * HOUR,
            dimensions=item["dims"],
            amount=Decimal(item["amount"]),
            full=Decimal(item["full"]) if "full" in item else None,
        )
        for item in items
    ]
