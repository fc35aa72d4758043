"""A company's life by chance: the same seed is the same life.

A company opens, customers come and go, change their minds (also about the past), use what they pay for; some usage comes late
or wrong; prices change; each month is billed on the third of the next, and the month before rated anew; documents are paid,
paid back, taken back. Zones with odd clocks, a leap day, and the hours at which clocks change are in it.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from tests.simulator.auditor.calendars import first_at, later, midnight, month_end
from tests.simulator.script import (
    Action,
    Apply,
    Bill,
    Change,
    Company,
    Correct,
    GiveBack,
    GiveCoupon,
    GiveCredit,
    Migrate,
    Pay,
    Refund,
    Rerate,
    SignUp,
    Subscribe,
    TakeBack,
    Use,
    Used,
    Void,
    WriteOff,
)

ZONES = (
    "Europe/Amsterdam",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Africa/Cairo",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "UTC",
)
_HOUR, _DAY = 3600, 86_400
_START = dt.date(2023, 9, 1)
_PLANS = ("basic", "basic", "basic", "pro", "pro", "yearly", "quarterly", "dollar")
#: Plans that one may change to from one another: a subscription keeps its currency.
_SAME_CURRENCY = ("basic", "pro", "yearly", "quarterly")
_WITH_SEATS = ("basic", "pro", "dollar")


def company(seed: int, *, customers: int = 200, months: int = 13) -> Company:
    """The life of a company over so many months."""
    chance = random.Random(seed)
    zone = chance.choice(("UTC", "Europe/Amsterdam", "America/New_York", "Pacific/Auckland"))
    currency = chance.choice(("EUR", "EUR", "JPY", "KWD"))
    life = _Life(chance, zone, currency, months)
    actions = list(life.company())
    for number in range(customers):
        actions += life.customer(f"c{number:04d}")
    ordered = sorted(enumerate(actions), key=lambda each: (each[1].now, isinstance(each[1], Rerate | Bill), each[0]))
    together = tuple(_together([action for _, action in ordered]))
    return Company(seed=seed, zone=zone, currency=currency, actions=together)


def _together(actions: list[Action]) -> Iterator[Action]:
    """Usage that comes in at one instant as one batch."""
    for (_, is_use), same in groupby(actions, key=lambda action: (action.now, isinstance(action, Use))):
        if is_use:
            uses = [action for action in same if isinstance(action, Use)]
            yield Use(now=uses[0].now, events=tuple(event for use in uses for event in use.events))
        else:
            yield from same


class _Life:
    def __init__(self, chance: random.Random, zone: str, currency: str, months: int) -> None:
        self.chance, self.zone, self.currency = chance, zone, currency
        self.zones = chance.sample(ZONES, 4)
        self.months = [later(_START, index).isoformat()[:7] for index in range(months)]
        self.opened = midnight(_START, "UTC") - 20 * _DAY

    # ── the company ──

    def company(self) -> Iterator[Action]:
        """Its catalogs and its runs."""
        catalog = _catalog(self.chance, self.currency)
        yield Apply(now=self.opened, catalog=catalog, number=1)
        for number, index in enumerate((4, 9), start=2):
            if index < len(self.months):
                catalog = _dearer(self.chance, catalog)
                now = self.within(index)
                yield Apply(now=now, catalog=catalog, number=number)
                if self.chance.random() < 0.8:
                    plan = self.chance.choice(("basic", "pro"))
                    first = later(dt.date.fromisoformat(self.months[index] + "-01"), 1) + dt.timedelta(
                        self.chance.choice((0, 0, 14))
                    )
                    yield Migrate(now=now + 10, plan=plan, first=first.isoformat())
        for index, month in enumerate(self.months):
            now = self.run_at(index)
            if index:
                yield Rerate(now=now, month=self.months[index - 1])
            yield Bill(now=now, month=month)
        end = self.run_at(len(self.months) - 1) + 10 * _DAY
        for place, month in enumerate(self.months[-4:]):
            yield Rerate(now=end + place, month=month)

    def run_at(self, index: int) -> int:
        """When a month is billed: at noon of the third day after it."""
        return month_end(self.months[index], "UTC") + 2 * _DAY + 12 * _HOUR

    def within(self, index: int) -> int:
        """Some time in a month, at whole seconds."""
        return self.chance.randrange(month_end(self.months[index], "UTC") - 28 * _DAY, month_end(self.months[index], "UTC"))

    # ── a customer ──

    def customer(self, name: str) -> Iterator[Action]:
        """Everything that one customer does."""
        chance = self.chance
        zone = chance.choice(self.zones)
        came = 0 if chance.random() < 0.7 else chance.randrange(len(self.months) - 1)
        joined = self.opened + chance.randrange(10_000, 5 * _DAY) if came == 0 else self.within(came)
        tax_free = "Reverse charge" if chance.random() < 0.1 else ""
        yield SignUp(now=joined, customer=name, zone=zone, country=chance.choice(("NL", "DE", "US")), tax_free=tax_free)
        plans = [chance.choice(_PLANS), *(["dollar"] if chance.random() < 0.08 else [])]
        for number, plan in enumerate(plans):
            yield from self.subscription(name, f"{name}/{number}", plan, zone, came, joined + 60 + number)
        yield from self.usage(name, zone, came, joined)
        yield from self.money(name, came, joined)

    def subscription(self, name: str, key: str, plan: str, zone: str, came: int, now: int) -> Iterator[Action]:
        """A subscription and its changes."""
        chance = self.chance
        starts = self.some_start(came, zone)
        yield Subscribe(
            now=now,
            customer=name,
            key=key,
            plan=plan,
            starts=starts,
            quantities={"seats": str(chance.randrange(1, 12))} if plan in _WITH_SEATS and chance.random() < 0.7 else {},
            billing_day=chance.choice((0, 0, 0, 31)) if plan == "pro" else 0,
        )
        if plan == "pro" and chance.random() < 0.3:
            yield Change(now=now + 5, customer=name, key=key, at=starts + chance.randrange(20 * _DAY), what="end_trial")
        added: set[str] = set()
        paused = ended = False
        moment = now + 100
        for index in range(came, len(self.months)):
            if chance.random() > 0.35:
                continue
            moment = max(moment + 100, self.within(index))
            at = max(starts, self.some_time(max(index - chance.choice((0, 0, 0, 1)), came), zone))
            what = chance.choice(("quantity",) * 4 + ("plan", "add", "add", "pause", "end"))
            asked = {"now": moment, "customer": name, "key": key, "at": at}
            if what == "quantity" and not ended:  # of what ended before it began there are no seats
                yield Change(**asked, what="quantity", name="seats", value=str(chance.randrange(15)))
            elif what == "plan" and plan != "dollar":
                yield Change(**asked, what="plan", name=chance.choice(_SAME_CURRENCY))
            elif what == "add" and plan != "dollar":
                code = chance.choice(("support", "people"))
                yield Change(**asked, what="drop" if code in added else "add", name=code)
                added ^= {code}
            elif what == "pause":
                yield Change(**asked, what="resume" if paused else "pause")
                paused = not paused
            elif what == "end" and chance.random() < 0.5:
                yield Change(**asked, what=chance.choice(("end", "end_of_day")))
                ended = True
                if chance.random() < 0.7:
                    return

    def usage(self, name: str, zone: str, came: int, joined: int) -> Iterator[Action]:
        """Usage, some of it late, wrong or twice corrected."""
        chance = self.chance
        for index in range(came, len(self.months)):
            events = [self.event(name, f"{name}-{index}-{number}", index, zone) for number in range(chance.randrange(6))]
            late = [event for event in events if chance.random() < 0.12]
            known = max(month_end(self.months[index], zone), joined) + _HOUR
            if prompt := tuple(event for event in events if event not in late):
                yield Use(now=known, events=prompt)
            for event in late:
                yield Use(now=known + chance.randrange(3, 50, 5) * _DAY, events=(event,))
            for event in prompt:
                if chance.random() < 0.06:
                    other = self.event(name, event.id, index, zone)
                    by = None if chance.random() < 0.5 else other
                    yield Correct(now=known + chance.randrange(_HOUR, 40 * _DAY), customer=name, event=event, by=by)

    def event(self, name: str, id: str, index: int, zone: str) -> Used:
        """An event: of calls, gigabytes or people."""
        chance = self.chance
        type = chance.choice(("call", "call", "stored", "sent", "seen"))
        value = "1" if type in ("call", "seen") else str(chance.randrange(1, 400_000)) + "e-3"
        return Used(
            customer=name,
            id=id,
            type=type,
            at=self.some_time(index, zone),
            value=_plain(value),
            who=f"u{chance.randrange(4)}" if type == "seen" else "",
        )

    def money(self, name: str, came: int, joined: int) -> Iterator[Action]:
        """Coupons and credit, payments, and documents taken back."""
        chance = self.chance
        if chance.random() < 0.25:
            yield GiveCoupon(now=self.after(came, joined), customer=name, code=chance.choice(("TEN", "FIVE", "CAP")))
        for number in range(chance.choice((0, 0, 0, 1, 2))):
            index = chance.randrange(came, len(self.months))
            now = self.after(index, joined) + number
            key = f"{name}/credit{number}"
            yield GiveCredit(
                now=now,
                customer=name,
                key=key,
                amount=str(chance.randrange(1, 300)),
                currency=self.currency,
                priority=number,
                expires=now + chance.randrange(20, 200) * _DAY if chance.random() < 0.3 else None,
                paid=chance.random() < 0.5,
            )
            if chance.random() < 0.3:
                yield TakeBack(now=now + chance.randrange(2, 100) * _DAY, customer=name, key=key)
        for index in range(came, len(self.months)):
            after = self.run_at(index) + chance.randrange(_DAY, 20 * _DAY)
            asked = {"customer": name, "month": self.months[index]}
            luck = chance.random()
            is_last = index == len(self.months) - 1  # what is taken back then would stay unbilled
            if luck < 0.05 and not is_last:
                yield Void(now=after, **asked)
            elif 0.65 <= luck < 0.69:
                yield WriteOff(now=after, **asked)
                if luck < 0.67 and not is_last:
                    yield Void(now=after + _DAY, **asked)
                else:
                    yield Pay(now=after + 2 * _DAY, **asked)
            elif 0.69 <= luck < 0.74:
                if luck < 0.72:
                    yield Pay(now=after, **asked, of=chance.choice((1, 2)))
                yield GiveBack(now=after + _DAY, key=f"{name}/back{index}", **asked)
                if luck < 0.70:
                    yield Refund(now=after + 2 * _DAY, **asked)
            elif 0.74 <= luck < 0.78:
                yield Pay(now=after, **asked, parts=3, of=2)
            elif luck < 0.65:
                yield Pay(now=after, **asked, of=chance.choice((1, 1, 1, 3)))
                if luck < 0.10:
                    yield Refund(now=after + _DAY, **asked)
                    if luck < 0.08 and not is_last:
                        yield Void(now=after + 2 * _DAY, **asked)

    def after(self, index: int, joined: int) -> int:
        return max(self.within(index), joined + _HOUR)

    def some_start(self, index: int, zone: str) -> int:
        """When a subscription starts: on one of few days, so that the usage of many is counted together."""
        last = later(_month(self.months[index]), 1) - dt.timedelta(1)
        day = self.chance.choice((_month(self.months[index]), _month(self.months[index]) + dt.timedelta(13), last))
        return midnight(day, zone) + self.chance.choice((0, 0, 1, 9 * _HOUR, 22 * _HOUR))

    def some_time(self, index: int, zone: str) -> int:
        """An instant of a local month: any, or one at which something might go wrong."""
        first = _month(self.months[index])
        start, end = midnight(first, zone), month_end(self.months[index], zone)
        day = first + dt.timedelta(self.chance.randrange(28))
        odd = (
            start,
            end - 1,
            midnight(day, zone),
            midnight(day, zone) - 1 if day > first else start,
            first_at(dt.datetime.combine(day, dt.time(2, 30)), zone),
            *(_clock_changes(start, end, zone)),
        )
        return self.chance.choice(odd) if self.chance.random() < 0.4 else self.chance.randrange(start, end)


def _month(month: str) -> dt.date:
    return dt.date.fromisoformat(month + "-01")


def _clock_changes(start: int, end: int, zone: str) -> Iterator[int]:
    """Around the days of a span that don't have 24 hours."""
    for at in range(start, end, _DAY):
        if (
            midnight(dt.datetime.fromtimestamp(at + _DAY, dt.UTC).date(), zone)
            - midnight(dt.datetime.fromtimestamp(at, dt.UTC).date(), zone)
            != _DAY
        ):
            noon = midnight(dt.datetime.fromtimestamp(at, dt.UTC).date(), zone)
            yield from (noon, noon + _HOUR, noon + 2 * _HOUR - 1, noon + 23 * _HOUR, noon + 24 * _HOUR)


