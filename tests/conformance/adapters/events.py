"""Kinds that price each event: percentages, and amounts that travel on the event."""

from __future__ import annotations

from typing import Any

from billsmith.metering.quantity import Quantity
from billsmith.rating import rate
from billsmith.rating.models.dynamic import Dynamic
from billsmith.units.rounding import EXACT
from tests.conformance.building import amount, context, number, price
from tests.conformance.registry import adapter


@adapter("percentage", "percentage_min_max")
def percentage(given: dict[str, Any]) -> Any:
    if "event_amounts" in given:
        usage = [Quantity(number(value)) for value in given["event_amounts"]]
    else:
        usage = [Quantity(number(given["total_amount"]), events=int(given["event_count"]))]
    return amount(rate(price(given, "percentage"), usage, context(given)), given)


@adapter("dynamic")
def dynamic(given: dict[str, Any]) -> Any:
    events = given.get("events") or [{"units": given["quantity"], "amount_cents": given["precise_total_amount_cents"]}]
    usage = [
        Quantity(number(event["units"]), amount=number(event["amount_cents"]).scaleb(-2, context=EXACT)) for event in events
    ]
    charge = rate(Dynamic(), usage, context({}))
    return {
        "amount": charge.exact,
        "units": charge.quantity,
        "unit_amount": charge.unit_amount(),
        **{f"unit_amount_{places}dp": charge.unit_amount(places) for places in range(13)},
    }
