"""Acronis's API, called by us: the list of invoices with all its filters, one invoice, its PDF.

>>> from billsmith.vendors.acronis import Client
>>> with Client("https://eu2-cloud.acronis.com", "client-id", "client-secret") as client:  # doctest: +SKIP
...     for invoice in client.invoices(InvoiceFilter(payment_status_not_confirmed=True)):
...         print(invoice.InvoiceNumber, invoice.total)
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import msgspec

from billsmith.outbound.answers import Answer, json_of, pdf_of
from billsmith.outbound.session import DEFAULT, Call, Session, Settings
from billsmith.outbound.tokens import Tokens
from billsmith.outbound.walks import Walk
from billsmith.units.errors import Incomplete
from billsmith.vendors.acronis.shapes import Paging, StatedInvoice
from billsmith.vendors.acronis.translate import key_of
from billsmith.wire.json import decode, decode_part

_API = "/api/advanced-automation/v1"
#: No page is larger; five hundred invoices are a few hundred kilobytes.
MAX_PAGE_BYTES = 16 * 1024 * 1024
PAGE_SIZE = 500
#: No list is followed further: a server that makes up page after page ends here.
MAX_PAGES = 100_000


class InvoiceFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Every filter that the vendor documents; ``None`` leaves one out. Names are the vendor's, in lower case."""

    customer: str | None = None
    invoice_number: str | None = None
    delivery_method: bool | None = None
    delivery_method_by_email: bool | None = None
    delivery_method_by_post: bool | None = None
    payment_sent: bool | None = None
    payment_sent_not_sent: bool | None = None
    payment_sent_sent: bool | None = None
    payment_status: bool | None = None
    payment_status_confirmed: bool | None = None
    payment_status_not_confirmed: bool | None = None
    show_exported: bool | None = None

    def parameters(self) -> list[tuple[str, str]]:
        """As the query has them.

        >>> InvoiceFilter(payment_status=False, customer="a").parameters()
        [('Customer', 'a'), ('PaymentStatus', 'false')]
        """
        given = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return [(name.title().replace("_", ""), _written(value)) for name, value in given if value is not None]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page as it came: its rows unread, its number (the first is 1) and size, and how many rows match in all."""

    rows: list[msgspec.Raw]
    number: int
    size: int
    found: int
    doubtful: bool
    """The list moved under the walk: whoever goes on after this page can't know any more what was missed."""


class Client:
    """One API client of Acronis. Use it in a ``with`` block; one thread at a time."""

    def __init__(self, datacenter_url: str, client_id: str, client_secret: str, *, settings: Settings = DEFAULT) -> None:
        self._session = Session(datacenter_url, settings.capped(MAX_PAGE_BYTES))
        pair = b64encode(f"{client_id}:{client_secret}".encode()).decode()
        self._session.hide(client_secret, pair)
        self._client_id = client_id
        self._basic = f"Basic {pair}"
        self._tokens = Tokens(self._grant, self._session)

    def invoices(
        self, where: InvoiceFilter | None = None, *, sort: str = "CreationDate", descending: bool = False
    ) -> Iterator[StatedInvoice]:
        """Every invoice that passes. Raises :class:`Incomplete` at the end if the list may not have come whole."""
        for page in self.pages(where, sort=sort, descending=descending):
            for raw in page.rows:
                yield decode_part(raw, StatedInvoice)

    def pages(
        self,
        where: InvoiceFilter | None = None,
        *,
        sort: str = "CreationDate",
        descending: bool = False,
        first: int = 1,
        size: int = PAGE_SIZE,
        stated: int = -1,
    ) -> Iterator[Page]:
        """The list page by page, by an order in which what is new comes last.

        To go on where another walk stopped, say which page is ``first`` now, its ``size``, and what that walk's ``stated``.

        A list that shrinks, overlaps, stops short or goes in a circle raises :class:`Incomplete`, the doubtful ones at the end.
        """
        order = [("SortColumn", sort), ("SortDirection", "Desc" if descending else "Asc")]
        walk, number, found, step = Walk(), first, stated, 0
        while number < first + MAX_PAGES:
            asked = [("Page", str(number)), ("PageSize", str(size)), *order, *(where or InvoiceFilter()).parameters()]
            answer = decode(json_of(self._tokens.send(Call(path=f"{_API}/InvoiceOverview", parameters=asked))), _Overview)
            rows, paging = answer.Invoices, answer.Paging
            if 0 <= paging.AmountRecordsFound < found:
                walk.doubt("pull.shrunk", f"the vendor said {found} invoices, then {paging.AmountRecordsFound}")
            found = paging.AmountRecordsFound
            if not rows:
                break
            # A server may cap the size; the first page tells.
            step = step or len(rows)
            walk.page([key_of(raw) or bytes(raw).decode("utf-8", "replace") for raw in rows], f"page {number}")
            if len(rows) < step and number < paging.AmountOfPages:
                walk.doubt("pull.short_page", f"page {number} has {len(rows)} of {step} rows, and is not the last")
            yield Page(rows=rows, number=number, size=step, found=found, doubtful=bool(walk.doubts))
            came = (first - 1) * size + len(walk)
            if came > found:
                raise Incomplete(f"the vendor says that {found} invoices match, but {came} came, and more", code="pull.count")
            if number >= paging.AmountOfPages and came >= found:
                break
            number += 1
        else:
            raise Incomplete(f"the list has more than {MAX_PAGES:,} pages", code="pull.endless")
        came = (first - 1) * size + len(walk)
        if came != found:
            walk.doubt("pull.count", f"the vendor says that {found} invoices match, but {came} came")
        walk.end()

    def invoice(self, number: str) -> StatedInvoice | None:
        """The invoice of a number, by the list's filter: the vendor has no other way."""
        found = self.invoices(InvoiceFilter(invoice_number=number))
        return next((each for each in found if each.InvoiceNumber.lower() == number.lower()), None)

    def pdf(self, id: str) -> bytes:
        """An invoice as PDF, by its GUID."""
        call = Call(path=f"{_API}/DownloadInvoice", parameters=[("id", id)], headers={"Accept": "application/pdf"})
        return pdf_of(self._tokens.send(call))

    def tenant_id(self) -> str:
        """The partner's tenant that the client belongs to."""
        return decode(json_of(self._tokens.send(Call(path=f"/api/2/clients/{self._client_id}"))), _ApiClient).tenant_id

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close()

    def _grant(self) -> Answer:
        form = {"grant_type": "client_credentials"}
        return self._session.send(
            Call(method="POST", path="/api/2/idp/token", headers={"Authorization": self._basic}, form=form)
        )


class _Overview(msgspec.Struct, frozen=True, kw_only=True):
    Invoices: list[msgspec.Raw]
    Paging: Paging


class _ApiClient(msgspec.Struct, frozen=True, kw_only=True):
    tenant_id: str


def _written(value: bool | str) -> str:
    return str(value).lower() if isinstance(value, bool) else value
