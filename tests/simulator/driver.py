"""A script carried out for real: every action is the use case that the API and the commands call, at the script's instant."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.accounts.model import Account, Profile
from billsmith.events.event import Event
from billsmith.events.reading import Reading
from billsmith.invoicing.model import Invoice, InvoiceStatus
from billsmith.ledger.wallets import Grant
from billsmith.storage import accounts, catalogs, invoices, ledger, upgrade
from billsmith.storage.agreements import StoredGrant
from billsmith.storage.database import Connection, Database, sqlite_url
from billsmith.storage.invoices import Stored
from billsmith.storage.subscriptions import Stored as StoredSubscription
from billsmith.subscriptions.agreements import CouponGiven, TermsAgreed
from billsmith.subscriptions.subscription import PlanRef
from billsmith.units.errors import Conflict
from billsmith.units.ids import derived_id
from billsmith.units.spans import parse_span
from billsmith.usage.duckdb.owner import SharedStore
from billsmith.usage.store import Item, Replace, UsageStore, Void
from billsmith.workflows import billing_run, credit, rerate, settle, wallets
from billsmith.workflows import catalogs as catalog_workflow
from billsmith.workflows import due as due_workflow
from billsmith.workflows import subscriptions as subscription_workflow
from billsmith.workflows.billing_run import Report
from billsmith.workflows.catalogs import Migration
from billsmith.workflows.ingest import Ingest
from billsmith.workflows.subscriptions import NewSubscription
from tests.simulator import script
from tests.simulator.script import Company

_SECOND = 1_000_000_000
_ACTOR = "simulator"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine made of a script, as plain values: what the auditor looks at."""

    documents: list[dict[str, Any]]
    ledger: list[tuple[str, list[tuple[str, int, str]]]]
    due: list[str]
    parked: list[str]

    @property
    def hash(self) -> str:
        """One hash of every document and posting."""
        return hashlib.sha256(json.dumps([self.documents, self.ledger]).encode()).hexdigest()


