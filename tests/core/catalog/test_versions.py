"""What a new text of a catalog changes, and that nothing that stands is edited by it."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from billsmith.catalog import Catalog, parse
from billsmith.catalog.reading import read_as
from billsmith.catalog.versions import FIELDS, KINDS, Comparison, Part, compare, shelf, shelf_of
from billsmith.catalog.writing import text_of
from billsmith.rating.models.per_unit import PerUnit
from billsmith.subscriptions.subscription import PlanRef
from billsmith.units.errors import InvalidCatalog
from tests.support.stories import EXAMPLES

BASE = """
code: acme
currency: EUR
meters: [{code: calls, event_type: call, aggregation: count}, {code: gb, event_type: stored}]
price_books: [{code: retail, prices: {calls: {model: per_unit, unit_amount: 0.10}}}]
plans:
  - code: basic
    price_book: retail
    charges: [{meter: calls}]
  - code: disk
    charges: [{meter: gb, price: {model: per_unit, unit_amount: 1}}]
coupons: [{code: TEN, percent: 10}]
tax_rates: [{code: vat, name: VAT, rate: 20}]
"""


class Shop:
    """A catalog as a store would keep it."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.offers: dict[str, dict[str, int]] = {}
        self.version = 0
        self.currency = ""

    def apply(self, text: str) -> Comparison:
        found = compare(self.parts, self.offers, parse(text, "t"), self.version + 1, self.currency)
        self.parts += found.new_parts
        self.offers = found.offers
        self.version += 1
        self.currency = "EUR"
        return found

    @property
    def shelf(self):  # type: ignore[no-untyped-def]
        return shelf("acme", self.version, "EUR", self.parts, self.offers)


def told(found: Comparison) -> set[str]:
    return {f"{each.what} {each.kind} {each.code} {each.old}>{each.new}" for each in found.changes if each.what != "kept"}


def test_the_first_text_adds_all() -> None:
    assert len(told(Shop().apply(BASE))) == 7


def test_the_same_text_again_changes_nothing() -> None:
    shop = Shop()
    shop.apply(BASE)
    again = shop.apply(BASE)
    assert again.is_empty
    assert again.new_parts == ()


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        # a price in a price book is a new version of the plans that have it from there, and of no other
        ("0.10", "0.12", {"changed price_book retail 1>2", "changed plan basic 1>2"}),
        ("unit_amount: 1}", "unit_amount: 2}", {"changed plan disk 1>2"}),
        # a meter is a part of what is agreed
        ("event_type: stored", "event_type: kept", {"changed meter gb 1>2", "changed plan disk 1>2"}),
        ("rate: 20", "rate: 21", {"changed tax_rate vat 1>2"}),
        ("coupons: [{code: TEN, percent: 10}]", "", {"retired coupon TEN 1>None"}),
        ("code: TEN, percent: 10", "code: TEN, version: 7, percent: 12", {"changed coupon TEN 1>7"}),
        # 0.10 and 0.1 are the same price
        ("0.10", "0.1", set()),
    ],
)
def test_one_change_of_the_text(old: str, new: str, changes: set[str]) -> None:
    shop = Shop()
    shop.apply(BASE)
    assert old in BASE
    assert told(shop.apply(BASE.replace(old, new))) == changes


def test_who_has_an_old_version_keeps_its_prices_and_meters() -> None:
    shop = Shop()
    shop.apply(BASE)
    before = shop.shelf.plan("basic", 1)
    shop.apply(BASE.replace("0.10", "0.12").replace("event_type: call,", "event_type: request,"))
    book = shop.shelf
    assert book.plan("basic", 1) == before
    assert book.plan("basic").version == 2
    charge = before.charges[0]
    assert book.price_of(charge) == PerUnit(unit_amount=Decimal("0.10"))
    assert book.meter_of(("basic", 1), charge).event_type == "call"
    assert book.meter_of(("basic", 2), charge).event_type == "request"


def test_control_without_pins_the_newest_meter_would_count() -> None:
    shop = Shop()
    shop.apply(BASE)
    shop.apply(BASE.replace("event_type: call,", "event_type: request,"))
    loose = msgspec.structs.replace(shop.shelf, pins={})
    assert loose.meter_of(("basic", 1), loose.plan("basic", 1).charges[0]).event_type == "request"


def test_a_change_taken_back_offers_the_old_version_again() -> None:
    shop = Shop()
    shop.apply(BASE)
    shop.apply(BASE.replace("rate: 20", "rate: 21"))
    assert told(shop.apply(BASE)) == {"changed tax_rate vat 2>1"}
    assert [str(rate.rate) for rate in shop.shelf.taxes] == ["20"]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("currency: EUR", "currency: USD", "catalog.other_currency"),
        ("coupons:", "add_ons: [{code: basic}]\ncoupons:", "catalog.plan_and_add_on"),
    ],
)
def test_refused(old: str, new: str, code: str) -> None:
    shop = Shop()
    shop.apply(BASE)
    with pytest.raises(InvalidCatalog) as caught:
        shop.apply(BASE.replace(old, new))
    assert caught.value.code == code


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.yaml")))
def test_what_is_written_is_read_back(name: str) -> None:
    catalog = parse((EXAMPLES / f"{name}.yaml").read_text("utf-8"), name)
    for kind, field in FIELDS.items():
        for value in getattr(catalog, field):
            assert read_as(KINDS[kind], text_of(value), "t") == value
    assert read_as(Catalog, text_of(catalog), "t") == catalog
    assert {PlanRef(plan.code, plan.version) for plan in shelf_of(catalog).plans} == {
        PlanRef(p.code, p.version) for p in catalog.plans
    }
