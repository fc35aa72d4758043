"""The answers that stand on the vendors' own pages, served by a stub that knows nothing of our code: they come in whole.

The last test runs the examples of docs/vendors ("Calling it").
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billsmith.accounts.authorisation import CredentialKind
from billsmith.storage import accounts, invoices
from billsmith.storage.database import Database
from billsmith.vendors.acronis import Client as Acronis
from billsmith.vendors.acronis import InvoiceFilter
from billsmith.vendors.amberflo import Client as Amberflo
from billsmith.vendors.hostway import Client as Hostway
from billsmith.vendors.myreports import Client as Myreports
from billsmith.vendors.myreports import ClientCredentials
from billsmith.workflows import import_invoices
from billsmith.workflows.import_invoices import Plan
from billsmith.workflows.sync_source import Piece
from tests.outbound.support import World
from tests.support import stubs
from tests.support.chaos import Reply, Request, Server
from tests.support.house import House
from tests.support.served import serving
from tests.vendors.faults import ACRONIS, AMBERFLO, HOSTWAY, MYREPORTS, Vendor

CASES = Path(__file__).parents[1] / "cases"
PAGES = Path(__file__).parents[2] / "docs" / "vendors"


def page(name: str) -> Any:
    return json.loads((CASES / name).read_text())


def brought_in(house: House, vendor: Vendor, url: str) -> dict[str, Decimal]:
    """A list's invoices in a store, by number, with the amounts as stated."""
    owner = house.account("Owner", external_id="owner")
    pieces = list(vendor.source(url, World()).walk(mark=None, since=None))
    assert all(isinstance(piece, Piece) for piece in pieces), pieces
    rows = [row for piece in pieces if isinstance(piece, Piece) for row in piece.rows]
    report = import_invoices.run(house.database, Plan(owner=owner, issuer=owner), rows, now=house.now)
    assert (report.errors, report.added) == ([], len(rows))
    return numbers(house.database)


def numbers(database: Database) -> dict[str, Decimal]:
    with database.read() as connection:
        found = invoices.by_seqs(connection, range(1, 200))
        assert accounts.get(connection, "owner")
    return {each.invoice.number: each.invoice.stated_total or Decimal(0) for each in found.values()}


def test_acronis(sqlite_house: House) -> None:
    with Server(stubs.acronis(page("acronis/invoice-overview.json")["Invoices"])) as server:
        assert brought_in(sqlite_house, ACRONIS, server.url) == {
            "1-20241010-0-11111-4": Decimal("123.75"),
            "2-20241010-0-11111-6": Decimal("100.16"),
            "2-20241010-0-11111-5": Decimal("18.90"),
        }
        with Acronis(server.url, stubs.USER, stubs.SECRET, settings=World().settings(server.url)) as client:
            found = list(
                client.invoices(InvoiceFilter(payment_status_not_confirmed=True), sort="InvoiceTotal", descending=True)
            )
            assert [str(each.total) for each in found] == ["123.75", "100.16", "18.9"]
        asked = server.requests[-1].query
        assert (asked["PaymentStatusNotConfirmed"], asked["SortColumn"], asked["SortDirection"]) == (
            "true",
            "InvoiceTotal",
            "Desc",
        )


def test_acronis_as_the_tutorial_prints_it(sqlite_house: House) -> None:
    """The file's own bytes, with the spelling of its numbers."""
    tokens = stubs.Tokens()
    body = (CASES / "acronis/invoice-overview.json").read_bytes()

    def answer(request: Request) -> Reply:
        return tokens.grant(request) if request.method == "POST" else Reply(body=body)

    with Server(answer) as server:
        assert brought_in(sqlite_house, ACRONIS, server.url)["2-20241010-0-11111-5"].as_tuple().exponent == -2


