"""Late, voided and replaced usage, and corrected prices: notes make the sum of documents what one invoice would have been."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.catalog.reductions import Coupon
from billsmith.invoicing.assembly import assemble
from billsmith.invoicing.corrections import correct
from billsmith.invoicing.model import InvoiceKind, Line, LineKind
from billsmith.invoicing.notes import Document
from billsmith.invoicing.terms import AppliedCoupon, Minimum, Terms
from billsmith.invoicing.totals import DraftLine, TaxRate, Totals
from billsmith.rating import Context, rate
from billsmith.rating.models.graduated import Graduated
from billsmith.rating.models.tiers import Tier
from billsmith.units.periods import Period
from tests.core.invoicing import oracle
from tests.support.laws import EXAMPLES
from tests.support.numbers import decimals

D = Decimal
STEPS = [(D(100), D("0.105")), (D(1000), D("0.0801")), (None, D("0.05"))]
VAT = (TaxRate(category="", name="VAT", rate=D("21.5")),)


def tariff(steps=STEPS):
    return Graduated(tiers=tuple(Tier(up_to=bound, unit_amount=price) for bound, price in steps))


def rated(usage, terms, price=None):
    """What one invoice for all the usage would be: a line for each meter."""
    lines = [
        DraftLine(
            description=f"{meter} ({quantity})",
            meter=meter,
            kind=LineKind.USAGE,
            amount=rate(price or tariff(), quantity, Context(currency="EUR")).exact,
        )
        for meter, quantity in usage.items()
    ]
    return assemble(lines, terms).totals


def summed(documents):
    net = sum(line.amount_minor for document in documents for line in document.lines)
    return net, sum(tax.amount_minor for document in documents for tax in document.taxes)


def test_late_usage_reaches_the_next_tier():
    terms = Terms(currency="EUR", taxes=VAT)
    first = rated({"calls": D(90)}, terms)
    issued = [Document(number="INV-1", lines=first.lines, taxes=first.taxes)]
    note = correct(rated({"calls": D(150)}, terms), issued, "EUR")
    assert note is not None
    # 10 more at 0.105 and 50 at 0.0801: 1.05 + 4.005, on 9.45
    assert (note.kind, note.net_minor, note.lines[0].corrects) == (InvoiceKind.DEBIT_NOTE, 1451 - 945, "INV-1#0")
    assert note.lines[0].trace == ("rated anew: 14.51; billed before: 9.45; difference: 5.06",)
    assert correct(rated({"calls": D(150)}, terms), [*issued, note.document("DN-1")], "EUR") is None


def test_usage_that_was_voided_gives_a_credit_note_and_a_meter_may_vanish_or_appear():
    terms = Terms(currency="EUR", taxes=VAT)
    first = rated({"calls": D(90), "gb": D(10)}, terms)
    issued = [Document(number="INV-1", lines=first.lines, taxes=first.taxes)]
    note = correct(rated({"calls": D(80), "seats": D(1)}, terms), issued, "EUR")
    assert note is not None
    assert note.kind is InvoiceKind.CREDIT_NOTE
    assert [(line.meter, line.amount_minor, line.corrects) for line in note.lines] == [
        ("calls", -105, "INV-1#0"),
        ("gb", -105, "INV-1#1"),
        ("seats", 11, ""),
    ]


def test_a_corrected_price_and_a_corrected_tax():
    first = rated({"calls": D(100)}, Terms(currency="EUR", taxes=VAT))
    issued = [Document(number="INV-1", lines=first.lines, taxes=first.taxes)]
    cheaper = tariff([(None, D("0.10"))])
    lower = (TaxRate(category="", name="VAT", rate=D(9)),)
    should_be = rated({"calls": D(100)}, Terms(currency="EUR", taxes=lower), cheaper)
    note = correct(should_be, issued, "EUR")
    assert note is not None
    assert note.net_minor == -50
    taxes = [(tax.rate, tax.base_minor, tax.amount_minor) for tax in note.taxes]
    assert taxes == [(D(9), 1000, 90), (D("21.5"), -1050, -226)]
    assert summed([*issued, note.document("CN")]) == (1000, 90)


def billed(number, *lines):
    return Document(number=number, lines=tuple(lines))


def again(*lines):
    minor = sum(line.amount_minor for line in lines)
    return Totals(lines=lines, taxes=(), lines_minor=minor, tax_minor=0, total_minor=minor)


CALLS = Line(description="Calls", meter="calls", amount_minor=500, quantity=D(5), unit_price=D(1), exact_amount=D("4.999"))


def test_a_line_that_was_billed_twice_and_is_rated_twice():
    issued = [
        billed("INV-1", Line(description="Base", amount_minor=7), CALLS),
        billed("DN-1", msgspec.structs.replace(CALLS, corrects="INV-1#1")),
    ]
    wanted = again(issued[0].lines[0], CALLS, CALLS, CALLS)
    note = correct(wanted, issued, "EUR")
    assert [(each.amount_minor, each.corrects) for each in note.lines] == [(500, "INV-1#1")]
    (line,) = note.lines
    assert line.trace == ("rated anew: 15.00; billed before: 10.00; difference: 5.00",)
    assert (line.quantity, line.unit_price, line.exact_amount) == (None, None, None)


def test_a_line_that_only_a_note_billed_is_corrected_where_that_note_says():
    wanted = again()
    note = correct(wanted, [billed("DN-1", msgspec.structs.replace(CALLS, corrects="INV-1#4"))], "EUR")
    assert [each.corrects for each in note.lines] == ["INV-1#4"]
    assert [each.description for each in note.lines] == ["Calls"]


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"description": "Calls, and more"}, True),  # what it is for counts, not its text
        ({"meter": "", "description": "Another"}, False),
        ({"dimensions": {"region": "eu"}}, False),
        ({"account": "north"}, False),
        ({"subscription": "sub"}, False),
        ({"plan": "basic"}, False),
        ({"component": "api"}, False),
        ({"tax_category": "low"}, False),
        ({"period": Period(0, 1)}, False),
        ({"kind": LineKind.CREDIT}, False),
    ],
)
def test_what_makes_a_line_the_same(changes, same):
    other = msgspec.structs.replace(CALLS, amount_minor=700, **changes)
    note = correct(again(other), [billed("1", CALLS)], "EUR")
    assert sorted(line.amount_minor for line in note.lines) == ([200] if same else [-500, 700])


def test_lines_that_are_for_nothing_are_told_apart_by_their_text():
    one, two = (Line(description=text, amount_minor=5) for text in ("One", "Two"))
    wanted = again(msgspec.structs.replace(one, amount_minor=6), two)
    assert [(line.description, line.amount_minor) for line in correct(wanted, [billed("1", one, two)], "EUR").lines] == [
        ("One", 1)
    ]


def test_a_corrected_tax_alone():
    first = rated({"calls": D(100)}, Terms(currency="EUR", taxes=VAT))
    exempt = Terms(currency="EUR", taxes=VAT, tax_free="Exempt")
    note = correct(rated({"calls": D(100)}, exempt), [Document(number="1", lines=first.lines, taxes=first.taxes)], "EUR")
    assert note is not None
    assert (note.lines, note.total_minor) == ((), -226)


meters = st.sampled_from(["calls", "gb", "seats"])
numbers = decimals(0, 900, places=2)
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("use"), meters, numbers),
        st.tuples(st.just("void"), st.integers(0, 20), st.none()),
        st.tuples(st.just("replace"), st.integers(0, 20), numbers),
        st.tuples(st.just("rate"), st.none(), st.none()),
    ),
    min_size=1,
    max_size=14,
)


def live(events):
    usage = {}
    for meter, quantity in events:
        if quantity is not None:
            usage[meter] = usage.get(meter, D(0)) + quantity
    return usage


def happen(events, what, which, quantity):
    """Late usage is added, an earlier event voided or replaced."""
    if what == "use":
        events.append((which, quantity))
    elif events:
        place = which % len(events)
        events[place] = (events[place][0], quantity)


def exact_bill(usage, coupon, minimum):
    """What the oracle says one invoice comes to."""
    plain = [(None if bound is None else Fraction(bound), Fraction(price)) for bound, price in STEPS]
    charges = [
        (meter, "", oracle.half_up(oracle.graduated(Fraction(quantity), plain) * 100)) for meter, quantity in usage.items()
    ]
    return oracle.bill(
        oracle.Bill(
            charges=charges,
            coupons=[(set(), Fraction(coupon), 0)] if coupon else [],
            minimum=None if minimum is None else Fraction(minimum) * 100,
            taxes=[("", Fraction("21.5"))],
        )
    )


@settings(max_examples=EXAMPLES, deadline=None)
@given(happenings, st.sampled_from([None, D("12.5")]), st.none() | st.integers(0, 100))
def test_notes_and_invoices_sum_to_the_exact_rating_of_what_was_used(steps, coupon, minimum):
    """For random late, voided and replaced usage, rated anew at random moments; tiers, coupon, minimum and tax included."""
    terms = Terms(
        currency="EUR",
        taxes=VAT,
        coupons=(AppliedCoupon(coupon=Coupon(code="C", percent=coupon)),) if coupon else (),
        minimums=() if minimum is None else (Minimum(amount=D(minimum)),),
    )
    events, documents = [], []
    for what, which, quantity in [*steps, ("rate", None, None)]:
        if what != "rate":
            happen(events, what, which, quantity)
            continue
        note = correct(rated(live(events), terms), documents, "EUR")
        if note is not None:
            assert (note.kind is InvoiceKind.DEBIT_NOTE) == (note.total_minor > 0)
            documents.append(note.document(str(len(documents))))
        expected = exact_bill(live(events), coupon, minimum)
        assert summed(documents) == (expected.net, expected.tax)
        assert correct(rated(live(events), terms), documents, "EUR") is None


def test_the_law_sees_notes_that_price_late_usage_on_its_own():
    """The negative control: late usage rated by itself starts in the first tier again and comes to more."""
    terms = Terms(currency="EUR", taxes=VAT)
    apart = [rated({"calls": D(900)}, terms), rated({"calls": D(900)}, terms)]
    together = exact_bill({"calls": D(1800)}, None, None)
    assert sum(each.lines_minor for each in apart) != together.net
