"""Re-billing: every cent of a pulled line goes to somebody, once, however often and however interrupted the run."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.accounts.model import Account
from billsmith.catalog.reading import read_as
from billsmith.catalog.rebill import Rules
from billsmith.invoicing.model import InvoiceStatus, Line, LineKind, Period
from billsmith.invoicing.rebilling import SourceLine, rebill, rule_for
from billsmith.storage import invoices, sync_connections
from billsmith.storage.database import sqlite_url
from billsmith.units.errors import BillsmithError, InvalidCatalog
from billsmith.units.ids import ZERO_ID
from billsmith.units.period_words import parse_period
from billsmith.workflows import rebill as workflow
from billsmith.workflows import sync
from billsmith.workflows.import_invoices import Plan
from tests.support import audit, rebill_crash
from tests.support.house import House
from tests.support.vendor_lists import VendorList, connect, row

BOUGHT = (
    Line(
        description="Backup 100 GB",
        amount_minor=1000,
        quantity=Decimal(100),
        unit="GB",
        meter="backup",
        dimensions={"region": "eu"},
    ),
    Line(description="Support", amount_minor=2500),
)

RULES = """
code: resale
due_days: 14
rules:
  - {code: backup, where: {meter: [backup]}, price: {model: markup, percent: 20}, description: Cloud backup, tax_category: standard}
  - {code: support, where: {description: [Support]}, price: {model: margin, percent: 30}, split: {by: shares, shares: {acme: 2, globex: 1}}}
tax_rates:
  - {code: vat, category: standard, name: VAT, rate: 21}
