"""A company to be billed: accounts on one plan of many meters, a month of usage, and a past of issued invoices."""

from __future__ import annotations

import datetime as dt
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import msgspec
from sqlalchemy import create_engine, insert, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from benchmarks.lists.stores import form, postgres_server
from billsmith.accounts.model import Account
from billsmith.catalog import parse
from billsmith.catalog.versions import compare
from billsmith.documents.packed import pack_content
from billsmith.events.event import Event
from billsmith.invoicing.model import Content, Invoice, InvoiceStatus, Line, LineKind, Party
from billsmith.storage import accounts, catalogs, invoice_writing, schema, upgrade
from billsmith.storage.database import Database, sqlite_url
from billsmith.storage.invoice_writing import NewInvoice
from billsmith.storage.schema_billing import subscription
from billsmith.units.ids import derived_id
from billsmith.units.instants import DAY, parse_instant
from billsmith.units.periods import Period
from billsmith.usage.duckdb.engine import DuckDBStore
from billsmith.usage.store import Binding, UsageStore

SEED = 20261031
NOW = parse_instant("2026-08-20T00:00:00Z")
PERIOD, AT = "2026-09", parse_instant("2026-10-02T00:00:00Z")
DATA = Path(__file__).parents[1] / ".data"
PRICES = (
    "{model: graduated, tiers: [{up_to: 1000, unit_amount: 0.10}, {up_to: 10000, unit_amount: 0.08}, {unit_amount: 0.05}]}",
    "{model: package, size: 100, amount: 0.70}",
    "{model: per_unit, unit_amount: 0.0335}",
)


class Size(msgspec.Struct, frozen=True):
    """How many accounts and meters there are, and how many invoices were issued before."""

    accounts: int
    meters: int
    present: int

    def __str__(self) -> str:
        return f"{self.accounts:,} accounts x {self.meters} meters, {self.present:,} invoices present"


class Company(msgspec.Struct, frozen=True):
    """A copy of the data that may be billed."""

    folder: Path
    database: Database
    usage: UsageStore
    issuer: Account


@contextmanager
def company(engine: str, size: Size) -> Iterator[Company]:
    """A store of its own to bill. What takes long to make is kept in ``benchmarks/.data/`` and copied."""
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA) as name:
        folder = Path(name)
        shutil.copytree(_usage(size), folder, dirs_exist_ok=True)
        with _database(engine, size, folder) as database:
            store = DuckDBStore(folder)
            with database.read() as connection:
                issuer = accounts.by_seqs(connection, [1])[1]
            try:
                yield Company(folder, database, store, issuer)
            finally:
                store.close()


@contextmanager
def _database(engine: str, size: Size, folder: Path) -> Iterator[Database]:
    kept = DATA / f"billing-{engine}-{size.accounts}-{size.meters}-{size.present}-{form()}"
    ready = kept / "ready"
    if not ready.exists():
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
    with (_sqlite if engine == "sqlite" else _postgres)(kept, size, folder, fresh=not ready.exists()) as database:
        ready.touch()
        yield database


@contextmanager
def _sqlite(kept: Path, size: Size, folder: Path, *, fresh: bool) -> Iterator[Database]:
    if fresh:
        database = Database(sqlite_url(kept), synchronous="OFF")
        fill(database, size)
        database.close()
    shutil.copytree(kept, folder, dirs_exist_ok=True)
    database = Database(sqlite_url(folder))
    yield database
    database.close()


@contextmanager
def _postgres(kept: Path, size: Size, _folder: Path, *, fresh: bool) -> Iterator[Database]:
    server = postgres_server(kept)
    url = make_url(str(server.get_uri())).set(drivername="postgresql+psycopg")

    def say(what: str) -> None:
        with create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool).connect() as connection:
            connection.execute(text(what))

    if fresh:
        say("CREATE DATABASE company")
        database = Database(url.set(database="company").render_as_string(hide_password=False))
        fill(database, size)
        database.close()
    say("DROP DATABASE IF EXISTS billed")
    say("CREATE DATABASE billed TEMPLATE company")
    database = Database(url.set(database="billed").render_as_string(hide_password=False))
    yield database
    database.close()
    say("DROP DATABASE billed")


def _usage(size: Size) -> Path:
    kept = DATA / f"billing-usage-{size.accounts}-{size.meters}"
    if not (kept / "ready").exists():
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        store = DuckDBStore(kept)
        store.keep(parse(catalog(size.meters), "bench").meters)
        use(store, size.accounts, size.meters)
        store.catch_up()
        store.close()
        (kept / "ready").touch()
    return kept


def fill(database: Database, size: Size) -> None:
    """An empty database becomes the company's."""
    issuer = prepare(database, size.accounts, size.meters)
    with database.read() as connection:
        people = accounts.by_seqs(connection, range(issuer.seq + 1, issuer.seq + 1 + size.accounts))
    past(database, issuer, [people[seq] for seq in sorted(people)], size.present)
    if database.is_sqlite:
        with database.engine.connect() as connection:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))


#: Invoices of the past in one transaction.
_PAST_CHUNK = 5_000


