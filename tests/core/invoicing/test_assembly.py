"""The passes and their order, each with its borders."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billsmith.catalog.reductions import Coupon
from billsmith.catalog.reductions import TaxRate as CatalogRate
from billsmith.invoicing.assembly import PASSES, assemble, explain
from billsmith.invoicing.consolidation import by_account, consolidate
from billsmith.invoicing.exchange import convert, rate_on
from billsmith.invoicing.model import ExchangeRate, LineKind, Party, RoundingPlace, SettlementKind
from billsmith.invoicing.progressive import Thresholds, already_billed, crossings, due_on_crossing, next_threshold
from billsmith.invoicing.reductions import after_use
from billsmith.invoicing.taxes import rates_for
from billsmith.invoicing.terms import AppliedCoupon, Basis, CouponUse, Credit, LineDiscount, Minimum, Terms, Wallet
from billsmith.invoicing.totals import DraftLine, TaxRate
from billsmith.ledger.commitments import Commitment
from billsmith.ledger.wallets import Grant
from billsmith.units.errors import InvalidInvoice, InvalidNumber
from billsmith.units.periods import Period
from billsmith.units.rounding import Rounding
from tests.core.invoicing.test_totals import line as taxed_line
from tests.support.laws import EXAMPLES
from tests.support.numbers import decimals

D = Decimal
VAT = TaxRate(category="", name="VAT", rate=D(20))


def line(amount, meter="calls", **options):
    return DraftLine(description=meter, amount=D(amount) if isinstance(amount, str) else amount, meter=meter, **options)


def coupon(percent=None, amount=None, code="C", left=None, periods_left=None, **options):
    stated = {"percent": percent and D(percent), "amount": amount and D(amount)}
    return AppliedCoupon(coupon=Coupon(code=code, **stated, **options), left=left and D(left), periods_left=periods_left)


def terms(currency="EUR", **options):
    return Terms(currency=currency, **options)


def amounts(assembled, *kinds):
    return [each.amount_minor for each in assembled.totals.lines if not kinds or each.kind in kinds]


def test_the_whole_order():
    lines = [line("100.00"), line("200.00", "storage")]
    asked = terms(
        taxes=(VAT,),
        discounts=(LineDiscount(name="Partner", percent=D(10), applies_to=("storage",)),),
        coupons=(coupon(amount="28", code="OFF"),),
        minimums=(Minimum(amount=D(300)),),
        credits=(Credit(reference="CN-1", amount_minor=6000),),
        wallet=Wallet(grants=(Grant(id="g", amount=D(50)),), balances={"g": D(50)}),
    )
    assert [(step.name, str(step.amount)) for step in explain(lines, asked)] == [
        ("round_charges", "300.00"),
        ("discount_lines", "280.00"),
        ("apply_coupons", "252.00"),
        ("meet_minimums", "300.00"),
        ("add_taxes", "360.00"),
        ("apply_credit_notes", "300.00"),
        ("pay_from_wallet", "250.00"),
    ]
    assert assemble(lines, asked).due_minor == 25000
    assert [each.__name__ for each in PASSES][-3:] == ["add_taxes", "apply_credit_notes", "pay_from_wallet"]


def test_what_an_assembly_knows_of_itself():
    rates = (VAT, TaxRate(category="low", name="VAT", rate=D(5)))
    wallet = Wallet(grants=(Grant(id="g", amount=D(5)),), balances={"g": D(5)})
    assembled = assemble(
        [line("10"), line("20", tax_category="low")], terms(taxes=rates, wallet=wallet, coupons=(coupon(amount="3"),))
    )
    assert (assembled.subtotal_minor, assembled.totals.tax_minor, assembled.settled_minor) == (2700, 270, 500)
    assert (assembled.nets[:2], assembled.line_taxes[:2]) == ((9, 18), [180, 90])
    assert assembled.content(Party(name="a"), Party(name="b")).settlements == assembled.settlements


def test_a_plain_invoice_has_few_steps():
    steps = [(step.name, step.amount) for step in explain([line("10.00")], terms(taxes=(VAT,)))]
    assert steps == [("round_charges", 10), ("add_taxes", 12)]


def test_an_empty_invoice():
    assert assemble([], terms()).due_minor == 0
    assert assemble([], terms(minimums=(Minimum(amount=D(5)),), taxes=(VAT,))).due_minor == 600


@pytest.mark.parametrize(
    ("coupons", "expected"),
    [
        ([coupon(percent="10"), coupon(percent="25", code="D")], -3250),
        ([coupon(percent="25", code="D"), coupon(percent="10")], -3250),
        ([coupon(amount="30")], -3000),
        ([coupon(amount="100")], -10000),
        ([coupon(amount="100.01")], -10000),  # never more than there is
        ([coupon(percent="50", maximum=D(30))], -3000),
        ([coupon(percent="50", maximum=D(50))], -5000),
        ([coupon(amount="30", left="12.5")], -1250),
        ([coupon(percent="10", periods_left=0)], 0),
        ([coupon(percent="10", periods_left=1)], -1000),
        ([coupon(percent="10", applies_to=("storage",))], 0),
        # a lower order first, then those with a scope
        ([coupon(percent="50", order=1), coupon(amount="60", code="D")], -8000),
        ([coupon(percent="50"), coupon(amount="60", code="D", applies_to=("calls",))], -8000),
        ([coupon(percent="50", order=0), coupon(amount="60", code="D", order=1)], -10000),
    ],
)
def test_coupons(coupons, expected):
    assembled = assemble([line("100.00")], terms(coupons=tuple(coupons)))
    assert sum(amounts(assembled, LineKind.COUPON)) == expected


@pytest.mark.parametrize(("name", "shown"), [("", "WELCOME"), ("Half off", "Half off")])
def test_a_coupons_line_says_what_it_is(name, shown):
    assembled = assemble([line("10")], terms(coupons=(coupon(percent="50", code="WELCOME", name=name),)))
    added = assembled.totals.lines[1]
    assert (added.description, added.component, added.kind) == (shown, "WELCOME", LineKind.COUPON)
    (use,) = assembled.coupon_uses
    assert (use.code, use.amount, use.shares) == ("WELCOME", 5, {0: 5})


def test_a_coupon_is_shared_by_tax_category_and_its_lines_sum_to_it():
    lines = [taxed_line("33.33", "std"), taxed_line("33.33", "low"), taxed_line("33.34", "none")]
    assembled = assemble(lines, terms(coupons=(coupon(amount="10"),)))
    assert amounts(assembled, LineKind.COUPON) == [-333, -333, -334]
    assert [each.tax_category for each in assembled.totals.lines[3:]] == ["std", "low", "none"]


def test_a_coupon_counts_credits_in_its_base():
    assembled = assemble([line("100"), line("-80", "seats")], terms(coupons=(coupon(percent="10"),)))
    assert amounts(assembled, LineKind.COUPON) == [-200]
    assert assemble([line("-80")], terms(coupons=(coupon(amount="10"),))).totals.total_minor == -8000


def test_a_discount_is_taken_of_what_the_reader_sees():
    """Two lines of 0.335 read 0.34 each; all of it off leaves nothing."""
    lines = [line("0.335"), line("0.335")]
    assert assemble(lines, terms(coupons=(coupon(percent="100"),))).due_minor == 0
    assert assemble(lines, terms(coupons=(coupon(percent="100"),), basis=Basis.EXACT)).due_minor == 1
    assert assemble(lines, terms(coupons=(coupon(percent="100"),), place=RoundingPlace.INVOICE)).due_minor == 0


@pytest.mark.parametrize(
    ("discount", "expected"),
    [
        ({"percent": D(15)}, -1500),
        ({"amount": D(15)}, -1500),
        ({"amount": D(200)}, -10000),
        ({"percent": D(0)}, 0),
        ({"amount": D(0)}, 0),
        ({"percent": D(100)}, -10000),
        ({"percent": D(15), "applies_to": ("storage",)}, 0),
    ],
)
def test_line_discounts(discount, expected):
    assembled = assemble([line("100.00")], terms(discounts=(LineDiscount(name="Off", **discount),)))
    assert sum(amounts(assembled, LineKind.DISCOUNT)) == expected
    assert all(each.meter == "calls" for each in assembled.totals.lines)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"percent": D(5), "amount": D(5)}, {"percent": D(-1)}, {"percent": D("100.1")}, {"amount": D(-1)}],
)
def test_a_discount_that_can_not_be(wrong):
    words = {
        "both": "discount 'Off' has either percent or amount [invoice.discount_one_kind]",
        "percent": f"discount 'Off': {wrong.get('percent')} is not a percentage [invoice.discount_percent]",
        "amount": f"discount 'Off': {wrong.get('amount')} is below zero [invoice.discount_amount]",
    }
    with pytest.raises(InvalidInvoice) as caught:
        LineDiscount(name="Off", **wrong)
    assert str(caught.value) == words[next(iter(wrong)) if len(wrong) == 1 else "both"]


@pytest.mark.parametrize("kept", [{"percent": D(0)}, {"percent": D(100)}, {"amount": D(0)}])
def test_a_discount_at_its_bounds(kept):
    assert LineDiscount(name="Off", **kept).name == "Off"


def test_a_discounts_line_says_what_it_is():
    seen = line("100.00", quantity=D(4), unit_price=D(25), trace=("why",), plan="basic")
    off = assemble([seen], terms(discounts=(LineDiscount(name="Off", percent=D(10)),))).totals.lines[1]
    assert (off.description, off.kind, off.amount_minor) == ("Off: calls", LineKind.DISCOUNT, -1000)
    assert (off.quantity, off.unit_price, off.trace) == (None, None, ())
    assert (off.meter, off.plan) == ("calls", "basic")


def test_a_line_of_zero_has_no_discount():
    assert amounts(assemble([line("0")], terms(discounts=(LineDiscount(name="Off", percent=D(10)),)))) == [0]


def test_line_taxes_round_as_the_invoice_does():
    for mode, cents in ((Rounding.HALF_UP, 1), (Rounding.DOWN, 0), (Rounding.UP, 1)):
        assert assemble([line("0.03")], terms(taxes=(VAT,), mode=mode)).line_taxes == [cents]


def test_the_content_says_where_it_rounds():
    for place in RoundingPlace:
        assembled = assemble([line("1")], terms(place=place))
        assert assembled.content(Party(name="a"), Party(name="b")).rounding_place is place
        assert assembled.content(Party(name="a"), Party(name="b")).notes == ""


@pytest.mark.parametrize(
    ("applied", "used", "after"),
    [
        (coupon(percent="10"), "5", (None, None)),
        (coupon(percent="10", periods_left=2), "5", (None, 1)),
        (coupon(percent="10", periods_left=1), "5", None),
        (coupon(amount="30", left="30"), "12.50", (D("17.50"), None)),
        (coupon(amount="30", left="30"), "30", None),
        (coupon(amount="30", left="30"), "29.99", (D("0.01"), None)),
        (coupon(amount="30", left="30", periods_left=2), None, (D(30), 1)),
    ],
)
def test_what_is_left_of_a_coupon(applied, used, after):
    left = after_use(applied, None if used is None else CouponUse(code="C", amount=D(used), shares={}))
    assert (left and (left.left, left.periods_left)) == after


@pytest.mark.parametrize(
    ("minimum", "expected"),
    [
        (Minimum(amount=D(100)), []),
        (Minimum(amount=D("100.01")), [1]),
        (Minimum(amount=D(310), share=Fraction(10, 31)), []),
        (Minimum(amount=D(310), share=Fraction(11, 31)), [1000]),
        (Minimum(amount=D(150), applies_to=("storage",)), [15000]),
        (Minimum(amount=D(150), subscription="other"), [15000]),
        (Minimum(amount=D(150), billed_before=D(30)), [2000]),
        (Minimum(amount=D(150), period=Period(0, 10)), [5000]),
        (Minimum(amount=D(150), period=Period(0, 9)), [15000]),
        (Minimum(amount=D(150), period=Period(1, 10)), [15000]),
    ],
)
def test_minimums(minimum, expected):
    assembled = assemble([line("100.00", period=Period(0, 10))], terms(minimums=(minimum,)))
    assert amounts(assembled, LineKind.TRUE_UP) == expected


def test_a_minimum_explains_itself():
    minimum = Minimum(
        amount=D(10), share=Fraction(25, 28), subscription="s", period=Period(0, 9), tax_category="std", name="Least"
    )
    used = line("7.00", subscription="s", period=Period(0, 9))
    (_, added) = assemble([used], terms(minimums=(minimum,))).totals.lines
    assert (added.description, added.subscription, added.period, added.tax_category) == ("Least", "s", Period(0, 9), "std")
    assert added.trace == ("minimum ≈8.928571 (10.00 × 25/28) − 7.00 used = ≈1.928571",)


def test_a_whole_minimum_needs_no_share_in_its_trace():
    (_, added) = assemble([line("7.00")], terms(minimums=(Minimum(amount=D(10)),))).totals.lines
    assert added.trace == ("minimum 10.00 − 7.00 used = 3.00",)


@pytest.mark.parametrize(("basis", "expected"), [(Basis.PLACE, 1499), (Basis.EXACT, 1500)])
def test_a_minimum_sees_rounded_lines_unless_told_otherwise(basis, expected):
    asked = terms("JPY", minimums=(Minimum(amount=D(10000)),), basis=basis)
    assert amounts(assemble([line("8500.5")], asked), LineKind.TRUE_UP) == [expected]


@pytest.mark.parametrize(
    ("options", "total_minor", "covered", "left"),
    [
        # promised: charged as used, trued up when the term ends
        ({"left": D(150)}, 10000, "100", "50"),
        ({"left": D(150), "closing": True}, 15000, "100", "0"),
        ({"left": D(100), "closing": True}, 10000, "100", "0"),
        ({"left": D("99.99"), "overage_factor": D(2)}, 10001, "99.99", "0"),
        ({"left": D(0), "overage_factor": D("1.5")}, 15000, "0", "0"),
        ({"left": D(60), "overage_factor": D("1.5")}, 12000, "60", "0"),
        # prepaid: what it covers is not asked for again, and what is left is not given back
        ({"left": D(150), "prepaid": True}, 0, "100", "50"),
        ({"left": D(150), "prepaid": True, "closing": True}, 0, "100", "0"),
        ({"left": D(60), "prepaid": True, "overage_factor": D("1.5")}, 6000, "60", "0"),
        ({"left": D(60), "prepaid": True, "applies_to": ("calls",)}, 7000, "30", "30"),
        ({"left": D(60), "prepaid": True, "applies_to": ("seats",)}, 10000, "0", "60"),
    ],
)
def test_commitments_are_drawn_down(options, total_minor, covered, left):
    lines = [line("30.00", tax_category="std"), line("70.00", "storage", tax_category="low")]
    assembled = assemble(lines, terms(commitments=(Commitment(id="C", **options),)))
    assert assembled.totals.total_minor == total_minor
    assert [(draw.commitment, draw.covered, draw.left) for draw in assembled.draws] == [("C", D(covered), D(left))]


@pytest.mark.parametrize(
    ("options", "kind", "description"),
    [
        ({"left": D(60), "prepaid": True}, LineKind.CREDIT, "Commitment C: covered"),
        ({"left": D(60), "overage_factor": D(2)}, LineKind.ADJUSTMENT, "Commitment C: overage"),
        ({"left": D(150), "closing": True, "tax_category": "std"}, LineKind.TRUE_UP, "Commitment C: true-up"),
    ],
)
def test_a_commitments_line_says_what_it_is(options, kind, description):
    assembled = assemble([line("100", tax_category="std")], terms(commitments=(Commitment(id="C", **options),)))
    added = assembled.totals.lines[1]
    assert (added.kind, added.description, added.component, added.tax_category) == (kind, description, "C", "std")


def test_a_commitments_true_up_explains_itself():
    assembled = assemble([line("100")], terms(commitments=(Commitment(id="C", left=D(150), closing=True),)))
    assert assembled.totals.lines[1].trace == ("150.00 left − 100.00 used = 50.00",)
    assert assembled.totals.lines[1].amount_minor == 5000


def test_what_a_commitment_covers_and_its_overage_stand_side_by_side():
    options = {"left": D("0.03"), "prepaid": True, "overage_factor": D(2)}
    lines = [line("0.02", tax_category=category) for category in ("a", "b", "c")]
    assembled = assemble(lines, terms(commitments=(Commitment(id="C", **options),)))
    added = assembled.drafts[3:]
    assert [each.group for each in added] == ["commitment:C:covered"] * 3 + ["commitment:C:overage"] * 3
    assert amounts(assembled, LineKind.CREDIT) == [-1, -1, -1]
    assert amounts(assembled, LineKind.ADJUSTMENT) == [1, 1, 1]


def test_a_minimum_sees_what_commitments_have_left():
    asked = terms(commitments=(Commitment(id="C", left=D(60), prepaid=True),), minimums=(Minimum(amount=D(50)),))
    assert amounts(assemble([line("100")], asked), LineKind.TRUE_UP) == [1000]
    asked = terms(commitments=(Commitment(id="C", left=D("160.005"), closing=True),), minimums=(Minimum(amount=D(160)),))
    assert amounts(assemble([line("100")], asked)) == [10000, 6001]


def test_what_a_commitment_covers_is_taken_off_each_tax_category():
    lines = [line("30.00", tax_category="std"), line("70.00", "storage", tax_category="low")]
    assembled = assemble(lines, terms(commitments=(Commitment(id="C", left=D("33.33"), prepaid=True),)))
    assert [(each.tax_category, each.amount_minor) for each in assembled.totals.lines[2:]] == [("std", -1000), ("low", -2333)]


def test_no_tax_is_charged_to_those_who_pay_none_and_included_taxes_come_out():
    included = TaxRate(category="", name="VAT", rate=D(20), included=True)
    for rate, net in ((included, 10000), (VAT, 12000)):
        assembled = assemble([line("120.00")], terms(taxes=(rate,), tax_free="Reverse charge"))
        assert (assembled.totals.total_minor, assembled.totals.tax_minor) == (net, 0)
        (tax,) = assembled.totals.taxes
        assert (tax.note, tax.name, tax.rate, tax.base_minor) == ("Reverse charge", "VAT", 0, net)


def test_catalog_rates_hold_in_their_country_and_in_their_newest_version():
    offered = [
        CatalogRate(code="nl", name="BTW", rate=D(19), country="NL"),
        CatalogRate(code="nl", version=2, name="BTW", rate=D(21), country="NL"),
        CatalogRate(code="de", name="USt", rate=D(19), country="DE"),
        CatalogRate(code="all", name="Levy", rate=D(0), category="low", included=True, compound=True, note="Exempt"),
    ]
    assert {rate.rate for rate in rates_for(reversed(offered), "NL")} == {0, 21}
    assert rates_for(offered, "NL") == (
        TaxRate(category="", name="BTW", rate=D(21)),
        TaxRate(category="low", name="Levy", rate=D(0), included=True, compound=True, note="Exempt"),
    )


@pytest.mark.parametrize(
    ("credits", "wallet", "due", "settled"),
    [
        ([], "0", 12000, []),
        ([5000], "0", 7000, [5000]),
        ([12000], "10", 0, [12000]),
        ([12001], "10", 0, [12000]),
        ([5000, 5000], "30", 0, [5000, 5000, 2000]),
        ([0], "119.999", 1, [11999]),  # a wallet pays whole cents
        ([], "120.00", 0, [12000]),
    ],
)
def test_credit_notes_then_wallet(credits, wallet, due, settled):
    asked = terms(
        taxes=(VAT,),
        credits=tuple(Credit(reference=str(amount), amount_minor=amount) for amount in credits),
        wallet=Wallet(grants=(Grant(id="g", amount=D(wallet)),), balances={"g": D(wallet)}),
    )
    assembled = assemble([line("100.00")], asked)
    assert assembled.due_minor == due
    assert [settlement.amount_minor for settlement in assembled.settlements] == settled
    kinds = [SettlementKind.CREDIT_NOTE] * len([amount for amount in credits if amount]) + [SettlementKind.WALLET]
    assert [settlement.kind for settlement in assembled.settlements] == kinds[: len(settled)]
    assert assembled.settled_minor + assembled.due_minor == assembled.totals.total_minor


def test_a_grant_pays_only_for_what_its_scope_names_tax_included():
    grants = (Grant(id="scoped", amount=D(500), scope=frozenset({"storage"})), Grant(id="all", amount=D(10), priority=1))
    asked = terms(taxes=(VAT,), wallet=Wallet(grants=grants, balances={"scoped": D(500), "all": D(10)}))
    assembled = assemble([line("100.00"), line("50.00", "storage")], asked)
    assert {each.reference: each.amount_minor for each in assembled.settlements} == {"scoped": 6000, "all": 1000}
    assert assembled.due_minor == 11000


def test_a_scoped_grant_pays_the_tax_of_its_own_lines_alone():
    """Included tax is in the line already; another category's tax is another line's."""
    rates = (
        TaxRate(category="incl", name="VAT", rate=D(20), included=True),
        TaxRate(category="std", name="VAT", rate=D(50)),
    )
    grant = Grant(id="g", amount=D(500), scope=frozenset({"storage"}))
    asked = terms(taxes=rates, wallet=Wallet(grants=(grant,), balances={"g": D(500)}))
    assembled = assemble([line("100.00", tax_category="std"), line("120.00", "storage", tax_category="incl")], asked)
    assert [settlement.amount_minor for settlement in assembled.settlements] == [12000]
    assert assembled.due_minor == 15000


@pytest.mark.parametrize(
    ("storage", "paid"),
    [(["30", "20"], 6000), (["50", "0"], 6000), (["0.50"], 60), (["0.01"], 1)],
)
def test_a_scoped_grant_pays_for_all_the_lines_in_its_scope(storage, paid):
    grant = Grant(id="g", amount=D(500), scope=frozenset({"storage"}))
    asked = terms(taxes=(VAT,), wallet=Wallet(grants=(grant,), balances={"g": D(500)}))
    assembled = assemble([line("100.00"), *(line(amount, "storage") for amount in storage)], asked)
    assert [settlement.amount_minor for settlement in assembled.settlements] == [paid]


@pytest.mark.parametrize(
    ("lines", "paid"),
    [
        # a credit counts against what it is for: 40 of storage with its tax, not a share of all that is due
        ([("100", ""), ("50", "storage"), ("-10", "storage")], 4800),
        ([("100", ""), ("50", "storage"), ("-50", "storage")], None),
        # one of something else lowers what is due of all the rest alike: 135 of 150 are left
        ([("100", ""), ("50", "storage"), ("-15", "traffic")], 5400),
    ],
)
def test_a_scoped_grant_does_not_pay_what_a_credit_paid(lines, paid):
    grant = Grant(id="g", amount=D(500), scope=frozenset({"storage"}))
    asked = terms(taxes=(VAT,), wallet=Wallet(grants=(grant,), balances={"g": D(500)}))
    assembled = assemble([line(amount, what) for amount, what in lines], asked)
    assert [each.amount_minor for each in assembled.settlements] == ([] if paid is None else [paid])


def test_a_grant_for_all_needs_no_line():
    asked = terms(minimums=(Minimum(amount=D(5)),), wallet=Wallet(grants=(Grant(id="g", amount=D(2)),), balances={"g": D(2)}))
    assert assemble([], asked).due_minor == 300


def test_two_minimums_count_each_other_where_they_cover_the_same():
    both = (Minimum(amount=D(15)), Minimum(amount=D(18), name="Contract"))
    assert amounts(assemble([line("10", subscription="sub")], terms(minimums=both))) == [1000, 500, 300]


@pytest.mark.parametrize(("subscription", "missing"), [("", 500), ("sub", 500), ("other", 1500)])
def test_a_minimum_may_be_of_one_subscription(subscription, missing):
    asked = terms(minimums=(Minimum(amount=D(15), subscription=subscription),))
    assert amounts(assemble([line("10", subscription="sub")], asked), LineKind.TRUE_UP) == [missing]


def test_a_credit_is_not_paid_for():
    asked = terms(
        credits=(Credit(reference="c", amount_minor=100),),
        wallet=Wallet(grants=(Grant(id="g", amount=D(5)),), balances={"g": D(5)}),
    )
    assembled = assemble([line("-10")], asked)
    assert (assembled.due_minor, assembled.settlements) == (-1000, ())


RATES = [
    ExchangeRate(base="USD", quote="EUR", rate=D("0.90"), date=dt.date(2026, 10, 1)),
    ExchangeRate(base="USD", quote="EUR", rate=D("0.92"), date=dt.date(2026, 10, 31), source="ECB"),
]


@pytest.mark.parametrize(
    ("date", "rate"),
    [("2026-10-01", "0.90"), ("2026-10-30", "0.90"), ("2026-10-31", "0.92"), ("2027-01-01", "0.92")],
)
def test_the_newest_rate_at_or_before_the_date(date, rate):
    assert rate_on(RATES, "USD", "EUR", dt.date.fromisoformat(date)).rate == D(rate)


def test_of_two_rates_of_one_day_the_direct_one_counts():
    inverse = ExchangeRate(base="EUR", quote="USD", rate=D("1.10"), date=dt.date(2026, 10, 31))
    for rates in ([*RATES, inverse], [inverse, *RATES]):
        assert rate_on(rates, "USD", "EUR", dt.date(2026, 10, 31)) == RATES[1]
        assert rate_on(rates, "EUR", "USD", dt.date(2026, 10, 31)) == inverse


def test_a_rate_of_zero_is_no_rate():
    nothing = ExchangeRate(base="USD", quote="EUR", rate=D(0), date=dt.date(2026, 10, 15))
    assert rate_on([*RATES, nothing], "USD", "EUR", dt.date(2026, 10, 20)) == RATES[0]


@pytest.mark.parametrize(("base", "date"), [("USD", "2026-09-30"), ("GBP", "2026-10-31")])
def test_without_a_rate_there_is_no_invoice(base, date):
    with pytest.raises(InvalidInvoice) as caught:
        assemble([line("1", currency=base)], terms(exchange_rates=tuple(RATES), date=dt.date.fromisoformat(date)))
    assert caught.value.code == "invoice.no_exchange_rate"


def test_an_invoice_records_the_rates_it_used():
    asked = terms(exchange_rates=tuple(RATES), date=dt.date(2026, 10, 31))
    assembled = assemble([line("10.01", currency="USD"), line("1", currency="EUR"), line("1")], asked)
    assert assembled.exchange_rates == (RATES[1],)
    assert assembled.content(Party(name="a"), Party(name="b")).exchange_rates == (RATES[1],)
    first = assembled.totals.lines[0]
    assert (first.amount_minor, first.trace) == (921, ("10.01 USD × 0.92 (2026-10-31, ECB) = 9.2092 EUR",))
    assert first.exact_amount == D("9.2092")


def test_an_invoice_of_three_currencies_is_converted_line_by_line():
    pound = ExchangeRate(base="GBP", quote="EUR", rate=D("1.15"), date=dt.date(2026, 10, 30))
    asked = terms(exchange_rates=(*RATES, pound), date=dt.date(2026, 10, 31), taxes=(VAT,))
    lines = [line("10", currency="USD"), line("10", currency="GBP"), line("10"), line("-1", currency="USD")]
    assembled = assemble(lines, asked)
    assert assembled.exchange_rates == (RATES[1], pound)
    assert [each.amount_minor for each in assembled.totals.lines] == [920, 1150, 1000, -92]
    assert assembled.due_minor == 3574


@pytest.mark.parametrize(("used", "missing"), [("40", 460), ("45", 0)])
def test_a_minimum_in_another_currency_is_held_at_the_invoices_rate(used, missing):
    least = Minimum(amount=D(50), billed_before=D(5), currency="USD")
    asked = terms(minimums=(least,), exchange_rates=tuple(RATES), date=dt.date(2026, 10, 31))
    assembled = assemble([line(used, currency="USD")], asked)
    assert sum(each.amount_minor for each in assembled.totals.lines if each.kind is LineKind.TRUE_UP) == missing
    assert assembled.exchange_rates == (RATES[1],)
    with pytest.raises(InvalidInvoice):
        assemble([], terms(minimums=(least,)))


def test_a_conversion_explains_itself():
    inverse = ExchangeRate(base="EUR", quote="USD", rate=D("1.25"), date=dt.date(2026, 10, 1))
    asked = terms(exchange_rates=(inverse,), date=dt.date(2026, 10, 31))
    assembled = assemble([line("10.00", currency="USD", trace=("why",))], asked)
    assert assembled.totals.lines[0].trace == ("why", "10.00 USD ÷ 1.25 (2026-10-01) = 8.00 EUR")
    assert assembled.drafts[0].currency == ""


def test_without_a_rate_the_refusal_says_which():
    with pytest.raises(InvalidInvoice) as caught:
        rate_on(RATES, "GBP", "EUR", dt.date(2026, 10, 31))
    words = "no rate from GBP to EUR on 2026-10-31 or before. Add one with a date [invoice.no_exchange_rate]"
    assert str(caught.value) == words


def test_a_rate_works_both_ways():
    assert convert(D(92), RATES[1], "USD") == 100
    assert convert(D(1), RATES[1], "USD") == Fraction(100, 92)


def test_consolidation_keeps_whose_line_it_is():
    lines = consolidate({"north": [line("1")], "south": [line("2"), line("3")]})
    assembled = assemble(lines, terms(taxes=(VAT,)))
    assert [each.account for each in assembled.totals.lines] == ["north", "south", "south"]
    assert assembled.due_minor == 720
    assert by_account(lines) == {"north": lines[:1], "south": lines[1:]}
    assert by_account([]) == {}


@pytest.mark.parametrize(
    ("billed", "following"),
    [("0", "200"), ("199.99", "200"), ("200", "500"), ("500", "600"), ("599.99", "600"), ("600", "700"), ("1234", "1300")],
)
def test_thresholds_after_the_last_recur(billed, following):
    assert next_threshold(Thresholds((D(200), D(500)), D(100)), D(billed)) == D(following)


@pytest.mark.parametrize(("billed", "following"), [("0", "100"), ("99", "100"), ("100", "200")])
def test_thresholds_may_only_recur(billed, following):
    assert next_threshold(Thresholds((), D(100)), D(billed)) == D(following)


@pytest.mark.parametrize(
    ("billed", "used", "due"),
    [
        ("0", "199.99", "0"),
        ("0", "200", "200"),
        ("0", "700", "700"),
        ("700", "9000", "0"),
        ("200", "499", "0"),
        ("200", "500", "300"),
    ],
)
def test_crossing_a_threshold_bills_all_of_the_rest(billed, used, due):
    assert due_on_crossing(Thresholds((D(200), D(500))), D(billed), D(used)) == D(due)


@pytest.mark.parametrize("wrong", [((D(0),), None), ((D(5), D(5)), None), ((D(5), D(4)), None), ((), D(0))])
def test_thresholds_ascend(wrong):
    with pytest.raises(InvalidInvoice) as caught:
        Thresholds(*wrong)
    assert str(caught.value) == "thresholds: thresholds ascend from above zero. Sort them, or drop one [invoice.thresholds]"


def test_a_threshold_may_be_the_least_above_zero():
    least = D("0.01")
    assert next_threshold(Thresholds((least,), least), D(0)) == least
    assert next_threshold(Thresholds((D(5),), least), D("5.015")) == D("5.02")
    assert next_threshold(Thresholds((D(250),), D(100)), D(300)) == 350  # counted from the last that was named


def test_the_periods_end_bills_what_progressive_invoices_have_not():
    first = assemble([line("200.00", tax_category="std")], terms())
    rest = [line("631.00", tax_category="std"), *already_billed(first.totals.lines, "INV-1", "EUR")]
    last = assemble(rest, terms())
    assert last.due_minor == 43100
    assert last.totals.lines[1].corrects == "INV-1#0"


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(decimals(0, 300, places=2), max_size=8),
    st.sets(st.integers(1, 900), min_size=1, max_size=3),
    st.none() | st.integers(50, 300),
)
def test_progressive_invoices_and_the_rest_sum_to_the_usage(steps, amounts_, recurring):
    used, reached = D(0), []
    for step in steps:
        used += step
        reached.append(used)
    thresholds = Thresholds(tuple(D(amount) for amount in sorted(amounts_)), recurring and D(recurring))
    bills = crossings(thresholds, reached)
    billed = D(0)
    for bill, at in zip(bills, reached, strict=True):
        assert bill in (0, at - billed)
        billed += bill
    following = next_threshold(thresholds, billed)
    assert following is None or used < following  # nothing that was due was left


@pytest.mark.parametrize(
    "make",
    [
        lambda: assemble([line(0.1)], terms()),
        lambda: assemble([line(0.1)], terms(coupons=(coupon(percent="10"),))),
        lambda: assemble([line(0.1)], terms(place=RoundingPlace.INVOICE)),
        lambda: assemble([line("1")], terms(minimums=(Minimum(amount=0.5),))),
        lambda: assemble([line("1")], terms(minimums=(Minimum(amount=D(5), share=0.5),))),
        lambda: assemble([line("1")], terms(taxes=(TaxRate(category="", name="VAT", rate=0.2),))),
        lambda: assemble([line(D("NaN"))], terms()),
        lambda: assemble([line(D("Infinity"))], terms(place=RoundingPlace.INVOICE)),
        lambda: convert(0.5, RATES[0], "EUR"),
    ],
)
def test_no_float_passes(make):
    with pytest.raises((InvalidNumber, InvalidInvoice)):
        make()