class Driver:
    """A company in a data folder. ``url`` names another database for all but usage."""

    def __init__(self, company: Company, home: Path, url: str = "") -> None:
        self.company = company
        self.database = Database(url or sqlite_url(home))
        self.usage: UsageStore = SharedStore(home)
        self.ingest = Ingest(self.database)
        self.parked: list[str] = []
        self.batches: dict[str, str] = {}
        self.billed = 0
        first = company.actions[0].now * _SECOND
        upgrade.upgrade(self.database, first)
        self.issuer = self._account(company.currency, company.zone, "company", None, first)
        self.customers: dict[str, Account] = {}
        self.subscriptions: dict[str, StoredSubscription] = {}
        self.grants: dict[str, StoredGrant] = {}

    def run(self, progress: Callable[[], None] = lambda: None) -> Seen:
        """Carry the script out, and tell what came of it."""
        for action in self.company.actions:
            getattr(self, "_" + type(action).__name__.lower())(action)
            progress()
        return self.seen()

    def close(self) -> None:
        """Let go of the stores."""
        self.usage.close()
        self.database.close()

    # ── the actions ──

    def _apply(self, action: script.Apply) -> None:
        with self.database.write() as connection:
            catalog_workflow.apply(
                connection, self.issuer, json.dumps(action.catalog), "script", now=action.now * _SECOND, actor=_ACTOR
            )

    def _signup(self, action: script.SignUp) -> None:
        now = action.now * _SECOND
        account = self._account(None, action.zone, action.customer, self.issuer, now, action.country)
        self.customers[action.customer] = account
        if action.tax_free:
            self._agree(account, TermsAgreed(at=now, tax_free=action.tax_free), "terms", now)

    def _subscribe(self, action: script.Subscribe) -> None:
        asked = NewSubscription(
            plan=action.plan,
            starts_at=action.starts * _SECOND,
            quantities={name: Decimal(text) for name, text in action.quantities.items()},
            billing_day=action.billing_day,
        )
        with self.database.write() as connection:
            self.subscriptions[action.key] = subscription_workflow.create(
                connection,
                self.issuer,
                self.customers[action.customer],
                asked,
                id=self._id(action.key),
                now=action.now * _SECOND,
                actor=_ACTOR,
            )

    def _change(self, action: script.Change) -> None:
        found, at, now = self.subscriptions[action.key], action.at * _SECOND, action.now * _SECOND
        with self.database.write() as connection:
            if action.what in ("end", "end_of_day"):
                days = action.what == "end_of_day"
                subscription_workflow.cancel(connection, found, at=at, now=now, actor=_ACTOR, day_counts=days)
                return
            wanted: dict[str, Any] = {
                "plan": {"plan": action.name},
                "quantity": {"quantities": {action.name: Decimal(action.value or 0)}},
                "add": {"add": [action.name]},
                "drop": {"drop": [action.name]},
            }.get(action.what, {action.what: True})
            changes = subscription_workflow.changes_of(connection, found, at=at, now=now, **wanted)
            subscription_workflow.change(connection, found, changes, _ACTOR)

    def _migrate(self, action: script.Migrate) -> None:
        with self.database.read() as connection:
            offered = catalogs.load(connection, self.issuer, "acme").offers["plan"][action.plan]
        asked = Migration(catalog="acme", to=PlanRef(action.plan, offered), first=parse_span(action.first).first)
        catalog_workflow.migrate(self.database, self.issuer, asked, now=action.now * _SECOND, actor=_ACTOR)

    def _use(self, action: script.Use) -> None:
        events = [self._event(each) for each in action.events]
        report = self.ingest.keep(self.usage, self.issuer, Reading(events, list(range(len(events))), []))
        assert report.accepted == len(events), report

    def _correct(self, action: script.Correct) -> None:
        wrong = self._event(action.event)
        item: Item = Void(owner=wrong.owner, source=wrong.source, id=wrong.id)
        if action.by is not None:
            item = Replace(event=self._event(action.by))
        receipt = self.usage.ingest([item])
        assert receipt.accepted + len(receipt.duplicates) == 1, action  # by chance it is the same event again

    def _givecoupon(self, action: script.GiveCoupon) -> None:
        now = action.now * _SECOND
        with self.database.read() as connection:
            version = wallets.offered_coupon(catalogs.load(connection, self.issuer, "acme"), action.code)
        given = CouponGiven(at=now, catalog="acme", coupon=action.code, version=version)
        self._agree(self.customers[action.customer], given, action.code, now)

    def _givecredit(self, action: script.GiveCredit) -> None:
        grant = Grant(
            id=self._id(action.key),
            amount=Decimal(action.amount),
            priority=action.priority,
            effective_at=action.now * _SECOND,
            expires_at=None if action.expires is None else action.expires * _SECOND,
            paid=action.paid,
        )
        with self.database.write() as connection:
            self.grants[action.key] = wallets.give(
                connection,
                self.issuer,
                self.customers[action.customer],
                grant,
                action.currency,
                now=action.now * _SECOND,
                actor=_ACTOR,
            )

    def _takeback(self, action: script.TakeBack) -> None:
        with self.database.write() as connection:
            wallets.take_back(connection, self.grants[action.key], now=action.now * _SECOND, actor=_ACTOR)

    def _bill(self, action: script.Bill) -> None:
        span = parse_span(action.month)
        report = billing_run.bill(self.database, self.usage, self.issuer, span, at=action.now * _SECOND, actor=_ACTOR)
        self.batches[action.month] = report.batch
        self.billed = max(self.billed, span.end("Etc/GMT-14"))
        self._ran(report)

    def _rerate(self, action: script.Rerate) -> None:
        span = parse_span(action.month)
        self._ran(rerate.rerate(self.database, self.usage, self.issuer, span, at=action.now * _SECOND, actor=_ACTOR))

    def _ran(self, report: Report) -> None:
        self.parked += [f"{row.name}: {row.reason} [{row.code}]" for row in report.rows if row.state == "parked"]

    def _pay(self, action: script.Pay) -> None:
        for found in self._of(action.customer, action.month):
            amount = found.invoice.due_minor * action.parts // action.of
            if amount > 0 and found.invoice.status is not InvoiceStatus.WRITTEN_OFF:
                self._paid(found, amount, f"payment {action.now}", action.now)

    def _refund(self, action: script.Refund) -> None:
        for found in self._of(action.customer, action.month):
            with self.database.read() as connection:
                received = sum(
                    payment.amount_minor
                    for payment in invoices.payments(connection, found.seq)
                    if not payment.method  # money, not credit
                )
            if (amount := min(received, found.invoice.paid_minor)) > 0:
                self._paid(found, -amount, f"refund {action.now}", action.now)

    def _void(self, action: script.Void) -> None:
        for found in self._of(action.customer, action.month):
            with self.database.write() as connection, suppress(Conflict):  # one that was paid, or that notes correct
                settle.void(connection, found, now=action.now * _SECOND, actor=_ACTOR)

    def _writeoff(self, action: script.WriteOff) -> None:
        for found in self._of(action.customer, action.month):
            if found.invoice.due_minor > 0:
                with self.database.write() as connection:
                    settle.write_off(connection, found, now=action.now * _SECOND, actor=_ACTOR)

    def _giveback(self, action: script.GiveBack) -> None:
        for found in self._of(action.customer, action.month):
            with self.database.write() as connection:
                standing = [note for note in credit.notes(connection, found) if note.invoice.voided_at is None]
                if found.invoice.total_minor > 0 and not standing and found.invoice.status is not InvoiceStatus.WRITTEN_OFF:
                    id = self._id(f"{action.key}/{found.invoice.currency}")
                    credit.credit(connection, found, credit.Asked(), id=id, now=action.now * _SECOND, actor=_ACTOR)

    # ── help ──

    def _id(self, key: str) -> str:
        return derived_id("simulator", str(self.company.seed), key)

    def _account(
        self, currency: str | None, zone: str, name: str, parent: Account | None, now: int, country: str = ""
    ) -> Account:
        with self.database.write() as connection:
            return accounts.create(
                connection,
                id=self._id(name),
                name=name,
                now=now,
                parent=parent,
                external_id=name,
                currency=currency,
                time_zone=zone,
                profile=Profile(country=country),
            )

    def _agree(self, account: Account, body: Any, key: str, now: int) -> None:
        id = self._id(f"{account.external_id}/{key}/{now}")
        with self.database.write() as connection:
            wallets.agree(connection, self.issuer, account, body, id=id, now=now, actor=_ACTOR)

    def _event(self, used: script.Used) -> Event:
        return Event(
            owner=self.issuer.id,
            source="simulator",
            id=used.id,
            type=used.type,
            account=used.customer,
            time=used.at * _SECOND,
            value=Decimal(used.value),
            dimensions={"who": used.who} if used.who else {},
        )

    def _paid(self, found: Stored, amount_minor: int, reference: str, now: int) -> None:
        with self.database.write() as connection:
            settle.record_payment(
                connection, found, amount_minor=amount_minor, reference=reference, now=now * _SECOND, actor=_ACTOR
            )

    def _of(self, customer: str, month: str) -> list[Stored]:
        """A customer's live documents of the run of a month."""
        batch = self.batches.get(month)
        with self.database.read() as connection:
            found = invoices.newest(connection, self.customers[customer])
        return [each for each in reversed(found) if each.invoice.batch == batch and each.invoice.voided_at is None]

    # ── what came of it ──

    def seen(self) -> Seen:
        """Every document, posting and unbilled period."""
        with self.database.read() as connection:
            found = list(reversed(list(_everything(connection))))
            entries = [
                (each.transaction.what, [(p.account, p.amount_minor, p.currency) for p in each.transaction.postings])
                for each in ledger.entries(connection)
            ]
        last = self.company.actions[-1].now * _SECOND
        names = {
            **{sub.subscription.id: key for key, sub in self.subscriptions.items()},
            **{grant.grant.id: key for key, grant in self.grants.items()},
            **{account.id: name for name, account in self.customers.items()},
            **{each.invoice.id: each.invoice.number for each in found},
        }
        return Seen(
            documents=[_plain(each.invoice, names) for each in found],
            ledger=[
                (what, [(_named(account, names), amount, currency) for account, amount, currency in postings])
                for what, postings in entries
            ],
            due=[
                f"{each.account.name} {each.period} {each.components}"
                for each in due_workflow.due(self.database, self.issuer, at=self.billed, known_at=last)
            ],
            parked=self.parked,
        )


