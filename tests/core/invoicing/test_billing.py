"""A subscription's run as lines and minimums: what each line says of itself."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest

from billsmith.catalog.reading import parse
from billsmith.invoicing.assembly import assemble
from billsmith.invoicing.billing import Book, bill, fee_line, included_grants, usage_line
from billsmith.invoicing.model import LineKind, Party
from billsmith.invoicing.progressive import already_billed
from billsmith.invoicing.terms import Terms
from billsmith.invoicing.totals import DraftLine, total
from billsmith.metering.quantity import Quantity
from billsmith.rating.context import Context
from billsmith.rating.models.flat import Flat
from billsmith.rating.models.per_unit import PerUnit
from billsmith.rating.rate import rate
from billsmith.subscriptions.spans import fees_to_bill, usage_spans
from billsmith.subscriptions.subscription import AddAddOn, ChangeQuantity, PlanRef, Subscription, changed
from billsmith.units.ids import derived_id
from billsmith.units.instants import format_instant, parse_instant
from billsmith.units.periods import Period
from billsmith.units.rounding import Rounding

D = Decimal

CATALOG = parse(
    """
code: test
currency: EUR
meters:
  - {code: calls, event_type: call, unit: calls}
plans:
  - code: basic
    alignment: calendar
    fees:
      - {code: base, name: Base fee, price: {model: flat, amount: 31.00}, tax_category: standard}
      - {code: seats, unit: seats, price: {model: per_unit, unit_amount: 3.10}, quantity: 2}
    charges:
      - {meter: calls, code: api, name: API calls, price: {model: per_unit, unit_amount: 0.01}, tax_category: reduced}
    minimum: {amount: 62.00, true_up: true}
    credits:
      - {amount: 5.00, priority: 7, meters: [calls]}
      - {amount: 2.00, expires_after: week}
  - code: dollars
    currency: USD
    alignment: calendar
    fees: [{code: base, price: {model: flat, amount: 10.00}}]
    minimum: {amount: 20.00, true_up: true}
  - code: night
    alignment: calendar
    charges:
      - meter: calls
        grain: hour
        price:
          model: windows
          price:
            model: hours
            bands: [{from_hour: 22, to_hour: 6, price: {model: per_unit, unit_amount: 1}}]
            otherwise: {model: per_unit, unit_amount: 100}
  - code: booked
    alignment: calendar
    price_book: book
    charges: [{meter: calls}]
  - code: per_event
    alignment: calendar
    charges: [{meter: calls, price: {model: percentage, rate_percent: 1, fixed_per_event: 0.25}}]
  - code: at_least
    alignment: calendar
    charges: [{meter: calls, price: {model: per_unit, unit_amount: 1, minimum: 5}}]
add_ons:
  - code: more
    fees: [{code: more, price: {model: flat, amount: 1.00}}]
    charges: [{meter: calls, code: extra, price: {model: per_unit, unit_amount: 1.00}}]
price_books:
  - {code: book, prices: {calls: {model: per_unit, unit_amount: 0.50}}}
