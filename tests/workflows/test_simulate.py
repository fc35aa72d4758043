"""Other prices tried: what both sides charge alike is charged once, and says what it would say if each were charged alone."""

from __future__ import annotations

from decimal import Decimal

import pytest

from billsmith.catalog import parse
from billsmith.catalog.versions import compare, shelf
from billsmith.invoicing import billing
from billsmith.rating.models.flat import Flat
from billsmith.subscriptions.subscription import AddAddOn, ChangePlan, End, PlanRef
from billsmith.units.instants import parse_instant
from billsmith.units.spans import parse_span
from billsmith.workflows import simulate
from billsmith.workflows.simulate import Difference
from tests.support.billing import CATALOG, START, Company
from tests.support.house import House

MORE = """  - code: wide
    alignment: calendar
    charges:
      - {meter: calls, code: first, price: {model: per_unit, unit_amount: 0.10}}
      - {meter: calls, code: second, name: Again, price: {model: percentage, rate_percent: 2, fixed_per_event: 0.25}}
      - {meter: gb, price: {model: package, size: 10, amount: 0.70}}
    minimum: {amount: 25.00, true_up: true}
add_ons: [{code: extra, charges: [{meter: gb, code: more, price: {model: per_unit, unit_amount: 0.0335}}]}]
coupons:"""
BEFORE = CATALOG.replace("coupons:", MORE)
AFTER = (
    BEFORE.replace("unit_amount: 0.335", "unit_amount: 0.336")
    .replace("rate_percent: 2,", "rate_percent: 3,")
    .replace("name: Again", "name: Once more")
    .replace("size: 10,", "size: 100,")
)


@pytest.fixture
def company(sqlite_house: House) -> Company:
    """Customers that use much, little and nothing, on prices that change and that stay, some of their own."""
    made = Company(sqlite_house, BEFORE)
    for name, plan in (("north", "basic"), ("south", "wide"), ("east", "wide"), ("west", "flat")):
        made.subscribe(name, plan)
    made.subscribe("north", "wide")
    made.subscribe("north", "wide", start="2026-09-16T00:00:00Z")
    own = made.subscribe("agreed", "wide", overrides={"first": Flat(amount=Decimal(9))})
    for found in (own, made.subscribe("later", "wide")):
        made.change(found, AddAddOn(at=parse_instant(START), recorded_at=made.now, add_on=PlanRef("extra")))
    moved = made.subscribe("moved", "basic")
    made.change(moved, ChangePlan(at=parse_instant("2026-09-11T00:00:00Z"), recorded_at=made.now, plan=PlanRef("wide")))
    gone = made.subscribe("gone", "wide")
    made.change(gone, End(at=parse_instant("2026-09-21T00:00:00Z"), recorded_at=made.now))
    for name, value in (
        ("north", "150"),
        ("south", "0"),
        ("agreed", "1250.5"),
        ("later", "1000000"),
        ("moved", "7"),
        ("gone", "3"),
    ):
        for day in ("10", "12", "20"):
            made.use(name, f"2026-09-{day}T10:00:00Z", value)
            made.use(name, f"2026-09-{day}T11:00:00Z", value, "stored")
    return made


def differences(company: Company) -> list[Difference]:
    new = parse(AFTER, "t")
    found = compare([], {}, new, 1)
    books, other = simulate.other_catalog(shelf("acme", 1, new.currency, found.new_parts, found.offers))
    span, at = parse_span("2026-09"), parse_instant("2026-10-02T00:00:00Z")
    return list(simulate.simulate(company.database, company.usage, company.issuer, span, other, at=at, books=books))


def test_both_ways_say_the_same(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    real = billing._alike
    monkeypatch.setattr(billing, "_alike", lambda one, other: taken.append(len(found := real(one, other))) or found)
    shared = differences(company)
    assert any(taken), "some lines are charged once"
    monkeypatch.setattr(simulate, "Shared", lambda: None)
    alone = differences(company)
    assert shared == alone
    changed = {each.account.name for each in shared if each.change_minor}
    assert {"north", "agreed", "later"} <= changed
    assert any(line.old_minor == line.new_minor != 0 for each in shared for line in each.lines)


def test_control_without_a_look_at_prices_they_would_differ(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = differences(company)
    monkeypatch.setattr(billing, "_terms_at", lambda _tariff, place: (place,))
    assert differences(company) != alone
