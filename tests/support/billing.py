"""A small company that bills: a provider with a catalog, customers, subscriptions and usage, over any store."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import delete

from billsmith.accounts.model import Account
from billsmith.catalog import parse
from billsmith.catalog.versions import compare
from billsmith.events.event import Event
from billsmith.invoicing.model import Invoice
from billsmith.storage import catalogs, invoices, subscriptions
from billsmith.storage.schema_billing import subscription_bill
from billsmith.storage.subscriptions import Stored
from billsmith.subscriptions.subscription import PlanRef, Subscription
from billsmith.units.ids import derived_id
from billsmith.units.instants import parse_instant
from billsmith.units.spans import parse_span
from billsmith.usage.store import Binding, UsageStore
from billsmith.workflows import billing_run, settle
from billsmith.workflows.billing_report import Report
from tests.support.house import House
from tests.support.reference_store import ReferenceStore

CATALOG = """
code: acme
currency: EUR
meters: [{code: calls, event_type: call, unit: calls}, {code: gb, event_type: stored, aggregation: max, unit: GB}]
plans:
  - code: basic
    alignment: calendar
    fees:
      - {code: base, name: Base fee, price: {model: flat, amount: 30.00}}
      - {code: seats, name: Seats, timing: arrears, price: {model: per_unit, unit_amount: 5.00}}
    charges:
      - {meter: calls, name: Calls, price: {model: graduated, tiers: [{up_to: 100, unit_amount: 0.10}, {unit_amount: 0.05}]}}
      - {meter: gb, name: Storage, price: {model: per_unit, unit_amount: 0.335}}
  - code: flat
    alignment: calendar
    fees: [{code: base, name: Base fee, timing: arrears, price: {model: flat, amount: 12.00}}]
  - code: committed
    alignment: calendar
    fees: [{code: base, timing: arrears, price: {model: flat, amount: 10.00}}]
    minimum: {amount: 25.00, true_up: true}
coupons: [{code: TEN, percent: 10, periods: 2}, {code: FIVE, amount: 5.00}]
tax_rates: [{code: vat, name: VAT, rate: 20}]
"""

START = "2026-09-01T00:00:00Z"


class Company:
    """A provider (in UTC) and its customers. ``now`` is when things are recorded."""

    def __init__(self, house: House, catalog: str = CATALOG, usage: UsageStore | None = None) -> None:
        self.house = house
        self.database = house.database
        self.now = parse_instant("2026-08-20T00:00:00Z")
        self.usage: UsageStore = usage or ReferenceStore()
        self.issuer = house.account("Provider", external_id="provider", time_zone="UTC", currency="EUR")
        self.customers: dict[str, Account] = {}
        self.apply(catalog)

    def apply(self, text: str) -> None:
        """Apply a catalog."""
        new = parse(text, "t")
        with self.database.write() as connection:
            applied = catalogs.find(connection, self.issuer, new.code)
            known = catalogs.parts(connection, self.issuer, new.code)
            version = applied.version + 1 if applied else 1
            found = compare(known, applied.offers if applied else {}, new, version)
            catalogs.add(connection, self.issuer, new, found, text, version=version, now=self.now, actor="test")

    def customer(self, name: str, **more: Any) -> Account:
        """A customer whose usage is bound by its name."""
        more.setdefault("time_zone", "UTC")
        account = self.house.account(name, more.pop("parent", self.issuer), external_id=name, **more)
        self.usage.bind([Binding("provider", name, account.id)])
        self.customers[name] = account
        return account

    def subscribe(self, name: str, plan: str = "basic", start: str = START, recipient: str = "", **more: Any) -> Stored:
        """A subscription of a customer."""
        account = self.customers.get(name) or self.customer(name)
        subscription = Subscription(
            id=derived_id("subscription", name, plan, start),
            account=account.id,
            plan=PlanRef(plan, more.pop("version", 1)),
            starts_at=parse_instant(start),
            zone=account.time_zone,
            recorded_at=self.now,
            **more,
        )
        with self.database.write() as connection:
            return subscriptions.add(
                connection,
                subscription,
                issuer=self.issuer,
                account=account,
                recipient=self.customers[recipient] if recipient else account,
                catalog="acme",
                actor="test",
            )

    def change(self, found: Stored, change: Any) -> None:
        """Record a change."""
        with self.database.write() as connection:
            subscriptions.add_change(connection, found, change, "test")

    def use(self, name: str, at: str, value: str, type: str = "call", id: str = "") -> None:
        """Usage of a customer."""
        event = Event(
            owner="provider",
            source="test",
            id=id or f"{name}/{at}/{type}",
            type=type,
            account=name,
            time=parse_instant(at),
            value=Decimal(value),
        )
        receipt = self.usage.ingest([event])
        assert receipt.accepted == 1, receipt

    def bill(self, period: str, at: str, **more: Any) -> Report:
        """Run a period."""
        return billing_run.bill(
            self.database, self.usage, self.issuer, parse_span(period), at=parse_instant(at), actor="test", **more
        )

    def invoices(self) -> list[Invoice]:
        """Every document, in the order of numbers, with its content."""
        with self.database.read() as connection:
            rows = invoices.with_content(connection, invoices.newest(connection, None))
        return [row.invoice for row in reversed(rows)]

    def void(self, place: int) -> None:
        """Void a document, by its place."""
        with self.database.write() as connection:
            found = invoices.get(connection, self.invoices()[place].id, None)
            settle.void(connection, found, now=parse_instant("2026-11-04T00:00:00Z"), actor="test")

    def forget_steps(self) -> None:
        """Lose the record of how far subscriptions are billed, as no run does."""
        with self.database.write() as connection:
            connection.execute(delete(subscription_bill))

    def told(self) -> list[str]:
        """Every document in short."""
        return [f"{each.number} {each.customer_name} {each.total_minor}" for each in self.invoices()]
