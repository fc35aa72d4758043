"""Amberflo's API, called by us: the customers, a customer's invoices (whole or by pages), one invoice.

>>> from billsmith.vendors.amberflo import Client
>>> with Client("https://app.amberflo.io", "api-key") as client:  # doctest: +SKIP
...     for invoice in client.invoices("cust-1"):
...         print(invoice.invoiceUri, invoice.total_price)
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import msgspec

from billsmith.outbound.answers import json_of
from billsmith.outbound.session import DEFAULT, Session, Settings
from billsmith.outbound.walks import Walk
from billsmith.units.errors import Incomplete, Invalid
from billsmith.vendors.amberflo.read import key_of, rows_of
from billsmith.vendors.amberflo.shapes import PRODUCT_ID, PageInfo, StatedInvoice
from billsmith.wire.json import decode, decode_part

_INVOICES = "/payments/billing/customer-product-invoice"
PAGE_SIZE = 100
#: No list is followed further: a server that makes up page after page ends here.
MAX_PAGES = 100_000

Row = tuple[str, msgspec.Raw]


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer, as far as invoices go."""

    customerId: str  # noqa: N815
    customerName: str | None = None  # noqa: N815


class Client:
    """One API key of Amberflo. Use it in a ``with`` block; one thread at a time.

    ``from_cache`` takes open invoices from the hourly bill, and ``with_payment_status`` asks for the state of payments.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        from_cache: bool = True,
        with_payment_status: bool = True,
        settings: Settings = DEFAULT,
    ) -> None:
        self._session = Session(url, settings)
        self._session.hide(api_key)
        self._headers = {"X-API-KEY": api_key, "Accept": "application/json"}
        self._always = [
            ("productId", PRODUCT_ID),
            ("fromCache", str(from_cache).lower()),
            ("withPaymentStatus", str(with_payment_status).lower()),
        ]

    def customers(self) -> Iterator[Customer]:
        """Every customer, once. Raises :class:`Incomplete` at the end for a list that has one twice, or one without an id."""
        walk, met = Walk(), set[str]()
        for index, raw in enumerate(decode(self._get("/customers/", []), list[msgspec.Raw])):
            try:
                found = decode_part(raw, Customer)
            except Invalid as error:
                walk.doubt("pull.unreadable", f"the list of customers has one that can't be read, [{index}]: {error.message}")
                continue
            if found.customerId in met:
                walk.doubt("pull.overlap", f"the list of customers has {found.customerId!a} twice")
                continue
            met.add(found.customerId)
            yield found
        walk.end()

    def invoices(self, customer: str) -> Iterator[StatedInvoice]:
        """A customer's invoices, newest first, asked for at once. Raises :class:`Incomplete` for a list that has one twice."""
        rows = self.rows(customer)
        for _, raw in rows:
            yield decode_part(raw, StatedInvoice)
        check(rows)

    def rows(self, customer: str) -> Sequence[Row]:
        """A customer's invoices unread, each with its place; :func:`check` tells whether they are what they seem."""
        return rows_of(self._get(f"{_INVOICES}/all", [("customerId", customer)]))

    def paginated(self, customer: str, *, size: int = PAGE_SIZE) -> Iterator[StatedInvoice]:
        """A customer's invoices, asked for page by page. Raises :class:`Incomplete` at the end if they may not be all."""
        for raw in self.paginated_rows(customer, size=size):
            yield decode_part(raw, StatedInvoice)

    def paginated_rows(self, customer: str, *, size: int = PAGE_SIZE) -> Iterator[msgspec.Raw]:
        """The same, unread."""
        walk, found, token = Walk(), -1, ""
        tokens: set[str] = set()
        while len(tokens) < MAX_PAGES:
            asked = [("customerId", customer), ("pageSize", str(size)), *([("pageToken", token)] if token else [])]
            page = decode(self._get(f"{_INVOICES}/paginated", asked), _Page)
            if 0 <= page.pageInfo.totalResults < found:
                walk.doubt("pull.shrunk", f"the vendor said {found} invoices, then {page.pageInfo.totalResults}")
            found, token = page.pageInfo.totalResults, page.pageInfo.pageToken or ""
            walk.page([_name(raw) for raw in page.data], f"page {page.pageInfo.pageNumber}")
            yield from page.data
            if not token or not page.data:
                break
            if token in tokens:
                raise Incomplete("a page token came twice: the vendor's list goes in a circle", code="pull.circle")
            tokens.add(token)
        else:
            raise Incomplete(f"the list has more than {MAX_PAGES:,} pages", code="pull.endless")
        if len(walk) != found:
            walk.doubt("pull.count", f"the vendor says that there are {found} invoices, but {len(walk)} came")
        walk.end()

    def latest(self, customer: str) -> StatedInvoice | None:
        """A customer's newest invoice, if there is one."""
        return self._one([("customerId", customer), ("latest", "true")])

    def invoice(self, customer: str, plan: str, first_day: dt.date) -> StatedInvoice | None:
        """A customer's invoice of a plan, by the day that it starts on, if there is one."""
        day = [("year", str(first_day.year)), ("month", str(first_day.month)), ("day", str(first_day.day))]
        return self._one([("customerId", customer), ("productPlanId", plan), *day])

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close()

    def _one(self, parameters: list[tuple[str, str]]) -> StatedInvoice | None:
        body = self._get(_INVOICES, parameters)
        return decode(body, StatedInvoice) if body.strip() not in (b"null", b"{}", b"") else None

    def _get(self, path: str, parameters: list[tuple[str, str]]) -> bytes:
        always = self._always if path.startswith(_INVOICES) else []
        return json_of(self._session.get(path, [*parameters, *always], self._headers))


def check(rows: Sequence[Row]) -> None:
    """Raise :class:`Incomplete` where a list holds an invoice twice."""
    walk = Walk()
    walk.page([_name(raw) for _, raw in rows], "the list")
    walk.end()


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    pageInfo: PageInfo  # noqa: N815
    data: list[msgspec.Raw]


def _name(raw: msgspec.Raw) -> str:
    return key_of(raw) or bytes(raw).decode("utf-8", "replace")
