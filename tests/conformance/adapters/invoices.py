"""Kinds about what an invoice makes of charges: discounts, minimums, taxes, rounding, notes, wallets, thresholds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billsmith.catalog.offer import Proration
from billsmith.catalog.reductions import Coupon
from billsmith.invoicing.assembly import Assembled, assemble
from billsmith.invoicing.model import LineKind, RoundingPlace
from billsmith.invoicing.notes import Document, Note, note_by_line
from billsmith.invoicing.progressive import Thresholds, crossings
from billsmith.invoicing.terms import AppliedCoupon, Basis, Credit, Minimum, Terms, Wallet
from billsmith.invoicing.totals import DraftLine, TaxRate, TaxRounding, exact_taxes, round_lines
from billsmith.ledger.wallets import Grant, Recur, Use, recurrences, replay
from billsmith.metering.quantity import Quantity
from billsmith.rating import Context, rate
from billsmith.rating.models.per_unit import PerUnit
from billsmith.subscriptions.proration import end_of_day, of_whole, prorate, share
from billsmith.units.calendar import Interval, Schedule, Unit, anniversary_at, calendar_schedule
from billsmith.units.currency import from_minor, to_minor
from billsmith.units.exact import Exact, total
from billsmith.units.instants import DAY
from billsmith.units.periods import Period
from billsmith.units.rounding import allocate, round_to
from tests.conformance.adapters.calendars import interval_of
from tests.conformance.building import instant, mode_in, number
from tests.conformance.registry import NotSupported, adapter

#: Amounts of cases in cents are given in a currency's major unit, so that they round where the cents end.
CENTS = "USD"


def cents(value: Any) -> Exact:
    """An amount stated in cents."""
    return number(value).scaleb(-2)


def in_cents(value: Exact) -> Exact:
    return Decimal(value.scaleb(2)) if isinstance(value, Decimal) else value * 100


def fee(amount: Exact, category: str = "", name: str = "") -> DraftLine:
    return DraftLine(description=name or "fee", amount=amount, tax_category=category, component=name)


def vat(percent: Any, category: str = "", **options: Any) -> TaxRate:
    return TaxRate(category=category, name=f"tax {percent}", rate=number(percent), **options)


# --- rounding


@adapter("currency_rounding")
def currency_rounding(given: dict[str, Any]) -> Any:
    return from_minor(to_minor(number(given["amount"]), given["currency"], mode_in(given)), given["currency"])


@adapter("minor_units")
def minor_units(given: dict[str, Any]) -> Any:
    return to_minor(number(given["amount"]), given["currency"], mode_in(given))


@adapter("round_then_sum")
def round_then_sum(given: dict[str, Any]) -> Any:
    currency = given["currency"]
    lines = [fee(number(item)) for item in given["items"]]
    return from_minor(sum(round_lines(lines, currency, RoundingPlace.LINE, mode_in(given))), currency)


@adapter("allocation")
def allocation(given: dict[str, Any]) -> Any:
    if "amount_cents" in given:
        return allocate(int(given["amount_cents"]), [number(weight) for weight in given["weights"]])
    currency = given.get("currency", CENTS)
    amount_minor = to_minor(number(given["amount"]), currency)
    return [from_minor(part, currency) for part in allocate(amount_minor, [number(weight) for weight in given["weights"]])]


@adapter("discount_allocation")
def discount_allocation(given: dict[str, Any]) -> Any:
    """The taxable amount of each line: each less its share of the discount, in whole cents."""
    items = [int(item) for item in given["items_cents"]]
    off = min(int(given["discount_cents"]), sum(items))
    return [item - part for item, part in zip(items, allocate(off, items), strict=True)]


# --- coupons


@adapter("coupon")
def coupon(given: dict[str, Any]) -> Any:
    names, amounts = _fees(given)
    percents = _percents(given.get("tax_percent"), names)
    lines = [
        fee(amount, category=str(percent), name=name) for name, amount, percent in zip(names, amounts, percents, strict=True)
    ]
    rates = tuple(vat(percent, category=str(percent)) for percent in dict.fromkeys(percents) if percent is not None)
    terms = Terms(
        currency=CENTS,
        mode=mode_in(given),
        basis=Basis.EXACT,
        taxes=rates,
        tax_rounding=TaxRounding.INVOICE,
        coupons=tuple(_coupons(given)),
    )
    invoice = assemble(lines, terms)
    if isinstance(given.get("subtotal_cents"), int | str):
        return in_cents(total(use.amount for use in invoice.coupon_uses))
    return _coupon_answer(invoice, names)


def _fees(given: dict[str, Any]) -> tuple[list[str], list[Exact]]:
    fees = given.get("fees_cents", given.get("subtotal_cents"))
    if isinstance(fees, dict):
        return list(fees), [cents(value) for value in fees.values()]
    listed = fees if isinstance(fees, list) else [fees]
    return [str(index) for index in range(len(listed))], [cents(value) for value in listed]


def _percents(given: Any, names: Sequence[str]) -> list[Any]:
    if isinstance(given, dict):
        return [given.get(name) for name in names]
    return given if isinstance(given, list) else [given] * len(names)


def _coupons(given: dict[str, Any]) -> list[AppliedCoupon]:
    stated = [*given.get("coupons", [])]
    stated += [{"fixed_cents": value} for value in given.get("coupons_fixed_cents", [])]
    stated += [{"fixed_cents": given["coupon_fixed_cents"]}] if "coupon_fixed_cents" in given else []
    stated += [{"percent": given["coupon_percent"]}] if "coupon_percent" in given else []
    ordered = [{"percent": each.rstrip("%")} if isinstance(each, str) and each.endswith("%") else each for each in stated]
    return [
        AppliedCoupon(coupon=_coupon(each if isinstance(each, dict) else {"fixed_cents": each}, place))
        for place, each in enumerate(ordered)
    ]


def _coupon(stated: dict[str, Any], place: int) -> Coupon:
    scope = stated.get("applies_to", "all")
    percent = stated.get("percent")
    return Coupon(
        code=str(place),
        percent=None if percent is None else number(str(percent).rstrip("%")),
        amount=None if percent is not None else cents(stated["fixed_cents"]),
        applies_to=() if scope == "all" else tuple(map(str, scope)),
    )


def _coupon_answer(invoice: Assembled, names: list[str]) -> dict[str, Any]:
    count = len(names)
    shares = [total(use.shares.get(index, Decimal(0)) for use in invoice.coupon_uses) for index in range(count)]
    line_taxes = invoice.line_taxes[:count]
    off = total(shares)
    return {
        "coupon_5dp": {name: round_to(in_cents(part), 5) for name, part in zip(names, shares, strict=True)},
        "allocation": [in_cents(part) for part in shares],
        "coupon_total": in_cents(off),
        "fee_taxes": dict(zip(names, line_taxes, strict=True)),
        "taxes": line_taxes,
        "invoice_tax": invoice.totals.tax_minor,
        "tax_total": invoice.totals.tax_minor,
        "subtotal": invoice.subtotal_minor,
        "total": invoice.totals.total_minor,
    }


# --- minimums


@adapter("commitment_true_up")
def commitment_true_up(given: dict[str, Any]) -> Any:
    in_minor = any(name.endswith("_cents") for name in given)
    currency = CENTS if in_minor else given.get("currency", CENTS)
    read = cents if in_minor else number
    minimum = read(_named(given, "commitment_cents", "minimum_cents", "commitment", "minimum"))
    used = _named(given, "fees_cents", "used_cents", "fees", "used", "used_unrounded", "usage")
    lines = [fee(read(value)) for value in (used if isinstance(used, list) else [used])]
    part: Exact = Decimal(1)
    if "days_used" in given:
        part = of_whole(int(given["days_used"]), int(given["days_in_period"]))
    exact = "order" in given and "usage first" not in given["order"]
    terms = Terms(
        currency=currency,
        mode=mode_in(given),
        basis=Basis.EXACT if exact else Basis.PLACE,
        taxes=(vat(given["tax_percent"]),) if "tax_percent" in given else (),
        minimums=(Minimum(amount=minimum, share=part),),
    )
    return _true_up_answer(assemble(lines, terms), given, in_minor)


def _true_up_answer(invoice: Assembled, given: dict[str, Any], in_minor: bool) -> Any:
    added = [index for index, line in enumerate(invoice.totals.lines) if line.kind is LineKind.TRUE_UP]
    true_up = sum(invoice.totals.lines[index].amount_minor for index in added)
    if "tax_percent" not in given:
        return true_up if in_minor else from_minor(true_up, invoice.terms.currency)
    return {
        "true_up": true_up,
        "true_up_tax": sum(invoice.line_taxes[index] for index in added),
        "fees_total": invoice.totals.lines_minor,
        "tax_total": invoice.totals.tax_minor,
        "total": invoice.totals.total_minor,
    }


def _named(given: dict[str, Any], *names: str) -> Any:
    return next(given[name] for name in names if name in given)


# --- taxes


@adapter("tax")
def tax(given: dict[str, Any]) -> Any:
    if "fees_cents" in given:
        return _tax_of_fees(given)
    currency = given.get("currency", CENTS)
    listed = "rates_percent" in given
    percents = given["rates_percent"] if listed else [given["rate_percent"]]
    rates = tuple(vat(percent, compound=_compound(given), included=_inclusive(given)) for percent in percents)
    amount = number(_named(given, "taxable", "subtotal", "amount"))
    coupons = _money_off(number(given["discount"])) if "discount" in given else ()
    invoice = assemble(
        [fee(amount)],
        Terms(currency=currency, mode=mode_in(given), taxes=rates, tax_rounding=_tax_rounding(given), coupons=coupons),
    )
    charged = from_minor(invoice.totals.tax_minor, currency)
    if listed:
        return {
            "taxes": [from_minor(each.amount_minor, currency) for each in invoice.totals.taxes],
            "total": charged,
            "tax": charged,
        }
    if "subtotal" not in given:
        return charged
    return {
        "tax": charged,
        "subtotal": from_minor(invoice.subtotal_minor, currency),
        "total": from_minor(invoice.totals.total_minor, currency),
    }


def _money_off(amount: Decimal) -> tuple[AppliedCoupon, ...]:
    return (AppliedCoupon(coupon=Coupon(code="off", amount=amount)),) if amount else ()


def _compound(given: dict[str, Any]) -> bool:
    return bool(given.get("compound", False))


def _inclusive(given: dict[str, Any]) -> bool:
    return bool(given.get("inclusive", False) or given.get("tax_inclusive", False))


def _tax_rounding(given: dict[str, Any]) -> TaxRounding:
    """Each tax is rounded, unless the case says that their sum is."""
    said = str(given.get("rounding", "")).lower()
    once = ("sum" in said and "then summed" not in said) or "total" in said or "once" in said
    return TaxRounding.INVOICE if once else TaxRounding.CATEGORY


def _tax_of_fees(given: dict[str, Any]) -> dict[str, Any]:
    off = [cents(value) for value in given.get("coupon_cents", [0] * len(given["fees_cents"]))]
    names = [str(index) for index in range(len(off))]
    lines = [fee(cents(value), name=name) for name, value in zip(names, given["fees_cents"], strict=True)]
    coupons = tuple(
        AppliedCoupon(coupon=Coupon(code=f"off-{name}", amount=amount, applies_to=(name,)))
        for name, amount in zip(names, off, strict=True)
        if amount
    )
    rates = tuple(vat(percent, compound=_compound(given)) for percent in given["rates_percent"])
    terms = Terms(
        currency=CENTS, mode=mode_in(given), taxes=rates, tax_rounding=TaxRounding.INVOICE, coupons=coupons, basis=Basis.EXACT
    )
    invoice = assemble(lines, terms)
    return {
        "fee_taxes": invoice.line_taxes[: len(lines)],
        "invoice_tax": invoice.totals.tax_minor,
        "total": invoice.totals.total_minor,
    }


@adapter("tax_compound")
def tax_compound(given: dict[str, Any]) -> Any:
    rates = [vat(percent, compound=_compound(given)) for percent in given["rates_percent"]]
    if "currency" in given or "rounding" in given:
        currency = given.get("currency", CENTS)
        terms = Terms(currency=currency, mode=mode_in(given), taxes=tuple(rates), tax_rounding=_tax_rounding(given))
        return from_minor(assemble([fee(number(given["taxable"]))], terms).totals.tax_minor, currency)
    return total(exact_taxes(number(given["taxable"]), rates))


# --- the whole invoice


@adapter("invoice_total")
def invoice_total(given: dict[str, Any]) -> Any:
    currency = given.get("currency", CENTS)
    taxes = (vat(given["tax_percent"]),) if "tax_percent" in given else ()
    if "plan_cents" in given:
        part = of_whole(int(given.get("days_used", 1)), int(given.get("days_in_period", 1)))
        terms = Terms(currency=CENTS, mode=mode_in(given), taxes=taxes)
        return assemble([fee(prorate(cents(given["plan_cents"]), part))], terms).due_minor
    charges = [fee(number(value)) for name in _CHARGES if name in given for value in _listed(given[name])]
    billed = [fee(-number(given[name])) for name in _BILLED if name in given]
    coupons = [
        AppliedCoupon(coupon=Coupon(code=f"{name}-{place}", amount=number(value)))
        for name in ("coupon", "coupons")
        if name in given
        for place, value in enumerate(_listed(given[name]))
        if number(value)
    ]
    paid = [Credit(reference=name, amount_minor=to_minor(number(given[name]), currency)) for name in _CREDITS if name in given]
    grants = [Grant(id=name, amount=number(given[name])) for name in _PREPAID if name in given]
    invoice = assemble(
        [*charges, *billed],
        Terms(
            currency=currency,
            mode=mode_in(given),
            taxes=taxes,
            coupons=tuple(coupons),
            credits=tuple(paid),
            wallet=Wallet(grants=tuple(grants), balances={grant.id: grant.amount for grant in grants}),
        ),
    )
    return {
        "subtotal_ex_tax": from_minor(invoice.subtotal_minor, currency),
        "tax": from_minor(invoice.totals.tax_minor, currency),
        "subtotal_inc_tax": from_minor(invoice.totals.total_minor, currency),
        "total": from_minor(invoice.due_minor, currency),
    }


_CHARGES = ("fees", "fee", "subscription", "plan", "usage", "charges")
_BILLED = ("progressive_billing_credit",)
_CREDITS = ("credit_note", "credit_notes")
_PREPAID = ("wallet", "prepaid_credits")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# --- wallets


@adapter("credit_burn_down")
def credit_burn_down(given: dict[str, Any]) -> Any:
    if "grants_count" in given:
        return _many_grants(given)
    timeline = given.get("timeline", [])
    grants = [_grant(stated, timeline) for stated in given["grants"]]
    events = [event for line in timeline for event in _events(line, given["grants"])]
    if "usage" in given:
        at = _moment(given["at"]) if "at" in given else max([grant.effective_at for grant in grants], default=0)
        events.append(Use(at=at, amount=number(given["usage"])))
    until = max([event.at for event in events], default=0)
    if not any(isinstance(event, Recur) for event in events):
        events += recurrences(grants, until)
    state = replay(grants, events, until=until, overage_carries=bool(given.get("overage_carries", False)))
    return {"balances": {grant.id: state.balances.get(grant.id, Decimal(0)) for grant in grants}, "overage": state.overage}


def _grant(stated: dict[str, Any], timeline: list[Any]) -> Grant:
    voided = [line[0] for line in timeline if line[1] == "void" and line[2] == stated["id"]]
    voided += [stated["voided"]] if stated.get("voided") else []
    begins = next((_moment(stated[name]) for name in ("effective", "granted", "created") if name in stated), 0)
    return Grant(
        id=str(stated["id"]),
        amount=number(stated["amount"]),
        priority=int(stated.get("priority", 0)),
        effective_at=begins,
        expires_at=_moment(stated["expires"]) if stated.get("expires") else None,
        voided_at=_moment(voided[0]) if voided else None,
        recurrence=_recurrence(stated["recurs"], begins) if stated.get("recurs") else None,
    )


def _recurrence(said: str, begins: int) -> Schedule:
    return anniversary_at(interval_of({"interval": said.split()[0]}), begins, "UTC")


def _moment(text: str) -> int:
    """An instant; ``day2 01:00`` is counted from the first day of 1970."""
    relative = re.fullmatch(r"day(\d+)(?: (\d+):(\d+))?", text)
    if relative is None:
        return instant(text)
    day, hour, minute = (int(part or 0) for part in relative.groups())
    return (day - 1) * DAY + (hour * 60 + minute) * 60 * 1_000_000_000


def _events(line: list[Any], stated: list[dict[str, Any]]) -> list[Use | Recur]:
    at, what = _moment(line[0]), line[1]
    if what == "use":
        return [Use(at=at, amount=number(line[2]))]
    if what == "recur":
        named = [line[2]] if len(line) > 2 else [grant["id"] for grant in stated if "recurs" in grant]
        return [Recur(at=at, grant=name) for name in named]
    if what == "void":  # the grant itself knows when it is voided
        return []
    raise NotSupported(f"{what} in a timeline")


def _many_grants(given: dict[str, Any]) -> Any:
    count, amount = int(given["grants_count"]), number(given["amount_each"])
    earlier = count // 2 if given.get("one_grant_expires_a_day_earlier") else -1
    grants = [Grant(id=f"{index:06}", amount=amount, expires_at=(30 - (index == earlier)) * DAY) for index in range(count)]
    state = replay(grants, [Use(at=0, amount=number(given["usage"]))], until=0)
    first, *others = sorted(grants, key=lambda grant: (grant.expires_at, grant.id))
    rest = {state.balances[grant.id] for grant in others}
    return {
        "earliest_balance": state.balances[first.id],
        "others": rest.pop() if len(rest) == 1 else None,
        "overage": state.overage,
    }


# --- notes


@adapter("credit_note")
def credit_note(given: dict[str, Any]) -> Any:
    if "credit_items_cents" in given:
        return _partial_notes(given)
    paid = cents(_named(given, "paid_fee_cents", "plan_cents", "invoice_fee_cents", "fee_cents"))
    part = of_whole(int(given["unused_days"]), int(given["period_days"])) if "unused_days" in given else Fraction(1)
    note = note_by_line(_invoice(paid, given), {0: prorate(paid, part) * -1}, CENTS, mode=mode_in(given))
    return {"net": -note.net_minor, "tax": -note.tax_minor, "total": -note.total_minor}


def _invoice(paid: Exact, given: dict[str, Any]) -> Document:
    taxes = (vat(given["tax_percent"]),) if "tax_percent" in given else ()
    totals = assemble([fee(paid)], Terms(currency=CENTS, mode=mode_in(given), taxes=taxes)).totals
    return Document(number="1", lines=totals.lines, taxes=totals.taxes)


def _partial_notes(given: dict[str, Any]) -> dict[str, Any]:
    invoice = _invoice(cents(given["invoice_fee_cents"]), given)
    notes: list[Note] = []
    for item in given["credit_items_cents"]:
        earlier = [note.document(f"note {place}") for place, note in enumerate(notes)]
        notes.append(note_by_line(invoice, {0: -cents(item)}, CENTS, earlier, mode_in(given)))
    return {
        "taxes": [-note.tax_minor for note in notes],
        "nets": [-note.net_minor for note in notes],
        "totals": [-note.total_minor for note in notes],
        "sum_of_taxes": -sum(note.tax_minor for note in notes),
        "sum_of_totals": -sum(note.total_minor for note in notes),
    }


# --- thresholds


@adapter("progressive_billing")
def progressive_billing(given: dict[str, Any]) -> Any:
    currency = given.get("currency", CENTS)
    stated = given["thresholds"] if "thresholds" in given else [given["threshold"]]
    recurring = given.get("recurring_threshold")
    thresholds = Thresholds(tuple(number(amount) for amount in stated), None if recurring is None else number(recurring))
    price = PerUnit(unit_amount=number(given["unit_amount"]))
    quantities = [Quantity(number(amount)) for _, amount in sorted(given["usage"], key=lambda entry: _moment(entry[0]))]
    reached = [rate(price, quantities[: end + 1], Context(currency=currency)).exact for end in range(len(quantities))]
    bills = [amount for amount in crossings(thresholds, reached) if amount]
    subscription = prorate(number(given["subscription_fee"]), _fee_share(given))
    used = reached[-1] if reached else Decimal(0)
    billed = total(bills)
    fees = assemble([fee(used), fee(subscription)], Terms(currency=currency))
    rest = assemble([fee(used), fee(subscription), fee(billed * -1)], Terms(currency=currency))
    return {
        "threshold_invoices": bills,
        "threshold_invoice": bills[0] if bills else Decimal(0),
        "fees": from_minor(fees.due_minor, currency),
        "period_end_fees": from_minor(fees.due_minor, currency),
        "already_billed": billed,
        "total": from_minor(rest.due_minor, currency),
        "period_end_total": from_minor(rest.due_minor, currency),
    }


def _fee_share(given: dict[str, Any]) -> Fraction:
    """The share of the calendar month that the old plan is charged: its last day counts where it ends, not where it changes."""
    for name in ("terminated", "upgraded", "downgraded"):
        if name in given:
            at = instant(given[name])
            month = calendar_schedule(Interval(Unit.MONTH), "UTC").containing(at)
            return share(
                Period(month.start, end_of_day(at, "UTC") if name == "terminated" else at), month, Proration.DAY, "UTC"
            )
    return Fraction(1)