def _plain(text: str) -> str:
    whole, _, places = text.partition("e-")
    return f"{whole.zfill(4)[:-3]}.{whole.zfill(4)[-3:]}" if places else whole


def _amount(chance: random.Random, low: int, high: int, places: int) -> str:
    number = str(chance.randrange(low, high)).zfill(places + 1)
    return f"{number[:-places]}.{number[-places:]}" if places else number


def _catalog(chance: random.Random, currency: str) -> dict[str, Any]:
    """What a company offers: every kind of price, fee and period that the auditor knows."""

    def money(low: int, high: int) -> str:
        return _amount(chance, low, high, 0 if currency == "JPY" else 2)

    def rate(low: int, high: int) -> str:
        return _amount(chance, low, high, 4)

    def calls(free: int) -> dict[str, Any]:
        return {
            "model": "graduated",
            "free_units": str(free),
            "tiers": [
                {"up_to": "2", "unit_amount": rate(5_000, 90_000)},
                {"up_to": "4", "unit_amount": rate(1_000, 40_000), "flat_amount": money(1, 300)},
                {"unit_amount": rate(100, 9_000)},
            ],
        }

    gigabytes = {
        "model": "volume",
        "tiers": [{"up_to": "150", "unit_amount": rate(300, 9_000)}, {"unit_amount": rate(100, 5_000)}],
    }
    sent = {
        "model": "package",
        "size": "100",
        "amount": money(100, 900),
        "discount_percent": "15",
        "maximum": money(1_500, 4_000),
    }
    seats = {"model": "volume", "tiers": [{"up_to": "5", "unit_amount": money(500, 1_500)}, {"unit_amount": money(300, 900)}]}
    flat = {"model": "flat"}
    few_seats = {"code": "seats", "quantity": "0", "price": {"model": "per_unit", "unit_amount": money(300, 1_000)}}
    return {
        "code": "acme",
        "currency": currency,
        "meters": [
            {"code": "calls", "event_type": "call", "aggregation": "count"},
            {"code": "gb", "event_type": "stored", "aggregation": "max"},
            {"code": "sent", "event_type": "sent", "aggregation": "sum"},
            {"code": "people", "event_type": "seen", "aggregation": "unique_count", "field": "who"},
        ],
        "plans": [
            {
                "code": "basic",
                "alignment": "calendar",
                "fees": [
                    {"code": "base", "price": {**flat, "amount": money(1_000, 5_000)}},
                    {"code": "seats", "price": {"model": "per_unit", "unit_amount": money(300, 1_000)}},
                ],
                "charges": [
                    {"meter": "calls", "price": calls(1)},
                    {"meter": "gb", "price": gigabytes, "tax_category": "reduced"},
                ],
            },
            {
                "code": "pro",
                "trial_days": 14,
                "fees": [
                    {
                        "code": "base",
                        "timing": "arrears",
                        "proration": "second",
                        "price": {**flat, "amount": money(5_000, 15_000)},
                    },
                    {"code": "seats", "price": seats},
                    {"code": "setup", "recurs": False, "proration": "none", "price": {**flat, "amount": money(1_000, 9_000)}},
                ],
                "charges": [{"meter": "calls", "price": calls(0)}, {"meter": "sent", "price": sent}],
                "minimum": {"amount": money(12_000, 30_000), "true_up": True},
            },
            {
                "code": "yearly",
                "interval": "year",
                "fees": [{"code": "base", "price": {**flat, "amount": money(50_000, 90_000)}}, few_seats],
                "charges": [{"meter": "calls", "code": "calls-monthly", "interval": "month", "price": calls(0)}],
                "minimum": {"amount": money(80_000, 120_000), "true_up": True},
            },
            {
                "code": "quarterly",
                "interval": "quarter",
                "alignment": "calendar",
                "fees": [
                    {"code": "base", "price": {**flat, "amount": money(10_000, 30_000)}},
                    {"code": "listing", "proration": "none", "timing": "arrears", "price": {**flat, "amount": money(100, 900)}},
                    few_seats,
                ],
                "charges": [{"meter": "sent", "price": sent}, {"meter": "gb", "interval": "month", "price": gigabytes}],
            },
            {
                "code": "dollar",
                "currency": "USD",
                "alignment": "calendar",
                "fees": [
                    {"code": "base", "timing": "arrears", "price": {**flat, "amount": _amount(chance, 1_000, 3_000, 2)}},
                    {"code": "seats", "price": {"model": "per_unit", "unit_amount": _amount(chance, 100, 900, 2)}},
                ],
                "charges": [{"meter": "calls", "price": calls(2)}],
            },
        ],
        "add_ons": [
            {
                "code": "support",
                "fees": [
                    {
                        "code": "help",
                        "timing": "arrears",
                        "tax_category": "reduced",
                        "price": {**flat, "amount": money(500, 4_000)},
                    }
                ],
            },
            {
                "code": "people",
                "fees": [{"code": "desk", "quantity": "3", "price": {"model": "per_unit", "unit_amount": money(50, 300)}}],
                "charges": [{"meter": "people", "price": {"model": "per_unit", "unit_amount": rate(2_000, 90_000)}}],
            },
        ],
        "coupons": [
            {"code": "TEN", "percent": "10", "periods": 2},
            {"code": "FIVE", "amount": money(400, 900), "applies_to": ["base"]},
            {"code": "CAP", "percent": "25", "maximum": money(900, 2_500), "periods": 1},
        ],
        "tax_rates": [
            {"code": "nl", "name": "BTW", "rate": "21", "country": "NL"},
            {"code": "nl-low", "name": "BTW low", "rate": "9", "country": "NL", "category": "reduced"},
            {"code": "de", "name": "USt", "rate": "19", "country": "DE"},
            {"code": "de-low", "name": "USt low", "rate": "7", "country": "DE", "category": "reduced"},
        ],
    }


def _dearer(chance: random.Random, catalog: dict[str, Any]) -> dict[str, Any]:
    """The catalog with other prices for two plans and an add-on, and another tax."""
    other = _catalog(chance, catalog["currency"])
    changed = {chance.choice(("basic", "pro", "yearly", "quarterly")) for _ in range(2)}
    by_code = {plan["code"]: plan for plan in other["plans"]}
    return {
        **catalog,
        "plans": [by_code[plan["code"]] if plan["code"] in changed else plan for plan in catalog["plans"]],
        "add_ons": [other["add_ons"][0], catalog["add_ons"][1]],
        "tax_rates": [{**rate, "rate": "20" if rate["code"] == "de" else rate["rate"]} for rate in catalog["tax_rates"]],
    }
