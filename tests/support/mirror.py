"""A store full of random invoices, its twin by a pull through a vendor's face and client, and both as that face shows them."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from billsmith.accounts.authorisation import DEFAULT_SCOPES, CredentialKind
from billsmith.accounts.model import Account
from billsmith.invoicing.model import (
    Content,
    Invoice,
    InvoiceKind,
    InvoiceStatus,
    Line,
    LineKind,
    Party,
    Period,
)
from billsmith.outbound import origins
from billsmith.outbound.session import Limits, Settings
from billsmith.storage import accounts, invoice_writing, invoices, sync_connections, upgrade
from billsmith.storage.database import Database, sqlite_url
from billsmith.storage.invoice_writing import NewInvoice
from billsmith.storage.sync import Walk
from billsmith.storage.sync_connections import NewConnection
from billsmith.units.ids import derived_id
from billsmith.units.instants import DAY, SECOND, parse_instant, start_of_day
from billsmith.workflows import credentials, sync
from billsmith.workflows.sync_source import Opened

NOW = parse_instant("2026-11-24T08:00:00Z")
ZONE = "America/St_Johns"

#: Texts that break what is not careful.
HOSTILE = (
    "Müller & Söhne",
    '<script>alert("1")</script>',
    "=HYPERLINK(1)",
    "'; DROP TABLE invoices; --",
    "\N{SNOWMAN} \N{PILE OF POO} 日本語",
    "\u202eright to left",
    "line\u2028separator",
    'quo"te \\ back/slash',
    "%2e%2e%2f?a=b&c=d#e",
    "1E+3",
    "null",
    "e\u0301 é \ufb01",
    "a\u00a0b",
    "{{7*7}}${x}",
)
#: The first and the last day of an invoice: instants in nanoseconds reach from 1678 to 2261.
FIRST, LAST = dt.date(1679, 1, 1).toordinal(), dt.date(2260, 12, 31).toordinal()
_STATUSES = (InvoiceStatus.ISSUED, InvoiceStatus.PAID, InvoiceStatus.PARTIALLY_PAID, InvoiceStatus.PAST_DUE, InvoiceStatus.VOID)
_KINDS = tuple(kind for kind in LineKind if kind not in (LineKind.STATED, LineKind.UNEXPLAINED))


def filled(
    home: Path, count: int, *, seed: int, customers: int, currencies: tuple[str, ...], lines: bool = False, first: int = FIRST
) -> Account:
    """A store of so many random invoices, which one account (given) issued to customers below it."""
    home.mkdir()
    database, dice = Database(sqlite_url(home)), random.Random(seed)
    upgrade.upgrade(database, NOW)
    with database.write() as connection:
        issuer = account(connection, "msp", None)
        recipients = [account(connection, f"cust-{index}", issuer, text(dice, 60)) for index in range(customers)]
    rows = (random_invoice(dice, index, issuer, dice.choice(recipients), currencies, lines, first) for index in range(count))
    while batch := list(islice(rows, invoices.CHUNK)):
        with database.write() as connection:
            invoice_writing.add(connection, batch)
    database.close()
    return issuer


def account(connection: Any, external_id: str, parent: Account | None, name: str = "") -> Account:
    """An account, the same in every store."""
    more: dict[str, Any] = {} if parent else {"currency": "EUR", "time_zone": ZONE}
    return accounts.create(
        connection,
        id=derived_id("mirror", external_id),
        name=name or external_id,
        external_id=external_id,
        now=NOW,
        parent=parent,
        **more,
    )


def key(home: Path, kind: CredentialKind) -> tuple[str, str]:
    """A credential's id and secret for the issuer of a store."""
    database = Database(sqlite_url(home))
    with database.write() as connection:
        made, secret = credentials.create(connection, accounts.get(connection, "msp"), kind, now=NOW, scopes=DEFAULT_SCOPES)
    database.close()
    return made.id, secret


def text(dice: random.Random, longest: int) -> str:
    """A hostile text that fits."""
    return f"{dice.choice(HOSTILE)} {dice.choice(HOSTILE)}"[:longest].strip()


