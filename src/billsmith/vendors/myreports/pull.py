"""myreports' list for a pull: it has no pages, so it is asked for whole and read in parts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import msgspec

from billsmith.accounts.model import Account
from billsmith.outbound.session import DEFAULT, Settings
from billsmith.storage.database import Database
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.errors import Incomplete, Invalid
from billsmith.vendors.myreports.client import LOGIN_URL, Client, ClientCredentials, RefreshToken, check
from billsmith.vendors.myreports.translate import read_rows
from billsmith.workflows.import_invoices import Plan
from billsmith.workflows.sync_source import Ending, Opened, Piece

#: Rows that are read at a time.
PART = 500


class MyreportsList(msgspec.Struct, frozen=True, kw_only=True):
    """The list, read as ours. myreports names no currency: ``currency`` says it. There are no marks: a run begins anew."""

    client: Callable[[], Client]
    currency: str

    def walk(self, *, mark: str | None, since: dt.date | None) -> Iterator[Piece | Ending]:
        """The whole list; the vendor has no filter for ``since``."""
        with self.client() as client:
            listing = client.listing()
        for first in range(0, max(len(listing.rows), 1), PART):
            part = listing.rows[first : first + PART]
            yield Piece(
                rows=list(read_rows(part, currency=self.currency, first=first)), where="the list", stated_total=listing.stated
            )
        try:
            check(listing)
        except Incomplete as error:
            yield Ending(code=error.code, reason=error.message)


def open_list(
    _database: Database,
    account: Account,
    of: VendorConnection,
    secret: str,
    keep: Callable[[str], None],
    settings: Settings = DEFAULT,
) -> Opened:
    """A connection's list: what the enterprise ``account`` bills. Raises :class:`Invalid` for a secret that lacks a part."""
    options = of.options
    login_url = options.get("login_url") or LOGIN_URL
    access: ClientCredentials | RefreshToken
    if options.get("refresh"):
        client_secret, _, token = secret.partition(" ")
        if not token:
            raise Invalid(
                "the secret is the client's secret, a blank, and a refresh token", code="secret.parts", where="secret"
            )
        access = RefreshToken(
            options["client_id"], client_secret, token.strip(), lambda new: keep(f"{client_secret} {new}"), login_url
        )
    else:
        access = ClientCredentials(options["client_id"], secret, login_url)
    source = MyreportsList(
        client=lambda: Client(options["url"], access, settings=settings), currency=options.get("currency") or account.currency
    )
    return Opened(source=source, plan=Plan(owner=account, issuer=account, actor=f"sync {of.name}"))
