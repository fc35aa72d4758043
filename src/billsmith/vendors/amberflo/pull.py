"""Amberflo's lists for a pull: the invoices of each customer, one customer after another."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence

import msgspec

from billsmith.accounts.model import Account
from billsmith.outbound.session import DEFAULT, Settings
from billsmith.storage.database import Database
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.errors import Incomplete
from billsmith.vendors.amberflo.client import Client, Customer, Row, check
from billsmith.vendors.amberflo.read import read_rows
from billsmith.workflows.import_invoices import Imported, Plan, RowError
from billsmith.workflows.sync_source import Ending, Opened, Piece

#: Invoices with all of their lines that are read at a time.
PART = 100


class AmberfloLists(msgspec.Struct, frozen=True, kw_only=True):
    """The lists of the customers in ``only``, or of all that the vendor names. The mark is the last customer who is done."""

    client: Callable[[], Client]
    only: Sequence[str]
    currency: str

    def walk(self, *, mark: str | None, since: dt.date | None) -> Iterator[Piece | Ending]:
        """The lists from the beginning, or from the customer after the mark; the vendor has no filter for ``since``."""
        with self.client() as client:
            ending: Ending | None = None
            customers = [Customer(customerId=id) for id in self.only]
            try:
                for each in client.customers() if not self.only else ():
                    customers.append(each)  # noqa: PERF402  # what came before a fault counts
            except Incomplete as error:
                ending = Ending(code=error.code, reason=error.message)
            ids = [each.customerId for each in customers]
            begun = ids.index(mark) + 1 if mark in ids else 0
            done = ids[begun - 1] if begun else None
            for customer in customers[begun:]:
                rows = client.rows(customer.customerId)
                try:
                    check(rows)
                except Incomplete as error:
                    ending = ending or Ending(code=error.code, reason=f"customer {customer.customerId}: {error.message}")
                # After a doubt there is no mark: whoever goes on would not know of it.
                before, done = done if ending is None else None, customer.customerId if ending is None else None
                for first in range(0, len(rows), PART):
                    last = first + PART >= len(rows)
                    yield self._piece(customer, rows[first : first + PART], done if last else before)
            if ending is not None:
                yield ending

    def _piece(self, customer: Customer, rows: Sequence[Row], mark: str | None) -> Piece:
        found = read_rows(rows, currency=self.currency)
        return Piece(rows=[_named(customer, row) for row in found], where=f"customer {customer.customerId}", mark=mark)


def _named(customer: Customer, row: Imported | RowError) -> Imported | RowError:
    """A row with the customer's name, which the invoice itself lacks."""
    if isinstance(row, RowError) or not customer.customerName or row.recipient != customer.customerId:
        return row
    return msgspec.structs.replace(row, recipient_name=customer.customerName)


def open_list(
    _database: Database,
    account: Account,
    of: VendorConnection,
    secret: str,
    _keep: Callable[[str], None],
    settings: Settings = DEFAULT,
) -> Opened:
    """A connection's lists: what ``account`` issued to its customers."""
    options = of.options
    source = AmberfloLists(
        client=lambda: Client(options["url"], secret, settings=settings),
        only=tuple(options.get("only") or ()),
        currency=options.get("currency") or account.currency,
    )
    return Opened(source=source, plan=Plan(owner=account, issuer=account, actor=f"sync {of.name}"))
