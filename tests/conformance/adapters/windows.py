"""Kinds that price windows of time, each on its own."""

from __future__ import annotations

from typing import Any

import msgspec

from billsmith.catalog.price import Price
from billsmith.metering.quantity import Quantity
from billsmith.rating import rate
from billsmith.rating.models.hours import Band, Hours
from billsmith.rating.models.windows import Windows
from billsmith.units.instants import DAY, HOUR, MINUTE
from tests.conformance.building import amount, commitment, context, number, price
from tests.conformance.registry import adapter


def _window_price(given: dict[str, Any]) -> Price:
    kind = "graduated" if "tiers" in given else "per_unit"
    inner = price(given["price"]) if "price" in given else price(given, kind)
    return msgspec.structs.replace(inner, commitment=commitment(given))


@adapter("bucketed")
def bucketed(given: dict[str, Any]) -> Any:
    usage = [Quantity(number(value), start=index * HOUR) for index, value in enumerate(given["bucket_values"])]
    return amount(rate(Windows(price=price(given["price"])), usage, context(given)), given)


@adapter("windowed_commitment")
def windowed_commitment(given: dict[str, Any]) -> Any:
    usage = [Quantity(number(value), start=index * HOUR) for index, value in enumerate(given["window_quantities"])]
    return amount(rate(Windows(price=_window_price(given)), usage, context(given)), given)


@adapter("windowed_commitment_time_of_day")
def windowed_commitment_time_of_day(given: dict[str, Any]) -> Any:
    bands = tuple(_band(bucket) for bucket in given.get("buckets") or [given["bucket"]])
    by_hour = Windows(price=Hours(bands=bands, otherwise=_window_price(given.get("default") or {"unit_amount": "0"})))
    usage = [
        Quantity(number(value), start=day * DAY + _time_of_day(clock)) for day, (clock, value) in enumerate(given["windows"])
    ]
    return amount(rate(by_hour, usage, context(given)), given)


def _band(bucket: dict[str, Any]) -> Band:
    start, end = bucket["hours"].split("-")
    return Band(from_hour=int(start[:2]), to_hour=int(end[:2]), price=_window_price(bucket))


def _time_of_day(clock: str) -> int:
    hour, minute, *_ = clock.split("T")[-1].rstrip("Z").split(":")
    return int(hour) * HOUR + int(minute) * MINUTE
