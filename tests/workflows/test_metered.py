"""A vendor's quantities against our own metering, and what a split by usage counts with."""

from __future__ import annotations

from decimal import Decimal

from billsmith.invoicing.comparison import State, Verdict
from billsmith.invoicing.model import Line
from billsmith.metering.meter import Meter
from billsmith.storage import accounts, sync_connections
from billsmith.units.ids import ZERO_ID
from billsmith.units.period_words import parse_period
from billsmith.usage.store import Binding
from billsmith.workflows import meters, sync
from billsmith.workflows.import_invoices import Plan
from billsmith.workflows.metered import compare_usage, measure_with
from tests.support.events import event
from tests.support.house import House
from tests.support.reference_store import ReferenceStore
from tests.support.vendor_lists import VendorList, connect, row

METER = Meter(code="gb", event_type="backup", unit="GB")


def used(quantity: str) -> tuple[Line, ...]:
    return (Line(description="Backup", amount_minor=1000, quantity=Decimal(quantity), unit="GB", meter="gb"),)


def test_a_vendors_quantities_are_held_against_ours(house: House) -> None:
    partner = house.account("Partner", external_id="me", time_zone="UTC")
    of = connect(house.database, partner, now=house.now)
    rows = [
        row(1, customer="a", lines=used("7.5")),
        row(2, customer="b", lines=used("2")),
        row(3, customer="c", lines=used("1")),
    ]
    plan = Plan(owner=partner, issuer=partner)
    sync.run(house.database, of, VendorList(rows), plan, clock=lambda: house.now)
    ids = {}
    with house.database.write() as connection:
        meters.put(connection, partner, METER, now=house.now, actor="test")
    with house.database.read() as connection:
        of = sync_connections.get(connection, of.id)
        for name in ("cust-a", "cust-b"):
            ids[name] = accounts.get(connection, name).id
    period = parse_period("2026-01", "UTC")
    counted = {ids["cust-a"]: Decimal("7.5"), ids["cust-b"]: Decimal(3)}
    with house.database.read() as connection:
        found = compare_usage(connection, [of], period, lambda _meter, _period: counted)
        near = compare_usage(connection, [of], period, lambda _meter, _period: counted, Decimal(1))
        later = compare_usage(connection, [of], parse_period("2026-11", "UTC"), lambda _meter, _period: counted)
    assert {found.names[each.key[0]]: (each.state, each.difference) for each in found.comparison.findings} == {
        "cust-a": (State.MATCHED, Decimal("0.0")),
        "cust-b": (State.DIFFERS, Decimal(1)),
        "cust-c": (State.MISSING, Decimal(-1)),
    }
    assert found.comparison.verdict is Verdict.DIFFERENCES
    assert near.comparison.counts[State.MATCHED] == 2
    assert later.comparison.verdict is Verdict.NOT_AUDITED
    assert not later.coverage.whole


def test_a_usage_store_is_asked_only_when_needed() -> None:
    store = ReferenceStore()
    january = parse_period("2026-01", "UTC")
    store.ingest([event(number, january.start + number, "2.5", type="backup") for number in range(3)])
    store.bind([Binding("o", "a", ZERO_ID)])
    opened = []

    def open_store() -> ReferenceStore:
        opened.append(1)
        return store

    measure = measure_with(open_store)
    assert opened == []
    assert measure(METER, january) == {ZERO_ID: Decimal("7.5")}
    assert measure(METER, parse_period("2026-02", "UTC")) == {}