"""


def rules(text: str) -> Rules:
    found: Rules = read_as(Rules, text, "rules.yaml")
    return found


class Shop:
    """A reseller with two customers, and what it pulled."""

    def __init__(self, house: House, rows: list[Any] | None = None) -> None:
        self.house = house
        self.partner: Account = house.account("Partner", external_id="partner", time_zone="UTC")
        self.acme = house.account("Acme", self.partner, external_id="acme")
        self.globex = house.account("Globex", self.partner, external_id="globex")
        self.of = connect(house.database, self.partner, "cloud", now=house.now)
        self.pull(rows if rows is not None else [row(1, "35.00", customer="a", lines=BOUGHT)])

    def pull(self, rows: list[Any]) -> None:
        with self.house.database.read() as connection:
            of = sync_connections.get(connection, self.of.id)
        plan = Plan(owner=self.partner, issuer=self.partner)
        sync.run(self.house.database, of, VendorList(rows), plan, clock=lambda: self.house.now)

    def book(self, text: str = RULES, **more: Any) -> workflow.Book:
        period = parse_period("2026", "UTC")
        values = {"issuer": self.partner, "connections": [self.of], "rules": rules(text), "period": period}
        return workflow.Book(**values | more)

    def run(self, text: str = RULES, *, dry_run: bool = False, **more: Any) -> workflow.Rebilled:
        return workflow.run(self.house.database, self.book(text, **more), now=self.house.now, actor="test", dry_run=dry_run)

    def issued(self) -> dict[str, list[tuple[str, int]]]:
        """What our own invoices ask for, by customer: lines and the total."""
        with self.house.database.read() as connection:
            found = [each for each in invoices.newest(connection, None) if each.invoice.number.startswith(("INV", "CN"))]
            full = invoices.with_content(connection, found)
        return {
            each.invoice.customer_name: [(line.description, line.amount_minor) for line in each.invoice.content.lines]
            + [("total", each.invoice.total_minor)]
            for each in full
            if each.invoice.content
        }


def test_lines_become_charges_once(house: House) -> None:
    shop = Shop(house)
    preview = shop.run(dry_run=True)
    assert shop.issued() == {}
    first = shop.run()
    assert (first.claimed, first.without_rule, len(first.invoices)) == (2, 0, 3)
    assert preview.totals == first.totals == {("cust-a", "EUR"): 1200, ("acme", "EUR"): 2381, ("globex", "EUR"): 1190}
    expected = {
        "Customer a": [("Cloud backup", 1200), ("total", 1452)],
        "Acme": [("Support", 2381), ("total", 2381)],
        "Globex": [("Support", 1190), ("total", 1190)],
    }
    assert shop.issued() == expected
    again = shop.run()
    assert (again.claimed, again.before, again.invoices) == (0, 2, [])
    assert shop.issued() == expected
    assert audit.faults(house.database) == []


def test_the_trace_explains_a_charge(sqlite_house: House) -> None:
    house = sqlite_house
    shop = Shop(house)
    charges = {each.customer: each.line for each in shop.run().charges}
    assert charges["cust-a"].trace == (
        "cloud, invoice V-000001, line 1: Backup 100 GB",
        "100 GB: on the vendor's invoice 10.00 + 10.00 × 20 % = 12.00",
    )
    assert charges["acme"].trace[1:] == (
        "1: on the vendor's invoice 25.00 + a margin of 30 % ≈10.714286 = ≈35.714286",
        "rounded half up: 35.71",
        "a share of 2 of 3: 23.81 of 35.71",
    )
    assert charges["acme"].dimensions == {"source": "cloud", "invoice": "V-000001", "line": "2"}


def test_other_rules_charge_no_line_again(sqlite_house: House) -> None:
    house = sqlite_house
    shop = Shop(house)
    shop.run()
    renamed = shop.run(RULES.replace("code: backup", "code: backup-2027"))
    assert (renamed.claimed, renamed.before) == (0, 2)


def test_what_comes_later_is_charged_later(house: House) -> None:
    shop = Shop(house)
    shop.run()
    shop.pull([row(1, "35.00", customer="a", lines=BOUGHT), row(2, "35.00", customer="a", lines=BOUGHT)])
    assert (shop.run().claimed, len(shop.issued())) == (2, 3)


def test_a_run_that_stopped_between_claim_and_invoice_goes_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(house)

    def stop(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(workflow, "issue_open", stop)
        with pytest.raises(KeyboardInterrupt):
            shop.run()
    assert shop.issued() == {}
    assert len(shop.run().invoices) == 3
    with monkeypatch.context() as patched:
        patched.setattr(workflow.store, "mark_issued", stop)
        shop.pull([row(1, "35.00", customer="a", lines=BOUGHT), row(2, "35.00", customer="b", lines=BOUGHT)])
        with pytest.raises(KeyboardInterrupt):
            shop.run()
    assert len(shop.run().invoices) == 3
    assert audit.faults(house.database) == []


def test_the_check_can_see(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house = sqlite_house
    """The negative control: marks that are not kept make an invoice twice."""
    shop = Shop(house)
    calls: list[int] = []

    def forget(*_: Any) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(workflow.store, "mark_issued", forget)
    with pytest.raises(KeyboardInterrupt):
        shop.run()
    monkeypatch.undo()
    assert len(shop.run().invoices) == 3
    with house.database.read() as connection:
        assert len([each for each in invoices.newest(connection, None) if each.invoice.number.startswith("INV")]) == 4


def test_a_credit_is_passed_on(sqlite_house: House) -> None:
    house = sqlite_house
    shop = Shop(house, [row(1, "-10.00", customer="a", lines=(Line(description="Refund", amount_minor=-1000),))])
    shop.run("{code: r, rules: [{code: all, price: {model: markup, percent: 10}}]}")
    assert shop.issued() == {"Customer a": [("Refund", -1100), ("total", -1100)]}


def test_an_invoice_that_two_connections_pulled_is_charged_once(sqlite_house: House) -> None:
    shop = Shop(sqlite_house)
    again = connect(sqlite_house.database, shop.partner, "again", now=sqlite_house.now)
    plan = Plan(owner=shop.partner, issuer=shop.partner)
    source = VendorList([row(1, "35.00", customer="a", lines=BOUGHT)])
    sync.run(sqlite_house.database, again, source, plan, clock=lambda: sqlite_house.now)
    book = shop.book(connections=[shop.of, again])
    for dry_run in (True, False):
        result = workflow.run(sqlite_house.database, book, now=sqlite_house.now, actor="test", dry_run=dry_run)
        assert (result.claimed, result.before) == (2, 0)


def test_a_void_invoice_is_not_charged_on(sqlite_house: House) -> None:
    house = sqlite_house
    shop = Shop(house, [row(1, customer="a", status=InvoiceStatus.VOID)])
    assert shop.run("{code: r, rules: [{code: all, price: {model: dynamic}}]}").claimed == 0


def test_split_by_usage(house: House) -> None:
    shop = Shop(house)
    text = """
code: r
rules:
  - {code: all, price: {model: dynamic}, split: {by: usage, meter: {code: gb, event_type: backup}}}
