"""From a catalog's text to issued invoices on the command line."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from billsmith.events.event import Event
from billsmith.units.instants import parse_instant
from billsmith.usage.store import Binding
from tests.cli.run import Program
from tests.support.billing import CATALOG


@pytest.fixture
def shop(program: Program, tmp_path: Path) -> Program:
    return _with_a_customer(program, tmp_path)


@pytest.fixture
def either_shop(either: Program, tmp_path: Path) -> Program:
    return _with_a_customer(either, tmp_path)


def _with_a_customer(program: Program, tmp_path: Path) -> Program:
    program.json("accounts", "create", "Provider", "--external-id", "provider", "--currency", "EUR", "--timezone", "UTC")
    program.json("accounts", "create", "North", "--external-id", "north", "--parent", "provider")
    (tmp_path / "acme.yaml").write_text(CATALOG)
    return program


def test_a_catalog_is_planned_applied_and_applied_again(shop: Program, tmp_path: Path) -> None:
    file = str(tmp_path / "acme.yaml")
    planned = shop.json("catalog", "plan", file)
    assert {row["change"] for row in planned} == {"added"}
    assert shop.json("catalog", "list") == []
    assert shop.json("catalog", "apply", file) == planned
    assert shop.json("catalog", "apply", file) == []
    assert [row["version"] for row in shop.json("catalog", "list")] == [1]


def test_a_new_price_touches_who_has_the_plan_and_moves_them_when_told(shop: Program, tmp_path: Path) -> None:
    file = tmp_path / "acme.yaml"
    shop.json("catalog", "apply", str(file))
    made = shop.json("subscriptions", "create", "north", "flat", "--start", "2026-09-01")
    file.write_text(CATALOG.replace("amount: 12.00", "amount: 15.00"))
    [change] = shop.json("catalog", "plan", str(file))
    assert change == {
        "kind": "plan", "code": "flat", "change": "changed", "old_version": 1, "new_version": 2, "subscriptions": 1,
    }  # fmt: skip
    shop.json("catalog", "apply", str(file))
    assert shop.json("subscriptions", "show", made["id"])["version"] == 1
    assert shop.json("catalog", "migrate", "flat", "--from", "2026-10-01", "--dry-run")["moved"] == 1
    assert shop.json("catalog", "migrate", "flat", "--from", "2026-10-01")["moved"] == 1
    assert shop.json("catalog", "migrate", "flat", "--from", "2026-10-01")["moved"] == 0
    assert shop.json("subscriptions", "show", made["id"])["version"] == 2
    for period, at in (("2026-09", "2027-01-02"), ("2026-10", "2027-01-03")):
        shop.json("bill", "--period", period, "--at", at)
    assert [row["total"] for row in shop.json("invoices", "list")] == ["18.00", "14.40"]


def test_late_usage_is_noted_by_the_next_run_and_a_line_is_explained_down_to_its_events(
    either_shop: Program, tmp_path: Path
) -> None:
    shop = either_shop
    shop.json("catalog", "apply", str(tmp_path / "acme.yaml"))
    shop.json("subscriptions", "create", "north", "basic", "--start", "2026-09-01")
    account = shop.json("accounts", "show", "north")["id"]

    def use(at: str, value: str) -> None:
        event = Event(
            owner="provider", source="s", id=at, type="call", account="north", time=parse_instant(at), value=Decimal(value)
        )
        with shop.usage() as store:
            store.bind([Binding("provider", "north", account)])
            store.ingest([event])

    use("2026-09-03T10:00:00Z", "120")
    due = shop.json("due", "--at", "2026-10-01")
    assert [(row["start"], row["components"]) for row in due] == [
        ("2026-09-01T00:00:00Z", ["base", "seats", "calls", "gb"]),
        ("2026-10-01T00:00:00Z", ["base"]),
    ]
    shop.json("bill", "--period", "2026-09", "--at", "2027-01-02")
    assert shop.json("due", "--at", "2026-10-01") == []
    [line] = shop.json("invoices", "explain", "INV-2027-000001", "3")
    assert (line["amount"], line["measured"], line["event_count"]) == ("11.00", ["120 of 1 event"], 1)
    assert line["trace"] == ["120 calls: 100 × 0.10 + 20 × 0.05 = 11.00"]
    assert [(event["id"], event["value"]) for event in line["events"]] == [("2026-09-03T10:00:00Z", "120")]
    use("2026-09-04T10:00:00Z", "10")
    assert [row["total"] for row in shop.json("rerate", "--period", "2026-09", "--dry-run")["documents"]] == ["0.60"]
    done = shop.json("bill", "--period", "2026-10", "--at", "2027-01-03")
    assert [run["batch"] for run in done["runs"]] == ["rerate-000002", "bill-000003"]
    assert [row["number"] for row in shop.json("invoices", "list")] == ["INV-2027-000002", "DN-2027-000001", "INV-2027-000001"]
    assert shop.json("bill", "--period", "2026-10", "--at", "2027-01-04")["runs"] == []
    # an explanation is of what was billed then, not of what came later
    assert shop.json("invoices", "explain", "INV-2027-000001", "3")[0]["event_count"] == 1
    shop.json("invoices", "void", "INV-2027-000002")
    assert [row["start"] for row in shop.json("due", "--at", "2026-11-01")] == ["2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"]


def test_a_year_of_a_customer(shop: Program, tmp_path: Path) -> None:
    shop.json("catalog", "apply", str(tmp_path / "acme.yaml"))
    made = shop.json("subscriptions", "create", "north", "flat", "--start", "2026-09-01")
    shop.json("agreements", "add", "north", "--coupon", "TEN", "--from", "2026-09-01")
    shop.json("wallets", "grant", "north", "5.00", "--from", "2026-09-01")
    ran = shop("bill", "--period", "2026-09", "--at", "2027-01-02", "--dry-run", "--json")
    assert (ran.code, shop.json("invoices", "list")) == (0, [])
    done = shop.json("bill", "--period", "2026-09", "--at", "2027-01-02")
    assert (done["billed"], done["runs"][0]["totals"]) == (1, {"EUR": "12.96"})
    [invoice] = shop.json("invoices", "list")
    assert (invoice["total"], invoice["due"], invoice["status"]) == ("12.96", "7.96", "partially_paid")
    assert [grant["left"] for grant in shop.json("wallets", "list", "north")] == ["0.00"]
    assert shop.json("bill", "--period", "2026-09", "--at", "2027-01-03")["billed"] == 0
    shop.json("subscriptions", "cancel", made["id"], "--at", "2026-12-01")
    assert shop.json("bill", "--period", "2026", "--at", "2027-01-04")["runs"][0]["totals"] == {"EUR": "25.92"}
    assert shop.json("bill", "--period", "2027-01", "--at", "2027-02-04")["billed"] == 0
    assert shop("verify").code == 0


def test_other_prices_are_tried_on_what_was_used_and_nothing_is_written(shop: Program, tmp_path: Path) -> None:
    shop.json("catalog", "apply", str(tmp_path / "acme.yaml"))
    shop.json("accounts", "create", "South", "--external-id", "south", "--parent", "provider")
    first = shop.json("subscriptions", "create", "north", "flat", "--start", "2026-09-01")
    shop.json("subscriptions", "create", "south", "committed", "--start", "2026-09-01")
    other = tmp_path / "other.yaml"
    other.write_text(CATALOG.replace("amount: 12.00", "amount: 15.00").replace("{amount: 25.00", "{amount: 20.00"))
    before = (shop.home / "billsmith.db").read_bytes(), shop.json("invoices", "list"), shop.json("catalog", "list")
    summary = shop.json("simulate", "--catalog", str(other), "--period", "2026-Q4")
    assert summary["totals"] == [{"currency": "EUR", "old": "133.20", "new": "126.00", "gained": "10.80", "lost": "-18.00"}]
    assert [(row["name"], row["change"]) for row in summary["movers"]] == [("South", "-18.00"), ("North", "10.80")]
    rows = shop.json("simulate", "--catalog", str(other), "--period", "2026-10", "--by", "line")
    assert [(row["name"], row["component"], row["kind"], row["old"], row["new"]) for row in rows] == [
        ("North", "base", "fee", "12.00", "15.00"),
        ("South", "base", "fee", "10.00", "10.00"),
        ("South", "", "true_up", "15.00", "10.00"),
    ]
    moved = shop.json(
        "simulate", "--plan-change", first["id"], "committed", "2026-10-01", "--period", "2026-10", "--by", "account"
    )
    assert [(row["name"], row["old"], row["new"]) for row in moved] == [("North", "14.40", "30.00")]
    assert ((shop.home / "billsmith.db").read_bytes(), shop.json("invoices", "list"), shop.json("catalog", "list")) == before
    # and so it comes: the same call under the other book is what is then billed
    shop.json("catalog", "apply", str(other))
    shop.json("catalog", "migrate", "flat", "--from", "2026-09-01")
    shop.json("bill", "--period", "2026-09", "--at", "2027-01-02")
    shop.json("bill", "--period", "2026-10", "--at", "2027-01-03", "--account", "north")
    assert shop.json("invoices", "list")[0]["total"] == "18.00"


def test_a_plan_that_the_other_book_lacks_is_a_problem_not_a_loss(shop: Program, tmp_path: Path) -> None:
    shop.json("catalog", "apply", str(tmp_path / "acme.yaml"))
    shop.json("subscriptions", "create", "north", "flat", "--start", "2026-09-01")
    other = tmp_path / "other.yaml"
    other.write_text(CATALOG.replace("code: flat", "code: level"))
    [row] = shop.json("simulate", "--catalog", str(other), "--period", "2026-10", "--by", "account")
    assert "there is no plan flat" in row["problem"]
    assert shop("simulate", "--period", "2026-10").code == 2
