"""The same year, billed beside SQLite with usage in DuckDB and in PostgreSQL alone, gives the same documents (promise P9)."""

from __future__ import annotations

import hashlib
import random
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from billsmith.catalog import parse
from billsmith.events.event import Event
from billsmith.invoicing.model import Invoice, InvoiceKind
from billsmith.units.instants import DAY, HOUR, SECOND, parse_instant
from billsmith.units.spans import parse_span
from billsmith.usage.postgres import cells
from billsmith.usage.postgres.connections import Connection
from billsmith.usage.postgres.engine import PostgresStore
from billsmith.usage.postgres.schema import SCHEMA
from billsmith.usage.store import Item, Replace, Void
from billsmith.workflows.rerate import rerate
from tests.support.billing import Company
from tests.support.house import House

#: A meter of each aggregation, all of one type of event.
CATALOG = """
code: acme
currency: EUR
meters:
  - {code: requests, event_type: call, aggregation: count}
  - {code: traffic, event_type: call, unit: GB, group_by: [region]}
  - {code: widest, event_type: call, aggregation: max}
  - {code: least, event_type: call, aggregation: min}
  - {code: mean, event_type: call, aggregation: average, rounding: half_even, places: 6}
  - {code: people, event_type: call, aggregation: unique_count, field: person}
  - {code: last, event_type: call, aggregation: latest}
  - {code: level, event_type: call, aggregation: time_weighted_sum, rounding: half_even, places: 6}
  - {code: p95, event_type: call, aggregation: percentile, percentile: 95}
  - {code: burned, event_type: call, aggregation: expression, expression: value * hours}
plans:
  - code: all
    alignment: calendar
    fees: [{code: base, price: {model: flat, amount: 30.00}}]
    charges:
      - {meter: requests, price: {model: graduated, tiers: [{up_to: 3, unit_amount: 0.10}, {unit_amount: 0.05}]}}
      - {meter: traffic, price: {model: per_unit, unit_amount: 0.335}}
      - {meter: widest, price: {model: per_unit, unit_amount: 0.7}}
      - {meter: least, price: {model: per_unit, unit_amount: 0.13}}
      - {meter: mean, price: {model: per_unit, unit_amount: 0.011}}
      - {meter: people, price: {model: per_unit, unit_amount: 1.99}}
      - {meter: last, price: {model: per_unit, unit_amount: 0.3}}
      - {meter: level, price: {model: per_unit, unit_amount: 0.0001}}
      - {meter: p95, price: {model: per_unit, unit_amount: 0.07}}
      - {meter: burned, price: {model: per_unit, unit_amount: 0.001}}
tax_rates: [{code: vat, name: VAT, rate: 20}]
"""
ZONES = {"north": "Europe/Amsterdam", "south": "America/Santiago", "east": "Asia/Kathmandu"}
MONTHS = [f"2026-{month:02}" for month in range(1, 13)]


def sent_in(month: int, chance: random.Random, before: list[Event]) -> list[Item]:
    """A month's events, some sent again, some of an earlier month, and corrections of earlier ones."""
    start = parse_instant(f"{MONTHS[month]}-01T00:00:00Z")
    events = []
    for number in range(24):
        late = chance.random() < 0.1 and month > 0
        at = start + chance.randrange(27 * DAY // SECOND) * SECOND - (30 * DAY if late else 0)
        events.append(
            Event(
                owner="provider",
                source="s",
                id=f"{month}/{number}",
                type="call",
                account=chance.choice(list(ZONES)),
                time=at,
                value=Decimal(chance.randrange(1, 10**6)).scaleb(-chance.randrange(5)),
                dimensions={
                    "region": chance.choice(["eu", "us"]),
                    "person": str(chance.randrange(9)),
                    "hours": str(chance.randrange(1, 40)),
                },
            )
        )
    items: list[Item] = [*events, *chance.sample(events, 3)]
    if before:
        void, replaced = chance.sample(before, 2)
        items.append(Void(owner=void.owner, source=void.source, id=void.id))
        items.append(Replace(event=msgspec.structs.replace(replaced, value=replaced.value + 1, time=replaced.time + HOUR)))
    before += events
    return items


def bill(house: House, months: int) -> list[Invoice]:
    """All that the runs of some months made."""
    usage = house.services.usage_or_none
    assert usage is not None
    company = Company(house, CATALOG, usage.store)
    company.now = parse_instant("2025-12-20T00:00:00Z")
    company.usage.keep(parse(CATALOG, "t").meters)
    for name, zone in ZONES.items():
        company.customer(name, time_zone=zone)
        company.subscribe(name, "all", "2026-01-01T00:00:00Z")
    chance, before = random.Random(20261124), list[Event]()
    for month, period in enumerate(MONTHS[:months]):
        company.usage.ingest(sent_in(month, chance, before))
        store = usage.catch_up()
        if isinstance(store, PostgresStore) and month % 3 == 2:
            store.catch_up(1)
        at = f"{MONTHS[month + 1] if month < 11 else '2027-01'}-05T00:00:00Z"
        company.bill(period, at)
        if month % 4 == 3:
            later = parse_instant(at) + HOUR
            rerate(house.database, store, company.issuer, parse_span("2026"), at=later, actor="test")
    return company.invoices()


def hash_of(made: list[Invoice]) -> str:
    return hashlib.sha256(msgspec.json.encode(made, order="sorted")).hexdigest()


def test_a_year_is_the_same_on_each_engine(sqlite_house: House, postgres_house: House) -> None:
    one, other = bill(sqlite_house, 12), bill(postgres_house, 12)
    notes = [each for each in one if each.kind is not InvoiceKind.INVOICE]
    assert (len(one) - len(notes), len(notes) > 12, len({each.total_minor for each in one}) > 36) == (36, True, True)
    assert hash_of(one) == hash_of(other)


def test_roll_ups_that_are_off_by_a_little_are_seen(
    sqlite_house: House, postgres_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    counted = cells._fill

    def harmed(connection: Connection, *more: Any) -> None:
        counted(connection, *more)
        connection.execute(f"UPDATE {SCHEMA}.cells SET value = value + 0.1")

    monkeypatch.setattr(cells, "_fill", harmed)
    assert hash_of(bill(sqlite_house, 3)) != hash_of(bill(postgres_house, 3))
