"""Hostway's API, called by us: the accounts, an account's invoices with all filters, one invoice, its PDF.

Hostway redirects (303) where a list is long, and links from page to page. Both are followed here, by Hostway's own rule: to the
same scheme, host and port, at most five redirects in a row, and to no address twice.

>>> from billsmith.vendors.hostway import Client
>>> with Client("https://api.hostway.com", "user", "password") as client:  # doctest: +SKIP
...     for invoice in client.invoices("test731993", filter_status="invoice_paid"):
...         print(invoice.invoiceNumber, invoice.amount)
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, quote, urlencode

import msgspec

from billsmith.outbound.answers import Answer, json_of, pdf_of
from billsmith.outbound.session import DEFAULT, Call, Session, Settings, same_origin
from billsmith.outbound.walks import Walk
from billsmith.units.errors import Incomplete, Invalid
from billsmith.vendors.hostway.shapes import Link, ListedAccount, ListedInvoice
from billsmith.vendors.hostway.translate import key_of
from billsmith.wire.json import decode, decode_part

#: What stands before the host in an address.
_HOST = re.compile(r"\A(?:[a-z]*:)?/*(?:[^/]*@)?", re.ASCII)
#: The largest page that the vendor gives.
PAGE_SIZE = 400
#: No page has more bytes; four hundred records are a few hundred kilobytes.
MAX_PAGE_BYTES = 16 * 1024 * 1024
MAX_REDIRECTS = 5
#: No list is followed further: a server that makes up page after page ends here.
MAX_PAGES = 100_000


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page as it came: its records unread, and where it stands (``page 2``)."""

    rows: list[msgspec.Raw]
    where: str


