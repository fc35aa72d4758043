"""Reading what cases have in common: numbers, instants, rounding, prices."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from billsmith.catalog.price import Commitment, Convert, Price
from billsmith.rating import Charge, Context
from billsmith.rating.models.block_graduated import BlockGraduated
from billsmith.rating.models.block_volume import BlockVolume
from billsmith.rating.models.blocks import Block
from billsmith.rating.models.combined import Combined
from billsmith.rating.models.flat import Flat
from billsmith.rating.models.graduated import Graduated
from billsmith.rating.models.graduated_percentage import GraduatedPercentage, PercentageTier
from billsmith.rating.models.package import Package
from billsmith.rating.models.per_unit import PerUnit
from billsmith.rating.models.percentage import Percentage
from billsmith.rating.models.tiers import Boundary, Tier
from billsmith.rating.models.volume import Volume
from billsmith.units.exact import Exact
from billsmith.units.instants import parse_instant
from billsmith.units.rounding import Rounding, parse_decimal
from tests.conformance.registry import NotSupported

_MODES = {
    "half_up": Rounding.HALF_UP,
    "half_away_from_zero": Rounding.HALF_UP,
    "round": Rounding.HALF_UP,
    "half_even": Rounding.HALF_EVEN,
    "bankers": Rounding.HALF_EVEN,
    "half_down": Rounding.HALF_DOWN,
    "ceil": Rounding.CEILING,
    "ceiling": Rounding.CEILING,
    "floor": Rounding.FLOOR,
    "up": Rounding.UP,
    "down": Rounding.DOWN,
    "truncate": Rounding.DOWN,
}


#: Words that say something else in a sentence.
_VAGUE = {"round", "up", "down"}


def number(value: Any) -> Decimal:
    """A number of a case, whole or as text."""
    return Decimal(value) if isinstance(value, int) else parse_decimal(value)


def optional(given: dict[str, Any], name: str) -> Decimal | None:
    """A number that may be absent or null."""
    value = given.get(name)
    return None if value is None else number(value)


def mode(name: str | None, default: Rounding = Rounding.HALF_UP) -> Rounding:
    """A rounding mode by the name that other systems give it."""
    if name is None:
        return default
    if name not in _MODES:
        raise NotSupported(f"rounding {name}")
    return _MODES[name]


def mode_in(given: dict[str, Any]) -> Rounding:
    """The mode that a case names in its ``rounding``, which may be a sentence; half up where it names none."""
    words = re.sub(r"[^a-z]+", "_", str(given.get("rounding") or "").lower())
    if words in _MODES:
        return _MODES[words]
    return next(
        (found for name, found in _MODES.items() if f"_{name}_" in f"_{words}_" and name not in _VAGUE), Rounding.HALF_UP
    )


def instant(text: str) -> int:
    """An instant; without a time it is midnight, without seconds the full minute, without an offset UTC."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        text += "T00:00:00"
    text = re.sub(r"([T ]\d{2}:\d{2})(?!:)(?=$|Z|[+-])", r"\1:00", text)
    return parse_instant(text, zone_missing="UTC")


def quantity(given: dict[str, Any]) -> Decimal:
    """What is rated."""
    names = ("quantity", "raw_quantity", "line_quantity", "amount")
    return number(next(given[name] for name in names if name in given))


def context(given: dict[str, Any], **more: Any) -> Context:
    """The context of a rating: in minor units where the case's amounts are."""
    places = given["round_to"] if isinstance(given.get("round_to"), int) else 0 if _in_cents(given) else None
    rounding = mode(given.get("rounding")) if _rounds(given) else Rounding.HALF_UP
    return Context(currency=given.get("currency", "USD"), places=places, rounding=rounding, **more)


def amount(charge: Charge, given: dict[str, Any]) -> Exact:
    """The rounded amount where the case says to round, else the exact one."""
    return charge.rounded if _rounds(given) else charge.exact


def _rounds(given: dict[str, Any]) -> bool:
    return "currency" in given or "round_to" in given


def _in_cents(given: dict[str, Any]) -> bool:
    return given.get("unit") == "cents" or any(name.endswith("_cents") for name in given)


def price(given: dict[str, Any], kind: str | None = None) -> Price:
    """The price that an input describes, with what is done before and after its model."""
    kind = kind or given["kind"]
    if kind not in _MODELS:
        raise NotSupported(f"a price of kind {kind}")
    around = {
        "discount_percent": optional(given, "discount_percent"),
        "minimum": optional(given, "minimum"),
        "maximum": _first(given, "maximum", "cap_cents", "cap"),
    }
    before = {
        "convert": _convert(given.get("convert")),
        "free_units": _first(given, "free_units", "free_units_after_conversion"),
    }
    base = optional(given, "base_fee")
    if base is None:
        return _MODELS[kind](given, **before, **around)
    return Combined(prices=(Flat(amount=base), _MODELS[kind](given, **before)), **around)