def past(database: Database, issuer: Account, people: list[Account], count: int) -> None:
    """Paid invoices of thirty lines, month after month; the customers' turn in an order drawn anew each month."""
    dice, month, turn = random.Random(SEED), dt.date(2016, 1, 1), list(people)
    body = pack_content(_thirty_lines(issuer))
    for first in range(0, count, _PAST_CHUNK):
        batch = []
        for number in range(first, min(first + _PAST_CHUNK, count)):
            place = number % len(turn)
            if place == 0:
                dice.shuffle(turn)
                month = (month + dt.timedelta(days=32)).replace(day=1)
            recipient = turn[place]
            invoice = _paid(number, issuer, recipient, month)
            batch.append(NewInvoice(invoice=invoice, issuer=issuer, recipient=recipient, body=body))
        with database.write() as connection:
            invoice_writing.add(connection, batch)


def _paid(number: int, issuer: Account, recipient: Account, month: dt.date) -> Invoice:
    at = (month.toordinal() - dt.date(1970, 1, 1).toordinal()) * DAY
    return Invoice(
        id=derived_id("past", str(number)),
        issuer_id=issuer.id,
        recipient_id=recipient.id,
        number=f"INV-{month.year}-{number:07d}",
        status=InvoiceStatus.PAID,
        currency="EUR",
        total_minor=10_000 + number % 50_000,
        tax_minor=0,
        paid_minor=10_000 + number % 50_000,
        customer_name=recipient.name,
        billing_entity="Issuer",
        date=month,
        due_date=month + dt.timedelta(days=14),
        period=Period(at - 30 * DAY, at),
        created_at=at,
        issued_at=at,
        paid_at=at + DAY,
        batch=f"bill-{month:%Y%m}",
        invoiced_by="bench",
    )


def _thirty_lines(issuer: Account) -> Content:
    dice = random.Random(SEED)
    lines = [
        Line(
            description=f"Meter {n:02d}",
            amount_minor=dice.randrange(100_000),
            kind=LineKind.USAGE,
            quantity=Decimal(dice.randrange(1_000_000)),
            meter=f"meter-{n:02d}",
            trace=(f"{dice.randrange(1_000_000)} units × 0.0335 = {dice.randrange(100_000)}", "rounded half up"),
        )
        for n in range(30)
    ]
    return Content(issuer=Party(name=issuer.name), recipient=Party(name="Customer"), lines=tuple(lines))


def catalog(meters: int, per_cent: int = 100) -> str:
    """A plan with so many meters, its prices so many per cent of the usual ones."""
    lines = ["code: bench", "currency: EUR", "meters:"]
    lines += [f"  - {{code: meter-{n:02d}, event_type: type-{n:02d}, unit: units}}" for n in range(meters)]
    lines += ["plans:", "  - code: plan", "    alignment: calendar", "    charges:"]
    for n in range(meters):
        price = PRICES[n % len(PRICES)].replace("0.0335", str(Decimal("0.0335") * per_cent / 100))
        lines.append(f"      - {{meter: meter-{n:02d}, name: Meter {n:02d}, price: {price}}}")
    return "\n".join([*lines, "tax_rates: [{code: vat, name: VAT, rate: 20}]"])


def prepare(database: Database, count: int, meters: int) -> Account:
    """An issuer and its subscribers."""
    upgrade.upgrade(database, NOW)
    source = catalog(meters)
    with database.write() as connection:
        issuer = accounts.create(connection, id=derived_id("issuer"), name="Issuer", now=NOW, currency="EUR", time_zone="UTC")
        new = parse(source, "bench")
        found = compare([], {}, new, 1)
        catalogs.add(connection, issuer, new, found, source, version=1, now=NOW, actor="bench")
        first = issuer.seq + 1
        rows = [
            {
                "seq": first + n,
                "id": derived_id("customer", str(n)),
                "parent_seq": issuer.seq,
                "path": f"{issuer.path}{first + n}/",
                "external_id": f"customer-{n}",
                "name": f"Customer {n}",
                "status": "open",
                "currency": "EUR",
                "time_zone": "UTC",
                "profile": "{}",
                "created_at": NOW,
                "updated_at": NOW,
            }
            for n in range(count)
        ]
        connection.execute(insert(schema.account), rows)
        body = msgspec.json.encode({"plan": ["plan", 1], "starts_at": parse_instant("2026-09-01T00:00:00Z"), "zone": "UTC"})
        body = body.replace(b'["plan",1]', b'{"code":"plan","version":1}')
        connection.execute(
            insert(subscription),
            [
                {
                    "id": derived_id("subscription", str(n)),
                    "issuer_seq": issuer.seq,
                    "account_seq": first + n,
                    "recipient_seq": first + n,
                    "catalog": "bench",
                    "body": body.decode(),
                    "recorded_at": NOW,
                    "recorded_by": "bench",
                }
                for n in range(count)
            ],
        )
    return issuer


def use(store: UsageStore, count: int, meters: int) -> None:
    """One event a meter and customer, in the month that is billed; one quantity in ten is zero, the others go up to 100,000."""
    dice = random.Random(SEED)
    at = parse_instant("2026-09-10T00:00:00Z")
    store.bind([Binding("owner", f"customer-{n}", derived_id("customer", str(n))) for n in range(count)])
    batch: list[Event] = []
    for n in range(count):
        batch += [
            Event(
                owner="owner",
                source="bench",
                id=f"{n}/{meter}",
                type=f"type-{meter:02d}",
                account=f"customer-{n}",
                time=at + n * 1_000_000 + meter,
                value=Decimal(dice.randrange(100_000) if dice.random() < 0.9 else 0),
            )
            for meter in range(meters)
        ]
        if len(batch) >= 10_000:
            store.ingest(batch)
            batch = []
    if batch:
        store.ingest(batch)
