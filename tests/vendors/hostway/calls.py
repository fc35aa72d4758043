"""What Hostway's tests share: the page's example, calls as a user makes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from billsmith.accounts.model import Account
from billsmith.vendors.hostway.load import load
from billsmith.workflows.import_invoices import ImportReport
from tests.support.house import House

CASES = Path(__file__).parents[2] / "cases" / "hostway"
BASE = "http://127.0.0.1:8080"


def example(name: str) -> dict[str, Any]:
    """One of the pages' answers, its ``{{APIBaseURL}}`` filled with ours."""
    answer: dict[str, Any] = json.loads((CASES / f"{name}.json").read_text().replace("{{APIBaseURL}}", BASE))
    return answer


def bring_in(house: House, records: list[dict[str, Any]], account: Account, **more: Any) -> ImportReport:
    return load(house.database, account, json.dumps({"list": records, "links": []}).encode(), now=house.now, **more)


def hosted(house: House, count: int = 0) -> Account:
    """The page's account, with so many copies of its example's record, each with a number of its own."""
    account = house.account("Hosted", external_id="test731993", currency="USD", time_zone="America/Chicago")
    [record] = example("invoices-page")["list"]
    report = bring_in(house, [{**record, "number": record["number"] + index} for index in range(count)], account)
    assert (report.added, report.errors) == (count, [])
    return account


def rels(answer: dict[str, Any]) -> dict[str, str]:
    """The links of an answer by their rel, without our base."""
    return {link["rel"]: link["href"].removeprefix(BASE) for link in answer["links"]}
