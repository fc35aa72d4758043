"""The faces under measure: one entry each. A face joins the benchmark by standing in :data:`FACES`."""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import urlencode

import msgspec

from benchmarks.lists.client import Connection, request
from benchmarks.lists.data import World

#: Rows of a page.
SIZE = 50


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a face's list: its name in the report, and the parameters that ask for it."""

    name: str
    parameters: dict[str, str] = {}


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A face: how its caller authenticates, where its list is, how a page, an order and a filter are asked for.

    ``matching`` reads from an answer how many rows match; ``stream`` are the parameters of the whole list, where there is one.
    """

    name: str
    headers: Callable[[World, Connection], dict[str, str]]
    path: Callable[[World], str]
    page: Callable[[int], dict[str, str]]
    orders: tuple[Order, ...]
    status: dict[str, str]
    matching: Callable[[bytes], int]
    row: bytes
    """What stands once in each row."""
    stream: dict[str, str] | None = None
    others: Callable[[World], dict[str, dict[str, str]]] = lambda _world: {}
    """Filters beyond the status, by name: they count within 100 ms."""

    def url(self, world: World, *parameters: dict[str, str]) -> str:
        """The list's path with parameters."""
        query = urlencode({name: value for each in parameters for name, value in each.items()})
        return f"{self.path(world)}?{query}" if query else self.path(world)


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


ACRONIS = Case(
    name="acronis",
    headers=_acronis_headers,
    path=lambda _world: "/api/advanced-automation/v1/InvoiceOverview",
    page=lambda number: {"Page": str(number), "PageSize": str(SIZE)},
    orders=_acronis_orders(),
    status={"PaymentStatus": "false"},
    matching=lambda body: int(msgspec.json.decode(body)["Paging"]["AmountRecordsFound"]),
    row=b'"Id":',
    stream={},
    others=lambda world: {
        "Customer (has nearly all)": {"Customer": world.customer},
        "Customer (has twenty)": {"Customer": world.small_customer},
        "InvoiceNumber (exact)": {"InvoiceNumber": world.some_number},
        "InvoiceNumber (part)": {"InvoiceNumber": world.some_number[5:-1]},
    },
)

FACES = (ACRONIS,)
