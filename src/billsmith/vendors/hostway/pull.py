"""Hostway's lists for a pull: the invoices of each account, one account after another."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import msgspec

from billsmith.accounts.model import Account
from billsmith.outbound.session import DEFAULT, Settings
from billsmith.storage import accounts
from billsmith.storage.database import Database
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.errors import BillsmithError, Incomplete
from billsmith.vendors.hostway import translate
from billsmith.vendors.hostway.client import Client, Page
from billsmith.vendors.hostway.shapes import ListedAccount
from billsmith.workflows.import_invoices import Imported, Plan, RowError
from billsmith.workflows.sync_source import Ending, Opened, Piece


class HostwayLists(msgspec.Struct, frozen=True, kw_only=True):
    """The lists of the accounts in ``only``, or of all that the vendor names.

    ``own`` are the names of the account that the connection is of: its invoices come in as its own, those of another account
    as issued to an account of that name below it, and known by that name and their number. The mark is the last account
    whose invoices came whole.
    """

    client: Callable[[], Client]
    own: frozenset[str]
    only: Sequence[str]
    currency: str
    time_zone: str
    billing_entity: str

    def walk(self, *, mark: str | None, since: dt.date | None) -> Iterator[Piece | Ending]:
        """The lists from the beginning, or from the account after the mark; the vendor has no filter for ``since``."""
        with self.client() as client:
            ending: Ending | None = None
            listed: list[ListedAccount] = []
            try:
                for each in client.accounts() if not self.only else ():
                    listed.append(each)  # noqa: PERF402  # what came before a fault counts
            except Incomplete as error:
                ending = Ending(code=error.code, reason=f"the list of accounts: {error.message}")
            names = list(dict.fromkeys(self.only or _names(listed)))
            begun = names.index(mark) + 1 if mark in names else 0
            done = names[begun - 1] if begun else None
            for name in names[begun:]:
                before: Page | None = None
                try:
                    for page in client.pages(name):
                        if before is not None:
                            yield self._piece(name, before, done)
                        before = page
                except Incomplete as error:
                    ending = ending or Ending(code=error.code, reason=f"account {name}: {error.message}")
                except BillsmithError:
                    if before is not None:
                        yield self._piece(name, before, done)
                    raise
                # After a doubt there is no mark: whoever goes on would not know of it.
                done = name if ending is None else None
                if before is not None:
                    yield self._piece(name, before, done)
            if ending is not None:
                yield ending

    def _piece(self, name: str, page: Page, mark: str | None) -> Piece:
        rows = translate.read_rows(
            page.rows, currency=self.currency, time_zone=self.time_zone, billing_entity=self.billing_entity
        )
        return Piece(rows=[self._placed(name, row) for row in rows], where=f"account {name}, {page.where}", mark=mark)

    def _placed(self, name: str, row: Imported | RowError) -> Imported | RowError:
        """A record as one of the account's."""
        if name in self.own or not row.vendor_key:
            return row
        key = f"{name}/{row.vendor_key}"
        if isinstance(row, RowError):
            return msgspec.structs.replace(row, vendor_key=key)
        return msgspec.structs.replace(row, vendor_key=key, recipient=name, recipient_name=name)


def _names(listed: Sequence[ListedAccount]) -> list[str]:
    """Accounts by their numbers; a number that several have leads nowhere, so those go by their ids."""
    once = dict.fromkeys((each.accountNumber, each.id) for each in listed)
    times = Counter(number for number, _ in once)
    names = (number if number and times[number] == 1 else id or number for number, id in once)
    return [name for name in names if name]


def open_list(
    database: Database,
    account: Account,
    of: VendorConnection,
    secret: str,
    _keep: Callable[[str], None],
    settings: Settings = DEFAULT,
) -> Opened:
    """A connection's lists, issued as ``billsmith import hostway`` has it: by the account above, or by ``account`` itself."""
    with database.read() as connection:
        parent = accounts.parent_of(connection, account)
    options = of.options
    source = HostwayLists(
        client=lambda: Client(options["url"], options["user"], secret, settings=settings),
        own=frozenset({account.id, account.external_id}) - {""},
        only=tuple(options.get("only") or ()),
        currency=options.get("currency") or account.currency,
        time_zone=account.time_zone,
        billing_entity="" if parent else translate.BILLING_ENTITY,
    )
    return Opened(source=source, plan=Plan(owner=account, issuer=parent or account, actor=f"sync {of.name}"))
