"""The vendor's page, answered by us: its example goes in by an import and comes back as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from billsmith.accounts.model import Account
from billsmith.vendors.myreports.load import load
from billsmith.workflows.import_invoices import ImportReport
from tests.support.house import House

EXAMPLE = Path(__file__).parents[2] / "cases" / "myreports" / "billingdata.json"
RESELLER = "5b3c9d0e-7f0a-4c1e-9a52-08d1f6b7c3aa"


def example() -> dict[str, Any]:
    """The page's answer with its placeholders filled, another id per row."""
    answer: dict[str, Any] = json.loads(EXAMPLE.read_text())
    for index, row in enumerate(answer["data"], 1):
        row.update(tenantId=RESELLER, invoiceid=f"{index:024x}", invoiceNumber=f"900000{index}")
    return answer


def bring_in(house: House, answer: dict[str, Any], enterprise: Account, **more: Any) -> ImportReport:
    return load(house.database, enterprise, json.dumps(answer).encode(), now=house.now, **more)


def test_the_pages_example_comes_back(house: House) -> None:
    enterprise = house.account("Enterprise")
    answer = example()
    report = bring_in(house, answer, enterprise)
    assert (report.added, report.accounts_made, report.errors) == (4, 1, [])
    again = bring_in(house, answer, enterprise)
    assert (again.added, again.unchanged, again.errors) == (0, 4, [])

    token = house.myreports_token(enterprise)
    for path in ("/api/v1.0/billingdata", "/v1.0/billingdata", "/v1.0/billingdata/"):
        came = house.client.get(path, headers=token)
        assert came.status_code == 200
        assert came.headers["content-type"] == "application/json; charset=utf-8"
        body = came.json()
        assert body.pop("timestamp") == "2026-10-31T12:00:00.0000000Z"
        assert json.dumps(body) == json.dumps({name: value for name, value in answer.items() if name != "timestamp"})
        assert came.text.startswith('{"page_size":4,"data":[{"tenantId":')
        assert '"invoiceValue":200.0}' in came.text


def test_one_invoice_by_the_vendors_id(house: House) -> None:
    enterprise = house.account("Enterprise")
    answer = example()
    bring_in(house, answer, enterprise)
    token = house.myreports_token(enterprise)
    came = house.client.get(f"/api/v1.0/billingdata/{2:024x}", headers=token)
    assert came.json() == {"data": answer["data"][1], "status": "success", "timestamp": "2026-10-31T12:00:00.0000000Z"}


def test_the_reseller_sees_what_it_was_billed(house: House) -> None:
    enterprise = house.account("Enterprise")
    answer = example()
    bring_in(house, answer, enterprise)
    with house.database.read() as connection:
        from billsmith.storage import accounts

        reseller = accounts.get(connection, RESELLER, enterprise)
    body = house.client.get("/api/v1.0/billingdata", headers=house.myreports_token(reseller)).json()
    assert body["data"] == answer["data"]
    one = house.client.get(f"/api/v1.0/billingdata/{3:024x}", headers=house.myreports_token(reseller))
    assert one.json()["data"] == answer["data"][2]


def test_invoices_of_our_own_have_the_first_24_digits_of_their_id(house: House) -> None:
    enterprise = house.account("Enterprise")
    reseller = house.account("Reseller", enterprise, external_id="R-1")
    made = house.invoice(enterprise, reseller, "18.90").invoice
    token = house.myreports_token(enterprise)
    [row] = house.client.get("/api/v1.0/billingdata", headers=token).json()["data"]
    assert row == {
        "tenantId": reseller.id,
        "invoiceid": made.id.replace("-", "")[:24],
        "invoiceNumber": "INV-2026-000001",
        "customerName": "Reseller",
        "billingPeriodStart": "2026-10-30T23:00:00.000+00:00",
        "billingPeriodEnd": "2026-10-31T22:59:59.999+00:00",
        "invoiceValue": 18.9,
    }
    for name in (row["invoiceid"], row["invoiceid"].upper()):
        assert house.client.get(f"/api/v1.0/billingdata/{name}", headers=token).json()["data"] == row
