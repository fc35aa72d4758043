"""A case: all that one document of a run is made of, and the pure call that makes it.

A case is a recipient in one currency: the steps of its subscriptions that are billed, what it agreed to, what its wallet and
credit notes hold. :func:`make` gives the document's contents, or raises for what can't be billed; nothing else is looked at,
so the same case gives the same document for ever, on any machine, in any process.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache, partial
from hashlib import blake2b
from struct import Struct
from typing import Protocol

import msgspec

from billsmith.catalog.offer import Fee
from billsmith.catalog.reductions import TaxRate as CatalogTax
from billsmith.catalog.versions import Shelf
from billsmith.invoicing.assembly import Assembled, assemble
from billsmith.invoicing.billing import Bill, Book, bill, usage_of_minimums
from billsmith.invoicing.model import LineKind, RoundingPlace
from billsmith.invoicing.terms import AppliedCoupon, Credit, Minimum, Terms, Wallet
from billsmith.invoicing.totals import DraftLine, TaxRate
from billsmith.ledger.commitments import Commitment
from billsmith.metering.measure import Grain
from billsmith.metering.quantity import Quantity
from billsmith.subscriptions.agreements import (
    Agreement,
    CommitmentAgreed,
    CouponGiven,
    MinimumAgreed,
    TermsAgreed,
    terms_in_force,
)
from billsmith.subscriptions.learnt import Mark as LearntMark
from billsmith.subscriptions.learnt import Step, as_learnt
from billsmith.subscriptions.spans import FeeSpan, UsageSpan, usage_spans
from billsmith.subscriptions.subscription import Subscription
from billsmith.units.errors import Invalid, InvalidInvoice
from billsmith.units.exact import Exact, subtract, total
from billsmith.units.periods import Period

#: Minor units that fit every database's 64-bit integer, with room for sums.
MAX_TOTAL_MINOR = 10**17


class Charged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A step of a subscription that is billed. ``seq`` is the caller's number for it, ``account`` who stands on its lines.

    ``number`` counts the steps of the subscription; ``again`` where a voided document had billed this one before. What is
    rated anew has its fees as they were known to the step and its usage by what is known at ``usage_known_at``: a difference in
    fees is the next step's to bill, one in usage a note's.
    """

    seq: int
    subscription: Subscription
    catalog: str
    step: Step
    number: int = 1
    again: bool = False
    account: str = ""
    usage_known_at: int | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An agreement in force, what earlier invoices used of it, and in how many runs. ``seq`` is the caller's number for it."""

    seq: int
    id: str
    agreement: Agreement
    used: tuple[Exact, ...] = ()
    runs: int = 0


