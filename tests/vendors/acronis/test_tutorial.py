"""The vendor's tutorial, answered by us: its own example comes back, in key order, the numbers' text too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from billsmith.vendors.acronis import translate
from billsmith.workflows import import_invoices
from tests.support.house import House

EXAMPLE = Path(__file__).parents[2] / "cases" / "acronis" / "invoice-overview.json"


def bring_in(house: House) -> tuple[dict[str, str], import_invoices.ImportReport]:
    partner = house.account("Partner", id="ede9f834-70b3-476c-83d9-736f9f8c7dae", currency="USD")
    rows = list(translate.read(EXAMPLE.read_bytes(), currency="USD", time_zone="UTC"))
    plan = import_invoices.Plan(owner=partner, issuer=partner)
    report = import_invoices.run(house.database, plan, rows, now=house.now)
    again = import_invoices.run(house.database, plan, rows, now=house.now)
    assert (again.added, again.unchanged, again.errors) == (0, 3, [])
    return house.acronis_token(partner), report


def test_the_tutorials_answer_comes_back_to_the_letter(house: House) -> None:
    auth, report = bring_in(house)
    assert (report.added, report.accounts_made, report.errors) == (3, 1, [])
    answer = house.client.get(
        "/api/advanced-automation/v1/InvoiceOverview",
        headers=auth,
        params={"Page": 1, "PageSize": 50, "PaymentStatusNotConfirmed": "True"},
    )
    assert answer.status_code == 200
    expected = json.loads(EXAMPLE.read_text(), parse_float=str)
    assert json.dumps(json.loads(answer.text, parse_float=str)) == json.dumps(expected)
    assert '"Total":18.90' in answer.text


def test_the_tenant_is_read_from_the_client(house: House) -> None:
    partner = house.account("Partner")
    auth = house.acronis_token(partner)
    client = house.client.get("/api/2/clients/nobody", headers=auth)
    assert client.status_code == 404


@pytest.mark.parametrize(("query", "numbers"), [
    ({}, ["-4", "-6", "-5"]),
    ({"SortDirection": "desc"}, ["-4", "-6", "-5"]),
    ({"SortColumn": "InvoiceTotal"}, ["-5", "-6", "-4"]),
    ({"SortColumn": "BatchNumber", "SortDirection": "Desc"}, ["-6", "-5", "-4"]),
    ({"Page": 2, "PageSize": 2}, ["-5"]),
    ({"Page": 9, "PageSize": 2}, []),
])  # fmt: skip
def test_order_and_paging(house: House, query: dict[str, str], numbers: list[str]) -> None:
    auth, _ = bring_in(house)
    answer = house.client.get("/api/advanced-automation/v1/InvoiceOverview", headers=auth, params=query).json()
    assert [row["InvoiceNumber"][-2:] for row in answer["Invoices"]] == numbers
    assert answer["Paging"]["AmountRecordsFound"] == 3
