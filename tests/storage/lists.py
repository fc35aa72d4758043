"""What the tests of lists share: a store with random invoices, and changes to make in it."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import msgspec

from billsmith.accounts.model import Account
from billsmith.invoicing.model import Content, Invoice, InvoiceStatus, Line, Party, Period
from billsmith.storage import accounts, invoice_writing, invoices, upgrade
from billsmith.storage.database import Database
from billsmith.storage.invoice_lists import Criteria, InvoiceList, flags_where
from billsmith.storage.invoice_writing import NewInvoice
from billsmith.storage.invoices import EXPORTED, ISSUED_BY, ISSUED_TO, SEND_BY_EMAIL, STATUS_MASK, Stored
from billsmith.units.ids import derived_id
from billsmith.units.instants import DAY

FILTERS = (
    Criteria(),
    Criteria(flags=flags_where(lambda flags: flags & STATUS_MASK == InvoiceStatus.PAID)),
    Criteria(flags=flags_where(lambda flags: flags & STATUS_MASK != InvoiceStatus.PAID)),
    Criteria(flags=flags_where(lambda flags: bool(flags & EXPORTED) and not flags & SEND_BY_EMAIL)),
    Criteria(flags=flags_where(lambda flags: flags & STATUS_MASK == InvoiceStatus.WRITTEN_OFF)),
    Criteria(flags=frozenset()),
)


class Lists:
    """A partner with two customers, and what was issued between them. Few values for each key: many ties."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database = database
        self.dice = random.Random(seed)
        self.made = 0
        upgrade.upgrade(database, 1)
        with database.write() as connection:
            self.partner = _account(connection, "Partner", None)
            self.customers = [_account(connection, name, self.partner) for name in ("One", "Two")]

    @property
    def lists(self) -> list[InvoiceList]:
        """Whose lists there are."""
        return [InvoiceList(ISSUED_BY, self.partner.seq), InvoiceList(ISSUED_TO, self.customers[0].seq)]

    def add(self, number: int) -> None:
        """Issue some invoices."""
        for first in range(0, number, invoices.CHUNK):
            batch = [self.draw() for _ in range(min(invoices.CHUNK, number - first))]
            with self.database.write() as connection:
                invoice_writing.add(connection, batch)

    def change(self, number: int) -> None:
        """Give some invoices another state."""
        for _ in range(number):
            with self.database.write() as connection:
                found = self._any(connection)
                if found is not None:
                    invoice_writing.move(connection, found, what="test", actor="test", at=2, **self._state())

    def _any(self, connection: Any) -> Stored | None:
        found = invoices.by_seqs(connection, [self.dice.randrange(1, self.made + 1)]) if self.made else {}
        return next(iter(found.values()), None)

    def _state(self) -> dict[str, Any]:
        return {
            "status": self.dice.choice((InvoiceStatus.ISSUED, InvoiceStatus.PAID, InvoiceStatus.VOID)),
            "exported_at": self.dice.choice((None, 5)),
        }

    def draw(self) -> NewInvoice:
        """One invoice, not added yet."""
        self.made += 1
        dice = self.dice
        recipient = dice.choice((self.customers[0], self.customers[0], self.customers[1]))
        start = dice.randrange(4) * DAY
        return NewInvoice(
            issuer=self.partner,
            recipient=recipient,
            invoice=Invoice(
                id=derived_id("list test", str(self.made)),
                issuer_id=self.partner.id,
                recipient_id=recipient.id,
                number=dice.choice(("A-1", "a-1", "B-22", "ß", f"N-{self.made}")),
                currency="EUR",
                total_minor=dice.randrange(5),
                customer_name=dice.choice(("", "Acme", "acme", "Zoë", "\U0001f600 Ltd", "～")),
                billing_entity=dice.choice(("", "X", "Y")),
                date=dt.date(2026, 1, 1) + dt.timedelta(days=dice.randrange(3)),
                period=Period(start, start + DAY),
                created_at=dice.choice((7, 7, 8, self.made)),
                scheduled_at=dice.choice((None, 3)),
                paid_at=dice.choice((None, 4)),
                send_by_email=dice.random() < 0.5,
                batch=dice.choice(("", "0", "2", "10", "007")),
                invoiced_by=dice.choice(("", "me")),
                payment_method=dice.choice(("", "card")),
                extras=dice.choice(({}, {"v": {"type": msgspec.Raw(b'"x"')}})),
                content=Content(
                    issuer=Party(name="P"), recipient=Party(name="C"), lines=(Line(description="x", amount_minor=0),)
                ),
                **self._state(),
            ),
        )


def small_buckets(database: Database) -> Database:
    """Buckets of a few rows, from the first row on."""
    database.ranks.threshold = 1
    database.ranks.size = 4
    return database


def _account(connection: Any, name: str, parent: Account | None) -> Account:
    more = {} if parent else {"currency": "EUR", "time_zone": "UTC"}
    return accounts.create(connection, id=derived_id("list test", name), name=name, parent=parent, now=1, **more)
