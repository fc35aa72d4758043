"""A vendor's list for tests of pulls: rows that a test moves about, served in pages, with faults at will."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from billsmith.accounts.model import Account
from billsmith.invoicing.model import Content, Invoice, InvoiceKind, InvoiceStatus, Line, Period
from billsmith.storage import sync_connections
from billsmith.storage.database import Database
from billsmith.storage.sync_connections import NewConnection, VendorConnection
from billsmith.units.currency import to_minor
from billsmith.units.ids import derived_id
from billsmith.units.instants import DAY, parse_instant, start_of_day
from billsmith.workflows.import_invoices import NOBODY, Imported, RowError, stated_lines
from billsmith.workflows.sync_source import Ending, Piece

FIRST_DAY = dt.date(2026, 1, 1)


def row(
    number: int, amount: str = "10.00", *, paid: bool = False, customer: str = "", lines: tuple[Line, ...] = (), **more: Any
) -> Imported:
    """One invoice of the vendor's, as the vendor's folder reads it."""
    minor = to_minor(Decimal(amount), "EUR")
    date = FIRST_DAY + dt.timedelta(days=number % 365)
    start = start_of_day(date, "UTC")
    values: dict[str, Any] = {
        "id": "",
        "issuer_id": "",
        "recipient_id": "",
        "kind": InvoiceKind.CREDIT_NOTE if minor < 0 else InvoiceKind.INVOICE,
        "number": f"V-{number:06d}",
        "status": InvoiceStatus.PAID if paid else InvoiceStatus.ISSUED,
        "currency": "EUR",
        "total_minor": minor,
        "paid_minor": minor if paid else 0,
        "paid_at": start + DAY if paid else None,
        "stated_total": Decimal(amount),
        "customer_name": f"Customer {customer or number % 7}",
        "date": date,
        "period": Period(start, start + DAY),
        "created_at": start,
        "issued_at": start,
        "content": Content(issuer=NOBODY, recipient=NOBODY, lines=stated_lines(lines, minor, "EUR", stated_by="Vendor")),
    }
    name = customer or str(number % 7)
    return Imported(
        where=f"rows[{number}]",
        vendor="acronis",
        vendor_key=derived_id("vendor row", str(number)),
        recipient=f"cust-{name}",
        recipient_name=f"Customer {name}",
        invoice=Invoice(**values | more),
    )


def garbage(number: int, *, vendor_key: str = "", code: str = "input.invalid") -> RowError:
    """A record that can't be understood."""
    return RowError(where=f"rows[{number}]", code=code, message="Expected `str`, got `int`", vendor_key=vendor_key)


class VendorList:
    """A source over rows that stand in memory. ``fault`` is called before each page with its index and may raise or answer."""

    def __init__(self, rows: list[Imported | RowError], *, page: int = 10, states_total: bool = True) -> None:
        self.rows = rows
        self.page = page
        self.states_total = states_total
        self.fault: Callable[[int], Piece | Ending | None] = lambda _index: None
        self.asked: list[int] = []
        self.endless = False
        self.since: dt.date | None = None

    def walk(self, *, mark: str | None, since: dt.date | None) -> Iterator[Piece | Ending]:
        self.since = since
        index = int(mark or 0)
        while self.endless or index * self.page < max(len(self.rows), 1):
            self.asked.append(index)
            answer = self.fault(index)
            if answer is None:
                rows = self.rows[index * self.page : (index + 1) * self.page]
                answer = Piece(
                    rows=rows,
                    where=f"page {index + 1}",
                    mark=str(index + 1),
                    stated_total=len(self.rows) if self.states_total else None,
                )
            yield answer
            if isinstance(answer, Ending):
                return
            index += 1


def connect(
    database: Database, account: Account, name: str = "vendor", *, now: int, vendor: str = "acronis", **more: Any
) -> VendorConnection:
    """A connection to a list, made or found."""
    with database.write() as connection:
        for each in sync_connections.every(connection):
            if each.name == name:
                return each
        new = NewConnection(id=derived_id("connection", name), name=name, vendor=vendor, options={}, **more)
        return sync_connections.create(connection, account, new, now)


def fresh(database: Database, of: VendorConnection) -> VendorConnection:
    """The connection as it stands now."""
    with database.read() as connection:
        return sync_connections.get(connection, of.id)


def without_ids(found: Any) -> Any:
    """A value without what differs between two stores that hold the same."""
    return msgspec.structs.replace(found, id="", issuer_id="", recipient_id="")


NOW = parse_instant("2026-11-01T00:00:00Z")
