"""Credit and debit notes: whole, by line, in parts; an invoice and its note cancel."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.invoicing.model import InvoiceKind, Line, Tax
from billsmith.invoicing.notes import Document, credit_amount, credit_whole, note_by_line
from billsmith.invoicing.totals import DraftLine, TaxRate, TaxRounding, total
from billsmith.units.errors import InvalidInvoice
from billsmith.units.rounding import Rounding
from tests.core.invoicing.test_totals import amounts_of, categories, currencies, line, rate, rates_of
from tests.support.laws import EXAMPLES
from tests.support.numbers import decimals, fractions

D = Decimal


def issued(lines, rates, currency="EUR", **options):
    totals = total(lines, rates, currency, **options)
    return Document(number="INV-1", lines=totals.lines, taxes=totals.taxes), totals.total_minor


def sums(*documents):
    """Every account of the documents: the net of each category, each tax, the total."""
    found = {}
    for document in documents:
        for each in document.lines:
            found["net", each.tax_category] = found.get(("net", each.tax_category), 0) + each.amount_minor
        for index, tax in enumerate(document.taxes):
            key = ("tax", tax.category, tax.name, tax.rate, tax.included)
            found[key] = found.get(key, 0) + tax.amount_minor
            assert index >= 0
    return {key: amount for key, amount in found.items() if amount}


@pytest.mark.parametrize(
    ("paid", "percent", "parts", "nets", "taxes"),
    [
        ("29.99", "23.33", ["-6/7"], [-2571], [-600]),
        ("60.00", "20", ["-1/3"], [-2000], [-400]),
        ("100.00", "20", ["-3333/10000", "-6667/10000"], [-3333, -6667], [-667, -1333]),
        # three times a third of a cent's tax: the sum is the invoice's
        ("0.03", "50", ["-1/3", "-1/3", "-1/3"], [-1, -1, -1], [-1, 0, -1]),
        # a debit note asks for more
        ("100.00", "20", ["1/10"], [1000], [200]),
        ("100.00", "20", ["-1/2", "1/4"], [-5000, 2500], [-1000, 500]),
    ],
)
def test_notes_by_line(paid, percent, parts, nets, taxes):
    invoice, _ = issued([line(paid)], [rate(percent)])
    notes = []
    for part in parts:
        earlier = [note.document(str(place)) for place, note in enumerate(notes)]
        notes.append(note_by_line(invoice, {0: Fraction(paid) * Fraction(part)}, "EUR", earlier))
    assert [note.net_minor for note in notes] == nets
    assert [note.tax_minor for note in notes] == taxes
    assert {note.kind for note in notes} <= {InvoiceKind.CREDIT_NOTE, InvoiceKind.DEBIT_NOTE}
    assert all((note.kind is InvoiceKind.DEBIT_NOTE) == (note.total_minor > 0) for note in notes)


def test_a_note_names_what_it_corrects():
    invoice, _ = issued([line("10"), line("20", "low")], [rate("20"), rate("5", "low")])
    note = note_by_line(invoice, {1: D(-4)}, "EUR")
    assert [each.corrects for each in note.lines] == ["INV-1#1"]
    assert [(tax.category, tax.amount_minor) for tax in note.taxes] == [("low", -20)]


def test_the_base_of_an_included_tax_is_what_is_left_of_the_line():
    invoice, _ = issued([line("120")], [rate("20", included=True)])
    (tax,) = note_by_line(invoice, {0: D(-60)}, "EUR").taxes
    assert (tax.base_minor, tax.amount_minor) == (-5000, -1000)


@pytest.mark.parametrize(
    ("changes", "earlier", "code"),
    [
        ({1: D(-1)}, [], "note.unknown_line"),
        ({-1: D(-1)}, [], "note.unknown_line"),
        ({0: D("-10.01")}, [], "note.too_much"),
        ({0: D("-5.01")}, [{0: D(-5)}], "note.too_much"),
        ({0: D("-0.01")}, [{0: D(-10)}], "note.too_much"),
    ],
)
def test_more_than_is_left_can_not_be_given_back(changes, earlier, code):
    invoice, _ = issued([line("10")], [rate("20")])
    before = [note_by_line(invoice, change, "EUR").document(str(place)) for place, change in enumerate(earlier)]
    with pytest.raises(InvalidInvoice) as caught:
        note_by_line(invoice, changes, "EUR", before)
    assert caught.value.code == code


def test_a_line_below_zero_is_given_back_upwards_and_no_further():
    invoice, _ = issued([line("-10")], [rate("20")])
    note = note_by_line(invoice, {0: D(10)}, "EUR")
    assert (note.kind, note.total_minor) == (InvoiceKind.DEBIT_NOTE, 1200)
    with pytest.raises(InvalidInvoice) as caught:
        note_by_line(invoice, {0: D("10.01")}, "EUR")
    assert caught.value.code == "note.too_much"


@pytest.mark.parametrize("changes", [[{0: D("-10.00")}], [{0: D("-5")}, {0: D("-5")}]])
def test_all_that_is_left_can_be_given_back(changes):
    invoice, _ = issued([line("10")], [rate("20")])
    notes = []
    for change in changes:
        notes.append(note_by_line(invoice, change, "EUR", notes).document(str(len(notes))))
    assert sums(invoice, *notes) == {}
    assert credit_whole(invoice, notes).lines == ()


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data(), amounts_of, rates_of, currencies, st.sampled_from(TaxRounding))
def test_an_invoice_and_its_credit_note_cancel(data, amounts, rates, currency, rounding):
    drafts = [line(amount, data.draw(categories)) for amount in amounts]
    invoice, total_minor = issued(drafts, rates, currency, tax_rounding=rounding)
    note = credit_whole(invoice)
    assert sums(invoice, note.document("N")) == {}
    assert note.total_minor == -total_minor
    assert credit_whole(invoice, [note.document("N")]).lines == ()


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(decimals("0.01", 500, places=2), min_size=1, max_size=3),
    st.lists(decimals(0, 30, places=2), max_size=2),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 2), fractions(0, 1, max_denominator=13)), max_size=5),
    st.sampled_from(TaxRounding),
)
def test_partial_notes_and_the_rest_cancel_the_invoice(amounts, percents, included, parts, rounding):
    rates = [rate(str(percent), name=f"T{place}", included=included) for place, percent in enumerate(percents)]
    invoice, total_minor = issued([line(amount) for amount in amounts], rates, tax_rounding=rounding)
    notes = []
    for index, part in parts:
        if index >= len(amounts):
            continue
        change = {index: -Fraction(amounts[index]) * part}
        try:
            notes.append(note_by_line(invoice, change, "EUR", notes).document(str(len(notes))))
        except InvalidInvoice as refused:
            assert refused.code == "note.too_much"  # noqa: PT017 (most notes aren't refused)
    rest = credit_whole(invoice, notes)
    assert sums(invoice, *notes, rest.document("rest")) == {}
    given_back = sum(sum(each.amount_minor for each in note.lines) for note in notes)
    assert given_back >= -sum(each.amount_minor for each in invoice.lines)
    assert total_minor >= 0


def test_the_law_sees_taxes_that_are_rounded_note_by_note():
    """The negative control: three notes of a cent, the tax of each rounded on its own, give back more tax than was charged."""
    fee = Line(description="x", amount_minor=3, tax_category="std")
    vat = Tax(category="std", name="VAT", rate=D(50), base_minor=3, amount_minor=2)
    invoice = Document(number="INV-1", lines=(fee,), taxes=(vat,))
    alone = [note_by_line(invoice, {0: D("-0.01")}, "EUR", ()).document(str(place)) for place in range(3)]
    assert sums(invoice, *alone) != {}
    chained = []
    for place in range(3):
        chained.append(note_by_line(invoice, {0: D("-0.01")}, "EUR", chained).document(str(place)))
    assert sums(invoice, *chained) == {}


@pytest.mark.parametrize("wrong", [0.5, D("NaN")])
def test_no_float_passes(wrong):
    invoice, _ = issued([line("10")], [TaxRate(category="std", name="VAT", rate=D(20))])
    with pytest.raises(Exception, match=r"not an exact|finite"):
        note_by_line(invoice, {0: wrong}, "EUR")


@pytest.mark.parametrize(
    ("lines", "changes", "words"),
    [
        ([line("10")], {1: D(-1)}, "changes: INV-1 has no line 1; its lines are 0 to 0 [note.unknown_line]"),
        ([line("10"), line("5")], {2: D(1)}, "changes: INV-1 has no line 2; its lines are 0 to 1 [note.unknown_line]"),
        (
            [line("10"), line("5")],
            {1: D("-5.01")},
            "changes[1]: line 1 of INV-1 has 500 minor units left; a note can't give back 501 [note.too_much]",
        ),
        (
            [line("-10")],
            {0: D("10.01")},
            "changes[0]: line 0 of INV-1 has -1000 minor units left; a note can't give back 1001 [note.too_much]",
        ),
        (
            [line("0")],
            {0: D("-0.01")},
            "changes[0]: line 0 of INV-1 has 0 minor units left; a note can't give back 1 [note.too_much]",
        ),
    ],
)
def test_what_a_note_can_not_change_is_refused_in_words(lines, changes, words):
    invoice, _ = issued(lines, [rate("20")])
    with pytest.raises(InvalidInvoice) as caught:
        note_by_line(invoice, changes, "EUR")
    assert str(caught.value) == words


def test_a_line_of_the_least_amount_or_none_can_be_changed():
    for amount, change, kind in (("0.01", "-0.01", InvoiceKind.CREDIT_NOTE), ("0", "0.01", InvoiceKind.DEBIT_NOTE)):
        invoice, _ = issued([line(amount)], [])
        assert note_by_line(invoice, {0: D(change)}, "EUR").kind is kind


@pytest.mark.parametrize(
    ("change", "exact"), [(D("-3.333"), D("-3.333")), (Fraction(-1, 8), D("-0.125")), (Fraction(-10, 3), None)]
)
def test_a_notes_line_keeps_the_exact_change_alone(change, exact):
    paid = DraftLine(description="x", amount=D(100), quantity=D(4), unit_price=D(25), trace=("why",), plan="basic")
    invoice, _ = issued([paid], [])
    (changed,) = note_by_line(invoice, {0: change}, "EUR").lines
    assert changed.exact_amount == exact
    assert (changed.quantity, changed.unit_price, changed.trace, changed.plan) == (None, None, (), "basic")
    (whole,) = credit_whole(invoice).lines
    assert (whole.exact_amount, whole.quantity, whole.unit_price, whole.trace) == (None, None, None, ())


def test_taxes_of_many_notes_come_from_their_exact_amounts():
    invoice, _ = issued([line("100")], [rate("50")])
    notes = []
    for _ in range(4):  # 1.4 cents each: half of 1.4, 2.8, 4.2 and 5.6, rounded, less what was noted before
        notes.append(note_by_line(invoice, {0: D("-0.014")}, "EUR", notes).document(str(len(notes))))
    assert [note.taxes[0].amount_minor for note in notes] == [-1, 0, -1, -1]


def test_notes_that_keep_no_exact_amount_count_in_minor_units():
    invoice, _ = issued([line("100")], [rate("50")])
    first = note_by_line(invoice, {0: Fraction(-10, 3)}, "EUR").document("1")
    assert note_by_line(invoice, {0: D(-1)}, "EUR", [first]).taxes[0].amount_minor == -50


@pytest.mark.parametrize(("mode", "net", "tax"), [(Rounding.HALF_UP, -2, -1), (Rounding.DOWN, -1, 0)])
def test_a_note_rounds_as_it_is_told(mode, net, tax):
    invoice, _ = issued([line("100")], [rate("50")])
    note = note_by_line(invoice, {0: D("-0.015")}, "EUR", mode=mode)
    assert (note.net_minor, note.tax_minor, note.taxes[0].base_minor) == (net, tax, net)


def test_two_lines_of_a_category_are_taxed_together():
    invoice, _ = issued([line("10"), line("20"), line("5", "low")], [rate("20"), rate("5", "low")])
    note = note_by_line(invoice, {0: D(-1), 1: D(-2)}, "EUR")
    assert [(tax.category, tax.base_minor, tax.amount_minor) for tax in note.taxes] == [("std", -300, -60)]


def test_the_rest_of_a_tax_has_the_rest_of_its_base():
    invoice, _ = issued([line("10")], [rate("20")])
    earlier = [note_by_line(invoice, {0: D(-4)}, "EUR").document("1")]
    (tax,) = credit_whole(invoice, earlier).taxes
    assert (tax.base_minor, tax.amount_minor) == (-600, -120)


@pytest.mark.parametrize(
    ("lines", "included", "nets", "taxes"),
    [
        # each is taxed as if it stood alone, and both together come to nothing
        (["10", "-10"], False, [-1000, 1000], [-200, 200]),
        (["12", "-12"], True, [-1200, 1200], [-200, 200]),
        (["0.05", "-0.05"], False, [-5, 5], [-1, 1]),
    ],
)
def test_lines_that_cancel_each_other_keep_their_own_tax(lines, included, nets, taxes):
    invoice, _ = issued([line(each) for each in lines], [rate("20", included=included)])
    notes = []
    for place, each in enumerate(lines):
        earlier = [note.document(str(number)) for number, note in enumerate(notes)]
        notes.append(note_by_line(invoice, {place: -D(each)}, "EUR", earlier))
    assert [note.net_minor for note in notes] == nets
    assert [note.tax_minor for note in notes] == taxes


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD"])
def test_a_note_of_one_minor_unit(currency):
    unit = {"EUR": D("0.01"), "JPY": D(1), "KWD": D("0.001")}[currency]
    invoice, _ = issued([line(str(3 * unit))], [rate("50")], currency)
    (tax,) = invoice.taxes
    assert tax.amount_minor == 2
    note = note_by_line(invoice, {0: -unit}, currency)
    assert (note.net_minor, note.tax_minor, note.total_minor) == (-1, -1, -2)
    rest = credit_whole(invoice, [note.document("1")])
    assert (rest.net_minor, rest.tax_minor) == (-2, -1)


def test_lines_that_cancel_each_other_can_be_changed():
    invoice, _ = issued([line("10"), line("-10")], [rate("20")])
    assert note_by_line(invoice, {0: D(-1)}, "EUR").net_minor == -100


@pytest.mark.parametrize(
    ("lines", "percents", "amount", "nets", "taxes"),
    [
        ([("100.00", "std")], ["20"], 6000, [-5000], [-1000]),
        ([("100.00", "std")], ["20"], 1, [-1], [0]),
        ([("100.00", "std")], ["20"], 12000, [-10000], [-2000]),
        ([("60.00", "std"), ("40.00", "std")], ["21"], 12100 // 2, [-3000, -2000], [-1050]),
        ([("100.00", "std"), ("-10.00", "std")], ["20"], 5400, [-5000, 500], [-900]),
        ([("100.00", "std"), ("50.00", "zero")], ["20"], 1700, [-1000, -500], [-200]),
    ],
)
def test_an_amount_is_shared_by_lines_and_taxes(lines, percents, amount, nets, taxes):
    invoice, _ = issued([line(each, category) for each, category in lines], [rate(each) for each in percents])
    note = credit_amount(invoice, amount)
    assert (note.kind, note.total_minor) == (InvoiceKind.CREDIT_NOTE, -amount)
    assert [each.amount_minor for each in note.lines] == nets
    assert [each.amount_minor for each in note.taxes] == taxes


@pytest.mark.parametrize(("amount", "code"), [(0, "note.nothing"), (-5, "note.nothing"), (12001, "note.too_much")])
def test_an_amount_that_cannot_be_given_back(amount, code):
    invoice, _ = issued([line("100.00")], [rate("20")])
    with pytest.raises(InvalidInvoice) as caught:
        credit_amount(invoice, amount)
    assert caught.value.code == code


@settings(max_examples=EXAMPLES)
@given(st.data())
def test_amounts_given_back_in_parts_add_up_to_the_whole(data):
    categories_of = st.sampled_from(["std", "reduced"])
    lines = data.draw(
        st.lists(
            st.builds(lambda cents, category: line(D(cents) / 100, category), st.integers(0, 10**6), categories_of),
            min_size=1,
            max_size=5,
        )
    )
    included = data.draw(st.booleans())
    rates = [
        TaxRate(category="std", name="VAT", rate=D(21), included=included),
        TaxRate(category="reduced", name="low", rate=D(7)),
    ]
    invoice, whole = issued(lines, rates)
    notes = []
    left = whole
    while left and len(notes) < 4:
        amount = data.draw(st.integers(1, left)) if len(notes) < 3 else left
        note = credit_amount(invoice, amount, [each.document(str(place)) for place, each in enumerate(notes)])
        assert note.total_minor == -amount
        assert all(
            abs(each.amount_minor) <= abs(invoice.lines[int(each.corrects.partition("#")[2])].amount_minor)
            for each in note.lines
        )
        notes.append(note)
        left -= amount
    if not left:
        assert sums(invoice, *(each.document("n") for each in notes)) == {}