class Client:
    """One user of Hostway. Use it in a ``with`` block; one thread at a time."""

    def __init__(self, url: str, user: str, password: str, *, settings: Settings = DEFAULT) -> None:
        self._session = Session(url, settings.capped(MAX_PAGE_BYTES))
        pair = b64encode(f"{user}:{password}".encode()).decode()
        self._session.hide(password, pair)
        self._headers = {"Authorization": f"Basic {pair}"}

    def accounts(self) -> Iterator[ListedAccount]:
        """The accounts that the user may see. Raises :class:`Incomplete` at the end if they may not have come whole."""
        unread = Walk()
        for page in self._pages("/accounts", []):
            for index, raw in enumerate(page.rows):
                try:
                    yield decode_part(raw, ListedAccount)
                except Invalid as error:
                    unread.doubt("pull.unreadable", f"the accounts, {page.where}, [{index}] can't be read: {error.message}")
        unread.end()

    def invoices(
        self,
        account: str,
        *,
        filter_status: str | None = None,
        filter_type: str | None = None,
        sort_field: str | None = None,
        sort_order: str | None = None,
    ) -> Iterator[ListedInvoice]:
        """An account's invoices, filtered and sorted. Raises :class:`Incomplete` at the end if they may not have come whole."""
        given = (
            ("filterStatus", filter_status),
            ("filterType", filter_type),
            ("sortField", sort_field),
            ("sortOrder", sort_order),
        )
        for page in self.pages(account, [(name, value) for name, value in given if value is not None]):
            for raw in page.rows:
                yield decode_part(raw, ListedInvoice)

    def pages(self, account: str, parameters: Sequence[tuple[str, str]] = ()) -> Iterator[Page]:
        """An account's invoices page by page.

        A list of several pages is read twice, for the vendor states no count. One that shrinks, moves, overlaps, goes in a
        circle or leads elsewhere raises :class:`Incomplete`, the doubtful ones at
        the end.
        """
        return self._pages(f"/accounts/{quote(account, safe='')}/invoices", parameters)

    def invoice(self, account: str, number: str) -> ListedInvoice:
        """One invoice by its number. Raises :class:`NotFound`."""
        return decode(json_of(self._get(self._one(account, number))), ListedInvoice)

    def pdf(self, account: str, number: str) -> bytes:
        """One invoice as PDF."""
        return pdf_of(self._get(self._one(account, number), accept="application/pdf"))

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close()

    def _pages(self, path: str, parameters: Sequence[tuple[str, str]]) -> Iterator[Page]:
        query = urlencode([("page", "1"), ("pageSize", str(PAGE_SIZE)), *parameters], quote_via=quote)
        target: str | None = f"{self._session.base}{path}?{query}"
        walk, last, number, step = Walk(), 0, 0, 0
        read: dict[str, list[str]] = {}
        while target is not None:
            number += 1
            if number > MAX_PAGES:
                raise Incomplete(f"the list has more than {MAX_PAGES:,} pages", code="pull.endless")
            if target in read:
                raise Incomplete(f"page {number} leads back to an address that was read before", code="pull.circle")
            answer = self._page(target, number)
            here = f"page {number}"
            read[target] = [_name(raw) for raw in answer.records]
            walk.page(read[target], here)
            yield Page(rows=answer.records, where=here)
            following = next((link.href for link in answer.links if link.rel == "next"), None)
            target = None if following is None else self._here(following, "the link to the next page")
            step = step or len(answer.records)
            if target is not None and len(answer.records) < step:
                walk.doubt("pull.short_page", f"{here} has {len(answer.records)} of {step} records, and is not the last")
            stated = self._stated_last(answer.links)
            if stated is not None and stated < last:
                walk.doubt("pull.shrunk", f"the vendor said {last} pages, then {stated}")
            last = max(last, stated or 0)
            if target is None and number < last:
                walk.doubt("pull.short", f"the vendor said {last} pages, but after {number} there is no next one")
        if len(read) > 1 and not walk.doubts:
            self._read_again(read, walk)
        walk.end()

    def _read_again(self, read: Mapping[str, list[str]], walk: Walk) -> None:
        """Whether the pages hold what they held. The vendor states no count, and a record that goes while the list is read
        moves one that nobody saw to a page that was read; only a second look can tell."""
        for number, (target, names) in enumerate(read.items(), 1):
            again = [_name(raw) for raw in self._page(target, number).records]
            if again[: len(names)] != names:
                walk.doubt("pull.moved", f"page {number} holds other records when it is read again")
                return

    def _page(self, target: str, number: int) -> _List:
        """A page. Raises :class:`Incomplete` for a page that is none any more."""
        sent = self._get(target)
        if number > 1 and sent.redirected:
            raise Incomplete(f"page {number} does not exist any more: the list shrank while it was read", code="pull.shrunk")
        return decode(json_of(sent), _List)

    def _get(self, target: str, accept: str = "application/json") -> _Sent:
        """An answer, after as many redirects as the vendor may send."""
        been = {target}
        for hop in range(MAX_REDIRECTS + 1):
            path = target.removeprefix(self._session.base)
            answer = self._session.send(Call(path=path, headers={**self._headers, "Accept": accept}))
            if answer.status != 303:
                return _Sent(**{name: getattr(answer, name) for name in answer.__struct_fields__}, redirected=hop > 0)
            target = self._here(answer.headers.get("location", ""), "a redirect", target)
            if target in been:
                raise Invalid(f"{answer.where} redirects in a circle", code="outbound.redirect_circle")
            been.add(target)
        raise Invalid(f"{answer.where} redirects more than {MAX_REDIRECTS} times", code="outbound.redirects")

    def _here(self, address: str, what: str, seen_from: str = "/") -> str:
        """The path and query of an address of this origin. Raises :class:`Invalid` for one elsewhere."""
        found = same_origin(address, self._session.origin, seen_from)
        if found is None or not found.startswith(f"{self._session.base}/"):
            host = _HOST.sub("", address).partition("/")[0][:100]
            raise Invalid(
                f"{what} leads to {host!a}, not to {self._session.origin}{self._session.base}; it is not followed, for the "
                "password would go there",
                code="outbound.elsewhere",
            )
        return found

    def _one(self, account: str, number: str) -> str:
        return f"{self._session.base}/accounts/{quote(account, safe='')}/invoices/{quote(number, safe='')}"

    def _stated_last(self, links: Sequence[Link]) -> int | None:
        """The number of the last page, by its link."""
        href = next((link.href for link in links if link.rel == "last"), "")
        [text, *_] = parse_qs(href.partition("?")[2]).get("page", [""])
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


class _Sent(Answer, frozen=True, kw_only=True):
    redirected: bool


class _List(msgspec.Struct, frozen=True, kw_only=True):
    records: list[msgspec.Raw] = msgspec.field(name="list")
    links: list[Link] = []


def _name(raw: msgspec.Raw) -> str:
    """What tells a record from the others of its list: an invoice's number, an account's id, or else all of it."""
    number = key_of(raw)
    if number:
        return f"#{number}"
    try:
        named = decode_part(raw, ListedAccount)
    except Invalid:
        named = ListedAccount()
    return named.id or named.accountNumber or bytes(raw).decode("utf-8", "replace")
