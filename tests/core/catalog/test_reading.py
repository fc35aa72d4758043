"""Reading catalogs: what is good comes out exactly, what is bad is named with its place and its mend."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.catalog import parse
from billsmith.catalog.price import Price
from billsmith.catalog.reading import read_as
from billsmith.units.errors import BillsmithError, InvalidCatalog, TooLarge
from tests.support.cases import CASES
from tests.support.laws import EXAMPLES
from tests.support.prices import PRICES, Spelled, built

GOOD = (CASES.parents[1] / "src/billsmith/catalog/examples/api-company.yaml").read_text("utf-8")


def _lines(name: str) -> list[str]:
    lines = (CASES / "catalog" / name).read_text("utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def _faults() -> list[list[str]]:
    return [line.replace("\\n", "\n").replace("\\t", "\t").split(" => ") for line in _lines("faults.txt")]


FAULTS = _faults()
NESTING = list(zip(*[map(str.strip, _lines("nesting.txt"))] * 2, strict=True))
BORDERS = _lines("borders.txt")


@pytest.mark.parametrize(
    ("was", "becomes", "where", "word", "code"), FAULTS, ids=[f"{fault[4]}-{index}" for index, fault in enumerate(FAULTS)]
)
def test_a_fault_is_named_with_its_place_and_mend(was: str, becomes: str, where: str, word: str, code: str) -> None:
    assert was in GOOD
    with pytest.raises(InvalidCatalog) as error:
        parse(GOOD.replace(was, becomes, 1), "acme.yaml")
    assert error.value.code == code
    assert error.value.where is not None
    assert error.value.where.startswith("acme.yaml")
    assert where in error.value.where
    assert word in error.value.message


def price(text: str) -> Price:
    parsed: Price = read_as(Price, text, "p.yaml")
    return parsed


@pytest.mark.parametrize(("text", "said"), NESTING)
def test_a_price_that_makes_no_sense_is_refused_at_reading(text: str, said: str) -> None:
    with pytest.raises(InvalidCatalog) as error:
        read_as(Price, text, "price")
    assert str(error.value) == said


@pytest.mark.parametrize("text", BORDERS)
def test_a_price_at_its_bounds_is_read(text: str) -> None:
    assert isinstance(price(text), Price)


def test_numbers_keep_their_places_and_no_float_arises() -> None:
    read = price("{model: per_unit, unit_amount: 0.10, convert: {divide_by: 3}}")
    assert str(read.unit_amount) == "0.10"  # type: ignore[attr-defined]
    assert price("{model: per_unit, unit_amount: 0.1}") == price('{"model": "per_unit", "unit_amount": "0.1"}')
    tenth = price("{model: per_unit, unit_amount: 0.1000000000000000055}".replace("55}", "}"))
    assert tenth.unit_amount == Decimal("0.1")  # type: ignore[attr-defined]


def test_words_that_yaml_would_change_stay_words() -> None:
    catalog = parse(f"{GOOD}\n", "acme.yaml")
    assert catalog.tax_rates[0].country == "NL"
    norway = GOOD.replace("country: NL", "country: NO").replace("code: acme-api", "code: 0123")
    assert parse(norway, "n.yaml").tax_rates[0].country == "NO"
    assert parse(norway, "n.yaml").code == "0123"


def test_versions_stand_side_by_side_and_the_newest_is_found() -> None:
    text = "code: c\ncurrency: EUR\nplans: [{code: p, version: 1}, {code: p, version: 3}, {code: p, version: 2}]"
    catalog = parse(text, "c.yaml")
    assert catalog.plan("p").version == 3
    assert catalog.plan("p", 2).version == 2
    with pytest.raises(InvalidCatalog) as error:
        catalog.plan("p", 4)
    assert error.value.code == "catalog.unknown_plan"


@pytest.mark.parametrize("text", ["", "# nothing", "---\n"])
def test_nothing_is_not_a_catalog(text: str) -> None:
    with pytest.raises(InvalidCatalog):
        parse(text, "empty.yaml")


def test_bombs_are_refused_quickly() -> None:
    aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9)
    )
    for text in (aliases, "[" * 100_000, "a: &a [*a]", "x" * 2_000_001, "- " * 200_001):
        with pytest.raises((TooLarge, InvalidCatalog)):
            parse(text, "bomb.yaml")


@settings(max_examples=EXAMPLES, deadline=None)
@given(PRICES)
def test_what_is_written_as_json_is_read_again_the_same(spelled: Spelled) -> None:
    read = built(spelled)
    assert built(msgspec.json.decode(msgspec.json.encode(read))) == read


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="{}[]:,-&*!#|>'\"% \n\tacode12.", max_size=60))
def test_any_text_gives_a_catalog_or_one_of_our_errors(text: str) -> None:
    with suppress(BillsmithError):
        parse(text, "fuzz.yaml")
