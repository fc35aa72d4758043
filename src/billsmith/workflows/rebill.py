"""Re-billing: pulled invoices of a period become customers' charges by rules, and those charges invoices.

In two steps, each safe to repeat. First every line that a rule takes is *claimed*, in one transaction with its charges: a line
is charged on once by an issuer, whatever becomes of the rules (a unique key, decision 0316). Then what is charged and on no
invoice yet is *issued*: one invoice a customer, currency and period, in one transaction with the marks on its charges. Killed
anywhere and run again, nothing is charged twice and nothing is lost.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice

import msgspec

from billsmith.accounts.model import Account
from billsmith.catalog.rebill import Rule, Rules, SplitBy
from billsmith.invoicing.model import InvoiceStatus, Line
from billsmith.invoicing.rebilling import Share, SourceLine, rebill, rule_for
from billsmith.invoicing.totals import DraftLine, TaxRate
from billsmith.metering.meter import Meter
from billsmith.storage import accounts, reconcile
from billsmith.storage import rebill as store
from billsmith.storage.database import Connection, Database
from billsmith.storage.invoices import Stored
from billsmith.storage.rebill import Claim, Group, NewCharge
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.currency import from_minor
from billsmith.units.errors import BillsmithError, Invalid
from billsmith.units.exact import Exact
from billsmith.units.instants import local_date
from billsmith.units.periods import Period
from billsmith.workflows.issue_invoice import MAX_LINES, OneOff, issue
from billsmith.workflows.metered import Measure
from billsmith.workflows.new_ids import new_id

#: Source invoices whose lines are claimed in one transaction.
CHUNK = 100
#: Lines told one by one.
MAX_TOLD = 1_000

_NOT_CHARGED = frozenset({InvoiceStatus.DRAFT, InvoiceStatus.GRACE, InvoiceStatus.VOID})


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A line that was not charged on, and why."""

    connection: str
    invoice: str
    line: int
    description: str
    code: str
    message: str


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """A charge as it was made, or would be."""

    rule: str
    customer: str
    currency: str
    amount_minor: int
    line: Line


class Rebilled(msgspec.Struct, kw_only=True):
    """What a run did: lines charged on, lines that were before, lines that no rule takes, charges, invoices by id.

    ``totals`` are by customer and currency; of charges and refusals the first thousand are told one by one.
    """

    claimed: int = 0
    before: int = 0
    without_rule: int = 0
    totals: dict[tuple[str, str], int] = {}
    charges: list[Preview] = []
    invoices: list[str] = []
    refused: list[Told] = []
    refused_count: int = 0


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """What a run needs: who issues, from which connections, the rules, the period, the usage where a rule splits by it."""

    issuer: Account
    connections: Sequence[VendorConnection]
    rules: Rules
    period: Period
    measure: Measure | None = None


def run(database: Database, book: Book, *, now: int, actor: str, dry_run: bool = False) -> Rebilled:
    """Charge on what a period's pulled invoices hold, and issue it. ``dry_run`` only says what would be charged."""
    result = Rebilled()
    customers = _Customers(database, book)
    # One reader in one state, and short writes beside it.
    with database.read() as reading:
        seqs = [each.seq for each in book.connections]
        pulled = reconcile.pulled_in_period(reading, seqs, book.period.start, book.period.end)
        while chunk := list(islice(pulled, CHUNK)):
            found = _Chunk(book, customers, result).charges_of(reading, chunk)
            if dry_run:
                _note(result, customers, found, set(found))
            else:
                with database.write() as connection:
                    taken = store.claim(connection, book.issuer, {claim: rule.code for claim, (rule, _) in found.items()}, now)
                    store.keep(connection, book.issuer, list(_new_charges(book, customers, found, taken)))
                _note(result, customers, found, taken)
    if not dry_run:
        result.invoices = list(issue_open(database, book, now=now, actor=actor))
    return result


def issue_open(database: Database, book: Book, *, now: int, actor: str) -> Iterator[str]:
    """Issue what is charged and on no invoice yet, also what an earlier run left; gives the invoices' ids."""
    with database.read() as connection:
        groups = store.open_groups(connection, book.issuer)
    for group in groups:
        while True:
            with database.write() as connection:
                made = _issue_group(connection, book, group, now, actor)
            if made is None:
                break
            yield made


def _issue_group(connection: Connection, book: Book, group: Group, now: int, actor: str) -> str | None:
    waiting = store.open_charges(connection, book.issuer, group, MAX_LINES)
    if not waiting:
        return None
    recipient = accounts.by_seq(connection, group.recipient_seq)
    date = local_date(now, book.issuer.time_zone)
    due = None if book.rules.due_days is None else date + dt.timedelta(days=book.rules.due_days)
    what = OneOff(
        lines=[_draft(each.line, group.currency) for each in waiting],
        taxes=[
            TaxRate(
                category=tax.category,
                name=tax.name,
                rate=tax.rate,
                included=tax.included,
                compound=tax.compound,
                note=tax.note,
            )
            for tax in book.rules.tax_rates
            if tax.country in ("", recipient.profile.country)
        ],
        currency=group.currency,
        date=date,
        due_date=due,
        period=group.period,
    )
    made = issue(connection, book.issuer, recipient, what, id=new_id(), now=now, actor=actor)
    store.mark_issued(connection, [each.seq for each in waiting], made.seq)
    return made.invoice.id


_Found = dict[Claim, tuple[Rule, tuple[Share, ...]]]