def _named(account: str, names: dict[str, str]) -> str:
    what, _, id = account.partition(":")
    return f"{what}:{names.get(id, id)}" if id else what


def _everything(connection: Connection) -> Iterator[Stored]:
    """Every document with its content, the last one first."""
    before = None
    while page := invoices.newest(connection, None, before_seq=before):
        yield from reversed(invoices.with_content(connection, list(reversed(page))))
        before = page[-1].seq


def _plain(invoice: Invoice, names: dict[str, str]) -> dict[str, Any]:
    content = invoice.content
    assert content is not None
    return {
        "number": invoice.number,
        "kind": invoice.kind.value,
        "customer": names[invoice.recipient_id],
        "currency": invoice.currency,
        "total": invoice.total_minor,
        "tax": invoice.tax_minor,
        "paid": invoice.paid_minor,
        "void": invoice.voided_at is not None,
        "corrects": content.notes.startswith("Corrects "),
        "lines": [
            {
                "kind": line.kind.value,
                "subscription": names.get(line.subscription, ""),
                "offer": line.plan,
                "component": line.component,
                "period": [line.period.start // _SECOND, line.period.end // _SECOND] if line.period else None,
                "category": line.tax_category,
                "amount": line.amount_minor,
            }
            for line in content.lines
        ],
        "taxes": [[tax.category, tax.name, tax.base_minor, tax.amount_minor] for tax in content.taxes],
        "settlements": [[each.kind.value, names[each.reference], each.amount_minor] for each in content.settlements],
    }