"""
    refused = shop.run(text)
    assert (refused.claimed, [each.code for each in refused.refused]) == (0, ["rebill.no_usage"] * 2)
    counted = {shop.acme.id: Decimal("7.5"), shop.globex.id: Decimal("2.5"), ZERO_ID: Decimal(5)}
    shop.run(text, measure=lambda _meter, _period: counted)
    assert shop.issued() == {
        "Acme": [("Backup 100 GB", 750), ("Support", 1875), ("total", 2625)],
        "Globex": [("Backup 100 GB", 250), ("Support", 625), ("total", 875)],
    }


REFUSED = [
    ("a customer who is not there", "to: nobody", "rebill.customer"),
    ("ourselves", "to: partner", "rebill.nobody"),
    ("one customer under two names", "split: {by: shares, shares: {acme: 1, $ACME: 1}}", "rebill.twice"),
]


@pytest.mark.parametrize(("name", "part", "code"), REFUSED, ids=[name for name, *_ in REFUSED])
def test_what_cant_be_charged_is_told_and_left(sqlite_house: House, name: str, part: str, code: str) -> None:
    house = sqlite_house
    shop = Shop(house)
    part = part.replace("$ACME", shop.acme.id)
    result = shop.run("{code: r, rules: [{code: all, price: {model: dynamic}, " + part + "}]}")
    assert (result.claimed, result.refused_count, {each.code for each in result.refused}) == (0, 2, {code})


UNREADABLE = [
    ("{code: all, price: {model: flat, amount: 5}}", "rebill.currency"),
    ("{code: all, currency: EURO, price: {model: flat, amount: 5}}", "currency.unknown"),
    ("{code: all, price: {model: markup, percent: -1}}", "price.markup_negative"),
    ("{code: all, price: {model: margin, percent: 100}}", "price.margin_range"),
    ("{code: all, price: {model: dynamic}, to: a, split: {by: shares, shares: {a: 1}}}", "rebill.to_or_split"),
    ("{code: all, price: {model: dynamic}, split: {by: shares}}", "rebill.shares"),
    ("{code: all, price: {model: dynamic}, split: {by: shares, shares: {a: 0}}}", "rebill.shares"),
    ("{code: all, price: {model: dynamic}, split: {by: shares, shares: {a: -1, b: 2}}}", "rebill.shares"),
    ("{code: all, price: {model: dynamic}, split: {by: usage}}", "rebill.meter"),
    ("{code: '', price: {model: dynamic}}", "rebill.code"),
    ("{code: all, price: {model: dynamic}, form: x}", "catalog.unknown_field"),
]


@pytest.mark.parametrize(("rule", "code"), UNREADABLE, ids=[code for _, code in UNREADABLE])
def test_rules_that_cant_be(rule: str, code: str) -> None:
    with pytest.raises(InvalidCatalog) as error:
        rules(f"code: r\nrules:\n  - {rule}\n")
    assert error.value.code == code
    assert "rules.yaml:" in str(error.value)


def source(amount_minor: int = 1000, currency: str = "EUR", **line: Any) -> SourceLine:
    return SourceLine(
        connection="cloud",
        number="7",
        index=0,
        customer="acme",
        currency=currency,
        period=Period(0, 1),
        line=Line(**{"description": "Backup", "amount_minor": amount_minor, "kind": LineKind.USAGE, **line}),
    )


TAKEN = [
    ("{}", True),
    ("{sources: [cloud]}", True),
    ("{sources: [other]}", False),
    ("{where: {description: [Backup, Restore]}}", True),
    ("{where: {description: [Restore]}}", False),
    ("{where: {customer: [acme]}}", True),
    ("{where: {kind: [usage]}}", True),
    ("{where: {region: [eu]}}", True),
    ("{where: {region: [us]}}", False),
    ("{unless: {region: [eu]}}", False),
    ("{unless: {region: [us]}}", True),
    ("{currency: EUR}", True),
    ("{currency: USD}", False),
]


@pytest.mark.parametrize(("part", "taken"), TAKEN)
def test_which_lines_a_rule_takes(part: str, taken: bool) -> None:
    [rule] = rules("code: r\nrules:\n  - {code: all, price: {model: dynamic}, " + part[1:-1] + "}\n").rules
    assert (rule_for([rule], source(dimensions={"region": "eu"})) is not None) == taken


def test_fixed_prices() -> None:
    flat, each = rules(
        "{code: r, rules: [{code: a, currency: EUR, price: {model: flat, amount: 9.99}},"
        " {code: b, currency: EUR, price: {model: per_unit, unit_amount: 0.15}}]}"
    ).rules
    assert rebill(flat, source(), {"a": Decimal(1)})[0].line.amount_minor == 999
    assert rebill(each, source(quantity=Decimal("12.5")), {"a": Decimal(1)})[0].line.amount_minor == 188
    with pytest.raises(BillsmithError, match="no_quantity"):
        rebill(each, source(), {"a": Decimal(1)})


@given(
    st.integers(-(10**9), 10**9),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 10**6).map(Decimal), min_size=1),
    st.decimals(0, 99, places=2),
    st.sampled_from(["markup", "margin"]),
)
def test_every_cent_goes_somewhere(amount: int, weights: dict[str, Decimal], percent: Decimal, model: str) -> None:
    """The shares sum to the charge; nobody is more than a cent from the exact share."""
    [rule] = rules(f"code: r\nrules:\n  - {{code: all, price: {{model: {model}, percent: {percent}}}}}\n").rules
    if not any(weights.values()):
        with pytest.raises(BillsmithError, match="nobody"):
            rebill(rule, source(amount), weights)
        return
    shares = rebill(rule, source(amount), weights)
    [whole] = rebill(rule, source(amount), {"one": Decimal(1)})
    assert sum(share.line.amount_minor for share in shares) == whole.line.amount_minor
    for share in shares:
        exact = whole.line.amount_minor * weights[share.customer] / sum(weights.values())
        assert abs(share.line.amount_minor - exact) < 1


def test_kill_at_any_moment(tmp_path: Path) -> None:
    """Killed ten times and run once more, each share of each line stands on one invoice. (Its control is above.)"""
    found = rebill_crash.nursery(sqlite_url(tmp_path), 10, random.SystemRandom().randrange(2**32))
    assert found.faults == [], found
    assert found.stages > 1, found
