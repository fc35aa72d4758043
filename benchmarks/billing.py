"""The billing run, from usage to committed invoices: ``python -m benchmarks.billing [--accounts N] [--meters M]``.

Accounts on one plan of M meters (graduated, package, per unit in turns) with one event a meter, billed for one month. Beside it
the same cases rated and assembled alone, in one process (the ceiling), and where the time goes. See README.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import msgspec
from sqlalchemy import insert, text

from billsmith.accounts.model import Account
from billsmith.catalog import parse
from billsmith.catalog.versions import compare
from billsmith.events.event import Event
from billsmith.storage import accounts, catalogs, schema, upgrade
from billsmith.storage.database import Database, sqlite_url
from billsmith.storage.schema_billing import subscription
from billsmith.units.ids import derived_id
from billsmith.units.instants import parse_instant
from billsmith.units.spans import parse_span
from billsmith.usage.duckdb.engine import DuckDBStore
from billsmith.usage.store import Binding, UsageStore
from billsmith.workflows import billing_run
from billsmith.workflows.billing_answers import worked_out
from billsmith.workflows.billing_cases import load, load_books
from billsmith.workflows.billing_work import cores, draft

NOW = parse_instant("2026-08-20T00:00:00Z")
PRICES = (
    "{model: graduated, tiers: [{up_to: 100, unit_amount: 0.10}, {up_to: 1000, unit_amount: 0.08}, {unit_amount: 0.05}]}",
    "{model: package, size: 100, amount: 0.70}",
    "{model: per_unit, unit_amount: 0.0335}",
)


def catalog(meters: int) -> str:
    """A plan with so many meters."""
    lines = ["code: bench", "currency: EUR", "meters:"]
    lines += [f"  - {{code: meter-{n:02d}, event_type: type-{n:02d}, unit: units}}" for n in range(meters)]
    lines += ["plans:", "  - code: plan", "    alignment: calendar", "    charges:"]
    lines += [f"      - {{meter: meter-{n:02d}, name: Meter {n:02d}, price: {PRICES[n % len(PRICES)]}}}" for n in range(meters)]
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
    """One event a meter and customer, in the month that is billed."""
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
                value=Decimal((n * 37 + meter * 101) % 3000),
            )
            for meter in range(meters)
        ]
        if len(batch) >= 10_000:
            store.ingest(batch)
            batch = []
    if batch:
        store.ingest(batch)


class Clock:
    """Where the time of a run goes, by its named steps."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.last = time.perf_counter()

    def __call__(self, name: str) -> None:
        now = time.perf_counter()
        self.spent[name] = self.spent.get(name, 0.0) + now - self.last
        self.last = now


@contextmanager
def store(engine: str, folder: Path) -> Iterator[Database]:
    """A new database of an engine."""
    if engine == "sqlite":
        database = Database(sqlite_url(folder))
        yield database
        database.close()
        return
    from tests.support import postgres

    with postgres.new_database() as url:  # type: ignore[attr-defined]
        database = Database(url)
        yield database
        database.close()


def compute_only(database: Database, usage: UsageStore, issuer: Account, count: int) -> float:
    """Invoices a second of rating and assembling alone, in this process, the cases in memory."""
    span, at = parse_span("2026-09"), parse_instant("2026-10-02T00:00:00Z")
    with database.read() as connection:
        run = billing_run.imagined(connection, usage, issuer, span, at)
        books = load_books(connection, issuer, run.catalogs)
        loaded = load(connection, issuer, run, span, list(range(issuer.seq + 1, issuer.seq + 1 + count)), books)
    works = worked_out(usage, issuer, loaded.cases, loaded.accounts, books, run.as_of_seq)
    began = time.perf_counter()
    for work in works:
        draft(work, books)
    return len(works) / (time.perf_counter() - began)


def measure(engine: str, count: int, meters: int, processes: int) -> dict[str, float]:
    """One run into a new store."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as name, store(engine, Path(name)) as database:
        issuer = prepare(database, count, meters)
        usage = DuckDBStore(Path(name))
        use(usage, count, meters)
        alone = compute_only(database, usage, issuer, min(count, 500))
        clock = Clock()
        began, cpu = time.perf_counter(), time.process_time()
        report = billing_run.bill(
            database,
            usage,
            issuer,
            parse_span("2026-09"),
            at=parse_instant("2026-10-02T00:00:00Z"),
            actor="bench",
            processes=processes,
            step=clock,
        )
        seconds = time.perf_counter() - began
        assert (report.billed, report.parked) == (count, 0), report
        result = {
            "invoices a second": report.billed / seconds,
            "compute only, one process": alone,
            "main process, ms an invoice": (time.process_time() - cpu) * 1000 / count,
            **{f"  {name}, s": spent for name, spent in clock.spent.items()},
        }
        if database.file is not None:
            before = _bytes(database)
            with database.write() as connection:
                connection.execute(text("PRAGMA user_version"))
            result["bytes an invoice"] = before / count
        usage.close()
    return result


def _bytes(database: Database) -> int:
    with database.read() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        size = connection.execute(text("PRAGMA page_size")).scalar_one()
    return int(pages) * int(size)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.billing", description="The billing run; see benchmarks/README.md."
    )
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--meters", type=int, default=30)
    parser.add_argument("--processes", type=int, default=cores())
    parser.add_argument("--engine", default="sqlite", choices=["sqlite", "postgres"])
    options = parser.parse_args()
    for name, value in measure(options.engine, options.accounts, options.meters, options.processes).items():
        print(f"{name}: {value:,.3f}")


if __name__ == "__main__":
    sys.exit(main())
