"""The engine agrees to the last digit with an oracle in plain fractions that shares no code with it."""

from __future__ import annotations

import ast
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.catalog.reductions import Coupon
from billsmith.invoicing.assembly import assemble
from billsmith.invoicing.terms import AppliedCoupon, Credit, LineDiscount, Minimum, Terms, Wallet
from billsmith.invoicing.totals import DraftLine, TaxRate
from billsmith.ledger.wallets import Grant
from billsmith.rating import Context, rate
from billsmith.rating.models.graduated import Graduated
from billsmith.rating.models.package import Package
from billsmith.rating.models.per_unit import PerUnit
from billsmith.rating.models.tiers import Tier
from billsmith.rating.models.volume import Volume
from billsmith.subscriptions.proration import prorate
from tests.core.invoicing import oracle
from tests.support.laws import EXAMPLES
from tests.support.numbers import decimals, fractions

names = st.sampled_from(["calls", "storage", "seats", "support"])
categories = st.sampled_from(["standard", "reduced", "none"])
percents = decimals(0, 100, places=2)
rates = decimals(0, 5, places=4)
quantities = decimals(0, 5000, places=3)


@st.composite
def tiers(draw):
    bounds = sorted(draw(st.sets(st.integers(1, 4000), max_size=3)))
    return [(Decimal(bound), draw(rates)) for bound in bounds] + [(None, draw(rates))]


@st.composite
def priced(draw):
    """A price of the engine, a quantity, a share of the period, and what the oracle says to it."""
    quantity = draw(quantities)
    share = draw(fractions(0, 1, max_denominator=31))
    used = Fraction(quantity)
    match draw(st.sampled_from(["per_unit", "graduated", "volume", "package"])):
        case "per_unit":
            price = draw(rates)
            return PerUnit(unit_amount=price), quantity, share, oracle.per_unit(used, Fraction(price)) * share
        case "package":
            size, price = Decimal(draw(st.integers(1, 500))), draw(rates)
            return (
                Package(size=size, amount=price),
                quantity,
                share,
                oracle.package(used, Fraction(size), Fraction(price)) * share,
            )
        case kind:
            steps = draw(tiers())
            plain = [(None if bound is None else Fraction(bound), Fraction(price)) for bound, price in steps]
            ours = tuple(Tier(up_to=bound, unit_amount=price) for bound, price in steps)
            model, answer = (Graduated, oracle.graduated) if kind == "graduated" else (Volume, oracle.volume)
            return model(tiers=ours), quantity, share, answer(used, plain) * share


scopes = st.sets(names, max_size=2)
coupons = st.tuples(scopes, st.none() | decimals("0.01", 100, places=2), st.integers(1, 50_000))
bills = st.fixed_dictionaries(
    {
        "charges": st.lists(st.tuples(names, categories, priced()), max_size=6),
        "line_discounts": st.lists(st.tuples(scopes, percents), max_size=2),
        "coupons": st.lists(st.tuples(scopes, st.none() | decimals("0.01", 100, places=2), st.integers(1, 50_000)), max_size=3),
        "minimum": st.none() | st.tuples(decimals(0, 2000, places=2), fractions(0, 1, max_denominator=31)),
        "taxes": st.lists(st.tuples(st.sampled_from(["standard", "reduced"]), decimals(0, 30, places=3)), max_size=4),
        "credit_notes": st.lists(st.integers(0, 20_000), max_size=2),
        "wallet": st.integers(0, 100_000),
    }
)


def by_the_oracle(stated):
    minimum = stated["minimum"]
    return oracle.bill(
        oracle.Bill(
            charges=[(name, category, oracle.half_up(amount * 100)) for name, category, (_, _, _, amount) in stated["charges"]],
            line_discounts=[(scope, Fraction(percent)) for scope, percent in stated["line_discounts"]],
            coupons=[
                (scope, None if percent is None else Fraction(percent), fixed) for scope, percent, fixed in stated["coupons"]
            ],
            minimum=None if minimum is None else Fraction(minimum[0]) * minimum[1] * 100,
            minimum_category="standard",
            taxes=[(category, Fraction(percent)) for category, percent in stated["taxes"]],
            credit_notes=stated["credit_notes"],
            wallet=stated["wallet"],
        )
    )


def by_the_engine(stated):
    lines = [
        DraftLine(
            description=name,
            meter=name,
            tax_category=category,
            amount=prorate(rate(price, quantity, Context(currency="EUR")).exact, share),
        )
        for name, category, (price, quantity, share, _) in stated["charges"]
    ]
    offered = [
        Coupon(
            code=str(place),
            percent=percent,
            amount=Decimal(fixed).scaleb(-2) if percent is None else None,
            applies_to=tuple(sorted(scope)),
        )
        for place, (scope, percent, fixed) in enumerate(stated["coupons"])
    ]
    minimum, credit = stated["minimum"], Decimal(stated["wallet"]).scaleb(-2)
    terms = Terms(
        currency="EUR",
        discounts=tuple(
            LineDiscount(name="off", percent=percent, applies_to=tuple(sorted(scope)))
            for scope, percent in stated["line_discounts"]
        ),
        coupons=tuple(AppliedCoupon(coupon=coupon) for coupon in offered),
        minimums=() if minimum is None else (Minimum(amount=minimum[0], share=minimum[1], tax_category="standard"),),
        taxes=tuple(TaxRate(category=category, name="tax", rate=percent) for category, percent in stated["taxes"]),
        credits=tuple(Credit(reference=str(place), amount_minor=amount) for place, amount in enumerate(stated["credit_notes"])),
        wallet=Wallet(grants=(Grant(id="g", amount=credit),), balances={"g": credit}),
    )
    return assemble(lines, terms)


@settings(max_examples=EXAMPLES, deadline=None)
@given(bills)
def test_random_plans_and_usage_agree_to_the_last_digit(stated):
    expected, got = by_the_oracle(stated), by_the_engine(stated)
    assert (got.totals.lines_minor, got.totals.tax_minor) == (expected.net, expected.tax)
    assert (got.totals.total_minor, got.due_minor) == (expected.total, expected.due)
    assert sum(line.amount_minor for line in got.totals.lines) == got.totals.lines_minor


@settings(max_examples=EXAMPLES, deadline=None)
@given(priced())
def test_rating_agrees_exactly(case):
    price, quantity, share, expected = case
    assert Fraction(prorate(rate(price, quantity, Context(currency="EUR")).exact, share)) == expected


def test_the_oracle_shares_no_code_with_the_engine():
    tree = ast.parse(Path(oracle.__file__).read_text("utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"__future__", "dataclasses", "fractions"}


def test_the_oracle_sees_an_engine_that_taxes_before_the_coupon():
    """The negative control: the same bill with the coupon left out of the base of the tax."""
    stated = {
        "charges": [("calls", "standard", (PerUnit(unit_amount=Decimal(1)), Decimal(100), Fraction(1), Fraction(100)))],
        "line_discounts": [],
        "coupons": [(set(), Decimal(10), 1)],
        "minimum": None,
        "taxes": [("standard", Decimal(20))],
        "credit_notes": [],
        "wallet": 0,
    }
    assert by_the_engine(stated).totals.tax_minor == by_the_oracle(stated).tax == 1800
    assert by_the_engine({**stated, "coupons": []}).totals.tax_minor != by_the_oracle(stated).tax
