"""The data: one tenant with a million invoices, made from a seed through the store's own front door.

A partner issues all of them. One customer of the partner has ``rows`` of them (so that the recipients' faces see the same
million), five hundred others have twenty each (so that a filter by customer has something to find). Some seven hundred
customer names make large groups of ties; a tenth of the creation instants are shared.
"""

from __future__ import annotations

import datetime as dt
import random
import time
from collections.abc import Callable, Iterator

import msgspec

from billsmith.accounts.authorisation import ALL_SCOPES, CredentialKind
from billsmith.accounts.model import Account
from billsmith.invoicing.model import Content, Invoice, InvoiceStatus, Line, Party, Period
from billsmith.storage import accounts, invoice_writing, invoices, upgrade
from billsmith.storage.database import Connection, Database
from billsmith.storage.invoice_writing import NewInvoice
from billsmith.units.ids import derived_id
from billsmith.units.instants import DAY, HOUR, SECOND, parse_instant, start_of_day
from billsmith.workflows import credentials

SEED = 20261031
START = parse_instant("2024-01-01T00:00:00Z")
SMALL_CUSTOMERS = 500
SMALL_LISTS = 20

_WORDS = ("North", "South", "Blue", "Red", "Alder", "Birch", "Cedar", "Delta", "Ember", "Falcon", "Garnet", "Harbor", "Indigo")
_STATUSES = [InvoiceStatus.PAID] * 14 + [InvoiceStatus.ISSUED] * 4 + [InvoiceStatus.PAST_DUE, InvoiceStatus.VOID]
_FAR = dt.date(2199, 12, 31)


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Who there is, and their keys: credential id and secret by kind, for the partner and for the big customer."""

    rows: int
    partner: str
    customer: str
    small_customer: str
    partner_keys: dict[str, tuple[str, str]]
    customer_keys: dict[str, tuple[str, str]]
    some_number: str
    seconds: float


def make(database: Database, rows: int, *, say: Callable[[str], None] = print) -> World:
    """Fill an empty database."""
    started = time.perf_counter()
    now = time.time_ns()
    upgrade.upgrade(database, now)
    dice = random.Random(SEED)
    with database.write() as connection:
        partner = _account(connection, "Partner", None, now)
        customer = _account(connection, "Big customer", partner, now)
        others = [_account(connection, f"Customer {index}", partner, now) for index in range(SMALL_CUSTOMERS)]
        keys = [
            {
                kind.value: _key(connection, account, kind, now)
                for kind in (CredentialKind.OAUTH_CLIENT, CredentialKind.BASIC, CredentialKind.API_KEY)
            }
            for account in (partner, customer)
        ]
    recipients = [customer] * rows + [other for other in others for _ in range(SMALL_LISTS)]
    dice.shuffle(recipients)
    added = 0
    for batch in _batches(dice, partner, recipients):
        with database.write() as connection:
            invoice_writing.add(connection, batch)
        added += len(batch)
        if added % 50_000 < invoices.CHUNK:
            say(f"  {added:,} invoices, {added / (time.perf_counter() - started):,.0f}/s")
    return World(
        rows=rows,
        partner=partner.id,
        customer=customer.id,
        small_customer=others[0].id,
        partner_keys=keys[0],
        customer_keys=keys[1],
        some_number=number(rows // 3),
        seconds=time.perf_counter() - started,
    )


def number(index: int) -> str:
    """The number of the ``index``-th invoice."""
    return f"2026-{index:08d}"


def one(dice: random.Random, index: int, created_at: int, issuer: Account, recipient: Account) -> NewInvoice:
    """One invoice, drawn."""
    status = dice.choice(_STATUSES)
    total = dice.randrange(100, 500_000)
    name = f"{dice.choice(_WORDS)} {dice.choice(_WORDS)} {dice.choice(('BV', 'GmbH', 'Ltd', 'Inc'))}"
    date = dt.date.fromordinal(719_163 + created_at // DAY)
    month = start_of_day(date.replace(day=1), "UTC")
    paid = status is InvoiceStatus.PAID
    content = Content(
        issuer=Party(name=issuer.name),
        recipient=Party(name=name),
        lines=(Line(description="Cloud services", amount_minor=total),),
    )
    return NewInvoice(
        issuer=issuer,
        recipient=recipient,
        invoice=Invoice(
            id=derived_id("benchmark", str(index)),
            issuer_id=issuer.id,
            recipient_id=recipient.id,
            number=number(index),
            status=status,
            currency="EUR",
            total_minor=total,
            tax_minor=0,
            paid_minor=total if paid else 0,
            customer_name=name,
            billing_entity="Partner BV",
            date=date,
            due_date=_FAR,
            period=Period(month, month + 30 * DAY),
            created_at=created_at,
            issued_at=created_at,
            paid_at=created_at + DAY if paid else None,
            scheduled_at=created_at // DAY * DAY,
            exported_at=created_at + HOUR if dice.random() < 0.5 else None,
            send_by_email=dice.random() < 0.6,
            payment_sent=dice.random() < 0.3,
            batch=str(index // 5_000),
            invoiced_by="run@partner.example",
            payment_method="SEPA" if paid else "",
            content=content,
        ),
    )


def _batches(dice: random.Random, issuer: Account, recipients: list[Account]) -> Iterator[list[NewInvoice]]:
    created_at = START
    for first in range(0, len(recipients), invoices.CHUNK):
        batch = []
        for index, recipient in enumerate(recipients[first : first + invoices.CHUNK], first):
            if index % 10:
                created_at += dice.randrange(SECOND, 2 * 80 * SECOND)
            batch.append(one(dice, index, created_at, issuer, recipient))
        yield batch


def _account(connection: Connection, name: str, parent: Account | None, now: int) -> Account:
    return accounts.create(
        connection,
        id=derived_id("benchmark account", name),
        name=name,
        now=now,
        parent=parent,
        currency=None if parent else "EUR",
        time_zone=None if parent else "Europe/Amsterdam",
    )


def _key(connection: Connection, account: Account, kind: CredentialKind, now: int) -> tuple[str, str]:
    credential, secret = credentials.create(connection, account, kind, now=now, scopes=ALL_SCOPES)
    return credential.id, secret
