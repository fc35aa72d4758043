"""The demo's year: twelve months of usage of four companies' customers, up to the month that it is, billed month by month.

The same present gives the same year, to the cent: what is drawn by chance is drawn from names and months.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from importlib.resources import files

import msgspec

from billsmith.accounts.model import Account, Profile
from billsmith.cli.demo_companies import COMPANIES, Company, Customer, Habit
from billsmith.documents.inert import visible
from billsmith.events.event import Event
from billsmith.events.reading import Reading
from billsmith.invoicing.model import OPEN_STATUSES
from billsmith.ledger.wallets import Grant
from billsmith.storage import accounts, invoices
from billsmith.storage.database import Database
from billsmith.subscriptions.agreements import CouponGiven
from billsmith.units.currency import from_minor
from billsmith.units.ids import derived_id
from billsmith.units.instants import DAY, HOUR, local_date
from billsmith.units.rounding import plain
from billsmith.units.spans import NamedSpan, parse_span, span_before
from billsmith.usage.store import UsageStore
from billsmith.workflows import billing_run, catalogs, settle, subscriptions, wallets
from billsmith.workflows.explain import Explained, explain
from billsmith.workflows.ingest import Ingest

MONTHS = 12
#: The place in which the month is over last, so that it is over for everybody.
_LAST = "Etc/GMT+12"
_ACTOR = "demo"
#: Of the months that were billed, the newest ones are not paid yet.
_UNPAID = 2


class Billed(msgspec.Struct, frozen=True, kw_only=True):
    """What a company billed in the year: documents, and their sum in its currency."""

    company: str
    documents: int
    events: int
    total: str
    currency: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice and what stands behind its lines."""

    number: str
    customer: str
    date: str
    total: str
    currency: str
    lines: tuple[Explained, ...]


def months_until(now: int) -> list[NamedSpan]:
    """The twelve months before the one that it is, oldest first; each is over everywhere."""
    last = span_before(parse_span(local_date(now, _LAST).isoformat()[:7]))
    months = [last]
    while len(months) < MONTHS:
        months.append(span_before(months[-1]))
    return months[::-1]


def live(
    database: Database, usage: UsageStore, root: Account, now: int, progress: Callable[[int], None] = lambda _count: None
) -> list[Billed]:
    """Make the companies below ``root``, let their customers use what they pay for, and bill twelve months.

    ``progress`` is told of each month of each company.
    """
    return [_company(database, usage, root, company, now, progress) for company in COMPANIES]


def told(database: Database, usage: UsageStore, company: str = COMPANIES[0].id) -> Told:
    """The newest invoice of a company that has usage on it, explained."""
    with database.read() as connection:
        issuer = accounts.get(connection, company)
        found = next(
            each
            for each in invoices.with_content(connection, invoices.newest(connection, issuer, limit=20))
            if each.invoice.content is not None and sum(line.meter != "" for line in each.invoice.content.lines) > 1
        )
        invoice = found.invoice
        return Told(
            number=invoice.number,
            customer=invoice.customer_name,
            date=invoice.date.isoformat(),
            total=_money(invoice.total_minor, invoice.currency),
            currency=invoice.currency,
            lines=tuple(explain(connection, usage, found, events=1)),
        )


def in_words(invoice: Told) -> Iterator[str]:
    """An invoice for people: each line, how it came about, and what was counted for it."""
    yield f"{invoice.number} of {invoice.date} to {visible(invoice.customer)}: {invoice.total} {invoice.currency}"
    for each in invoice.lines:
        yield f"  {_money(each.line.amount_minor, invoice.currency):>10}  {visible(each.line.description)}"
        yield from (f"              {visible(sentence)}" for sentence in each.line.trace)
        if each.event_count:
            yield f"              counted by {each.meter}: {'; '.join(each.measured)}"


# ── a company ──


