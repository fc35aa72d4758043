"""The faces under measure: one entry each. A face joins the benchmark by standing in :data:`FACES`."""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from benchmarks.lists.client import Connection, request
from benchmarks.lists.data import SMALL_CUSTOMERS, SMALL_LISTS, World

#: Rows of a page.
SIZE = 50


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a face's list: its name in the report, and the parameters that ask for it."""

    name: str
    parameters: dict[str, str] = {}


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A face: how its caller authenticates, where its list is, how a page, an order and a filter are asked for.

    ``matching`` says how many rows match, from the first page's answer where that tells.
    """

    name: str
    headers: Callable[[World, Connection], dict[str, str]]
    path: Callable[[World], str]
    page: Callable[[int], dict[str, str]]
    orders: tuple[Order, ...]
    matching: Callable[[World, bytes], int]
    row: bytes
    """What stands once in each row."""
    status: dict[str, str] | None = None
    """The parameters that filter by payment status, where the face has such a filter."""
    stream: str | None = None
    """The path of the whole list in one answer, where there is one."""
    fixed: Callable[[World], dict[str, str]] = lambda _world: {}
    """Parameters of every request."""
    others: Callable[[World], dict[str, dict[str, str]]] = lambda _world: {}
    """Filters beyond the status, by name: they count within 100 ms."""

    def url(self, world: World, *parameters: dict[str, str], path: str | None = None) -> str:
        """The list's path with parameters."""
        query = urlencode({name: value for each in (self.fixed(world), *parameters) for name, value in each.items()})
        return f"{path or self.path(world)}?{query}" if query else path or self.path(world)


def _acronis_headers(world: World, connection: Connection) -> dict[str, str]:
    client, secret = world.partner_keys["oauth-client"]
    pair = base64.b64encode(f"{client}:{secret}".encode()).decode()
    headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/x-www-form-urlencoded"}
    answer = connection.get(request("POST", "/api/2/idp/token", headers, b"grant_type=client_credentials"))
    return {"Authorization": f"Bearer {msgspec.json.decode(answer.body)['access_token']}"}


def _acronis_orders() -> tuple[Order, ...]:
    return tuple(
        Order(name=f"{column} {way}", parameters={"SortColumn": column, "SortDirection": way})
        for column in ("CustomerName", "CreationDate", "InvoiceNumber")
        for way in ("Asc", "Desc")
    )


_OVERVIEW = "/api/advanced-automation/v1/InvoiceOverview"

ACRONIS = Case(
    name="acronis",
    headers=_acronis_headers,
    path=lambda _world: _OVERVIEW,
    page=lambda number: {"Page": str(number), "PageSize": str(SIZE)},
    orders=_acronis_orders(),
    status={"PaymentStatus": "false"},
    matching=lambda _world, body: int(msgspec.json.decode(body)["Paging"]["AmountRecordsFound"]),
    row=b'"Id":',
    stream=_OVERVIEW,
    others=lambda world: {
        "Customer (has nearly all)": {"Customer": world.customer},
        "Customer (has twenty)": {"Customer": world.small_customer},
        "InvoiceNumber (exact)": {"InvoiceNumber": world.some_number},
        "InvoiceNumber (part)": {"InvoiceNumber": world.some_number[5:-1]},
    },
)

MYREPORTS = Case(
    name="myreports",
    headers=lambda world, _connection: {"Authorization": f"Bearer {world.partner_keys['api-key'][1]}"},
    path=lambda _world: "/api/v1.0/billingdata",
    page=lambda number: {"pageIndex": str(number - 1), "pageSize": str(SIZE)},
    orders=(Order(name="period"),),
    # The answer doesn't tell; all of the partner's customers are its children.
    matching=lambda world, _body: world.rows + SMALL_CUSTOMERS * SMALL_LISTS,
    row=b'"tenantId":',
    stream="/api/v1.0/billingdata",
)


def _basic(world: World, _connection: Connection) -> dict[str, str]:
    pair = base64.b64encode(":".join(world.customer_keys["basic"]).encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def _last_page(_world: World, body: bytes) -> int:
    links = {link["rel"]: link["href"] for link in msgspec.json.decode(body)["links"]}
    return int(parse_qs(urlsplit(links["last"]).query)["page"][0]) * SIZE


HOSTWAY = Case(
    name="hostway",
    headers=_basic,
    path=lambda world: f"/accounts/{world.customer}/invoices",
    page=lambda number: {"page": str(number), "pageSize": str(SIZE)},
    orders=(
        Order(name="date"),
        Order(name="date desc", parameters={"sortOrder": "desc"}),
        Order(name="status", parameters={"sortField": "status"}),
        Order(name="status desc", parameters={"sortField": "status", "sortOrder": "desc"}),
    ),
    status={"filterStatus": "invoice_paid"},
    matching=_last_page,
    row=b'"invoiceId":',
    others=lambda _world: {"filterType": {"filterType": "invoice_one_off"}},
)

_AMBERFLO = "/payments/billing/customer-product-invoice"

AMBERFLO = Case(
    name="amberflo",
    headers=lambda world, _connection: {"X-API-KEY": world.customer_keys["api-key"][1]},
    path=lambda _world: f"{_AMBERFLO}/paginated",
    page=lambda number: {"pageNumber": str(number), "pageSize": str(SIZE)},
    orders=(Order(name="newest first"),),
    fixed=lambda world: {"customerId": world.customer},
    # A page of fifty comes in chunks.
    matching=lambda _world, body: int(body.partition(b'"totalResults":')[2].partition(b"}")[0]),
    row=b'"invoiceKey":',
    stream=f"{_AMBERFLO}/all",
)

FACES = (ACRONIS, MYREPORTS, HOSTWAY, AMBERFLO)