def test_myreports(sqlite_house: House) -> None:
    rows = page("myreports/billingdata.json")["data"]
    for index, row in enumerate(rows, 1):  # the page has a placeholder in place of each
        row.update(tenantId="5b3c9d0e-7f0a-4c1e-9a52-08d1f6b7c3aa", invoiceid=f"{index:024x}", invoiceNumber=f"900000{index}")
    with Server(stubs.myreports(rows)) as server:
        found = brought_in(sqlite_house, MYREPORTS, server.url)
        assert found == {f"900000{index}": Decimal(200) for index in range(1, 5)}
        access = ClientCredentials(stubs.USER, stubs.SECRET, server.url)
        with Myreports(server.url, access, settings=World().settings(server.url)) as client:
            assert [each.invoiceNumber for each in client.invoices()] == sorted(found)


def test_hostway(sqlite_house: House) -> None:
    """Both forms of record, on the 44 pages that the page's links promise."""
    [transaction] = page("hostway/invoices-page.json")["list"]
    rows = [{**transaction, "number": transaction["number"] + index} for index in range(43)]
    rows += page("hostway/invoices.json")["list"]
    with Server(stubs.hostway(rows, size=1)) as server:
        found = brought_in(sqlite_house, HOSTWAY, server.url)
        assert found == {**{str(row["number"]): Decimal("0.87") for row in rows[:-1]}, "SO-360704": Decimal("1023.7200")}
        with Hostway(server.url, stubs.USER, stubs.SECRET, settings=World().settings(server.url)) as client:
            listed = list(client.invoices(stubs.ACCOUNT, filter_status="invoice_paid"))
            assert [str(each.amount) for each in listed] == ["0.87"] * 43 + ["1023.7200"]
        assert "filterStatus" in server.requests[-44].query


def test_amberflo(sqlite_house: House) -> None:
    """The reference page's answer, whose key is all empty: customer, plan and day are filled, nothing else."""
    rows = page("amberflo/invoice-shape.json")
    for row in rows:
        row["invoiceKey"] |= {
            "customerId": "cust-1",
            "productId": "1",
            "productPlanId": "p",
            "year": 2024,
            "month": 4,
            "day": 1,
        }
    with Server(stubs.amberflo(rows)) as server:
        assert list(brought_in(sqlite_house, AMBERFLO, server.url).values()) == [Decimal(0)]
        with Amberflo(server.url, stubs.SECRET, settings=World().settings(server.url)) as client:
            assert [each.total_price for each in client.invoices("cust-1")] == [Decimal(0)]
            assert [each.total_price for each in client.paginated("cust-1")] == [Decimal(0)]


def example(name: str) -> str:
    """The Python of a page's part "Calling it"."""
    text = (PAGES / f"{name}.md").read_text()
    [code] = re.findall(r"## Calling it\n.*?```python\n(.*?)```", text, re.DOTALL)
    return code


@pytest.mark.parametrize("name", ["acronis", "myreports", "hostway", "amberflo"])
def test_the_examples_of_the_vendors_pages_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against our own face over real HTTP, with the address in place of the vendor's."""
    database = Database(f"sqlite:///{tmp_path / 'billsmith.db'}")
    house = House(database)
    owner = house.account("Owner", external_id="owner")
    customer = house.account("Customer", owner, external_id="cust-1")
    house.invoice(owner, customer, "18.90")
    kind = {"hostway": CredentialKind.BASIC, "amberflo": CredentialKind.API_KEY}.get(name, CredentialKind.OAUTH_CLIENT)
    id, secret = house.key(owner, kind)
    database.close()
    with serving(tmp_path) as server:
        code = re.sub(r"https://[a-z0-9.-]+", server.url, example(name))
        if name == "myreports":
            code = code.replace('"client-secret")', f'"client-secret", login_url="{server.url}")')
        for words, mine in (
            ("client-id", id),
            ("client-secret", secret),
            ("user", id),
            ("password", secret),
            ("api-key", secret),
        ):
            code = code.replace(f'"{words}"', f'"{mine}"')
        monkeypatch.setenv("BILLSMITH_ALLOW_PRIVATE", server.url)
        exec(compile(code, f"{name}.md", "exec"), {})
    assert "18.9" in capsys.readouterr().out
