"""The documents that a company's script calls for, to the last cent, and what the ledger must say in the end.

:func:`expected` goes through the script once. Each run makes documents of what subscriptions ask for (``agreed.py``); coupons,
minimums and taxes follow, then credit notes and wallets pay. A rating anew asks what each document would say by what is known
now, and the difference to what documents say is a note.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from tests.simulator import script
from tests.simulator.auditor.agreed import Billed, Fee, Offer, Reading, Step, Subscription, Usage, difference
from tests.simulator.auditor.calendars import day_of, midnight, month_end
from tests.simulator.auditor.prices import cost, major, minor, shared

_SERIES = {"invoice": "INV", "credit_note": "CN", "debit_note": "DN"}


class Identity(NamedTuple):
    """What a line is for. A fee that is asked for once has its instant twice, a coupon has none."""

    kind: str
    subscription: str
    offer: str
    component: str
    start: int
    end: int
    category: str


class Line(NamedTuple):
    """A line, its exact and its rounded amount, and the span of time that it is for."""

    what: Identity
    exact: Fraction
    amount: int
    span: tuple[int, int] = (0, 0)


@dataclass
class Credit:
    """Credit of a customer."""

    key: str
    amount: int
    currency: str
    priority: int
    effective: int
    expires: int | None
    paid: bool
    left: int = 0
    lost: int = 0
    taken_back: int | None = None


@dataclass
class Coupon:
    """A coupon that a customer holds, and the documents that it was used on."""

    terms: Mapping[str, Any]
    uses: list[Document] = field(default_factory=list)


@dataclass
class Document:
    """A document as it should be. ``corrects`` is what a note stands on."""

    number: str
    kind: str
    customer: str
    currency: str
    lines: list[Line]
    taxes: dict[tuple[str, str], tuple[int, int]]
    parts: list[tuple[Subscription, Step]] = field(default_factory=list)
    rates: Sequence[Mapping[str, Any]] = ()
    month: str = ""
    end: int = 0
    coupons: list[Coupon] = field(default_factory=list)
    settlements: list[tuple[str, str, int]] = field(default_factory=list)
    payments: list[int] = field(default_factory=list)
    by_credit: int = 0
    """What credit paid of it after it was made, and, below zero, what its own credit paid for."""
    notes: list[Document] = field(default_factory=list)
    corrects: str = ""
    void: bool = False
    written_off: int = 0
    given_back: bool = False

    @property
    def total(self) -> int:
        """What it asks for, or below zero gives."""
        return sum(line.amount for line in self.lines) + sum(tax for _, tax in self.taxes.values())

    @property
    def paid(self) -> int:
        """What was paid of it, by whatever means; of a credit note what was used of it, below zero."""
        return sum(amount for _, _, amount in self.settlements) + sum(self.payments) + self.by_credit


class Books:
    """A company as its script leaves it."""

    def __init__(self, company: script.Company) -> None:
        self.company = company
        self.documents: list[Document] = []
        self.customers: dict[str, script.SignUp] = {}
        self.subscriptions: dict[str, list[Subscription]] = {}
        self.coupons: dict[str, list[Coupon]] = {}
        self.credits: dict[str, list[Credit]] = {}
        self.events: dict[str, dict[str, script.Used | None]] = {}
        self.offers: dict[Offer, Mapping[str, Any]] = {}
        self.offered: dict[str, Offer] = {}
        self.catalog: Mapping[str, Any] = {}
        self._numbers: dict[str, int] = {}
        for action in company.actions:
            getattr(self, "_" + type(action).__name__.lower())(action)

    # ── what people did ──

    def _apply(self, action: script.Apply) -> None:
        self.catalog = action.catalog
        for offer in (*action.catalog["plans"], *action.catalog["add_ons"]):
            code = offer["code"]
            newest = self.offered.get(code)
            if newest is None or self.offers[newest] != offer:
                self.offered[code] = newest = (code, newest[1] + 1 if newest else 1)
                self.offers[newest] = offer

    def _signup(self, action: script.SignUp) -> None:
        self.customers[action.customer] = action
        self.subscriptions[action.customer] = []
        self.coupons[action.customer] = []
        self.credits[action.customer] = []
        self.events[action.customer] = {}

    def _subscribe(self, action: script.Subscribe) -> None:
        self.subscriptions[action.customer].append(
            Subscription(
                key=action.key,
                customer=action.customer,
                zone=self.customers[action.customer].zone,
                plan=self.offered[action.plan],
                starts=action.starts,
                recorded=action.now,
                quantities={name: Fraction(text) for name, text in action.quantities.items()},
                billing_day=action.billing_day,
            )
        )

    def _change(self, action: script.Change) -> None:
        found = next(each for each in self.subscriptions[action.customer] if each.key == action.key)
        found.changes.append((action, self.offered.get(action.name, ("", 0))))

    def _migrate(self, action: script.Migrate) -> None:
        to = self.offered[action.plan]
        for sub in (each for group in self.subscriptions.values() for each in group):
            at = max(midnight(dt.date.fromisoformat(action.first), sub.zone), sub.starts)
            moves = [(change, offer) for change, offer in sub.known_at(action.now) if change.what == "plan"]
            if any(change.at > at and offer[0] != to[0] for change, offer in moves):
                continue
            held = moves[-1][1] if moves else sub.plan
            if held[0] == to[0] and held != to and at < Reading(sub, self.offers, action.now).end:
                change = script.Change(now=action.now, customer=sub.customer, key=sub.key, at=at, what="plan", name=action.plan)
                sub.changes.append((change, to))

    def _use(self, action: script.Use) -> None:
        for event in action.events:
            self.events[event.customer][event.id] = event

    def _correct(self, action: script.Correct) -> None:
        self.events[action.customer][action.event.id] = action.by

    def _givecoupon(self, action: script.GiveCoupon) -> None:
        terms = next(each for each in self.catalog["coupons"] if each["code"] == action.code)
        self.coupons[action.customer].append(Coupon(terms))

    def _givecredit(self, action: script.GiveCredit) -> None:
        amount = minor(Fraction(action.amount), action.currency)
        self.credits[action.customer].append(
            Credit(action.key, amount, action.currency, action.priority, action.now, action.expires, action.paid, amount)
        )

    def _takeback(self, action: script.TakeBack) -> None:
        credit = next(each for each in self.credits[action.customer] if each.key == action.key)
        if credit.taken_back is None:
            credit.taken_back = action.now
            if credit.expires is None or action.now < credit.expires:
                credit.lost, credit.left = credit.left, 0

    # ── runs ──

    def _bill(self, action: script.Bill) -> None:
        for customer in self.customers.values():
            due: dict[str, list[tuple[Subscription, Step, Billed | None]]] = {}
            for sub in self.subscriptions[customer.customer]:
                until = month_end(action.month, sub.zone)
                if until > action.now or sub.recorded > action.now:
                    continue
                for step, again in self._steps(sub, until, action.now):
                    if again is not None or not self._is_over(sub, step):
                        due.setdefault(self._currency(sub.plan), []).append((sub, step, again))
            for currency, parts in sorted(due.items()):
                self._document(action, customer, currency, parts)

    def _steps(self, sub: Subscription, until: int, now: int) -> Iterator[tuple[Step, Billed | None]]:
        before: Billed | None = None
        for billed in sub.billed:
            if billed.open:
                yield _step(before, billed.until, billed.known), billed
            before = billed
        if before is None or before.until < until:
            yield _step(before, until, now), None

    def _is_over(self, sub: Subscription, step: Step) -> bool:
        if sub.starts >= step.until:
            return step.since is None
        if step.since is None:
            return False
        learnt = any(step.since_known < change.now <= step.known for change, _ in sub.changes)
        return not learnt and Reading(sub, self.offers, step.known).end < step.since

    def _document(
        self,
        action: script.Bill,
        customer: script.SignUp,
        currency: str,
        parts: Sequence[tuple[Subscription, Step, Billed | None]],
    ) -> None:
        steps = [(sub, step) for sub, step, _ in parts]
        coupons = [each for each in self.coupons[customer.customer] if self._applies(each, currency, action.month)]
        lines, uses = self._lines(customer, currency, steps, coupons, None)
        for sub, step, again in parts:
            if again is None:
                sub.billed.append(Billed(step.until, step.known))
            else:
                again.open = False
        if not lines:
            return
        rates = self.catalog["tax_rates"]
        taxes = self._taxes(lines, customer, rates)
        total = sum(line.amount for line in lines) + sum(tax for _, tax in taxes.values())
        document = self._issue("credit_note" if total < 0 else "invoice", customer.customer, currency, lines, taxes, action.now)
        document.parts, document.rates, document.month = steps, rates, action.month
        document.end = max(step.until for _, step in steps)
        document.coupons = coupons
        for coupon in uses:
            coupon.uses.append(document)
        self._pay_with_credit(document, action.now)

    def _issue(
        self,
        kind: str,
        customer: str,
        currency: str,
        lines: list[Line],
        taxes: dict[tuple[str, str], tuple[int, int]],
        now: int,
    ) -> Document:
        series = f"{_SERIES[kind]}-{day_of(now, self.company.zone).year}"
        self._numbers[series] = self._numbers.get(series, 0) + 1
        document = Document(f"{series}-{self._numbers[series]:06d}", kind, customer, currency, lines, taxes)
        self.documents.append(document)
        return document

    def _applies(self, coupon: Coupon, currency: str, month: str) -> bool:
        """Whether a coupon counts on a document. It lasts for so many months, for all documents of each."""
        terms = coupon.terms
        if "amount" in terms and terms.get("currency", self.company.currency) != currency:
            return False
        before = {document.month for document in coupon.uses} - {month}
        return "periods" not in terms or len(before) < terms["periods"]

    def _pay_with_credit(self, document: Document, now: int) -> None:
        due = document.total
        for note in self.documents:
            left = note.paid - note.total
            if note.void or note.written_off or note is document or left <= 0 or due <= 0:
                continue
            if (note.customer, note.currency) == (document.customer, document.currency):
                used = min(left, due)
                note.by_credit -= used
                document.settlements.append(("credit_note", note.number, used))
                due -= used
        at = document.end
        alive = [
            credit
            for credit in self.credits[document.customer]
            if credit.currency == document.currency and (credit.expires is None or credit.expires >= at)
        ]
        for credit in sorted(alive, key=lambda each: each.priority):
            used = min(credit.left, max(due, 0))
            if used:
                credit.left -= used
                document.settlements.append(("wallet", credit.key, used))
                due -= used

    def _rerate(self, action: script.Rerate) -> None:
        for document in [each for each in self.documents if each.parts and not each.void and not each.given_back]:
            zone = document.parts[0][0].zone
            first = midnight(dt.date.fromisoformat(action.month + "-01"), zone)
            if not first < document.end <= month_end(action.month, zone):
                continue
            customer = self.customers[document.customer]
            lines, _ = self._lines(customer, document.currency, document.parts, document.coupons, action.now)
            taxes = self._taxes(lines, customer, document.rates)
            standing = [document, *(note for note in document.notes if not note.void)]
            different = _lines_between(lines, [line for each in standing for line in each.lines])
            taxed = _taxes_between(taxes, [each.taxes for each in standing])
            if different or taxed:
                total = sum(line.amount for line in different) + sum(tax for _, tax in taxed.values())
                kind = "debit_note" if total > 0 else "credit_note"
                note = self._issue(kind, document.customer, document.currency, different, taxed, action.now)
                note.corrects = document.number
                document.notes.append(note)

    # ── what a document says ──

    def _lines(
        self,
        customer: script.SignUp,
        currency: str,
        parts: Sequence[tuple[Subscription, Step]],
        coupons: Sequence[Coupon],
        usage_known: int | None,
    ) -> tuple[list[Line], list[Coupon]]:
        lines: list[Line] = []
        owed: list[tuple[Reading, Step, list[Fee], slice]] = []
        for sub, step in parts:
            first = len(lines)
            before = Reading(sub, self.offers, step.since_known).fees(step.since) if step.since is not None else []
            reading = Reading(sub, self.offers, step.known)
            all_fees = reading.fees(step.until)
            lines += [self._fee_line(fee, sub, currency) for fee in difference(before, all_fees, reading)]
            counted = reading if usage_known is None else Reading(sub, self.offers, usage_known)
            lines += [self._usage_line(usage, sub, currency) for usage in counted.usage(step.since, step.until)]
            owed.append((reading, step, all_fees, slice(first, len(lines))))
        nets = [major(line.amount, currency) for line in lines]
        off, used = _coupon_lines(lines, nets, coupons, currency)
        true_ups = [
            line
            for reading, step, fees, own in owed
            for line in self._true_ups(reading, step, fees, lines[own], nets[own], currency, usage_known)
        ]
        return [*lines, *off, *true_ups], used

    def _fee_line(self, fee: Fee, sub: Subscription, currency: str) -> Line:
        exact = cost(fee.fee["price"], fee.quantity) * fee.share
        kind = "fee" if fee.share > 0 else "credit"
        category = fee.fee.get("tax_category", "")
        what = Identity(kind, sub.key, fee.offer[0], fee.fee["code"], *fee.span, category)
        return Line(what, exact, minor(exact, currency), fee.span)

    def _usage_line(self, usage: Usage, sub: Subscription, currency: str) -> Line:
        charge = usage.charge
        exact = cost(charge["price"], self._counted(charge["meter"], sub.customer, usage.span))
        key = charge.get("code", charge["meter"])
        what = Identity("usage", sub.key, usage.offer[0], key, *usage.span, charge.get("tax_category", ""))
        return Line(what, exact, minor(exact, currency), usage.span)

    def _counted(self, code: str, customer: str, span: tuple[int, int]) -> Fraction:
        meter = next(each for each in self.catalog["meters"] if each["code"] == code)
        events = [
            each
            for each in self.events[customer].values()
            if each is not None and each.type == meter["event_type"] and span[0] <= each.at < span[1]
        ]
        values = [Fraction(each.value) for each in events]
        match meter["aggregation"]:
            case "count":
                return Fraction(len(events))
            case "sum":
                return sum(values, Fraction(0))
            case "max":
                return max(values, default=Fraction(0))
            case "unique_count":
                return Fraction(len({each.who for each in events}))
            case other:
                raise ValueError(other)

    def _true_ups(
        self,
        reading: Reading,
        step: Step,
        fees: Sequence[Fee],
        lines: Sequence[Line],
        nets: Sequence[Fraction],
        currency: str,
        usage_known: int | None,
    ) -> Iterator[Line]:
        """What the periods that ended lack of the plan's minimum: all that was asked for such a period, so far and now, counts.

        ``lines`` are those of the step, ``nets`` what coupons have left of them.
        """
        sub = reading.sub
        window = (sub.starts if step.since is None else step.since, step.until)
        for whole, part in reading.periods(window):
            minimum = reading.plan_at(part[0]).get("minimum")
            if minimum is None or part[1] > step.until:
                continue
            mine = [(line, net) for line, net in zip(lines, nets, strict=True) if _within(line.span, part)]
            now = sum((net for _, net in mine), Fraction(0))
            here = sum((line.exact for line, _ in mine if line.what.kind != "usage"), Fraction(0))
            owed = [fee for fee in fees if _within(fee.span, part)]
            asked = sum((cost(fee.fee["price"], fee.quantity) * fee.share for fee in owed), Fraction(0))
            earlier = Fraction(0)
            if step.since is not None:
                counted = reading if usage_known is None else Reading(sub, self.offers, usage_known)
                for usage in counted.usage(None, step.since):
                    if _within(usage.span, part):
                        earlier += self._usage_line(usage, sub, currency).exact
            missing = Fraction(minimum["amount"]) * reading.charged_days(part, whole) - (asked - here + earlier + now)
            if missing > 0:
                what = Identity("true_up", sub.key, "", "", *part, "")
                yield Line(what, missing, minor(missing, currency), part)

    def _taxes(
        self, lines: Sequence[Line], customer: script.SignUp, rates: Sequence[Mapping[str, Any]]
    ) -> dict[tuple[str, str], tuple[int, int]]:
        bases: dict[str, int] = {}
        for line in lines:
            bases[line.what.category] = bases.get(line.what.category, 0) + line.amount
        taxes: dict[tuple[str, str], tuple[int, int]] = {}
        for rate in rates:
            category = rate.get("category", "")
            if rate.get("country", "") not in ("", customer.country) or category not in bases:
                continue
            base = bases[category]
            percent = Fraction(0) if customer.tax_free else Fraction(rate["rate"])
            taxes[category, rate["name"]] = (base, minor(base * percent / 100, "JPY"))
        return taxes

    def _currency(self, plan: Offer) -> str:
        return str(self.offers[plan].get("currency", self.company.currency))

    # ── money ──

    def _of(self, customer: str, month: str) -> list[Document]:
        return [each for each in self.documents if (each.customer, each.month) == (customer, month) and not each.void]

    def _pay(self, action: script.Pay) -> None:
        for document in self._of(action.customer, action.month):
            amount = (document.total - document.paid) * action.parts // action.of
            if amount > 0 and not document.written_off:
                document.payments.append(amount)

    def _refund(self, action: script.Refund) -> None:
        for document in self._of(action.customer, action.month):
            if not document.written_off and (amount := min(sum(document.payments), document.paid)) > 0:
                document.payments.append(-amount)

    def _writeoff(self, action: script.WriteOff) -> None:
        for document in self._of(action.customer, action.month):
            if document.total > document.paid and not document.written_off:
                document.written_off = document.total - document.paid

    def _giveback(self, action: script.GiveBack) -> None:
        for document in self._of(action.customer, action.month):
            if document.total <= 0 or document.written_off or any(not note.void for note in document.notes):
                continue
            lines = [line._replace(amount=-line.amount) for line in document.lines if line.amount]
            taxes = {key: (-base, -tax) for key, (base, tax) in document.taxes.items() if base or tax}
            note = self._issue("credit_note", document.customer, document.currency, lines, taxes, action.now)
            note.corrects, document.given_back = document.number, True
            document.notes.append(note)
            settled = min(max(document.total - document.paid, 0), -note.total)
            document.by_credit += settled
            note.by_credit -= settled

    def _void(self, action: script.Void) -> None:
        for document in self._of(action.customer, action.month):
            if document.paid or any(not note.void for note in document.notes):
                continue
            document.void, document.written_off = True, 0
            for sub, step in document.parts:
                next(each for each in sub.billed if each.until == step.until).open = True
            for coupon in self.coupons[document.customer]:
                coupon.uses = [each for each in coupon.uses if each is not document]

    # ── what the ledger must say ──

    def balances(self) -> dict[tuple[str, str], int]:
        """Every account's balance by name and currency, but for those that are zero."""
        found: dict[tuple[str, str], int] = {}

        def add(account: str, currency: str, amount: int) -> None:
            found[account, currency] = found.get((account, currency), 0) + amount

        for document in self.documents:
            if document.void:
                continue
            due = document.total - document.paid
            held = "credit" if due < 0 else "receivable"
            add(f"{held}:{document.customer}", document.currency, due - document.written_off)
            add("written-off", document.currency, document.written_off)
            add("cash", document.currency, sum(document.payments))
            for line in document.lines:
                add("discounts" if line.what.kind == "coupon" else "revenue", document.currency, -line.amount)
            for (category, name), (_, tax) in document.taxes.items():
                add(f"tax:{category}:{name}", document.currency, -tax)
        for credit in (each for group in self.credits.values() for each in group):
            add("cash" if credit.paid else "promotions", credit.currency, credit.amount)
            add(f"wallet:{credit.key}", credit.currency, -credit.left)
            add("breakage" if credit.paid else "promotions", credit.currency, -credit.lost)
        return {key: balance for key, balance in sorted(found.items()) if balance}