class Case(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A document to be made. ``at`` is the instant at which wallets pay; ``country`` picks the tax rates."""

    recipient: int
    currency: str
    parts: tuple[Charged, ...]
    period: Period
    date: dt.date
    at: int
    country: str = ""
    held: tuple[Held, ...] = ()
    wallet: Wallet = Wallet()
    credits: tuple[Credit, ...] = ()

    @property
    def terms_agreed(self) -> TermsAgreed:
        """How the recipient pays."""
        return terms_in_force(each.agreement for each in self.held)


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What is to be measured: a meter's version of a catalog, over a period."""

    catalog: str
    meter: str
    version: int
    period: Period
    grain: Grain
    zone: str


#: What is to be measured for an account. What many are asked alike is one and the same tuple.
Questions = tuple[str, tuple[Asked, ...]]


class Counted(Protocol):
    """What was measured; ``error`` is the code of what could not be."""

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The quantities, by group and window."""

    @property
    def error(self) -> str:
        """The code of what could not be measured."""

    @property
    def message(self) -> str:
        """Which, and why."""


#: The mark of a line (P4): subscription (the caller's number), the start of its service interval, 64 bits of what is always
#: billed together with it, which follows from the rest, and 64 bits of all else.
LineMark = tuple[int, int, int, int]

#: The marks of lines that are always billed together: what they have in common, and eight bytes of each line (none: of the one
#: line whose own bits are those of the whole).
LineMarks = tuple[int, int, int, bytes]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What a case comes to. ``uses`` are of agreements: the caller's number, what was used."""

    assembled: Assembled
    marks: tuple[LineMarks, ...]
    uses: tuple[tuple[int, Exact], ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to ask for and nothing to show."""
        return not self.assembled.totals.lines


Books = Mapping[str, Book]


def questions(case: Case, books: Books) -> Iterator[Questions]:
    """What must be measured for a case, in the order in which :func:`make` takes the answers."""
    for part in case.parts:
        book, subscription = books[part.catalog], part.subscription
        seen = as_learnt(subscription, _usage_step(part))
        if seen is None:
            continue
        since = part.step.since.until if part.step.since else None
        asked = partial(_asked, book=book, catalog=part.catalog, zone=subscription.zone)
        for tariff in book.tariffs(seen, since, part.step.until.until):
            yield subscription.account, tariff.kept(part.catalog, asked)
        before = usage_of_minimums(seen, book.catalog, since, part.step.until.until)
        if before:
            yield subscription.account, asked(before)


def spans_of_usage(part: Charged, book: Book) -> tuple[UsageSpan, ...]:
    """The spans whose usage a step bills."""
    seen = as_learnt(part.subscription, _usage_step(part))
    if seen is None:
        return ()
    since = part.step.since
    return usage_spans(seen, book.catalog, since.until if since else None, part.step.until.until)


def make(case: Case, books: Books, counted: Iterable[Counted]) -> Document:
    """The document of a case. ``counted`` answers its :func:`questions`, one by one.

    Raises :class:`Invalid` for usage that could not be counted or a price that can't rate it, and :class:`InvalidInvoice`
    (``bill.…``) where an invariant does not hold: then the account is parked, others are billed.
    """
    lines: list[DraftLine] = []
    minimums: list[Minimum] = []
    marks: list[LineMarks] = []
    answers = iter(counted)
    for part in case.parts:
        asked = _bill(part, books[part.catalog], answers)
        places = (len(lines), len(lines) + len(asked.lines))
        lines += [msgspec.structs.replace(line, account=part.account) for line in asked.lines] if part.account else asked.lines
        minimums += [msgspec.structs.replace(minimum, places=places) for minimum in asked.minimums]
        marks += _marks(part, asked)
    if not lines and not minimums:
        return Document(assembled=assemble((), Terms(currency=case.currency)), marks=tuple(marks), uses=())
    for line in lines:
        if line.currency != case.currency:
            raise InvalidInvoice(
                f"{line.component} is priced in {line.currency}, the invoice is in {case.currency}. "
                "End the subscription and make another for the other currency",
                code="bill.other_currency",
            )
    coupons = {held.seq: applied for held in case.held if (applied := _coupon(held, case, books)) is not None}
    commitments = {held.id: held.seq for held in case.held if isinstance(held.agreement, CommitmentAgreed)}
    assembled = assemble(lines, _terms(case, books, minimums, tuple(coupons.values())))
    marks += _true_ups(case, assembled)
    _check(assembled, case, marks)
    taken = {use.code: use.amount for use in assembled.coupon_uses}
    uses = [(seq, taken.get(applied.coupon.code, Decimal(0))) for seq, applied in coupons.items()]
    uses += [(commitments[draw.commitment], draw.covered) for draw in assembled.draws]
    return Document(assembled=assembled, marks=tuple(marks), uses=tuple(uses))


def taxes_for(rates: tuple[CatalogTax, ...], country: str) -> tuple[TaxRate, ...]:
    """The rates that hold where the recipient is: those without a country, and its country's."""
    return tuple(
        TaxRate(
            category=rate.category,
            name=rate.name,
            rate=rate.rate,
            included=rate.included,
            compound=rate.compound,
            note=rate.note,
        )
        for rate in rates
        if rate.country in ("", country)
    )


def _bill(part: Charged, book: Book, answers: Iterator[Counted]) -> Bill:
    seen = as_learnt(part.subscription, part.step)
    if seen is None:
        return Bill(lines=(), minimums=())

    def measured(_span: UsageSpan) -> tuple[Quantity, ...]:
        found = next(answers)
        if found.error:
            raise Invalid(found.message, code=found.error)
        return found.quantities

    since = part.step.since.until if part.step.since else None
    if part.usage_known_at is None:
        return bill(seen, book, measured, since, part.step.until.until)
    learnt = as_learnt(part.subscription, _usage_step(part))
    assert learnt is not None
    now = bill(learnt, book, measured, since, part.step.until.until)
    then = bill(seen, book, lambda _: (), since, part.step.until.until, earlier=now.earlier)
    return Bill(
        lines=(*_only(then, FeeSpan), *_only(now, UsageSpan)),
        minimums=then.minimums,
        spans=(
            *(span for span in then.spans if isinstance(span, FeeSpan)),
            *(span for span in now.spans if isinstance(span, UsageSpan)),
        ),
        tariffs=now.tariffs,
    )


def _only(asked: Bill, kind: type[FeeSpan | UsageSpan]) -> Iterator[DraftLine]:
    return (line for line, span in zip(asked.lines, asked.spans, strict=True) if isinstance(span, kind))


def _usage_step(part: Charged) -> Step:
    """The step as far as usage goes."""
    if part.usage_known_at is None:
        return part.step
    return Step(part.step.since, LearntMark(part.step.until.until, part.usage_known_at))


def _asked(spans: Iterable[UsageSpan], book: Book, catalog: str, zone: str) -> tuple[Asked, ...]:
    meters = ((span, book.catalog.meter_of((span.offer.code, span.offer.version), span.charge)) for span in spans)
    return tuple(Asked(catalog, meter.code, meter.version, span.part, span.charge.grain, zone) for span, meter in meters)


def usage_mark(part: Charged, span: UsageSpan) -> LineMark:
    """What a line of usage is for. All usage of a plan or add-on in a span of time falls due at once and is billed together."""
    return part.seq, span.part.start, *_usage_bits(span)


def lines_of(marks: LineMarks) -> Iterator[LineMark]:
    """The lines that are billed together.

    >>> list(lines_of((1, 2, 3, b""))), list(lines_of((1, 2, 3, (4).to_bytes(8) + (5).to_bytes(8))))
    ([(1, 2, 3, 3)], [(1, 2, 3, 4), (1, 2, 3, 5)])
    """
    seq, start, together, lines = marks
    for (line,) in _LINES.iter_unpack(lines) if lines else [(together,)]:
        yield seq, start, together, line


_LINES = Struct(">q")
LINE_BYTES = _LINES.size


def _usage_bits(span: UsageSpan) -> tuple[int, int]:
    offer, end = span.offer.code, span.part.end
    return _hashed(offer, "usage", end, ""), _hashed(offer, f"usage:{span.charge.key}", end, "")


def _usage_marks(spans: Iterable[UsageSpan]) -> list[tuple[int, int, bytes]]:
    """The marks of spans without their subscription."""
    found: dict[tuple[int, int], list[int]] = {}
    for span in spans:
        together, line = _usage_bits(span)
        found.setdefault((span.part.start, together), []).append(line)
    return [(start, together, b"".join(map(_LINES.pack, lines))) for (start, together), lines in found.items()]


@lru_cache(maxsize=1_024)
def _repeats(lines: bytes) -> bool:
    return len(set(_LINES.iter_unpack(lines))) < len(lines) // LINE_BYTES


def _marks(part: Charged, asked: Bill) -> Iterator[LineMarks]:
    """What each line is for, so that it stands on one live document.

    What a run learns later of a period that was billed is a difference between two states of knowledge; the state it starts
    from is the part of the split.
    """
    since = part.step.since
    for span in asked.spans:
        if isinstance(span, FeeSpan):
            learnt = since is not None and span.due_at <= since.until
            split = f"{since.until}/{since.known_at}/{span.share > 0}/{span.quantity}" if learnt and since else ""
            yield _mark(part.seq, span.offer.code, _component(span.fee), span.part, split)
    for tariff in asked.tariffs:
        for start, together, lines in tariff.kept("marks", _usage_marks):
            yield part.seq, start, together, lines


def _true_ups(case: Case, assembled: Assembled) -> Iterator[LineMarks]:
    """A plan's minimum is trued up once for its period."""
    seqs = {part.subscription.id: part.seq for part in case.parts}
    for line in assembled.totals.lines:
        if line.kind is LineKind.TRUE_UP and line.subscription and line.period is not None:
            yield _mark(seqs[line.subscription], "", "minimum", line.period, "")


def _component(fee: Fee) -> str:
    return f"fee:{fee.code}"


def _mark(seq: int, offer: str, component: str, period: Period, split: str) -> LineMarks:
    return seq, period.start, _hashed(offer, component, period.end, split), b""


@lru_cache(maxsize=16_384)  # the same for most subscribers of a plan
def _hashed(offer: str, component: str, end: int, split: str) -> int:
    text = "\0".join((offer, component, str(end), split))
    raw = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(raw, "big", signed=True)


def _coupon(held: Held, case: Case, books: Books) -> AppliedCoupon | None:
    given = held.agreement
    if not isinstance(given, CouponGiven) or given.catalog not in books:
        return None
    catalog = books[given.catalog].catalog
    coupon = next(each for each in catalog.coupons if (each.code, each.version) == (given.coupon, given.version))
    if coupon.percent is None and (coupon.currency or catalog.currency) != case.currency:
        return None
    left = None if coupon.periods is None else coupon.periods - held.runs
    return AppliedCoupon(coupon=coupon, periods_left=left) if left is None or left > 0 else None


def _terms(case: Case, books: Books, minimums: list[Minimum], coupons: tuple[AppliedCoupon, ...]) -> Terms:
    agreed = case.terms_agreed
    rates: dict[tuple[str, str], CatalogTax] = {}
    for code in dict.fromkeys(part.catalog for part in case.parts):
        catalog = books[code].catalog
        assert isinstance(catalog, Shelf)
        rates |= {(rate.category, rate.code): rate for rate in catalog.taxes}
    for held in case.held:
        minimum = held.agreement
        if isinstance(minimum, MinimumAgreed) and minimum.currency == case.currency:
            minimums.append(
                Minimum(
                    amount=minimum.amount,
                    currency=minimum.currency,
                    name=minimum.name,
                    applies_to=minimum.applies_to,
                    tax_category=minimum.tax_category,
                )
            )
    return Terms(
        currency=case.currency,
        place=RoundingPlace.INVOICE if agreed.round_total else RoundingPlace.LINE,
        taxes=taxes_for(tuple(rates.values()), case.country),
        tax_free=agreed.tax_free,
        coupons=coupons,
        commitments=tuple(_commitments(case)),
        minimums=tuple(minimums),
        credits=case.credits,
        wallet=case.wallet,
        date=case.date,
        at=case.at,
    )


def _commitments(case: Case) -> Iterator[Commitment]:
    for held in case.held:
        agreed = held.agreement
        if isinstance(agreed, CommitmentAgreed) and agreed.currency == case.currency and case.period.start < agreed.ends_at:
            left = subtract(agreed.amount, total(held.used))
            if not isinstance(left, Decimal):
                raise InvalidInvoice(f"what is left of commitment {held.id} is no decimal: {left}", code="bill.commitment")
            yield Commitment(
                id=held.id,
                left=left,
                overage_factor=agreed.overage_factor,
                prepaid=agreed.prepaid,
                applies_to=agreed.applies_to,
                closing=agreed.ends_at <= case.period.end,
                tax_category=agreed.tax_category,
            )


def _check(assembled: Assembled, case: Case, marks: list[LineMarks]) -> None:
    """What must hold of every document, looked at once more before it is issued (P22)."""
    totals = assembled.totals
    added = sum(tax.amount_minor for tax in totals.taxes if not tax.included)
    if sum(line.amount_minor for line in totals.lines) + added != totals.total_minor:
        raise InvalidInvoice("lines and taxes don't sum to the total", code="bill.total")
    if totals.total_minor - assembled.settled_minor != assembled.due_minor:
        raise InvalidInvoice("total and settlements don't sum to what is due", code="bill.due")
    amounts = [totals.total_minor, totals.tax_minor, *(line.amount_minor for line in totals.lines)]
    if max(map(abs, amounts)) > MAX_TOTAL_MINOR:
        raise InvalidInvoice("the amounts are too large to be owed", code="invoice.too_large")
    if len({mark[:3] for mark in marks}) < len(marks) or any(_repeats(lines) for *_, lines in marks):
        raise InvalidInvoice(
            f"something of {case.period} would stand on two lines. Two charges of a plan and an add-on may share their code",
            code="bill.line_twice",
        )
