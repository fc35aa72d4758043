"""One invoice, its PDF, its detail: each vendor's client against a server that answers as the vendor's pages say."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from billsmith.units.errors import BillsmithError, NotFound
from billsmith.vendors.acronis import Client as Acronis
from billsmith.vendors.amberflo import Client as Amberflo
from billsmith.vendors.hostway import Client as Hostway
from billsmith.vendors.myreports import Client as Myreports
from billsmith.vendors.myreports import ClientCredentials
from tests.outbound.support import World
from tests.support import stubs
from tests.support.chaos import Reply, Request, Server
from tests.vendors.faults import acronis_row, amberflo_row, guid, hostway_row, myreports_row

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"
STREAM = "application/octet-stream; charset=utf-8"
AMBERFLO = "/payments/billing/customer-product-invoice"


def zipped() -> bytes:
    """A detail as myreports gives it: one JSON and one CSV file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as files:
        files.writestr("invoice.json", '{"invoiceId": "1", "invoiceItems": []}')
        files.writestr("invoice.csv", "id,quantity\r\n")
    return packed.getvalue()


def acronis(request: Request) -> Reply:
    rows = [acronis_row(number) for number in range(1, 8)]
    if request.path == "/api/advanced-automation/v1/DownloadInvoice":
        known = request.query["id"] == guid(3)
        return Reply(body=PDF, kind="application/pdf") if known else Reply(404)
    if request.path.endswith("/InvoiceOverview") and "InvoiceNumber" in request.query:
        # The filter finds a part of a number too.
        rows = [row for row in rows if request.query["InvoiceNumber"] in row["InvoiceNumber"]]
    if request.path == f"/api/2/clients/{stubs.USER}":
        return Reply(body=stubs.encoded({"tenant_id": guid(1), "client_id": stubs.USER}))
    return stubs.acronis(rows, TOKENS)(request)


def myreports(request: Request) -> Reply:
    path = f"/api/v1.0/billingdata/{3:024x}"
    if not request.path.startswith("/api/v1.0/billingdata/"):
        return stubs.myreports([], TOKENS)(request)
    if request.path not in (path, f"{path}/detail", f"{path}/summary"):
        return Reply(
            404, stubs.encoded({"error": 404, "message": "Not Found", "status": "error", "timestamp": "2020-01-01T00:00:00Z"})
        )
    if request.path.endswith("/detail"):
        return Reply(body=zipped(), kind=STREAM)
    if request.path.endswith("/summary"):
        return Reply(body=PDF, kind=STREAM)
    return Reply(
        body=stubs.encoded({"data": myreports_row(3), "status": "success", "timestamp": "2020-01-01T00:00:00.0000000Z"})
    )


def hostway(request: Request) -> Reply:
    path = f"/accounts/{stubs.ACCOUNT}/invoices/SO-3"
    if request.path.rstrip("/") != path:
        error = {"guid": "", "message": "Resource not found", "code": 404, "details": ""}
        return Reply(404, stubs.encoded({"itemNotFound": error}))
    if request.headers["accept"] == "application/pdf":
        return Reply(body=PDF, kind="application/pdf")
    links = [{"href": f"http://{request.headers['host']}{path}/", "rel": "self"}]
    return Reply(body=stubs.encoded({**hostway_row(3), "links": links}))


def amberflo(request: Request) -> Reply:
    asked = request.query
    if request.path != AMBERFLO or asked["customerId"] != "cust-1":
        return Reply(body=b"null")
    if asked.get("latest") == "true":
        return Reply(body=stubs.encoded(amberflo_row(9)))
    day = (asked["productPlanId"], asked["year"], asked["month"], asked["day"])
    return Reply(body=stubs.encoded(amberflo_row(3)) if day == ("plan-3", "2024", "4", "1") else b"null")


TOKENS = stubs.Tokens()
STUBS: dict[str, stubs.Answer] = {"acronis": acronis, "myreports": myreports, "hostway": hostway, "amberflo": amberflo}


def client(vendor: str, url: str) -> Any:
    settings = World().settings(url)
    if vendor == "acronis":
        return Acronis(url, stubs.USER, stubs.SECRET, settings=settings)
    if vendor == "myreports":
        return Myreports(url, ClientCredentials(stubs.USER, stubs.SECRET, url), settings=settings)
    if vendor == "hostway":
        return Hostway(url, stubs.USER, stubs.SECRET, settings=settings)
    return Amberflo(url, stubs.SECRET, settings=settings)


