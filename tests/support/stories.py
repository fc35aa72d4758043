"""Stories: whole months of a subscription in a text that a billing person reads, with the invoices they must give.

::

    # One sentence on what the story is about.
    catalog api-company                     an example catalog by name; or `catalog` and YAML, indented
    zone Europe/Amsterdam
    tax standard VAT 21                     category (- for none), name, percent
    2026-10-01 start starter quantity seats 2
    2026-10-11 quantity seats 6
    2026-10-05 09:30 use api.call 1200 region=eu
    bill 2026-11-01                         what follows, indented, is the invoice
      fee | Base fee | 2026-10-01 2026-11-01 | 49.00
      total | 49.00

Times are local to the zone; ``[name]`` before a verb is the subscription that is meant, ``known DATE`` at the end is when it
was recorded. ``correct DATE`` is the note that a new rating of everything billed so far requires.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import NamedTuple

from billsmith.catalog.catalog import Catalog
from billsmith.catalog.reading import parse
from billsmith.events.event import Event
from billsmith.invoicing.assembly import Assembled, assemble
from billsmith.invoicing.billing import Book, bill, included_grants
from billsmith.invoicing.consolidation import consolidate
from billsmith.invoicing.corrections import correct
from billsmith.invoicing.model import ExchangeRate, Line, Tax
from billsmith.invoicing.notes import Document, Note
from billsmith.invoicing.terms import AppliedCoupon, Credit, Terms, Wallet
from billsmith.invoicing.totals import TaxRate
from billsmith.ledger.wallets import Grant, Use, replay
from billsmith.metering.measure import measure
from billsmith.metering.quantity import Quantity
from billsmith.subscriptions.spans import UsageSpan
from billsmith.subscriptions.subscription import (
    AddAddOn,
    AnyChange,
    ChangePlan,
    ChangeQuantity,
    DropAddOn,
    End,
    EndTrial,
    Pause,
    PlanRef,
    Resume,
    Subscription,
    changed,
)
from billsmith.units.calendar import billing_day
from billsmith.units.currency import from_minor
from billsmith.units.instants import MINUTE, local_instant
from billsmith.units.periods import Period

EXAMPLES = Path(__file__).parents[2] / "src" / "billsmith" / "catalog" / "examples"
MAIN = "main"


class Outcome(NamedTuple):
    """What a ``bill`` or ``correct`` of a story gave, and what it says it must give."""

    title: str
    got: list[str]
    expected: list[str]


def run(text: str) -> list[Outcome]:
    """Play a story."""
    story = _Story()
    return list(story.play(_paragraphs(text)))


def _paragraphs(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each line with the indented lines beneath it; comments and empty lines are left out."""
    head, block = "", []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith(" "):
            block.append(line)
            continue
        if head:
            yield head, block
        head, block = line, []
    yield head, block