def _step(before: Billed | None, until: int, known: int) -> Step:
    return Step(before.until if before else None, before.known if before else 0, until, known)


def _within(span: tuple[int, int], whole: tuple[int, int]) -> bool:
    return whole[0] <= span[0] < whole[1] and span[1] <= whole[1]


def _coupon_lines(
    lines: Sequence[Line], nets: list[Fraction], coupons: Sequence[Coupon], currency: str
) -> tuple[list[Line], list[Coupon]]:
    """Each coupon as a line for each tax category, in order: those with a scope before those without. Lowers ``nets``."""
    found: list[Line] = []
    for coupon in sorted(coupons, key=lambda each: "applies_to" not in each.terms):
        terms = coupon.terms
        scope = [
            place for place, line in enumerate(lines) if "applies_to" not in terms or line.what.component in terms["applies_to"]
        ]
        subtotal = max(sum((nets[place] for place in scope), Fraction(0)), Fraction(0))
        off = subtotal * Fraction(terms["percent"]) / 100 if "percent" in terms else min(Fraction(terms["amount"]), subtotal)
        if "maximum" in terms:
            off = min(off, Fraction(terms["maximum"]))
        off_minor = minor(off, currency)
        above = [place for place in scope if nets[place] > 0]
        whole = sum((nets[place] for place in above), Fraction(0))
        if not off_minor:
            continue
        shares = {place: major(off_minor, currency) * nets[place] / whole for place in above}
        categories: dict[str, Fraction] = {}
        for place, share in shares.items():
            nets[place] -= share
            category = lines[place].what.category
            categories[category] = categories.get(category, Fraction(0)) - share
        factor = off_minor / major(off_minor, currency)
        amounts = shared(-off_minor, [share * factor for share in categories.values()])
        for (category, share), amount in zip(categories.items(), amounts, strict=True):
            found.append(Line(Identity("coupon", "", "", terms["code"], 0, 0, category), share, amount))
    return found, list(coupons)


def _lines_between(wanted: Sequence[Line], standing: Sequence[Line]) -> list[Line]:
    sums: dict[Identity, int] = {}
    for sign, lines in ((-1, standing), (1, wanted)):
        for line in lines:
            sums[line.what] = sums.get(line.what, 0) + sign * line.amount
    return [Line(what, Fraction(0), amount) for what, amount in sums.items() if amount]


def _taxes_between(
    wanted: Mapping[tuple[str, str], tuple[int, int]], standing: Sequence[Mapping[tuple[str, str], tuple[int, int]]]
) -> dict[tuple[str, str], tuple[int, int]]:
    found = dict(wanted)
    for taxes in standing:
        for key, (base, tax) in taxes.items():
            before = found.get(key, (0, 0))
            found[key] = (before[0] - base, before[1] - tax)
    return {key: both for key, both in found.items() if any(both)}