def ask(vendor: str, question: Callable[[Any], Any], fault: Callable[[Request, Reply], Reply] | None = None) -> Any:
    def answer(request: Request) -> Reply:
        reply = STUBS[vendor](request)
        return reply if fault is None or request.method == "POST" else fault(request, reply)

    with Server(answer) as server, client(vendor, server.url) as asking:
        return question(asking)


def test_one_invoice() -> None:
    assert ask("acronis", lambda asking: asking.invoice("1-20241010-0-11111-3").Id) == guid(3)
    assert ask("acronis", lambda asking: asking.invoice("1-20241010-0-11111")) is None  # a part of a number is none
    assert ask("acronis", lambda asking: asking.tenant_id()) == guid(1)
    assert ask("myreports", lambda asking: asking.invoice(f"{3:024x}").invoiceNumber) == "9000003"
    assert ask("hostway", lambda asking: asking.invoice(stubs.ACCOUNT, "SO-3").invoiceNumber) == "SO-3"
    day = dt.date(2024, 4, 1)
    assert ask("amberflo", lambda asking: asking.invoice("cust-1", "plan-3", day).invoiceKey.productPlanId) == "plan-3"
    assert ask("amberflo", lambda asking: asking.latest("cust-1").invoiceKey.productPlanId) == "plan-9"
    assert ask("amberflo", lambda asking: asking.invoice("cust-1", "plan-4", day)) is None
    assert ask("amberflo", lambda asking: asking.latest("cust-2")) is None


def pdf(vendor: str, asking: Any, name: str) -> bytes:
    """The PDF of invoice 3, or of whatever a name leads to."""
    known = {"acronis": guid(3), "myreports": f"{3:024x}", "hostway": "SO-3"}[vendor] if name == "3" else name
    found: bytes = asking.pdf(stubs.ACCOUNT, known) if vendor == "hostway" else asking.pdf(known)
    return found


PDFS = ("acronis", "myreports", "hostway")


@pytest.mark.parametrize("vendor", PDFS)
def test_an_invoice_as_pdf(vendor: str) -> None:
    assert ask(vendor, lambda asking: pdf(vendor, asking, "3")) == PDF


def test_an_invoice_in_detail() -> None:
    packed = ask("myreports", lambda asking: asking.detail(f"{3:024x}"))
    assert zipfile.ZipFile(io.BytesIO(packed)).namelist() == ["invoice.json", "invoice.csv"]


@pytest.mark.parametrize("vendor", PDFS)
@pytest.mark.parametrize("name", ["4", "../../accounts", "a/b?c=d#e", "%2e%2e"])
def test_an_unknown_one_is_told_and_no_name_leads_elsewhere(vendor: str, name: str) -> None:
    with pytest.raises(NotFound) as refused:
        ask(vendor, lambda asking: pdf(vendor, asking, name))
    assert refused.value.code == "outbound.not_found"


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"<html>Log in</html>", "text/html", "outbound.not_a_file"),
        (b'{"error": "later"}', "application/json", "outbound.not_a_file"),
        (b"", "application/pdf", "outbound.not_a_file"),
        (PDF * 2**18, "application/pdf", "outbound.too_large"),
    ],
)
@pytest.mark.parametrize("vendor", PDFS)
def test_what_is_no_pdf_is_told(vendor: str, body: bytes, kind: str, code: str) -> None:
    with pytest.raises(BillsmithError) as refused:
        ask(vendor, lambda asking: pdf(vendor, asking, "3"), lambda _request, _reply: Reply(body=body, kind=kind))
    assert refused.value.code == code


def test_a_pdf_is_no_detail() -> None:
    with pytest.raises(BillsmithError) as refused:
        ask("myreports", lambda asking: asking.detail(f"{3:024x}"), lambda _request, _reply: Reply(body=PDF, kind=STREAM))
    assert refused.value.code == "outbound.not_a_file"


@pytest.mark.parametrize("vendor", PDFS)
def test_a_pdf_comes_though_the_first_answer_fails(vendor: str) -> None:
    count = [0]

    def once(_request: Request, reply: Reply) -> Reply:
        count[0] += 1
        return Reply(503) if count[0] == 1 else reply

    assert ask(vendor, lambda asking: pdf(vendor, asking, "3"), once) == PDF
