"""What the tables can't say: words with units, faults in full, usage given in two forms."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest

from billsmith.catalog.price import Price
from billsmith.metering.quantity import Quantity
from billsmith.rating import Charge, Context, rate
from billsmith.rating.models.block_graduated import BlockGraduated
from billsmith.rating.models.block_volume import BlockVolume
from billsmith.rating.models.blocks import Block
from billsmith.rating.models.dynamic import Dynamic
from billsmith.rating.models.flat import Flat
from billsmith.rating.models.graduated import Graduated
from billsmith.rating.models.hours import Band, Hours
from billsmith.rating.models.matrix import Cell, Matrix
from billsmith.rating.models.package import Package
from billsmith.rating.models.per_unit import PerUnit
from billsmith.rating.models.percentage import Percentage
from billsmith.rating.models.tiers import Tier
from billsmith.rating.models.volume import Volume
from billsmith.rating.models.windows import Windows
from billsmith.rating.trace import Sum, Term, say
from billsmith.units.errors import BillsmithError
from billsmith.units.exact import divide, exact, simplest
from billsmith.units.rounding import Rounding

D = Decimal
EUR = Context(currency="EUR")
CALLS = Context(currency="EUR", unit="calls")
TWO = PerUnit(unit_amount=D("2.00"))
EUROPE = Matrix(dimensions=("region",), cells=(Cell(when={"region": "eu"}, price=TWO),))


def test_a_unit_is_said_after_the_quantity_at_every_level() -> None:
    usage = [Quantity(D(3), dimensions={"region": "eu"})]
    assert rate(EUROPE, usage, CALLS).sentences == ("region eu, 3 calls: 3 × 2.00 = 6.00",)
    assert (
        rate(Windows(price=TWO), [Quantity(D(1), start=0), Quantity(D(2), start=1)], CALLS).sentences[-1]
        == "3 calls: together 6.00"
    )
    assert rate(Dynamic(), Quantity(D(3), amount=D("0.31")), CALLS).sentences == ("3 calls: stated by the events 0.31",)
    assert rate(TWO, 3, CALLS).unit == "calls"


TIERS = (Tier(unit_amount=D(2)),)
BLOCKS = (Block(size=D(2), amount=D(1)),)


@pytest.mark.parametrize(
    "price",
    [
        Graduated(tiers=TIERS),
        Volume(tiers=TIERS),
        Package(size=D(2), amount=D(1)),
        BlockGraduated(blocks=BLOCKS),
        BlockVolume(blocks=BLOCKS),
        TWO,
    ],
)
def test_every_model_of_a_quantity_says_its_unit(price: Price) -> None:
    assert rate(price, 3, CALLS).sentences[0].startswith("3 calls: ")


def test_a_dimension_that_the_usage_lacks_is_said_to_be_missing() -> None:
    by_two = Matrix(dimensions=("region", "size"), cells=(Cell(when={"region": "eu"}, price=TWO),), otherwise=TWO)
    charge = rate(by_two, [Quantity(D(1), dimensions={"region": "eu"}), Quantity(D(2), dimensions={"size": "s"})], EUR)
    assert charge.sentences == (
        "region eu, no size, 1: 1 × 2.00 = 2.00",
        "no region, size s, 2: 2 × 2.00 = 4.00",
        "3: together 6.00",
    )


def test_a_cell_that_names_every_dimension_in_any_order_is_found() -> None:
    cells = (
        Cell(when={"size": "s", "region": "eu"}, price=TWO),
        Cell(when={}, price=PerUnit(unit_amount=D(7))),
    )
    by_two = Matrix(dimensions=("region", "size"), cells=cells)
    assert rate(by_two, Quantity(D(1), dimensions={"region": "eu", "size": "s"}), EUR).exact == 2
    assert rate(by_two, Quantity(D(1), dimensions={"region": "eu", "size": "m"}), EUR).exact == 7


def test_an_amount_without_a_name_is_said_bare() -> None:
    assert say((Sum(D(5), (Term(D(1)), Term(D("2.5"))), D("3.5")),)) == ("5: 1.00 + 2.50 = 3.50",)
    assert say((Sum(D(5), (Term(D(1)),), D(1)),)) == ("5: 1.00",)


@pytest.mark.parametrize(
    ("mode", "rounded"),
    [
        (Rounding.HALF_UP, "0.13"),
        (Rounding.HALF_EVEN, "0.12"),
        (Rounding.HALF_DOWN, "0.12"),
        (Rounding.UP, "0.13"),
        (Rounding.DOWN, "0.12"),
        (Rounding.CEILING, "0.13"),
        (Rounding.FLOOR, "0.12"),
    ],
)
def test_the_contexts_mode_rounds(mode: Rounding, rounded: str) -> None:
    charge = rate(PerUnit(unit_amount=D("0.125")), 1, Context(currency="EUR", rounding=mode))
    assert charge.rounded == D(rounded)
    assert charge.amount_minor == int(D(rounded) * 100)


@pytest.mark.parametrize(("currency", "minor"), [("JPY", 1), ("EUR", 123), ("BHD", 1235), ("CLF", 12345)])
def test_the_currency_says_the_places(currency: str, minor: int) -> None:
    assert rate(PerUnit(unit_amount=D("1.2345")), 1, Context(currency=currency)).amount_minor == minor


def test_usage_before_may_come_in_another_form() -> None:
    fee = Percentage(rate_percent=D(1), fixed_per_event=D(2))
    as_total = rate(fee, [Quantity(D(3))], Context(currency="EUR", previous=D(5)))
    assert (as_total.exact, as_total.quantity, as_total.previous_quantity) == (D("2.03"), 3, 5)
    nothing_before = rate(fee, [Quantity(D(3))], Context(currency="EUR", previous=D(0)))
    assert nothing_before.exact == D("2.03")
    at_least = Percentage(rate_percent=D(1), minimum_per_event=D(1))
    assert rate(at_least, [Quantity(D(300))], Context(currency="EUR", previous=D(200))).exact == 3
    volume = Volume(tiers=(Tier(up_to=D(10), unit_amount=D(1)), Tier(unit_amount=D(2))))
    before = Quantity(D(5), full=D(9))
    assert rate(volume, D(2), Context(currency="EUR", previous=before)).exact == 7 * 2 - 5


def test_a_percentage_of_one_number_is_of_one_event() -> None:
    assert rate(Percentage(rate_percent=D(1), fixed_per_event=D(2)), D(100), EUR).exact == 3
    assert rate(Percentage(rate_percent=D(1), fixed_per_event=D(2)), D(0), EUR).exact == 0
    assert rate(Percentage(rate_percent=D(1), minimum_per_event=D(2)), D(100), EUR).exact == 2
    assert rate(Percentage(rate_percent=D(1), minimum_per_event=D(2)), D(0), EUR).exact == 0


def test_every_event_at_a_limit_counts_and_one_exactly_there_is_within() -> None:
    price = Percentage(rate_percent=D(1), minimum_per_event=D(1), maximum_per_event=D(2))
    events = [Quantity(D(value)) for value in (50, 60, 100, 200, 300, 400)]
    charge = rate(price, events, EUR)
    assert charge.exact == 1 + 1 + 1 + 2 + 2 + 2
    assert charge.sentences == ("1,110.00: 300.00 × 1 % + 2 events at the minimum × 1 + 2 events at the maximum × 2 = 9.00",)


def test_a_free_amount_of_one_is_used_up_by_one() -> None:
    price = Percentage(rate_percent=D(100), free_amount=D(2))
    assert rate(price, [Quantity(D(1)), Quantity(D(3)), Quantity(D(5))], EUR).exact == 2 + 5


def test_what_was_billed_before_is_taken_off_though_no_usage_is_known() -> None:
    charge = rate(Flat(amount=D(10)), 0, Context(currency="EUR", previously_billed=D(4)))
    assert (charge.exact, charge.rounded, charge.quantity, charge.previous_quantity) == (6, 6, 0, 0)


def test_the_amount_per_unit() -> None:
    charge = rate(Graduated(tiers=(Tier(up_to=D(1), unit_amount=D(1)), Tier(unit_amount=D(2)))), 3, EUR)
    assert charge.unit_amount() == Fraction(5, 3)
    assert charge.unit_amount(2) == D("1.67")
    assert charge.unit_price is None
    assert rate(TWO, 4, EUR).unit_price == 2
    assert rate(TWO, 0, EUR).unit_amount() is None
    assert rate(TWO, 0, EUR).unit_price is None
    assert rate(TWO, Fraction(1, 3), EUR).unit_price is None


def test_a_fraction_that_a_decimal_holds_becomes_one() -> None:
    assert isinstance(simplest(Fraction(1, 8)), Decimal)
    assert isinstance(simplest(Fraction(1, 3)), Fraction)
    assert simplest(D("1.50")) == D("1.5")


def test_a_charge_is_a_value() -> None:
    assert rate(TWO, 3, CALLS) == rate(TWO, D("3.0"), CALLS)
    assert isinstance(rate(TWO, 3, CALLS), Charge)


NO_WINDOWS = "this price needs usage by windows of time, but got a total. Give the charge a window [price.no_windows_in_usage]"
FAULTS: list[tuple[Callable[[], object], str]] = [
    (lambda: rate(Windows(price=TWO), 3, EUR), NO_WINDOWS),
    (lambda: rate(Windows(price=TWO), Quantity(D(3)), EUR), NO_WINDOWS),
    (lambda: rate(Hours(bands=(Band(from_hour=1, to_hour=2, price=TWO),), otherwise=TWO), 3, EUR), NO_WINDOWS),
    (
        lambda: rate(EUROPE, 3, EUR),
        "a matrix price needs usage by region, but got a total. Group the meter by these dimensions "
        "[price.no_dimensions_in_usage]",
    ),
    (
        lambda: rate(EUROPE, Quantity(D(3), dimensions={"region": "us"}), EUR),
        "cells: no cell of the matrix has a price for region us. Add one, or an otherwise [price.no_cell]",
    ),
    (lambda: rate(Dynamic(), 3, EUR), "a dynamic price needs usage that states its amount [price.no_amount_on_event]"),
    (
        lambda: rate(Dynamic(), Quantity(D(3)), EUR),
        "an event that is priced dynamically states no amount. Name the meter's amount_field, or send the amount "
        "[price.no_amount_on_event]",
    ),
    (
        lambda: rate(Percentage(rate_percent=D(1), free_events=1), Quantity(D(3), events=2), EUR),
        "a quantity of 2 events, where this percentage price needs each event's own. Measure each event "
        "[price.needs_each_event]",
    ),
    (
        lambda: rate(TWO, D(10) ** 30, EUR),
        "this comes to 10^30 or more. Check the price and the unit of the usage [price.amount_too_large]",
    ),
]


@pytest.mark.parametrize(("act", "words"), FAULTS)
def test_a_fault_is_told_in_full(act: Callable[[], object], words: str) -> None:
    with pytest.raises(BillsmithError) as error:
        act()
    assert str(error.value) == words


def test_a_charge_names_its_currency_and_a_split_rounds_both_in_the_contexts_mode() -> None:
    cents = PerUnit(unit_amount=D("0.007"))
    split = rate(cents, 1, Context(currency="USD", rounding=Rounding.FLOOR, previous=D(1)))
    assert (split.currency, split.exact, split.rounded) == ("USD", D("0.007"), D("0.01"))
    assert rate(cents, 1, Context(currency="USD", rounding=Rounding.FLOOR)).rounded == 0


def test_below_zero_the_full_quantity_still_picks_the_tier() -> None:
    flat_tiers = Volume(tiers=(Tier(up_to=D(10), flat_amount=D(3)), Tier(flat_amount=D(5))))
    assert rate(flat_tiers, Quantity(D(-1), full=D(11)), EUR).exact == 5
    assert rate(flat_tiers, Quantity(D(-1), full=D(-2)), EUR).exact == 0


def test_a_number_is_not_divided_by_zero() -> None:
    with pytest.raises(BillsmithError) as error:
        divide(D(1), D(0))
    assert str(error.value) == "a number can't be divided by zero [number.zero_divisor]"


def test_full_quantities_of_several_groups_are_summed_together() -> None:
    prorated = [Quantity(D(3), full=D(9), dimensions={"region": "eu"}), Quantity(D(2), dimensions={"region": "us"})]
    by_size = Volume(tiers=(Tier(up_to=D(10), unit_amount=D(1)), Tier(unit_amount=D(2))))
    assert rate(by_size, prorated, EUR).exact == 10
    both = Matrix(dimensions=("region",), cells=(Cell(when={}, price=TWO),))
    assert rate(both, prorated, EUR).sentences[0] == "region eu, 3: 3 × 2.00 = 6.00"


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: exact(D("NaN")), "NaN is not a finite number [number.not_finite]"),
        (
            lambda: exact(0.5),  # type: ignore[arg-type]
            "0.5 is a float, not an exact number; read it from its text with parse_decimal [number.not_exact]",
        ),
        (
            lambda: Tier(up_to=0.5),  # type: ignore[arg-type]
            "up_to: 0.5 is a float; give the number as a decimal, read from its text [number.not_exact]",
        ),
    ],
)
def test_a_number_that_is_none_is_told_in_full(act: Callable[[], object], words: str) -> None:
    with pytest.raises(BillsmithError) as error:
        act()
    assert str(error.value) == words
