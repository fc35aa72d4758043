"""What the tests of faulty vendors share: a walk and how it ended, and the four vendors' stubs with rows of the pages' own form."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

from billsmith.units.errors import BillsmithError
from billsmith.vendors.acronis import Client as Acronis
from billsmith.vendors.acronis.pull import AcronisList
from billsmith.vendors.amberflo import Client as Amberflo
from billsmith.vendors.amberflo.pull import AmberfloLists
from billsmith.vendors.hostway import Client as Hostway
from billsmith.vendors.hostway.pull import HostwayLists
from billsmith.vendors.myreports import Client as Myreports
from billsmith.vendors.myreports import ClientCredentials
from billsmith.vendors.myreports.pull import MyreportsList
from billsmith.workflows.import_invoices import RowError
from billsmith.workflows.sync_source import Ending, Source
from tests.outbound.support import World
from tests.support import stubs
from tests.support.chaos import Reply, Request, Server

Row = dict[str, Any]
Fault = Callable[[Request, Reply, int], Reply]

LIST_PATHS = ("/InvoiceOverview", "/billingdata", "/invoices", "/all", "/paginated")


class Outcome(NamedTuple):
    """What came, what was set aside, and how it ended: with a code, or whole (no code)."""

    keys: list[str]
    aside: list[RowError]
    code: str
    reason: str = ""

    @property
    def is_whole(self) -> bool:
        return not self.code and not self.aside


class Vendor(NamedTuple):
    """A vendor's name, rows, stub, list, and where its records stand in an answer."""

    name: str
    make: Callable[[int], Row]
    stub: Callable[[list[Row]], stubs.Answer]
    source: Callable[[str, World], Source]
    records: str

    def row_list(self, body: Any) -> list[Row]:
        return body if not self.records else body[self.records]  # type: ignore[no-any-return]


def walk(source: Source, *, mark: str | None = None) -> Outcome:
    """Walk to the end, whatever it is."""
    keys: list[str] = []
    aside: list[RowError] = []
    try:
        for piece in source.walk(mark=mark, since=None):
            if isinstance(piece, Ending):
                return Outcome(keys, aside, piece.code, piece.reason)
            aside += [row for row in piece.rows if isinstance(row, RowError)]
            keys += [row.vendor_key for row in piece.rows if not isinstance(row, RowError)]
    except BillsmithError as error:
        return Outcome(keys, aside, error.code, error.message)
    return Outcome(keys, aside, "")


def pull(vendor: Vendor, rows: list[Row], fault: Fault | None = None, world: World | None = None) -> tuple[Outcome, Server]:
    """Walk a stub's rows; ``fault`` may replace the answer to the n-th request for the list (the first is 0)."""
    answer, count = vendor.stub(rows), [0]

    def with_fault(request: Request) -> Reply:
        reply = answer(request)
        if fault is None or not request.path.endswith(LIST_PATHS):
            return reply
        count[0] += 1
        return fault(request, reply, count[0] - 1)

    with Server(with_fault) as server:
        return walk(vendor.source(server.url, world or World())), server


def guid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def acronis_row(number: int) -> Row:
    return {
        "Id": guid(number),
        "Customer": guid(10**6 + number % 3),
        "CustomerName": f"Customer {number % 3}",
        "CreationDate": f"2024-10-{1 + number % 28:02d}T07:55:09.3546699+00:00",
        "ScheduledAt": "2024-10-10T00:00:00",
        "InvoiceNumber": f"1-20241010-0-11111-{number}",
        "BatchNumber": "1",
        "PaymentStatus": False,
        "PaymentType": 3,
        "Total": 18.25,
    }


def myreports_row(number: int) -> Row:
    return {
        "tenantId": guid(number % 3),
        "invoiceid": f"{number:024x}",
        "invoiceNumber": f"{9_000_000 + number}",
        "customerName": "Reseller 1",
        "billingPeriodStart": "2020-01-01T00:00:00.000+00:00",
        "billingPeriodEnd": "2020-01-31T23:59:59.999+00:00",
        "invoiceValue": 200.5,
    }


def hostway_row(number: int) -> Row:
    return {
        "status": "invoice_paid",
        "currency": "USD",
        "amount": "1023.7200",
        "amountDue": "0.0000",
        "description": "Invoice",
        "date": "2011-04-19",
        "statusName": "Invoice Paid",
        "invoiceNumber": f"SO-{number}",
    }


def amberflo_row(number: int) -> Row:
    return {
        "invoiceKey": {
            "customerId": "cust-1",
            "productId": "1",
            "productPlanId": f"plan-{number}",
            "year": 2024,
            "month": 4,
            "day": 1,
        },
        "invoicePriceStatus": "price_locked",
        "invoiceStartTimeInSeconds": 1711929600,
        "invoiceEndTimeInSeconds": 1714521600,
        "paymentStatus": "settled",
        "totalBill": {"totalPrice": 12.5, "fixPrice": 12.5},
    }


def _acronis(url: str, world: World) -> Source:
    return AcronisList(
        client=lambda: Acronis(url, stubs.USER, stubs.SECRET, settings=world.settings(url)), currency="EUR", time_zone="UTC"
    )


def _myreports(url: str, world: World) -> Source:
    access = ClientCredentials(stubs.USER, stubs.SECRET, url)
    return MyreportsList(client=lambda: Myreports(url, access, settings=world.settings(url)), currency="EUR")


def _hostway(url: str, world: World) -> Source:
    return HostwayLists(
        client=lambda: Hostway(url, stubs.USER, stubs.SECRET, settings=world.settings(url)),
        own=frozenset({stubs.ACCOUNT}),
        only=(),
        currency="USD",
        time_zone="UTC",
        billing_entity="Hostway",
    )


def _amberflo(url: str, world: World) -> Source:
    return AmberfloLists(client=lambda: Amberflo(url, stubs.SECRET, settings=world.settings(url)), only=(), currency="USD")


ACRONIS = Vendor("acronis", acronis_row, lambda rows: stubs.acronis(rows, cap=2), _acronis, "Invoices")
MYREPORTS = Vendor("myreports", myreports_row, stubs.myreports, _myreports, "data")
HOSTWAY = Vendor("hostway", hostway_row, stubs.hostway, _hostway, "list")
AMBERFLO = Vendor("amberflo", amberflo_row, stubs.amberflo, _amberflo, "")
VENDORS = (ACRONIS, MYREPORTS, HOSTWAY, AMBERFLO)


def rows_of(vendor: Vendor, count: int = 7) -> list[Row]:
    return [copy.deepcopy(vendor.make(number)) for number in range(1, count + 1)]
