"""Lines, taxes and the total: each sums to the next, in every place and mode of rounding."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.invoicing.model import RoundingPlace
from billsmith.invoicing.totals import DraftLine, TaxRate, TaxRounding, exact_taxes, round_lines, total
from billsmith.units.errors import Invalid, InvalidInvoice, InvalidNumber
from billsmith.units.rounding import Rounding, round_fraction
from tests.support.laws import EXAMPLES
from tests.support.numbers import decimals, fractions

HALF_UP = Rounding.HALF_UP


def line(amount, category="std"):
    return DraftLine(description="x", amount=Decimal(amount) if isinstance(amount, str) else amount, tax_category=category)


def rate(percent, category="std", name="VAT", **options):
    return TaxRate(category=category, name=name, rate=Decimal(percent), **options)


@pytest.mark.parametrize(
    ("amounts", "rates", "currency", "lines_minor", "taxes", "total_minor"),
    [
        ([], [], "EUR", [], [], 0),
        ([], [rate("21")], "EUR", [], [], 0),
        (["10.005"], [rate("21")], "EUR", [1001], [210], 1211),
        (["10.004"], [rate("21")], "EUR", [1000], [210], 1210),
        (["-10.005"], [rate("21")], "EUR", [-1001], [-210], -1211),
        (["0.5", "0.5"], [rate("10.5")], "JPY", [1, 1], [0], 2),
        (["999"], [rate("10.5")], "JPY", [999], [105], 1104),
        (["12.345", "0.0005"], [rate("5")], "KWD", [12345, 1], [617], 12963),
        (["100"], [rate("5"), rate("9.975", name="QST")], "CAD", [10000], [500, 998], 11498),
        (["150"], [rate("10"), rate("5", compound=True)], "USD", [15000], [1500, 825], 17325),
        (["120"], [rate("20", included=True)], "GBP", [12000], [2000], 12000),
        (["100"], [rate("0", note="Reverse charge")], "EUR", [10000], [0], 10000),
        (["100"], [rate("21", category="other")], "EUR", [10000], [], 10000),
    ],
)
def test_totals(amounts, rates, currency, lines_minor, taxes, total_minor):
    result = total([line(amount) for amount in amounts], rates, currency)
    assert [each.amount_minor for each in result.lines] == lines_minor
    assert [each.amount_minor for each in result.taxes] == taxes
    assert result.total_minor == total_minor


def test_tax_goes_by_category():
    result = total([line("10"), line("20", "low"), line("5")], [rate("20"), rate("5", "low", "Low")], "EUR")
    assert [(tax.category, tax.base_minor, tax.amount_minor) for tax in result.taxes] == [
        ("std", 1500, 300),
        ("low", 2000, 100),
    ]


def test_an_included_tax_leaves_the_net_as_its_base():
    tax = total([line("119.99")], [rate("19", included=True)], "EUR").taxes[0]
    assert (tax.base_minor, tax.amount_minor) == (10083, 1916)


def test_a_compound_tax_stands_on_all_taxes_before_it():
    rates = [rate("10"), rate("5", name="B"), rate("2", name="C", compound=True)]
    assert [(tax.base_minor, tax.amount_minor) for tax in total([line("100")], rates, "EUR").taxes] == [
        (10000, 1000),
        (10000, 500),
        (11500, 230),
    ]


def test_three_places_of_tax_rounding():
    drafts = [line("0.15"), line("0.15"), line("0.15", "low")]
    rates = [rate("10"), rate("10", "low")]
    amounts = {
        place: [tax.amount_minor for tax in total(drafts, rates, "EUR", tax_rounding=place).taxes] for place in TaxRounding
    }
    # 0.015 a line: 2 + 2 and 2 by line; 3 and 1.5 by category; 4.5 once, shared
    assert amounts == {TaxRounding.LINE: [4, 2], TaxRounding.CATEGORY: [3, 2], TaxRounding.INVOICE: [3, 2]}


@pytest.mark.parametrize(("currency", "minor"), [("EUR", 2000), ("JPY", 20), ("KWD", 20000)])
@pytest.mark.parametrize("place", TaxRounding)
def test_every_place_of_tax_rounding_knows_the_currency(currency, minor, place):
    assert total([line("100")], [rate("20")], currency, tax_rounding=place).tax_minor == minor


@pytest.mark.parametrize(("mode", "expected"), [(HALF_UP, 2), (Rounding.DOWN, 1), (Rounding.UP, 2), (Rounding.HALF_EVEN, 2)])
@pytest.mark.parametrize("place", TaxRounding)
def test_every_place_of_tax_rounding_knows_the_mode(place, mode, expected):
    assert total([line("0.15")], [rate("10")], "EUR", mode=mode, tax_rounding=place).tax_minor == expected


def test_the_invoice_place_keeps_the_cent_that_lines_lose():
    thirds = [line(Fraction(100, 3))] * 3
    assert total(thirds, (), "EUR", RoundingPlace.LINE).total_minor == 9999
    shared = total(thirds, (), "EUR", RoundingPlace.INVOICE)
    assert [each.amount_minor for each in shared.lines] == [3334, 3333, 3333]


def test_the_exact_amount_is_kept_where_rounding_changed_it():
    kept = total([line("1.005"), line("1.00"), line(Fraction(1, 8)), line(Fraction(1, 3))], (), "EUR").lines
    assert [each.exact_amount for each in kept] == [Decimal("1.005"), None, Decimal("0.125"), None]


@pytest.mark.parametrize("wrong", [0.1, 1.0])
def test_no_float_passes(wrong):
    with pytest.raises(InvalidNumber) as caught:
        total([line(wrong)], (), "EUR")
    assert caught.value.code == "number.not_exact"


@pytest.mark.parametrize("wrong", ["-1", "NaN", "Infinity"])
def test_a_rate_below_zero_is_refused(wrong):
    with pytest.raises(InvalidInvoice) as caught:
        total([line("1")], [rate(wrong)], "EUR")
    assert caught.value.code == "invoice.tax_rate"


def test_an_unknown_currency_is_refused():
    with pytest.raises(Invalid):
        total([line("1")], (), "XXX")


decimals_ = decimals(-10_000, 10_000, places=6)
amounts_of = st.lists(st.one_of(decimals_, fractions(-1000, 1000, max_denominator=97)), max_size=8)
categories = st.sampled_from(["std", "low", "none"])
rates_of = st.lists(
    st.builds(
        TaxRate,
        category=categories,
        name=st.just("T"),
        rate=decimals(0, 60, places=3),
        included=st.booleans(),
        compound=st.booleans(),
    ),
    max_size=5,
)
currencies = st.sampled_from(["EUR", "JPY", "KWD"])


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.data(),
    amounts_of,
    rates_of,
    currencies,
    st.sampled_from(RoundingPlace),
    st.sampled_from(Rounding),
    st.sampled_from(TaxRounding),
)
def test_lines_and_taxes_sum_to_the_total(data, amounts, rates, currency, place, mode, tax_rounding):
    drafts = [line(amount, data.draw(categories)) for amount in amounts]
    result = total(drafts, rates, currency, place, mode, tax_rounding)
    added = sum(tax.amount_minor for tax in result.taxes if not tax.included)
    assert sum(each.amount_minor for each in result.lines) + added == result.total_minor
    assert sum(tax.amount_minor for tax in result.taxes) == result.tax_minor
    for category in {each.tax_category for each in result.lines}:
        simple = [tax for tax in result.taxes if tax.category == category]
        gross = sum(each.amount_minor for each in result.lines if each.tax_category == category)
        if simple:
            assert simple[0].base_minor + sum(tax.amount_minor for tax in simple if tax.included) == gross or rates_compound(
                rates
            )


def rates_compound(rates):
    return any(each.compound for each in rates)


def adds_up(lines, taxes, total_):
    return sum(lines) + sum(taxes) == total_


def test_the_sums_see_floats_and_a_total_that_is_rounded_apart():
    """The negative control: what the engine promises of minor units does not hold of floats, nor of a second rounding."""
    drafts = [line("0.10"), line("0.20"), line("0.30")]
    result = total(drafts, [rate("10")], "EUR")
    assert adds_up([each.amount_minor for each in result.lines], [tax.amount_minor for tax in result.taxes], result.total_minor)
    assert not adds_up([0.1, 0.2, 0.3], [0.06], 0.66)
    thirds = total([line(Fraction(1, 3))] * 3, (), "EUR")
    assert not adds_up([each.amount_minor for each in thirds.lines], [], 100)


@settings(max_examples=EXAMPLES, deadline=None)
@given(amounts_of, currencies, st.sampled_from(Rounding))
def test_at_the_invoice_place_the_lines_sum_to_the_exact_total_rounded(amounts, currency, mode):
    exponent = {"EUR": 2, "JPY": 0, "KWD": 3}[currency]
    minor = round_lines([line(amount) for amount in amounts], currency, RoundingPlace.INVOICE, mode)
    exact = [Fraction(amount) * 10**exponent for amount in amounts]
    assert sum(minor) == round_fraction(sum(exact, Fraction(0)), 0, mode)
    assert all(abs(part - share) < 1 for part, share in zip(minor, exact, strict=True))


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    decimals(-100_000, 100_000, places=4),
    decimals(0, 60, places=3),
    st.sampled_from(Rounding),
)
def test_the_short_way_for_one_tax_agrees_with_the_exact_one(amount, percent, mode):
    drafts = [line(amount)]
    base = round_lines([line(amount)], "EUR", RoundingPlace.LINE, mode)[0]
    (tax,) = total(drafts, [rate(percent)], "EUR", mode=mode).taxes
    assert tax.amount_minor == round_fraction(exact_taxes(Fraction(base), [rate(percent)])[0], 0, mode)
