"""``billsmith reconcile --usage``: what Amberflo's client pulled over HTTP, beside what the events that came in by ``billsmith ingest``
are counted as and cost here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import Program
from tests.support import stubs
from tests.support.chaos import Server
from tests.vendors.faults import Row, amberflo_row

CATALOG = """
code: own
currency: USD
meters: [{code: calls, event_type: call, unit: calls}]
plans:
  - code: pro
    alignment: calendar
    charges: [{meter: calls, name: Calls, price: {model: per_unit, unit_amount: 0.10}}]
"""
#: What the vendor says of April 2024, and what our events say: calls, and money at 0.10 each.
THEIRS = {"cust-1": (125, 12.5), "cust-2": (130, 13.0), "cust-3": (10, 1.0)}
OURS = {"cust-1": 125, "cust-2": 120, "cust-4": 7}


def invoice(customer: str) -> Row:
    calls, price = THEIRS[customer]
    item = {
        "meterApiName": "calls",
        "productItemId": "i",
        "productItemVariants": [],
        "totalBill": {"price": price, "meterUnits": calls},
    }
    row = amberflo_row(1)
    row["invoiceKey"]["customerId"] = customer
    return {**row, "productItemInvoices": [item], "totalBill": {"itemPrice": price, "totalPrice": price}}


def call(id: str, account: str, calls: int | str) -> str:
    """An event of April, as a line of a file."""
    event = {"id": id, "source": "gw", "type": "call", "account": account, "time": "2024-04-09T10:00:00Z", "value": calls}
    return json.dumps(event)


@pytest.fixture
def shop(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """A store with the vendor's April, the catalog, three customers who have it, and their usage."""
    program.json("accounts", "create", "Me", "--external-id", "me", "--currency", "USD", "--timezone", "UTC")
    (tmp_path / "own.yaml").write_text(CATALOG)
    program.json("catalog", "apply", str(tmp_path / "own.yaml"))
    for name in OURS:
        program.json("accounts", "create", name, "--external-id", name, "--parent", "me")
        program.json("subscriptions", "create", name, "pro", "--start", "2024-04-01")
    lines = [call(f"{name}-{part}", name, calls) for name, all in OURS.items() for part, calls in enumerate((all - 2, 2))]
    (tmp_path / "calls.ndjson").write_text("\n".join(lines))
    assert program.json("ingest", str(tmp_path / "calls.ndjson"))["accepted"] == 6
    with Server(stubs.amberflo([invoice(name) for name in THEIRS])) as server:
        monkeypatch.setenv("BILLSMITH_ALLOW_PRIVATE", server.url)
        monkeypatch.setenv("KEY", stubs.SECRET)
        program.json("sync", "add", "amberflo", "--url", server.url, "--account", "me", "--secret-env", "KEY", "--by-reference")
        yield program


def told(found: Any, table: str, *columns: str) -> dict[str, tuple[Any, ...]]:
    return {row["account"]: tuple(row[column] for column in columns) for row in found[table]}


def test_quantities_and_money_are_held_against_ours(shop: Program) -> None:
    words = ("reconcile", "amberflo", "--usage", "--period", "2024-04")
    before = shop(*words, "--json")
    assert before.code == 1
    assert {row["state"] for row in before.json["charges"]} == {"not_audited"}  # nothing was pulled
    shop.json("sync", "run", "amberflo")
    found = shop(*words, "--json")
    assert (found.code, found.json["verdict"], found.json["usage_coverage"]) == (1, "differences", "whole")
    assert told(found.json, "usage", "state", "theirs", "ours", "difference") == {
        "cust-1": ("matched", "125", "125", "0"),
        "cust-2": ("differs", "130", "120", "-10"),
        "cust-3": ("missing", "10", None, "-10"),
        "cust-4": ("missing", None, "7", "7"),
    }
    assert told(found.json, "charges", "state", "theirs", "ours", "difference", "issued") == {
        "cust-1": ("matched", "12.50", "12.50", "0.00", None),
        "cust-2": ("differs", "13.00", "12.00", "-1.00", None),
        "cust-3": ("missing", "1.00", None, "-1.00", None),
        "cust-4": ("missing", None, "0.70", "0.70", None),
    }
    near = shop(*words, "--tolerance", "10", "--threshold", "1.00", "--json").json
    assert {row["state"] for row in (*near["usage"][:2], *near["charges"][:2])} == {"matched"}
    assert {row["state"] for row in shop(*words, "--threshold", "0.99", "--json").json["charges"]} == {
        "matched",
        "differs",
        "missing",
    }


def test_what_we_did_ask_for_stands_beside_and_a_rating_writes_nothing(shop: Program) -> None:
    shop.json("sync", "run", "amberflo")
    invoices = len(shop.json("invoices", "list"))
    shop("reconcile", "--usage", "--period", "2024-04")
    assert len(shop.json("invoices", "list")) == invoices
    assert shop.json("bill", "--period", "2024-04")["billed"] == 3
    found = shop("reconcile", "--usage", "--period", "2024-04", "--json").json
    assert told(found, "charges", "ours", "issued")["cust-2"] == ("12.00", "12.00")
    # A late event: what we would charge now is no longer what we asked for.
    assert shop.json("ingest", "-", stdin=call("late", "cust-2", 10).encode())["accepted"] == 1
    found = shop("reconcile", "--usage", "--period", "2024-04", "--json").json
    assert told(found, "charges", "state", "ours", "issued")["cust-2"] == ("matched", "13.00", "12.00")
    assert told(found, "usage", "state")["cust-2"] == ("matched",)


def test_an_account_that_cannot_be_billed_was_not_audited(shop: Program, tmp_path: Path) -> None:
    """The others are; and none of it is clean."""
    shop.json("sync", "run", "amberflo")
    assert shop.json("ingest", "-", stdin=call("huge", "cust-1", "1e24").encode())["accepted"] == 1
    found = shop("reconcile", "--usage", "--period", "2024-04", "--json").json
    assert told(found, "charges", "state", "ours", "reason")["cust-1"] == (
        "not_audited",
        None,
        "the amounts are too large to be owed",
    )
    assert told(found, "charges", "state")["cust-2"] == ("differs",)


def test_what_cannot_be_asked(shop: Program) -> None:
    assert shop("reconcile", "--usage", "--json").json["error"]["code"] == "reconcile.usage"
    assert shop("reconcile", "--period", "2024-04", "--json").json["error"]["code"] == "reconcile.usage"
    words = ("reconcile", "--usage", "--period", "2024-04", "--json")
    assert shop(*words, "--threshold", "-1").json["error"]["code"] == "reconcile.tolerance"
    assert shop("reconcile", "--usage", "--period", "April", "--json").json["error"]["code"] == "time.not_a_period"
