"""Acronis's list for a pull: every invoice of the partner, a page at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import msgspec

from billsmith.accounts.model import Account
from billsmith.outbound.session import DEFAULT, Settings
from billsmith.storage.database import Database
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.errors import Incomplete
from billsmith.vendors.acronis.client import PAGE_SIZE, Client, Page
from billsmith.vendors.acronis.translate import read_rows
from billsmith.workflows.import_invoices import Plan
from billsmith.workflows.sync_source import Ending, Opened, Piece


class AcronisList(msgspec.Struct, frozen=True, kw_only=True):
    """The list, read as ours. Acronis names no currency: ``currency`` says it. The mark is the last page's number,
    its size, and how many invoices there were."""

    client: Callable[[], Client]
    currency: str
    time_zone: str

    def walk(self, *, mark: str | None, since: dt.date | None) -> Iterator[Piece | Ending]:
        """The list from its beginning, or from the page after the mark; the vendor has no filter for ``since``."""
        number, size, stated = (int(part) for part in (mark or f"0/{PAGE_SIZE}/-1").split("/"))
        with self.client() as client:
            try:
                for page in client.pages(first=number + 1, size=size, stated=stated):
                    yield Piece(
                        rows=list(read_rows(page.rows, currency=self.currency, time_zone=self.time_zone)),
                        where=f"page {page.number}",
                        mark=None if page.doubtful else _mark(page),
                        stated_total=page.found,
                    )
            except Incomplete as error:
                yield Ending(code=error.code, reason=error.message)


def _mark(page: Page) -> str:
    """A page that is not full is read again by whoever goes on: there may be more on it by then."""
    number = page.number if len(page.rows) == page.size else page.number - 1
    return f"{number}/{page.size}/{page.found}"


def open_list(
    _database: Database,
    account: Account,
    of: VendorConnection,
    secret: str,
    _keep: Callable[[str], None],
    settings: Settings = DEFAULT,
) -> Opened:
    """A connection's list: what the partner ``account`` issued."""
    options = of.options
    source = AcronisList(
        client=lambda: Client(options["url"], options["client_id"], secret, settings=settings),
        currency=options.get("currency") or account.currency,
        time_zone=account.time_zone,
    )
    return Opened(source=source, plan=Plan(owner=account, issuer=account, actor=f"sync {of.name}"))