def _first(given: dict[str, Any], *names: str) -> Decimal | None:
    return next((value for value in (optional(given, name) for name in names) if value is not None), None)


def _convert(given: dict[str, Any] | None) -> Convert | None:
    if given is None:
        return None
    factor = {"divide": "divide_by", "multiply": "multiply_by"}[given["op"]]
    rounding = given.get("rounding")
    return Convert(
        **{factor: number(given["by"])},
        rounding=None if rounding in (None, "none") else mode(rounding),
        places=int(given.get("precision", 0)),
    )


def commitment(given: dict[str, Any]) -> Commitment | None:
    """The commitment of a window, if one is given: an amount or units."""
    committed = _first(given, "commitment", "commitment_per_window", "commitment_amount")
    units = _first(given, "commitment_units", "commitment_units_per_window")
    if committed is None and units is None:
        return None
    factor = optional(given, "overage_factor")
    return Commitment(
        amount=committed,
        units=units,
        overage_factor=Decimal(1) if factor is None else factor,
        true_up=bool(given.get("true_up", False)),
    )


def _tiers(given: dict[str, Any]) -> tuple[Tier, ...]:
    cap = optional(given, "tier_flat_cap")
    return tuple(
        Tier(
            up_to=optional(tier, "up_to"),
            unit_amount=optional(tier, "unit") or Decimal(0),
            flat_amount=optional(tier, "flat") or Decimal(0),
            maximum=_first(tier, "flat_cap") or cap,
        )
        for tier in given["tiers"]
    )


def _tiered(given: dict[str, Any]) -> dict[str, Any]:
    return {
        "boundary": Boundary(given.get("boundary", "upper_inclusive")),
        "flat_on_zero": bool(given.get("flat_on_zero", False)),
    }


def _per_unit(given: dict[str, Any], **around: Any) -> Price:
    unit_amount = _first(given, "unit_amount", "unit_amount_cents")
    assert unit_amount is not None
    return PerUnit(unit_amount=unit_amount, **around)


def _package(given: dict[str, Any], **around: Any) -> Price:
    size, paid = _first(given, "package_size", "block_size"), _first(given, "amount", "block_price")
    assert size is not None
    assert paid is not None
    return Package(size=size, amount=paid, rounding=mode(given.get("rounding"), Rounding.CEILING), **around)


def _blocks(given: dict[str, Any]) -> tuple[Block, ...]:
    if given.get("overflow", "last_tier") != "last_tier":
        raise NotSupported(f"overflow {given['overflow']}")
    return tuple(
        Block(size=number(block["block_size"]), amount=number(block["block_price"]), max_blocks=optional(block, "max_blocks"))
        for block in given["blocks"]
    )


def _percentage(given: dict[str, Any], **around: Any) -> Price:
    if given.get("free_rule", "whichever_limit_is_hit_first") != "whichever_limit_is_hit_first":
        raise NotSupported(f"free_rule {given['free_rule']}")
    events = optional(given, "free_events")
    around.pop("free_units", None)
    around.pop("convert", None)
    return Percentage(
        rate_percent=number(given["rate_percent"]),
        fixed_per_event=optional(given, "fixed_per_event") or Decimal(0),
        minimum_per_event=optional(given, "per_transaction_min"),
        maximum_per_event=optional(given, "per_transaction_max"),
        free_events=int(events) if events else None,
        free_amount=optional(given, "free_total") or None,
        **around,
    )


def _graduated_percentage(given: dict[str, Any], **around: Any) -> Price:
    tiers = tuple(
        PercentageTier(
            up_to=optional(tier, "up_to"),
            rate_percent=optional(tier, "rate_percent") or Decimal(0),
            flat_amount=optional(tier, "flat") or Decimal(0),
        )
        for tier in given["tiers"]
    )
    return GraduatedPercentage(tiers=tiers, **_tiered(given), **around)


_MODELS: dict[str, Any] = {
    "per_unit": _per_unit,
    "flat": lambda given, **around: Flat(amount=number(given["amount"]), **around),
    "graduated": lambda given, **around: Graduated(tiers=_tiers(given), **_tiered(given), **around),
    "volume": lambda given, **around: Volume(tiers=_tiers(given), **_tiered(given), **around),
    "package": _package,
    "block_graduated": lambda given, **around: BlockGraduated(blocks=_blocks(given), **around),
    "block_volume": lambda given, **around: BlockVolume(blocks=_blocks(given), **around),
    "percentage": _percentage,
    "graduated_percentage": _graduated_percentage,
}