def _company(
    database: Database, usage: UsageStore, root: Account, company: Company, now: int, progress: Callable[[int], None]
) -> Billed:
    months = months_until(now)
    opened = months[0].period(company.zone).start
    issuer = _account(database, root, company.id, company.name, company.country, opened, company)
    text = (files("billsmith") / "catalog" / "examples" / f"{company.catalog}.yaml").read_text("utf-8")
    with database.write() as connection:
        catalogs.apply(connection, issuer, text, company.catalog, now=opened, actor=_ACTOR)
    events = []
    for customer in company.customers:
        account = _account(database, issuer, customer.id, customer.name, customer.country, opened)
        _agreed(database, issuer, account, customer, opened)
        events += list(_usage(issuer, customer, [*months, _after(months[-1])], company.zone, now))
    report = Ingest(database).keep(usage, issuer, Reading(events, list(range(len(events))), []))
    assert report.accepted == len(events), f"the demo's own usage does not come in: {report}"
    for place, month in enumerate(months):
        at = min(month.end(company.zone) + DAY + 9 * HOUR, now)
        run = billing_run.bill(database, usage, issuer, month, at=at, actor=_ACTOR)
        assert not run.parked, f"the demo's own accounts can't be billed: {run.rows}"
        if place < MONTHS - _UNPAID:
            _paid(database, issuer, run.batch, at + 10 * DAY)
        progress(1)
    with database.read() as connection:
        made = invoices.newest(connection, issuer)
    return Billed(
        company=company.name,
        documents=len(made),
        events=len(events),
        total=_money(sum(each.invoice.total_minor for each in made), company.currency),
        currency=company.currency,
    )


def _agreed(database: Database, issuer: Account, account: Account, customer: Customer, opened: int) -> None:
    """What a customer agreed to in its first hour: a plan, perhaps a coupon, perhaps prepaid credit."""
    asked = subscriptions.NewSubscription(plan=customer.plan, starts_at=opened, quantities=customer.quantities)
    with database.write() as connection:
        subscriptions.create(
            connection,
            issuer,
            account,
            asked,
            id=derived_id("demo", customer.id, "subscription"),
            now=opened,
            actor=_ACTOR,
        )
        if customer.coupon:
            code = catalogs.the_catalog(connection, issuer, None)
            given = CouponGiven(at=opened, catalog=code, coupon=customer.coupon, version=1)
            wallets.agree(
                connection, issuer, account, given, id=derived_id("demo", customer.id, "coupon"), now=opened, actor=_ACTOR
            )
        if customer.prepaid is not None:
            grant = Grant(
                id=derived_id("demo", customer.id, "prepaid"), amount=customer.prepaid, priority=20, effective_at=opened
            )
            wallets.give(connection, issuer, account, grant, account.currency, now=opened, actor=_ACTOR)


def _usage(issuer: Account, customer: Customer, months: list[NamedSpan], zone: str, now: int) -> Iterator[Event]:
    """A customer's events, month by month, up to now; each month a little more than the one before."""
    for place, month in enumerate(months):
        chance = random.Random(f"{customer.id} {month.name}")
        period = month.period(zone)
        for habit in customer.habits:
            for number in range(habit.events):
                at = period.start + chance.randrange(period.length // HOUR) * HOUR
                event = _event(issuer, customer, habit, f"{customer.id}/{month.name}/{habit.type}/{number}", at, place, chance)
                if at <= now:
                    yield event


def _event(issuer: Account, customer: Customer, habit: Habit, id: str, at: int, place: int, chance: random.Random) -> Event:
    low, high = habit.value
    value = chance.randint(low, high) if high == low else chance.randint(low, high) * (20 + place) // 20
    dimensions = {name: chance.choice(texts) for name, texts in habit.dimensions.items()}
    dimensions |= {name: str(chance.randint(*span)) for name, span in habit.numbers.items()}
    return Event(
        owner=issuer.id,
        source="demo",
        id=id,
        type=habit.type,
        account=customer.id,
        time=at,
        value=Decimal(value),
        dimensions=dimensions,
    )


def _paid(database: Database, issuer: Account, batch: str, at: int) -> None:
    """What a run asked for is paid."""
    with database.write() as connection:
        for found in invoices.newest(connection, issuer, limit=20):
            invoice = found.invoice
            if invoice.batch == batch and invoice.status in OPEN_STATUSES and invoice.due_minor > 0:
                settle.record_payment(
                    connection, found, amount_minor=invoice.due_minor, reference="transfer", now=at, actor=_ACTOR
                )


def _account(
    database: Database, parent: Account, id: str, name: str, country: str, now: int, company: Company | None = None
) -> Account:
    with database.write() as connection:
        return accounts.create(
            connection,
            id=derived_id("demo", id),
            name=name,
            now=now,
            parent=parent,
            external_id=id,
            currency=company.currency if company else None,
            time_zone=company.zone if company else None,
            profile=Profile(line1="1 Example Street", country=country, email=f"billing@{id}.example"),
        )


def _after(month: NamedSpan) -> NamedSpan:
    return parse_span(month.after.isoformat()[:7])


def _money(minor: int, currency: str) -> str:
    return plain(from_minor(minor, currency))