""",
    "test",
)
BOOK = Book(CATALOG)
START, NEXT = parse_instant("2026-10-01T00:00:00Z"), parse_instant("2026-11-01T00:00:00Z")
MIDDLE = parse_instant("2026-10-11T09:00:00Z")


def subscription(plan="basic", starts_at=START, **options):
    return Subscription(id="sub", account="acc", plan=PlanRef(plan), starts_at=starts_at, **options)


def used(quantity):
    return lambda span: (Quantity(D(quantity)),)


def run(held, since, until, quantity=100):
    return bill(held, BOOK, used(quantity), since, until)


def test_a_fees_line_says_what_it_is_for():
    base, seats = run(subscription(starts_at=MIDDLE), None, MIDDLE).lines
    assert base == DraftLine(
        description="Base fee",
        amount=D("21.00"),
        currency="EUR",
        kind=LineKind.FEE,
        quantity=D(1),
        period=Period(MIDDLE, NEXT),
        tax_category="standard",
        plan="basic",
        subscription="sub",
        component="base",
        trace=(*base.trace[:-1], "31.00 × 21/31 of the period = 21.00"),
    )
    assert len(base.trace) > 1
    assert (seats.description, seats.quantity, seats.unit, seats.amount) == ("seats", 2, "seats", D("4.20"))
    assert seats.trace == ("2 seats: 2 × 3.10 = 6.20", "6.20 × 21/31 of the period = 4.20")


def test_a_whole_period_needs_no_proration_in_the_trace():
    base, _ = run(subscription(), None, START).lines
    assert base.amount == 31
    assert not any("of the period" in sentence for sentence in base.trace)


def test_a_usages_line_says_what_it_is_for():
    (line,) = [line for line in run(subscription(), START, NEXT).lines if line.kind is LineKind.USAGE]
    assert line == DraftLine(
        description="API calls",
        amount=D("1.00"),
        currency="EUR",
        kind=LineKind.USAGE,
        quantity=D(100),
        unit="calls",
        unit_price=D("0.01"),
        period=Period(START, NEXT),
        tax_category="reduced",
        meter="calls",
        plan="basic",
        subscription="sub",
        component="api",
        trace=line.trace,
    )
    assert line.trace == ("100 calls: 100 × 0.01 = 1.00",)


def test_what_no_longer_holds_comes_back_as_a_credit():
    more = ChangeQuantity(at=MIDDLE, recorded_at=MIDDLE, component="seats", quantity=D(5))
    back, new = run(changed(subscription(), more), START, MIDDLE).lines
    assert (back.kind, back.amount, back.quantity) == (LineKind.CREDIT, D("-4.20"), 2)
    assert (new.kind, new.amount, new.quantity) == (LineKind.FEE, D("10.50"), 5)


def test_overrides_are_the_subscriptions_own_prices():
    overrides = {"base": Flat(amount=D(20)), "api": PerUnit(unit_amount=D("0.02"))}
    held = subscription(overrides=overrides)
    assert run(held, None, START).lines[0].amount == 20
    assert [line.amount for line in run(held, START, NEXT).lines if line.meter] == [D("2.00")]


def test_a_plan_may_have_its_own_currency_and_a_price_book():
    assert [line.currency for line in run(subscription("dollars"), None, START).lines] == ["USD"]
    (line,) = run(subscription("booked"), None, NEXT).lines
    assert (line.amount, line.currency, line.description) == (50, "EUR", "calls")


@pytest.mark.parametrize(
    ("zone", "amount"),
    # five in the morning UTC is six in Amsterdam (winter) and midnight in New York
    [("UTC", 1), ("Europe/Amsterdam", 100), ("America/New_York", 1), ("Asia/Tokyo", 100)],
)
def test_the_hour_of_a_usage_is_read_in_the_subscriptions_zone(zone, amount):
    held = subscription("night", starts_at=parse_instant("2026-11-01T00:00:00Z"), zone=zone)
    until = parse_instant("2026-12-02T00:00:00Z")
    early = Quantity(D(1), start=parse_instant("2026-11-10T05:00:00Z"))

    def quantities(span):
        return (early,) if span.part.contains(early.start) else ()

    lines = bill(held, BOOK, quantities, None, until).lines
    assert sum(line.amount for line in lines) == amount


def test_a_minimum_is_in_its_plans_currency():
    (minimum,) = run(subscription("dollars"), START, NEXT).minimums
    assert (minimum.amount, minimum.currency, minimum.billed_before) == (20, "USD", 10)
    assert [each.currency for each in run(subscription(), START, NEXT).minimums] == ["EUR"]


def test_an_add_on_brings_fees_and_usage():
    held = changed(subscription("booked"), AddAddOn(at=START, add_on=PlanRef("more")))
    lines = run(held, None, NEXT).lines
    assert [(line.component, line.plan, line.amount) for line in lines] == [
        ("more", "more", 1),
        ("more", "more", 1),
        ("calls", "booked", 50),
        ("extra", "more", 100),
    ]


def test_nothing_is_asked_before_we_know_of_it():
    held = subscription(recorded_at=MIDDLE)
    assert run(held, None, MIDDLE - 1).lines == ()
    assert len(run(held, None, MIDDLE).lines) == 2


@pytest.mark.parametrize(
    ("quantity", "missing"),
    # fees of 31.00 + 6.20 were paid in advance: 24.80 are missing
    [(0, 2480), (2479, 1), (2480, 0), (9999, 0)],
)
def test_a_minimum_counts_what_was_paid_in_advance(quantity, missing):
    asked = run(subscription(), START, NEXT, quantity)
    assembled = assemble(asked.lines, Terms(currency="EUR", minimums=asked.minimums))
    assert sum(line.amount_minor for line in assembled.totals.lines if line.kind is LineKind.TRUE_UP) == missing


def test_a_minimum_is_due_when_its_period_has_ended_and_prorated_where_it_began_late():
    assert run(subscription(), None, NEXT - 1).minimums == ()
    (minimum,) = run(subscription(starts_at=MIDDLE), None, NEXT).minimums
    assert (minimum.share, minimum.period, minimum.subscription) == (Fraction(21, 31), Period(MIDDLE, NEXT), "sub")
    assert run(subscription(), NEXT, NEXT).minimums == ()


def test_included_credits_begin_with_their_period_and_are_the_same_in_every_run():
    grants = included_grants(subscription(), CATALOG, Period(START, NEXT + 1))
    assert [(grant.amount, grant.priority, grant.scope, grant.paid) for grant in grants[:2]] == [
        (5, 7, frozenset({"calls"}), False),
        (2, 50, frozenset(), False),
    ]
    assert [grant.effective_at for grant in grants] == [START, START, NEXT, NEXT]
    assert grants[0].expires_at is None
    assert format_instant(grants[1].expires_at) == "2026-10-08T00:00:00Z"
    assert len({grant.id for grant in grants}) == 4
    assert included_grants(subscription(), CATALOG, Period(START + 1, NEXT)) == []
    assert grants == included_grants(subscription(), CATALOG, Period(START, NEXT + 1))


def test_included_credits_have_ids_that_never_change():
    first, second = included_grants(subscription(), CATALOG, Period(START, NEXT))
    assert first.id == derived_id("included", "sub", "basic", "0", str(START))
    assert second.id == derived_id("included", "sub", "basic", "1", str(START))


def test_included_credits_of_a_period_that_began_before_do_not_hide_the_next():
    assert [grant.effective_at for grant in included_grants(subscription(), CATALOG, Period(MIDDLE, NEXT + 1))] == [NEXT, NEXT]


def test_a_plan_is_found_by_its_version():
    versions = msgspec.structs.replace(
        CATALOG,
        plans=tuple(msgspec.structs.replace(CATALOG.plans[1], version=n, currency=c) for n, c in ((1, "USD"), (2, "GBP"))),
    )
    assert [Book(versions).currency(PlanRef("dollars", version)) for version in (1, 2, 3)] == ["USD", "GBP", "EUR"]


def test_a_minimum_counts_fees_at_the_subscriptions_own_prices():
    held = subscription(overrides={"base": Flat(amount=D(20))})
    (minimum,) = run(held, START, NEXT).minimums
    assert minimum.billed_before == D("26.20")


def test_before_we_know_of_it_there_is_no_minimum():
    assert run(subscription(recorded_at=MIDDLE), None, MIDDLE - 1).minimums == ()


def test_a_minimum_is_held_in_each_period_of_a_run():
    later = parse_instant("2026-12-15T00:00:00Z")
    found = run(subscription(), START, later).minimums
    assert [minimum.period.start for minimum in found] == [START, NEXT]
    assert [minimum.billed_before for minimum in found] == [D("37.20"), 0]


def test_a_usages_line_names_its_dimensions():
    (span,) = usage_spans(subscription(), CATALOG, START, NEXT)
    charge = rate(PerUnit(unit_amount=D(1)), D(3), Context(currency="EUR"))
    assert usage_line(charge, span, {"region": "eu"}).dimensions == {"region": "eu"}
    assert usage_line(charge, span).dimensions == {}


@pytest.mark.parametrize(
    ("mode", "words"), [(Rounding.HALF_UP, "rounded half up: 1.01"), (Rounding.DOWN, "rounded towards zero: 1.00")]
)
def test_a_fee_says_how_it_is_rounded(mode, words):
    span = fees_to_bill(subscription(), CATALOG, None, START)[0]
    assert fee_line(span, "EUR", {"base": Flat(amount=D("1.005"))}, mode).trace == ("flat fee 1.005", words)


FULL = DraftLine(
    description="Calls",
    amount=D("1.005"),
    kind=LineKind.USAGE,
    quantity=D(3),
    unit="calls",
    unit_price=D("0.335"),
    period=Period(0, 1),
    tax_category="standard",
    meter="calls",
    plan="basic",
    subscription="sub",
    component="api",
    dimensions={"region": "eu"},
    trace=("why",),
    corrects="INV-1#0",
    account="acc",
)


def test_a_line_keeps_everything_that_its_draft_says():
    (line,) = total([FULL], (), "EUR").lines
    assert (line.amount_minor, line.exact_amount) == (101, D("1.005"))
    for name in set(FULL.__struct_fields__) - {"amount", "currency", "group"}:
        assert getattr(line, name) == getattr(FULL, name), name


def test_what_was_billed_before_keeps_what_it_was_for():
    (line,) = total([FULL], (), "EUR").lines
    (back,) = already_billed([line, msgspec.structs.replace(line, kind=LineKind.CREDIT)], "INV-2", "EUR")
    assert (back.amount, back.kind, back.corrects) == (D("-1.01"), LineKind.CREDIT, "INV-2#0")
    assert back.description == "Already billed on INV-2: Calls"
    for name in ("period", "tax_category", "meter", "plan", "subscription", "component", "dimensions", "account"):
        assert getattr(back, name) == getattr(FULL, name), name


def test_a_document_has_its_parties_and_how_it_rounds():
    content = assemble([FULL], Terms(currency="EUR")).content(Party(name="Issuer"), Party(name="Recipient"), "Thank you")
    assert (content.issuer.name, content.recipient.name, content.notes) == ("Issuer", "Recipient", "Thank you")
    assert content.lines[0].amount_minor == 101


NOTHING = (
    (Quantity(D(0), 0),),
    (Quantity(D(0), 1),),
    (Quantity(D(0), 7),),
    (Quantity(D("0.00"), 0),),
    (Quantity(Fraction(0), 0),),
    (Quantity(D(0), 0, {"region": "eu"}),),
    (Quantity(D(0), 0, start=START),),
    (Quantity(D(0), 1, amount=D(5)),),
    (Quantity(D(0), 1, full=D(5)),),
    (),
    (Quantity(D(0), 1), Quantity(D(0), 1)),
    (Quantity(D(3), 1),),
)


@pytest.mark.parametrize("plan", ["per_event", "at_least"])
@pytest.mark.parametrize("backwards", [False, True])
def test_what_a_book_keeps_of_unused_meters_changes_no_line(plan, backwards):
    # one book for all of them, in both orders, says what a book of its own says for each
    kept = Book(CATALOG)
    for name in ("one", "two"):
        held = msgspec.structs.replace(subscription(plan), id=name)
        for usage in NOTHING[::-1] if backwards else NOTHING:
            (line,) = bill(held, kept, lambda span, usage=usage: usage, None, NEXT).lines
            (alone,) = bill(held, Book(CATALOG), lambda span, usage=usage: usage, None, NEXT).lines
            assert repr(line) == repr(alone)
            assert line.subscription == name


def test_an_agreed_price_holds_for_an_unused_meter_too():
    kept = Book(CATALOG)
    agreed = msgspec.structs.replace(subscription("at_least"), overrides={"calls": Flat(amount=D(9))})
    amounts = [bill(held, kept, used(0), None, NEXT).lines[0].amount for held in (subscription("at_least"), agreed)]
    assert amounts == [D(5), D(9)]
