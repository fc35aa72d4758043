"""Companies' lives, billed by the engine and audited by arithmetic that shares no code with it (promises P3 to P9)."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from billsmith.storage.verify import verify
from tests.simulator.auditor.audit import Fault, audit
from tests.simulator.driver import Driver
from tests.simulator.life import company
from tests.simulator.script import Apply, Bill, Company, Pay, SignUp, Subscribe
from tests.simulator.stories import shortest, story, told
from tests.support import postgres

#: Companies by seed, with so many customers over 13 months: 5,200 customer-months together.
LIVES = ((1, 300), (6, 100))


def lived(script: Company, home: Path, url: str = "") -> dict[str, Any]:
    """What the engine makes of a script."""
    driver = Driver(script, home, url)
    try:
        seen = driver.run()
        assert verify(driver.database).problems == []
    finally:
        driver.close()
    return {**msgspec.to_builtins(seen), "hash": seen.hash}


@pytest.mark.long
@pytest.mark.parametrize(("seed", "customers"), LIVES)
def test_every_customer_owes_what_the_auditor_says(seed: int, customers: int, tmp_path: Path) -> None:
    script = company(seed, customers=customers)
    faults = audit(script, lived(script, tmp_path))
    assert not faults, told(shortest(script, faults), faults)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Company, dict[str, Any]]:
    """A small company that nothing is wrong with."""
    script = company(11, customers=12, months=6)
    seen = lived(script, tmp_path_factory.mktemp("small"))
    assert not audit(script, seen)
    return script, seen


def _a_cent_more(seen: dict[str, Any]) -> None:
    document = next(each for each in seen["documents"] if each["lines"])
    document["lines"][0]["amount"] += 1
    document["total"] += 1


def _a_line_dropped(seen: dict[str, Any]) -> None:
    document = next(each for each in seen["documents"] if any(not line["amount"] for line in each["lines"]))
    document["lines"] = [line for line in document["lines"] if line["amount"]]


def _an_invoice_twice(seen: dict[str, Any]) -> None:
    document = next(each for each in seen["documents"] if each["kind"] == "invoice")
    seen["documents"].append({**document, "number": f"INV-2024-{1 + _last(seen):06d}"})


def _an_invoice_missing(seen: dict[str, Any]) -> None:
    seen["documents"].pop()


def _a_number_skipped(seen: dict[str, Any]) -> None:
    seen["documents"][-1]["number"] = f"INV-2024-{9 + _last(seen):06d}"


def _a_day_off(seen: dict[str, Any]) -> None:
    line = next(line for each in seen["documents"] for line in each["lines"] if line["kind"] == "fee")
    line["period"][1] -= 86_400


def _tax_of_another(seen: dict[str, Any]) -> None:
    tax = next(tax for each in seen["documents"] for tax in each["taxes"])
    tax[1] = "another"


def _a_posting_lost(seen: dict[str, Any]) -> None:
    next(postings for _, postings in seen["ledger"] if postings).pop()


def _a_payment_booked_twice(seen: dict[str, Any]) -> None:
    seen["ledger"].append(next(each for each in seen["ledger"] if each[0].startswith("payment")))


def _something_parked(seen: dict[str, Any]) -> None:
    seen["parked"].append("c0001: a reason")


@pytest.mark.parametrize(
    "spoil",
    [
        _a_cent_more,
        _a_line_dropped,
        _an_invoice_twice,
        _an_invoice_missing,
        _a_number_skipped,
        _a_day_off,
        _tax_of_another,
        _a_posting_lost,
        _a_payment_booked_twice,
        _something_parked,
    ],
)
def test_what_is_wrong_is_seen(small: tuple[Company, dict[str, Any]], spoil: Callable[[dict[str, Any]], None]) -> None:
    """The negative control: each mistake in what the engine made is found."""
    script, seen = small
    spoilt = copy.deepcopy(seen)
    spoil(spoilt)
    assert audit(script, spoilt)


def test_a_fault_comes_with_its_seed_and_the_customers_story(small: tuple[Company, dict[str, Any]]) -> None:
    script, seen = small
    spoilt = copy.deepcopy(seen)
    _a_cent_more(spoilt)
    story = told(script, audit(script, spoilt))
    customer = spoilt["documents"][0]["customer"]
    assert f"seed {script.seed}" in story
    assert f"customer='{customer}'" in story
    others = {action.customer for action in script.actions if hasattr(action, "customer")} - {customer}
    assert not any(f"customer='{other}'" in story for other in others)


def test_the_shortest_story_has_only_what_the_fault_needs(small: tuple[Company, dict[str, Any]]) -> None:
    """Of a fault that a payment and its run make, these two are left."""
    script, _ = small
    paid = next(action for action in script.actions if isinstance(action, Pay))

    def wrong(company: Company) -> bool:
        bills = [action for action in company.actions if isinstance(action, Bill)]
        return paid in company.actions and any(bill.month == paid.month for bill in bills)

    short = shortest(script, [Fault(paid.customer, "")], wrong)
    assert len(story(script, paid.customer)) > 8
    told_of = [action for action in short.actions if not isinstance(action, Apply | SignUp | Subscribe)]
    assert [type(action) for action in told_of] == [Bill, Pay]
    assert shortest(script, [Fault(paid.customer, "")], lambda _: False) is script


def test_the_same_seed_is_the_same_life(small: tuple[Company, dict[str, Any]], tmp_path: Path) -> None:
    script, seen = small
    assert company(11, customers=12, months=6) == script
    assert lived(script, tmp_path)["hash"] == seen["hash"]


def test_the_same_year_on_postgresql_gives_the_same_hash(tmp_path: Path, postgres_template: str) -> None:
    """Billing's data on SQLite and on PostgreSQL: every document and posting of a year, ids and all."""
    script = company(12, customers=20)
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    url = postgres.fresh_database(postgres_template)
    here, there = lived(script, tmp_path / "one"), lived(script, tmp_path / "other", url)
    postgres.drop_database(url)
    assert len(here["documents"]) > 200
    assert there["hash"] == here["hash"]
    assert not audit(script, there)


def test_the_auditor_shares_no_code_with_the_engine() -> None:
    for path in [*(Path(__file__).parent / "auditor").glob("*.py"), Path(__file__).parent / "script.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if "billsmith" in name or name.startswith("tests.support")], path


def _last(seen: dict[str, Any]) -> int:
    return max(int(each["number"][-6:]) for each in seen["documents"] if each["number"].startswith("INV-2024"))