class _Chunk:
    """Some pulled invoices."""

    def __init__(self, book: Book, customers: _Customers, result: Rebilled) -> None:
        self.book = book
        self.customers = customers
        self.result = result
        self.names = {each.seq: each.name for each in book.connections}

    def charges_of(self, connection: Connection, chunk: Sequence[tuple[int, Stored]]) -> _Found:
        """The shares of every line that a rule takes and that was not charged on before."""
        before = store.claimed(connection, self.book.issuer, [found.seq for _, found in chunk])
        shares: _Found = {}
        for connection_seq, found in chunk:
            if found.invoice.status in _NOT_CHARGED:
                continue
            assert found.invoice.content is not None
            recipient = self.customers.recipient(found.recipient_seq)
            for index, line in enumerate(found.invoice.content.lines):
                claim = Claim(found.seq, index)
                if claim in before:
                    self.result.before += 1
                    continue
                source = SourceLine(
                    connection=self.names[connection_seq],
                    number=found.invoice.number,
                    index=index,
                    customer=recipient.external_id,
                    currency=found.invoice.currency,
                    period=found.invoice.period,
                    line=line,
                )
                rule = rule_for(self.book.rules.rules, source)
                if rule is None:
                    self.result.without_rule += 1
                    continue
                try:
                    shares[claim] = (rule, rebill(rule, source, self.customers.weights(rule, recipient, source.period)))
                except BillsmithError as error:
                    self._refuse(source, error)
        return shares

    def _refuse(self, source: SourceLine, error: BillsmithError) -> None:
        self.result.refused_count += 1
        if len(self.result.refused) < MAX_TOLD:
            self.result.refused.append(
                Told(
                    connection=source.connection,
                    invoice=source.number,
                    line=source.index + 1,
                    description=source.line.description,
                    code=error.code,
                    message=error.message,
                )
            )


class _Customers:
    """Who is charged, and what they share a line by. Accounts go by their ids: an external id may stand twice in a tree."""

    def __init__(self, database: Database, book: Book) -> None:
        self.database = database
        self.book = book
        self.by_id: dict[str, Account] = {}
        self.by_seq: dict[int, Account] = {}
        self.by_name: dict[str, Account] = {}
        self.measured: dict[tuple[str, Period], dict[str, Exact]] = {}

    def recipient(self, seq: int) -> Account:
        """The account to whom the vendor invoiced."""
        if seq not in self.by_seq:
            with self.database.read() as connection:
                self.by_seq[seq] = accounts.by_seq(connection, seq)
        return self.by_seq[seq]

    def weights(self, rule: Rule, recipient: Account, period: Period) -> Mapping[str, Exact]:
        """Who shares a line, by id, and how much each weighs. Raises :class:`Invalid` for a customer that can't be charged."""
        split = rule.split
        if split is None:
            charged = self._named(rule.to) if rule.to else recipient
            if charged.seq == self.book.issuer.seq:
                raise Invalid(
                    "the vendor invoiced this to the issuer itself. Name the customer with to, or split it",
                    code="rebill.nobody",
                    where=rule.code,
                )
            return {self._known(charged): Decimal(1)}
        if split.by is SplitBy.USAGE:
            assert split.meter is not None
            return self._usage(rule, split.meter, period)
        weights: dict[str, Exact] = {}
        for name, weight in split.shares.items():
            id = self._known(self._named(name))
            if id in weights:
                raise Invalid(f"{name!r} names a customer who has a share already", code="rebill.twice", where=rule.code)
            weights[id] = weight
        return weights

    def _named(self, name: str) -> Account:
        if name not in self.by_name:
            with self.database.read() as connection:
                found = accounts.find(connection, name, self.book.issuer)
            if found is None:
                raise Invalid(
                    f"there is no customer {name[:128]!r} at or below {self.book.issuer.name!r}", code="rebill.customer"
                )
            self.by_name[name] = found
        return self.by_name[name]

    def _known(self, account: Account) -> str:
        self.by_id[account.id] = account
        return account.id

    def _usage(self, rule: Rule, meter: Meter, period: Period) -> dict[str, Exact]:
        if self.book.measure is None:
            raise Invalid("there is no usage store here to split by", code="rebill.no_usage", where=rule.code)
        key = (rule.code, period)
        if key not in self.measured:
            counted = self.book.measure(meter, period)
            self.measured[key] = {id: value for id, value in sorted(counted.items()) if value > 0 and self._is_ours(id)}
        return self.measured[key]

    def _is_ours(self, id: str) -> bool:
        with self.database.read() as connection:
            found = accounts.by_id(connection, id)
        if found is None or not found.is_at_or_below(self.book.issuer):
            return False
        self._known(found)
        return True


def _new_charges(book: Book, customers: _Customers, found: _Found, taken: set[Claim]) -> Iterator[NewCharge]:
    for claim in sorted(taken):
        _, shares = found[claim]
        for share in shares:
            account = customers.by_id[share.customer]
            yield NewCharge(claim, account.seq, share.currency, book.period, share.line)


def _note(result: Rebilled, customers: _Customers, found: _Found, taken: set[Claim]) -> None:
    result.claimed += len(taken)
    for claim in sorted(taken):
        rule, shares = found[claim]
        for share in shares:
            customer, amount_minor = customers.by_id[share.customer].external_id, share.line.amount_minor
            key = (customer, share.currency)
            result.totals[key] = result.totals.get(key, 0) + amount_minor
            if len(result.charges) < MAX_TOLD:
                result.charges.append(
                    Preview(
                        rule=rule.code,
                        customer=customer,
                        currency=share.currency,
                        amount_minor=amount_minor,
                        line=share.line,
                    )
                )


def _draft(line: Line, currency: str) -> DraftLine:
    return DraftLine(
        description=line.description,
        amount=from_minor(line.amount_minor, currency),
        kind=line.kind,
        quantity=line.quantity,
        unit=line.unit,
        period=line.period,
        tax_category=line.tax_category,
        component=line.component,
        dimensions=line.dimensions,
        trace=line.trace,
    )
