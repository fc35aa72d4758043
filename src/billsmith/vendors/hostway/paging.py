"""Hostway's paging: both of page and pageSize or neither, a redirect where a list is long, and links from page to page."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from billsmith.units.errors import Invalid
from billsmith.vendors.hostway.shapes import Link
from billsmith.wire.parameters import Parameters, shown

#: Elements that a list may have without paging, and the page that a longer one is sent to.
MAX_UNPAGED = 100
MAX_PAGE_SIZE = 400


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page that a caller asks for; the first is 1."""

    number: int
    size: int


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A list's own address, and the parameters besides the paging ones, which every link and redirect keeps."""

    url: str
    others: Sequence[tuple[str, str]] = ()

    def href(self, page: Page | None = None) -> str:
        """The address of a page (or of the list): page and pageSize first, as the vendor's links have them."""
        paging = [] if page is None else [("page", str(page.number)), ("pageSize", str(page.size))]
        query = urlencode([*paging, *self.others], quote_via=quote)
        return f"{self.url}?{query}" if query else self.url


def resource(url: str, query: str) -> Resource:
    """A list's address with what the request's query says besides paging."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return Resource(url=url, others=[pair for pair in pairs if pair[0] not in ("page", "pageSize")])


def read_page(parameters: Parameters) -> Page | None:
    """The page that is asked for, ``None`` for the whole list. Raises :class:`Invalid`."""
    if "page" not in parameters and "pageSize" not in parameters:
        return None
    return Page(number=_positive(parameters, "page"), size=_positive(parameters, "pageSize"))


def redirect(page: Page | None, total: int, where: Resource) -> str | None:
    """Where the caller has to go instead, if anywhere. An empty list is its own first page, never a redirect."""
    if page is None:
        return where.href(Page(number=1, size=MAX_UNPAGED)) if total > MAX_UNPAGED else None
    if page.size > MAX_PAGE_SIZE:
        return where.href(Page(number=page.number, size=MAX_PAGE_SIZE))
    if page.number > max(_last(page.size, total), 1):
        return where.href(Page(number=1, size=page.size))
    return None


def links(page: Page | None, total: int, where: Resource) -> tuple[Link, ...]:
    """``self``, and from a page the ways back (unless it is the first) and on (unless it is the last)."""
    if page is None:
        return (Link(href=where.href(), rel="self"),)
    found = [("self", page.number)]
    last = _last(page.size, total)
    if page.number > 1:
        found += [("previous", page.number - 1), ("first", 1)]
    if page.number < last:
        found += [("next", page.number + 1), ("last", last)]
    return tuple(Link(href=where.href(Page(number=number, size=page.size)), rel=rel) for rel, number in found)


def _last(size: int, total: int) -> int:
    return -(-total // size)


def _positive(parameters: Parameters, name: str) -> int:
    text = parameters.text(name)
    if text is None:
        raise Invalid(f"{name} is missing: page and pageSize go together", code="hostway.paging", where=name)
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise Invalid(f"{name} is a whole number from 1 on, not {shown(text)}", code="hostway.paging", where=name)
    return int(text)
