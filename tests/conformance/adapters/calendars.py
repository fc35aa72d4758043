"""Kinds about periods and their parts: calendar steps, days in a zone, proration, changes of plan."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billsmith.catalog.offer import Proration
from billsmith.subscriptions.proration import days_between, end_of_day, of_whole, prorate, share
from billsmith.subscriptions.quotes import Quote, discounted, plan_change, quantity_change
from billsmith.units.calendar import (
    Interval,
    Schedule,
    Unit,
    add_months,
    anniversary,
    anniversary_at,
    billing_day,
    calendar_schedule,
)
from billsmith.units.currency import currency_exponent
from billsmith.units.exact import Exact, total
from billsmith.units.instants import SECOND, format_instant, local_reading, parse_date
from billsmith.units.periods import Period
from billsmith.units.rounding import round_to
from tests.conformance.building import instant, mode_in, number
from tests.conformance.registry import NotSupported, adapter

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None


def zone_of(given: dict[str, Any]) -> str:
    return given.get("timezone", "UTC")


def interval_of(given: dict[str, Any]) -> Interval:
    """``month``, ``2 weeks``, ``calendar month in arrears``, ``week (Mon-Sun calendar)`` …"""
    words = re.findall(r"[a-z]+|\d+", given["interval"].lower())
    named = [unit for word in words for unit in Unit if word in (unit.value, f"{unit.value}s", _ADVERBS[unit])]
    if not named:
        raise NotSupported(f"interval {given['interval']!r}")
    counts = [int(word) for word in words if word.isdigit()]
    return Interval(named[0], int(given.get("interval_count", counts[0] if counts else 1)))


_ADVERBS = {
    Unit.HOUR: "hourly",
    Unit.DAY: "daily",
    Unit.WEEK: "weekly",
    Unit.MONTH: "monthly",
    Unit.QUARTER: "quarterly",
    Unit.YEAR: "yearly",
}


def is_calendar(given: dict[str, Any]) -> bool:
    return "calendar" in given["interval"].lower()


def schedule_of(given: dict[str, Any], anchor: str) -> Schedule:
    zone, interval, day = zone_of(given), interval_of(given), int(given.get("billing_day", 0))
    if is_calendar(given):
        return calendar_schedule(interval, zone)
    if is_date(anchor):
        return anniversary(interval, parse_date(anchor), zone, day=day)
    return anniversary_at(interval, instant(anchor), zone, day=day)


@adapter("add_month_clamped")
def add_month_clamped(given: dict[str, Any]) -> Any:
    date = parse_date(given["date"])
    return add_months(date, int(given["months"]), int(given.get("anchor_day", date.day))).isoformat()


@adapter("next_billing_date")
def next_billing_date(given: dict[str, Any]) -> Any:
    schedule = schedule_of(given, given["billing_anchor"])
    following = schedule.containing(_day_or_instant(given["current_period_start"], schedule)).end
    return _shown(following, given["current_period_start"], zone_of(given))


def _day_or_instant(text: str, schedule: Schedule) -> int:
    if not is_date(text):
        return instant(text)
    return anniversary(Interval(Unit.DAY), parse_date(text), schedule.zone).boundary(0)


def _shown(at: int, like: str, zone: str) -> str:
    """An instant as the input writes them: a date in the zone, or an instant in UTC."""
    return billing_day(at, zone).isoformat() if is_date(like) else format_instant(at)


@adapter("period_boundaries")
def period_boundaries(given: dict[str, Any]) -> Any:
    if "billing_at" in given:
        return _period_billed_at(given)
    schedule = schedule_of(given, given["anchor"])
    if "containing" in given:
        return _bounds(schedule.containing(_day_or_instant(given["containing"], schedule)), given)
    begins = _day_or_instant(given["anchor"], schedule)
    first = schedule.index(begins)
    periods = [schedule.period(first + index) for index in range(int(given.get("count", 1)))]
    return [_bounds(Period(max(period.start, begins), period.end), given) for period in periods]


def _bounds(period: Period, given: dict[str, Any]) -> list[str]:
    inclusive = given.get("end", "exclusive") == "inclusive"
    if not is_date(given["anchor"]):
        return [format_instant(period.start), format_instant(period.end - SECOND if inclusive else period.end)]
    last = billing_day(period.end - 1 if inclusive else period.end, zone_of(given))
    return [billing_day(period.start, zone_of(given)).isoformat(), last.isoformat()]


def _period_billed_at(given: dict[str, Any]) -> str:
    """The period that a run bills: the last one that has ended, or in advance the one that has begun."""
    at = instant(given["billing_at"])
    schedule = schedule_of(given, given.get("anchor", given["billing_at"]))
    index = schedule.index(at)
    period = schedule.period(index if "advance" in given["interval"] else index - 1)
    wanted = given["want"]
    if wanted == "to_datetime_utc":
        return format_instant(period.end - SECOND)
    if wanted == "from_datetime_utc":
        return format_instant(period.start)
    raise NotSupported(f"want {wanted}")


@adapter("timezone_days")
def timezone_days(given: dict[str, Any]) -> Any:
    zone = zone_of(given)
    start, end = instant(given["start"]), instant(given["end"])
    inclusive = "inclusive" in given.get("count", "")
    return days_between(start, end_of_day(end, zone) if inclusive else end, zone)


@adapter("timezone_usage_months")
def timezone_usage_months(given: dict[str, Any]) -> Any:
    months = calendar_schedule(Interval(Unit.MONTH), zone_of(given))
    counted: dict[str, Exact] = {}
    for event in given["events_utc"]:
        start = months.containing(instant(event)).start
        month = local_reading(start, zone_of(given))[0].isoformat()[:7]
        counted[month] = total([counted.get(month, Decimal(0)), number(given["quantity_each"])])
    return counted


@adapter("timezone_proration")
def timezone_proration(given: dict[str, Any]) -> Any:
    zone = zone_of(given)
    subscribed = instant(given["subscribed_at"])
    whole = schedule_of(given, given.get("anchor", given["subscribed_at"])).containing(subscribed)
    end = instant(given["terminated_at"]) if "terminated_at" in given else whole.end
    part = Period(subscribed, min(end, whole.end))
    amount = prorate(number(given["plan_amount"]), share(part, whole, _granularity(given), zone))
    return round_to(amount, currency_exponent(given.get("currency", "USD")), mode_in(given))


def _granularity(given: dict[str, Any]) -> Proration:
    return Proration.SECOND if "second" in given.get("granularity", "day") else Proration.DAY


@adapter("proration_ratio")
def proration_ratio(given: dict[str, Any]) -> Any:
    zone = zone_of(given)
    start, end, opens, closes = map(instant, (given["start"], given["end"], *given["cycle"]))
    if given.get("end_inclusive") or given.get("period_end") == "inclusive":
        end, closes = end_of_day(end, zone), end_of_day(closes, zone)
    return share(Period(start, end), Period(opens, closes), _granularity(given), zone)


@adapter("proration")
def proration(given: dict[str, Any]) -> Any:
    part = of_whole(int(given["days_used"]), int(given["days_in_period"]))
    if "amount_cents" in given:
        return round_to(prorate(number(given["amount_cents"]), part), 0, mode_in(given))
    amount = prorate(number(given["amount"]), part)
    places = given.get("round_to", "cent" if "rounding" in given or "currency" in given else "exact")
    return amount if places in ("exact", "none") else round_to(amount, _places(places, given), mode_in(given))


def _places(round_to_what: Any, given: dict[str, Any]) -> int:
    if isinstance(round_to_what, int):
        return round_to_what
    if round_to_what in ("unit", "whole"):
        return 0
    return currency_exponent(given.get("currency", "USD"))


@adapter("plan_change_proration", magnitudes=True)
def plan_change_proration(given: dict[str, Any]) -> Any:
    remaining = _remaining(given)
    if "unit_amount_cents" in given or "unit_amount" in given:
        unit = number(given["unit_amount_cents"] if "unit_amount_cents" in given else given["unit_amount"])
        quote = quantity_change(unit, number(given["old_units"]), number(given["new_units"]), remaining)
    else:
        off = number(given.get("fixed_discount_per_period", 0))
        old, new = (
            discounted(number(given[f"{name}_amount_cents" if f"{name}_amount_cents" in given else f"{name}_amount"]), off)
            for name in ("old", "new")
        )
        quote = plan_change(old, new, remaining, new_periods=bool(given.get("interval_change", False)))
    return _spelled(quote, given)


def _remaining(given: dict[str, Any]) -> Fraction:
    if "remaining_fraction" in given:
        return Fraction(given["remaining_fraction"])
    if "days_remaining" in given:
        return of_whole(int(given["days_remaining"]), int(given["days_in_period"]))
    if given.get("credit_time", "remaining/total") != "remaining/total":
        raise NotSupported(f"credit_time {given['credit_time']}")
    start, end = map(instant, given["period"])
    if given.get("period_end") == "inclusive":
        end = end_of_day(end, zone_of(given))
    return share(Period(instant(given["change_at"]), end), Period(start, end), _granularity(given), zone_of(given))


def _spelled(quote: Quote, given: dict[str, Any]) -> dict[str, Any]:
    if any(name.endswith("_cents") for name in given):
        credit, charge = (int(round_to(amount, 0, mode_in(given))) for amount in (quote.credit, quote.charge))
        return {"credit_cents": credit, "debit_cents": charge, "charge_cents": charge}
    if "rounding" in given or "currency" in given:
        places = currency_exponent(given.get("currency", "USD"))
        quote = Quote(
            credit=round_to(quote.credit, places, mode_in(given)), charge=round_to(quote.charge, places, mode_in(given))
        )
    return {"credit": quote.credit, "debit": quote.charge, "charge": quote.charge}
