"""Kinds that price one quantity: per unit, tiers, packages, blocks, and their splits."""

from __future__ import annotations

from typing import Any

from billsmith.metering.quantity import Quantity
from billsmith.rating import rate
from billsmith.rating.models.matrix import Cell, Matrix
from billsmith.rating.models.per_unit import PerUnit
from billsmith.units.exact import Exact, subtract
from tests.conformance.building import amount, context, number, optional, price, quantity
from tests.conformance.registry import adapter


def _rate(given: dict[str, Any], kind: str) -> Exact:
    return amount(rate(price(given, kind), quantity(given), context(given)), given)


@adapter("per_unit")
def per_unit(given: dict[str, Any]) -> Any:
    return _rate(given, "per_unit")


@adapter("graduated")
def graduated(given: dict[str, Any]) -> Any:
    return _rate(given, "graduated")


@adapter("volume")
def volume(given: dict[str, Any]) -> Any:
    if "priced_quantity" not in given:
        return _rate(given, "volume")
    usage = Quantity(number(given["priced_quantity"]), full=number(given["tier_quantity"]))
    return amount(rate(price(given, "volume"), usage, context(given)), given)


@adapter("package")
def package(given: dict[str, Any]) -> Any:
    return rate(price(given, "package"), number(given["quantity"]), context({})).exact


@adapter("per_package_sum")
def per_package_sum(given: dict[str, Any]) -> Any:
    items = {str(index): item for index, item in enumerate(given["items"])}
    cells = tuple(Cell(when={"item": name}, price=price(item, "package")) for name, item in items.items())
    usage = [Quantity(number(item["quantity"]), dimensions={"item": name}) for name, item in items.items()]
    return rate(Matrix(dimensions=("item",), cells=cells), usage, context({})).exact


@adapter("block_graduated")
def block_graduated(given: dict[str, Any]) -> Any:
    return _rate(given, "block_graduated")


@adapter("block_volume")
def block_volume(given: dict[str, Any]) -> Any:
    return _rate(given, "block_volume")


def _split(given: dict[str, Any], kind: str) -> Exact:
    before = next(number(given[name]) for name in ("previous_quantity", "previous_amount") if name in given)
    if "line_quantity" in given:
        line: Exact = number(given["line_quantity"])
    else:
        line = subtract(number(given["cumulative_amount"]), before)
    return rate(price(given, kind), line, context({}, previous=before)).exact


@adapter("graduated_incremental")
def graduated_incremental(given: dict[str, Any]) -> Any:
    return _split(given, "graduated")


@adapter("package_incremental")
def package_incremental(given: dict[str, Any]) -> Any:
    return _split(given, "package")


@adapter("graduated_percentage_incremental")
def graduated_percentage_incremental(given: dict[str, Any]) -> Any:
    return _split(given, "graduated_percentage")


@adapter("graduated_percentage")
def graduated_percentage(given: dict[str, Any]) -> Any:
    return _rate(given, "graduated_percentage")


@adapter("min_spend", "max_spend")
def spend_limits(given: dict[str, Any]) -> Any:
    inner = given["price"]
    around = {name: given[name] for name in ("minimum", "maximum", "discount_percent") if name in given}
    split = context(
        given,
        previous=optional(given, "previous_quantity"),
        previously_billed=optional(given, "previously_billed"),
    )
    return amount(rate(price({**inner, **around}), quantity(given), split), given)


@adapter("free_units_across_split")
def free_units_across_split(given: dict[str, Any]) -> Any:
    one_each = PerUnit(unit_amount=number(1), free_units=number(given["free_units"]))
    charge = rate(one_each, quantity(given), context({}, previous=number(given["previous_quantity"])))
    return {"quantity": charge.quantity, "pre_quantity": charge.previous_quantity}