def random_invoice(
    dice: random.Random,
    index: int,
    issuer: Account,
    recipient: Account,
    currencies: tuple[str, ...],
    with_lines: bool,
    first: int,
) -> NewInvoice:
    """An invoice with extreme dates and amounts now and then, and texts that nobody should trust."""
    total = dice.choice(
        (0, 1, -1, dice.randrange(1, 10**6), -dice.randrange(1, 10**5), dice.randrange(10**15), 10**17 - 10**7 - index)
    )
    status = dice.choice(_STATUSES)
    date = dt.date.fromordinal(dice.choice((first, LAST, dice.randint(first, LAST), dice.randint(737_000, 741_000))))
    start = start_of_day(date, ZONE)
    end = start_of_day(min(date + dt.timedelta(days=dice.choice((1, 28, 31, 366))), dt.date(2261, 6, 1)), ZONE)
    if total == 0 and status is InvoiceStatus.PARTIALLY_PAID:
        status = InvoiceStatus.ISSUED
    paid = {InvoiceStatus.PAID: total, InvoiceStatus.PARTIALLY_PAID: total // 2 if abs(total) > 1 else 0}.get(status, 0)
    if status is InvoiceStatus.PARTIALLY_PAID and not paid:
        status = InvoiceStatus.ISSUED
    if status is not InvoiceStatus.VOID and not total:
        status, paid = InvoiceStatus.PAID, 0
    created = start + dice.randrange(DAY // 100) * 100
    currency = dice.choice(currencies)
    name = text(dice, 200)
    body = _lines(dice, total, Period(start, end)) if with_lines else (Line(description="services", amount_minor=total),)
    return NewInvoice(
        issuer=issuer,
        recipient=recipient,
        invoice=Invoice(
            id=derived_id("mirror invoice", str(index)),
            issuer_id=issuer.id,
            recipient_id=recipient.id,
            kind=InvoiceKind.CREDIT_NOTE if total < 0 else InvoiceKind.INVOICE,
            number=f"{text(dice, 40)}-{index}",
            status=status,
            currency=currency,
            total_minor=total,
            paid_minor=paid,
            customer_name=name,
            billing_entity=text(dice, 200),
            date=date,
            period=Period(start, end),
            created_at=created,
            issued_at=created,
            paid_at=created // SECOND * SECOND if status is InvoiceStatus.PAID else None,
            voided_at=created if status is InvoiceStatus.VOID else None,
            scheduled_at=dice.choice((None, created // 100 * 100)),
            exported_at=dice.choice((None, created)),
            send_by_email=dice.random() < 0.5,
            payment_sent=dice.random() < 0.5,
            direct_debit=dice.random() < 0.5,
            consolidated=dice.random() < 0.5,
            batch=str(dice.randrange(100)),
            invoiced_by=text(dice, 200),
            payment_method=dice.choice(("", "SEPA", text(dice, 64))),
            content=Content(issuer=Party(name="msp"), recipient=Party(name=name), lines=body),
        ),
    )


def _lines(dice: random.Random, total: int, period: Period) -> tuple[Line, ...]:
    """Lines of any kind that sum to the total."""
    found, left = [], total
    for _ in range(dice.randrange(3)):
        amount, kind = dice.randrange(-(10**6), 10**6), dice.choice(_KINDS)
        found.append(_line(dice, amount, kind, period))
        left -= amount
    return (*found, _line(dice, left, LineKind.FEE, period))


def _line(dice: random.Random, amount: int, kind: LineKind, period: Period) -> Line:
    usage = kind is LineKind.USAGE
    return Line(
        description=text(dice, 200),
        amount_minor=amount,
        kind=kind,
        quantity=Decimal(dice.randrange(10**9)).scaleb(-dice.randrange(6)) if usage else None,
        meter=text(dice, 40) if usage else "",
        component=text(dice, 40),
        dimensions={text(dice, 20): text(dice, 20)} if usage else {},
        period=dice.choice((None, Period(period.start // SECOND * SECOND + SECOND, period.end // SECOND * SECOND)))
        if usage
        else None,
    )


def settings(*urls: str) -> Settings:
    """Sessions that may speak with servers of this machine, as fast as they can."""
    return Settings(private=frozenset(origins.parse(url)[0] for url in urls), limits=Limits(per_second=100_000))


def pull(
    home: Path, vendor: str, options: dict[str, Any], secret: str, open_list: Callable[..., Opened], how: Settings
) -> Walk:
    """Pull a vendor's list into a new store at ``home``, as the account of the same name."""
    home.mkdir()
    database = Database(sqlite_url(home))
    upgrade.upgrade(database, NOW)
    with database.write() as connection:
        owner = account(connection, "msp", None)
        new = NewConnection(id=derived_id("connection", vendor), name=vendor, vendor=vendor, options=options)
        of = sync_connections.create(connection, owner, new, NOW)
    opened = open_list(database, owner, of, secret, lambda _new: None, how)
    walk = sync.run(database, of, opened.source, opened.plan, clock=lambda: NOW)
    database.close()
    return walk


def kept(monkeypatch: pytest.MonkeyPatch, client: Any, method: str) -> list[bytes]:
    """The rows that a client's method gives from here on, as they came, so that the face need not be asked twice."""
    rows: list[bytes] = []
    plain = getattr(client, method)

    def keep(answer: Any) -> Any:
        found = answer if isinstance(answer, list) else [("", raw) for raw in answer.rows]
        rows.extend(bytes(raw) for _, raw in found)
        return answer

    def keeping(self: Any, *arguments: Any, **more: Any) -> Any:
        answer = plain(self, *arguments, **more)
        return map(keep, answer) if isinstance(answer, Iterator) else keep(answer)

    monkeypatch.setattr(client, method, keeping)
    return rows


def differences(first: Iterator[bytes], second: Iterator[bytes]) -> list[tuple[bytes, bytes]]:
    """Rows that differ, side by side, whatever order they came in."""
    ours, theirs = sorted(first), sorted(second)
    assert len(ours) == len(theirs)
    return [(one, other) for one, other in zip(ours, theirs, strict=True) if one != other]