class _Story:
    def __init__(self) -> None:
        self.catalog: Catalog | None = None
        self.zone = "UTC"
        self.terms: dict[str, object] = {}
        self.taxes: list[TaxRate] = []
        self.rates: list[ExchangeRate] = []
        self.coupons: list[AppliedCoupon] = []
        self.grants: list[Grant] = []
        self.uses: list[Use] = []
        self.credits: list[Credit] = []
        self.subscriptions: dict[str, Subscription] = {}
        self.events: list[tuple[str, Event]] = []
        self.last: dict[tuple[str, ...], int] = {}
        self.documents: dict[tuple[str, ...], list[Document]] = {}
        self.bills: dict[tuple[str, ...], list[tuple[int | None, int]]] = {}

    def play(self, paragraphs: Iterator[tuple[str, list[str]]]) -> Iterator[Outcome]:
        for head, block in paragraphs:
            words = head.split()
            if words[0] in ("bill", "correct"):
                names = tuple(words[2:]) or tuple(self.subscriptions)
                make = self.bill if words[0] == "bill" else self.correct
                expected = [_squeezed(line) for line in block]
                yield Outcome(head, [_squeezed(line) for line in make(self.at(words[1]), names)], expected)
            elif words[0][0].isdigit():
                self.happen(words)
            else:
                getattr(self, f"set_{words[0]}")(words[1:], block)

    # --- what a story says of itself

    def set_catalog(self, words: list[str], block: list[str]) -> None:
        text = (EXAMPLES / f"{words[0]}.yaml").read_text("utf-8") if words else "\n".join(line[2:] for line in block)
        self.catalog = parse(text, words[0] if words else "story")

    def set_zone(self, words: list[str], _: list[str]) -> None:
        self.zone = words[0]

    def set_currency(self, words: list[str], _: list[str]) -> None:
        self.terms["currency"] = words[0]

    def set_tax(self, words: list[str], _: list[str]) -> None:
        category, name, percent, *options = words
        self.taxes.append(
            TaxRate(
                category="" if category == "-" else category,
                name=name,
                rate=Decimal(percent),
                included="included" in options,
                compound="compound" in options,
            )
        )

    def set_taxfree(self, words: list[str], _: list[str]) -> None:
        self.terms["tax_free"] = " ".join(words)

    def set_rate(self, words: list[str], _: list[str]) -> None:
        base, quote, rate, date = words
        self.rates.append(ExchangeRate(base=base, quote=quote, rate=Decimal(rate), date=dt.date.fromisoformat(date)))

    def set_coupon(self, words: list[str], _: list[str]) -> None:
        assert self.catalog
        coupon = next(each for each in self.catalog.coupons if each.code == words[0])
        self.coupons.append(AppliedCoupon(coupon=coupon, periods_left=coupon.periods))

    def set_credit(self, words: list[str], _: list[str]) -> None:
        self.credits.append(Credit(reference=words[0], amount_minor=int(words[1])))

    def set_grant(self, words: list[str], _: list[str]) -> None:
        self.grants.append(Grant(id=words[0], amount=Decimal(words[1]), priority=int(words[2])))

    # --- what happens

    def at(self, day: str, time: str = "00:00") -> int:
        hours, minutes = time.split(":")
        return local_instant(dt.date.fromisoformat(day), (int(hours) * 60 + int(minutes)) * MINUTE, self.zone)

    def happen(self, words: list[str]) -> None:
        time = words.pop(1) if ":" in words[1] else "00:00"
        at = self.at(words[0], time)
        name = words.pop(1)[1:-1] if words[1].startswith("[") else MAIN
        recorded = self.at(words[words.index("known") + 1]) if "known" in words else at
        words = words[: words.index("known")] if "known" in words else words
        _, verb, *rest = words
        if verb == "start":
            self.start(name, at, recorded, rest)
        elif verb == "use":
            self.use(name, at, rest)
        elif verb == "unuse":
            self.events.remove(next(each for each in self.events if each[1].time == at and each[1].type == rest[0]))
        else:
            self.subscriptions[name] = changed(self.subscriptions[name], _change(verb, rest, at, recorded))

    def start(self, name: str, at: int, recorded: int, rest: list[str]) -> None:
        plan, *options = rest
        quantities = {options[i + 1]: Decimal(options[i + 2]) for i, word in enumerate(options) if word == "quantity"}
        self.subscriptions[name] = Subscription(
            id=name, account=name, plan=PlanRef(plan), starts_at=at, zone=self.zone, quantities=quantities, recorded_at=recorded
        )

    def use(self, name: str, at: int, rest: list[str]) -> None:
        kind, value, *dimensions = rest
        event = Event(
            owner="o",
            source="s",
            id=str(len(self.events)),
            type=kind,
            account=name,
            time=at,
            value=Decimal(value),
            dimensions=dict(pair.split("=") for pair in dimensions),
        )
        self.events.append((name, event))

    # --- what is asked for

    def bill(self, at: int, names: tuple[str, ...]) -> Iterator[str]:
        since = self.last.get(names)
        invoice = self.assembled(names, [(since, at)])
        self.last[names] = at
        self.bills.setdefault(names, []).append((since, at))
        documents = self.documents.setdefault(names, [])
        documents.append(Document(number=str(len(documents) + 1), lines=invoice.totals.lines, taxes=invoice.totals.taxes))
        for settlement in invoice.settlements:
            if settlement.kind == "wallet":
                amount = from_minor(settlement.amount_minor, invoice.terms.currency)
                self.uses.append(Use(at=at - 1, amount=amount, reference=documents[-1].number))
        yield from self.shown(invoice.totals.lines, invoice.totals.taxes, invoice.terms.currency, named=len(names) > 1)
        yield f"total | {from_minor(invoice.totals.total_minor, invoice.terms.currency)}"
        for settlement in invoice.settlements:
            yield f"{settlement.kind} | {from_minor(settlement.amount_minor, invoice.terms.currency)}"
        if invoice.settlements:
            yield f"due | {from_minor(invoice.due_minor, invoice.terms.currency)}"

    def correct(self, at: int, names: tuple[str, ...]) -> Iterator[str]:
        """Everything billed so far, rated anew as it is known at ``at``, less what the documents come to."""
        should_be = self.assembled(names, self.bills[names])
        documents = self.documents[names]
        note: Note | None = correct(should_be.totals, documents, should_be.terms.currency)
        if note is None:
            yield "nothing"
            return
        documents.append(note.document(str(len(documents) + 1)))
        yield f"{note.kind}"
        yield from self.shown(note.lines, note.taxes, should_be.terms.currency, named=len(names) > 1)
        yield f"total | {from_minor(note.total_minor, should_be.terms.currency)}"

    def assembled(self, names: tuple[str, ...], spans: list[tuple[int | None, int]]) -> Assembled:
        assert self.catalog
        bills = {
            name: [
                bill(self.subscriptions[name], Book(self.catalog), partial(self.measured, name), since, until)
                for since, until in spans
            ]
            for name in names
        }
        at = spans[-1][1]
        terms = Terms(
            **{"currency": self.catalog.currency, **self.terms},  # type: ignore[arg-type]
            taxes=tuple(self.taxes),
            coupons=tuple(self.coupons),
            minimums=tuple(minimum for each in bills.values() for one in each for minimum in one.minimums),
            credits=tuple(self.credits),
            wallet=self.wallet(names, at),
            exchange_rates=tuple(self.rates),
            date=billing_day(at, self.zone),
            at=at - 1,  # what was used before the run may be paid by what expires at it
        )
        lines = consolidate({name: [line for one in each for line in one.lines] for name, each in bills.items()})
        return assemble(lines, terms)

    def wallet(self, names: tuple[str, ...], at: int) -> Wallet:
        assert self.catalog
        grants = [*self.grants]
        for name in names:
            grants += included_grants(self.subscriptions[name], self.catalog, Period(0, at))
        state = replay(grants, self.uses, until=at - 1)
        return Wallet(grants=tuple(grants), balances=state.balances)

    def measured(self, subscription: str, span: UsageSpan) -> tuple[Quantity, ...]:
        assert self.catalog
        events = [event for name, event in self.events if name in (MAIN, subscription)]
        return measure(self.catalog.meter(span.charge.meter), events, span.part, grain=span.charge.grain, zone=self.zone)

    def shown(self, lines: tuple[Line, ...], taxes: tuple[Tax, ...], currency: str, *, named: bool) -> Iterator[str]:
        for line in lines:
            who = f"{line.account}: " if named and line.account else ""
            period = ""
            if line.period is not None:
                period = f"{billing_day(line.period.start, self.zone)} {billing_day(line.period.end, self.zone)}"
            yield f"{line.kind} | {who}{line.description} | {period} | {from_minor(line.amount_minor, currency)}"
        for tax in taxes:
            note = f" ({tax.note})" if tax.note else ""
            base, amount = (from_minor(value, currency) for value in (tax.base_minor, tax.amount_minor))
            yield f"tax | {tax.name} {tax.rate} %{note} | {base} | {amount}"


def _change(verb: str, rest: list[str], at: int, recorded: int) -> AnyChange:
    match verb:
        case "plan":
            return ChangePlan(at=at, recorded_at=recorded, plan=PlanRef(rest[0]))
        case "quantity":
            return ChangeQuantity(at=at, recorded_at=recorded, component=rest[0], quantity=Decimal(rest[1]))
        case "add":
            return AddAddOn(at=at, recorded_at=recorded, add_on=PlanRef(rest[0]))
        case "drop":
            return DropAddOn(at=at, recorded_at=recorded, code=rest[0])
        case "end":
            return End(at=at, recorded_at=recorded, day_counts="day" in rest)
        case "pause":
            return Pause(at=at, recorded_at=recorded)
        case "resume":
            return Resume(at=at, recorded_at=recorded)
    assert verb == "trial-ends", verb
    return EndTrial(at=at, recorded_at=recorded)


def _squeezed(line: str) -> str:
    return " ".join(line.split())
