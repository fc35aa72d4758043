"""From a catalog's text to issued invoices on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.run import Program
from tests.support.billing import CATALOG


@pytest.fixture
def shop(program: Program, tmp_path: Path) -> Program:
    assert program("init").code == 0
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
