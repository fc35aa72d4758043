"""Does a store hold together? Everything that must be true of it, checked by reading alone, in short transactions.

Each check looks at one invariant and reports every place where it does not hold. Counters are compared with what they count
within one snapshot an account, so that writers at work are no false alarm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
import zstandard
from sqlalchemy import Connection, Table, func, select, text, tuple_

from billsmith.accounts.authorisation import parse_scopes
from billsmith.accounts.model import Account
from billsmith.documents.packed import unpack_content
from billsmith.invoicing.model import OPEN_STATUSES, Content, Invoice, InvoiceStatus, LineKind
from billsmith.storage import accounts, change_log, invoices, schema
from billsmith.storage.database import Database
from billsmith.storage.invoices import ISSUED_BY, ISSUED_TO, Stored
from billsmith.storage.verify_billing import check_billed, check_ledger
from billsmith.storage.verify_chain import Head, check_chain
from billsmith.storage.verify_sync import check_pulls
from billsmith.units.currency import from_minor
from billsmith.units.errors import BillsmithError, Invalid

#: Problems that are told one by one; more are only counted.
MOST_TOLD = 1000
_STEP = 500

Progress = Callable[[int], None]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that should not be: which check found it, where, and what it is."""

    check: str
    where: str
    what: str


#: What is checked, in this order.
CHECKS = (
    "file",
    "accounts",
    "credentials",
    "documents",
    "sums",
    "rows",
    "payments",
    "parties",
    "history",
    "viewers",
    "tallies",
    "batch tallies",
    "recipient tallies",
    "versions",
    "numbers",
    "chain",
    "vendor ids",
    "usage",
    "ledger",
    "owed",
    "credits",
    "wallets",
    "billed",
    "changes",
    "pulls",
)


class Report(msgspec.Struct, kw_only=True):
    """What a verification saw."""

    invoices: int = 0
    lines: int = 0
    unexplained_lines: int = 0
    checked: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(CHECKS, 0))
    problems: list[Problem] = []
    problems_found: int = 0
    chains: list[Head] = []

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return self.problems_found == 0

    def note(self, check: str, count: int = 1) -> None:
        """Count what a check looked at."""
        self.checked[check] += count

    def add(self, check: str, where: str, what: str) -> None:
        """Keep a problem."""
        self.problems_found += 1
        if len(self.problems) < MOST_TOLD:
            self.problems.append(Problem(check=check, where=where, what=what))


def verify(database: Database, *, progress: Progress = lambda _count: None) -> Report:
    """Check a store of this program's form. Gives every problem that it found; raises only when the store can't be read."""
    report = Report()
    for what in check_file(database):
        report.add("file", "database", what)
    report.note("file")
    if not report.ok:
        return report  # what a damaged file says further on means nothing
    steps: dict[str, Callable[[], None]] = {
        "accounts": lambda: _accounts(database, report),
        "credentials": lambda: _credentials(database, report),
        "rows": lambda: _invoices(database, report, progress),
        "tallies": lambda: _tallies(database, report),
        "numbers": lambda: _numbers(database, report),
        "chain": lambda: _chain(database, report),
        "vendor ids": lambda: _vendor_ids(database, report),
        "ledger": lambda: _ledger(database, report),
        "billed": lambda: report.note("billed", 1 + check_billed(database, partial(report.add, "billed"))),
        "changes": lambda: report.note("changes", change_log.check(database, partial(report.add, "changes"))),
        "pulls": lambda: report.note("pulls", 1 + check_pulls(database, partial(report.add, "pulls"))),
    }
    for check, step in steps.items():
        try:
            step()
        except (ValueError, LookupError, Invalid) as error:
            report.add(check, "database", f"a row can't be read, so not all was checked: {error!r}")
    return report


def check_file(database: Database) -> list[str]:
    """What the engine itself finds wrong with the file: pages, indexes, references. Whatever the form of its tables."""
    if not database.is_sqlite:
        with database.read() as connection:
            rows = connection.execute(text("SELECT conname FROM pg_constraint WHERE NOT convalidated"))
            return [f"constraint {row.conname} is not enforced" for row in rows]
    with database.read() as connection:
        found = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check(100)")) if row[0] != "ok"]
        dangling = connection.execute(text("PRAGMA foreign_key_check")).fetchmany(100)
    return found + [f"row {row[1]} of {row[0]} refers to a row of {row[2]} that is not there" for row in dangling]


def count_invoices(database: Database) -> int:
    """How many invoices there are to look at."""
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(schema.invoice)).scalar_one())


def _ledger(database: Database, report: Report) -> None:
    for check, count in check_ledger(database, report.add).items():
        report.note(check, 1 + count)


def _accounts(database: Database, report: Report) -> None:
    paths: dict[str, str] = {}
    for account in _every_account(database):
        report.note("accounts")
        above = "/" if account.parent_id is None else paths.get(account.parent_id, "?")
        paths[account.id] = account.path
        if account.path != f"{above}{account.seq}/":
            report.add("accounts", account.id, f"its path {account.path} does not lead through its parent")


def _every_account(database: Database) -> Iterator[Account]:
    """Every account, in short reads."""
    after = 0
    while True:
        with database.read() as connection:
            batch = accounts.below(connection, None, after_seq=after)
        yield from batch
        if not batch:
            return
        after = batch[-1].seq


def _credentials(database: Database, report: Report) -> None:
    table, secrets = schema.credential, schema.credential_secret
    query = (
        select(table.c.seq, table.c.id, table.c.scopes, func.count(secrets.c.hash), func.min(secrets.c.hash))
        .join_from(table, secrets, secrets.c.credential_seq == table.c.seq, isouter=True)
        .group_by(table.c.seq, table.c.id, table.c.scopes)
    )
    with database.snapshot() as connection:
        for _seq, id, scopes, count, secret in connection.execute(query):
            report.note("credentials")
            try:
                parse_scopes(scopes.split())
            except BillsmithError as error:
                report.add("credentials", id, error.message)
            if not count:
                report.add("credentials", id, "it has no secret")
            elif not _is_hash(secret):
                report.add("credentials", id, "what is kept of its secret is no hash")


def _is_hash(text: str) -> bool:
    return text.startswith("$argon2") or (len(text) == 64 and set(text) <= set("0123456789abcdef"))


def _invoices(database: Database, report: Report, progress: Progress) -> None:
    after, viewers, newest = 0, 0, _newest(database)
    while True:
        with database.snapshot() as connection:
            rows = connection.execute(
                invoices.columns()
                .where(schema.invoice.c.seq > after, schema.invoice.c.seq <= newest)
                .order_by(schema.invoice.c.seq)
                .limit(_STEP)
            )
            batch = [invoices.stored(row) for row in rows]
            if not batch:
                break
            viewers += _InvoiceChecks(connection, report).run(batch)
        after = batch[-1].seq
        progress(len(batch))
    _no_more_viewers(database, report, viewers, newest)


def _newest(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.coalesce(func.max(schema.invoice.c.seq), 0))).scalar_one())


class _InvoiceChecks:
    """The checks of some invoices, read in one snapshot."""

    def __init__(self, connection: Connection, report: Report) -> None:
        self.connection = connection
        self.report = report

    def run(self, batch: Sequence[Stored]) -> int:
        """Check the invoices; gives how many rows of who sees them there must be."""
        seqs = [stored.seq for stored in batch]
        parties = accounts.by_seqs(self.connection, {seq for stored in batch for seq in stored[1:3]})
        documents = self._by_invoice(schema.invoice_document, "body", seqs)
        paid = self._payments(seqs)
        imported = self._imported(seqs)
        for stored in batch:
            self.report.invoices += 1
            self._document(stored, documents.get(stored.seq))
            self._row(stored.invoice, stored.seq in imported)
            if stored.seq not in imported:
                self._paid(stored.invoice, paid.get(stored.seq, 0))
            self.report.note("parties")
            if not parties[stored.recipient_seq].is_at_or_below(parties[stored.issuer_seq]):
                self._problem("parties", stored.invoice, "its recipient does not stand at or below its issuer")
        self._history(batch)
        return self._viewers(batch, parties)

    def _document(self, stored: Stored, body: bytes | None) -> None:
        self.report.note("documents")
        if body is None:
            self._problem("documents", stored.invoice, "its document is missing")
            return
        try:
            content = unpack_content(body)
        except (zstandard.ZstdError, ValueError, MemoryError) as error:
            self._problem("documents", stored.invoice, f"its document can't be read: {error}")
            return
        self._sums(stored.invoice, content)

    def _sums(self, invoice: Invoice, content: Content) -> None:
        self.report.note("sums")
        self.report.lines += len(content.lines)
        self.report.unexplained_lines += sum(line.kind is LineKind.UNEXPLAINED for line in content.lines)
        lines = sum(line.amount_minor for line in content.lines)
        added = sum(tax.amount_minor for tax in content.taxes if not tax.included)
        if lines + added != invoice.total_minor:
            self._problem(
                "sums", invoice, f"lines {lines} and taxes {added} do not sum to the total {invoice.total_minor} (minor units)"
            )
        if content.taxes and sum(tax.amount_minor for tax in content.taxes) != invoice.tax_minor:
            self._problem("sums", invoice, f"its taxes do not sum to {invoice.tax_minor} (minor units)")

    def _row(self, invoice: Invoice, imported: bool) -> None:
        self.report.note("rows")
        if invoice.stated_total is not None:
            unit = from_minor(1, invoice.currency)
            if abs(invoice.stated_total - from_minor(invoice.total_minor, invoice.currency)) >= unit:
                self._problem("rows", invoice, f"the stated total {invoice.stated_total} is not its total")
        if invoice.period.end < invoice.period.start:
            self._problem("rows", invoice, "its period ends before it starts")
        unstated = imported and invoice.voided_at is None  # no vendor says when it voided an invoice
        if (invoice.status is InvoiceStatus.VOID) != (invoice.voided_at is not None) and not unstated:
            self._problem("rows", invoice, f"it is {invoice.status.word}, but its time of voiding says otherwise")

    def _paid(self, invoice: Invoice, payments: int) -> None:
        """Where nobody but us records payments, they are what was paid."""
        self.report.note("payments")
        if invoice.paid_minor != payments:
            self._problem("payments", invoice, f"{invoice.paid_minor} paid, but its payments sum to {payments} (minor units)")
        settled = abs(invoice.paid_minor) >= abs(invoice.total_minor)
        if invoice.status is InvoiceStatus.PAID and not settled:
            self._problem("payments", invoice, "it is paid, but not all of it was")
        is_paid = invoice.status is InvoiceStatus.PAID
        if (is_paid or invoice.status in OPEN_STATUSES) and is_paid != (invoice.paid_at is not None):
            self._problem("payments", invoice, f"it is {invoice.status.word}, but its time of payment says otherwise")
        begun = {InvoiceStatus.ISSUED: False, InvoiceStatus.PARTIALLY_PAID: True}.get(invoice.status)
        if begun is not None and begun != bool(invoice.paid_minor):
            self._problem(
                "payments", invoice, f"it is {invoice.status.word}, and {invoice.paid_minor} of it was paid (minor units)"
            )
        if invoice.status in OPEN_STATUSES and settled and invoice.total_minor > 0:
            self._problem("payments", invoice, f"all of it was paid, but it is {invoice.status.word}")

    def _history(self, batch: Sequence[Stored]) -> None:
        history = schema.invoice_history
        by_seq = {stored.seq: stored.invoice for stored in batch}
        rows = self.connection.execute(
            select(history.c.invoice_seq, func.count(), func.max(history.c.step))
            .where(history.c.invoice_seq.in_(by_seq))
            .group_by(history.c.invoice_seq)
        )
        for seq, count, last in rows:
            self.report.note("history", count)
            if count != last:
                self._problem("history", by_seq[seq], f"its history has {count} entries and ends with number {last}")

    def _viewers(self, batch: Sequence[Stored], parties: dict[int, Account]) -> int:
        table = schema.invoice_viewer
        wanted = {
            (viewer, stored.invoice.created_at, stored.seq): stored.invoice
            for stored in batch
            for viewer in accounts.ancestors(parties[stored.recipient_seq].path)
            if viewer != stored.issuer_seq
        }
        self.report.note("viewers", len(wanted))
        keys = tuple_(table.c.viewer_seq, table.c.created_at, table.c.invoice_seq)
        found = (
            {tuple(row) for row in self.connection.execute(select(table).where(keys.in_(list(wanted))))} if wanted else set()
        )
        for key, invoice in wanted.items():
            if key not in found:
                self._problem("viewers", invoice, f"account row {key[0]} should see it and does not")
        return len(wanted)

    def _payments(self, seqs: Sequence[int]) -> dict[int, int]:
        payment = schema.payment
        query = (
            select(payment.c.invoice_seq, func.sum(payment.c.amount_minor))
            .where(payment.c.invoice_seq.in_(seqs))
            .group_by(payment.c.invoice_seq)
        )
        return {seq: int(amount) for seq, amount in self.connection.execute(query)}

    def _imported(self, seqs: Sequence[int]) -> set[int]:
        ids = schema.vendor_id
        vendors = [row[0] for row in self.connection.execute(select(ids.c.vendor).distinct())]
        query = select(ids.c.our_seq).where(
            ids.c.vendor.in_(vendors), ids.c.kind == "invoice", ids.c.our_seq.in_(seqs), ids.c.stated.is_not(None)
        )
        return {row[0] for row in self.connection.execute(query)}

    def _by_invoice(self, table: Table, column: str, seqs: Sequence[int]) -> dict[int, Any]:
        rows = self.connection.execute(select(table.c.invoice_seq, table.c[column]).where(table.c.invoice_seq.in_(seqs)))
        return {row[0]: row[1] for row in rows}

    def _problem(self, check: str, invoice: Invoice, what: str) -> None:
        self.report.add(check, f"invoice {invoice.id} ({invoice.number})", what)


def _no_more_viewers(database: Database, report: Report, wanted: int, newest: int) -> None:
    """Who must see an invoice was looked up one by one; if the table has as many rows, nobody else sees any."""
    table = schema.invoice_viewer
    with database.read() as connection:
        query = select(func.count()).select_from(table).where(table.c.invoice_seq <= newest)
        there = int(connection.execute(query).scalar_one())
    if there > wanted:
        report.add("viewers", "invoice_viewer", f"{there - wanted} rows let somebody see an invoice who should not")


def _tallies(database: Database, report: Report) -> None:
    for account in _every_account(database):
        with database.snapshot() as connection:
            for role, owner in ((ISSUED_BY, schema.invoice.c.issuer_seq), (ISSUED_TO, schema.invoice.c.recipient_seq)):
                _tally(connection, report, account, role, owner)
                _versions(connection, report, account, role)
            for name in ("batch", "recipient_seq"):
                _issuer_tally(connection, report, account, name)


def _tally(connection: Connection, report: Report, account: Account, role: int, owner: Any) -> None:
    tally, flags = schema.invoice_tally, schema.invoice.c.flags
    kept = connection.execute(
        select(tally.c.flags, tally.c["count"]).where(tally.c.account_seq == account.seq, tally.c.role == role)
    )
    counted = connection.execute(select(flags, func.count()).where(owner == account.seq).group_by(flags))
    report.note("tallies")
    if (kept_counts := _counts(kept)) != (real := _counts(counted)):
        side = "issued by" if role == ISSUED_BY else "issued to"
        report.add("tallies", f"account {account.id}, {side}", f"counted {_difference(kept_counts, real)}")


def _issuer_tally(connection: Connection, report: Report, account: Account, name: str) -> None:
    """The tally of an issuer's invoices by batch, and the one by recipient."""
    tally, table = (schema.batch_tally if name == "batch" else schema.pair_tally), schema.invoice
    kept = connection.execute(select(tally.c[name], tally.c.flags, tally.c["count"]).where(tally.c.issuer_seq == account.seq))
    counted = connection.execute(
        select(table.c[name], table.c.flags, func.count())
        .where(table.c.issuer_seq == account.seq)
        .group_by(table.c[name], table.c.flags)
    )
    what = "batch tallies" if name == "batch" else "recipient tallies"
    report.note(what)
    if (kept_counts := _counts(kept)) != (real := _counts(counted)):
        report.add(what, f"account {account.id}", f"counted {_difference(kept_counts, real)}")


def _counts(rows: Any) -> dict[tuple[Any, ...], int]:
    return {tuple(row[:-1]): int(row[-1]) for row in rows if row[-1]}


def _difference(kept: dict[tuple[Any, ...], int], real: dict[tuple[Any, ...], int]) -> str:
    differing = [key for key in sorted(kept.keys() | real.keys()) if kept.get(key, 0) != real.get(key, 0)]
    told = ", ".join(f"{key}: {kept.get(key, 0)}, there are {real.get(key, 0)}" for key in differing[:3])
    return told + (f" and {len(differing) - 3} more" if len(differing) > 3 else "")


def _versions(connection: Connection, report: Report, account: Account, role: int) -> None:
    """A list's changes are numbered without a gap; the oldest may be gone, the newest never."""
    changes = schema.invoice_change
    query = select(func.count(), func.min(changes.c.version), func.max(changes.c.version)).where(
        changes.c.account_seq == account.seq, changes.c.role == role
    )
    count, first, last = connection.execute(query).one()
    report.note("versions", count)
    if count and last - first + 1 != count:
        report.add("versions", f"account {account.id}", f"{count} changes are numbered {first} to {last}")


def _numbers(database: Database, report: Report) -> None:
    series = schema.number_series
    with database.snapshot() as connection:
        rows = connection.execute(
            select(series.c.issuer_seq, series.c.series, series.c.last, schema.account.c.id).join_from(
                series, schema.account, series.c.issuer_seq == schema.account.c.seq
            )
        ).all()
        for issuer_seq, name, last, issuer_id in rows:
            _gapless(connection, report, issuer_seq, name, last, issuer_id)


def _gapless(connection: Connection, report: Report, issuer_seq: int, name: str, last: int, issuer_id: str) -> None:
    """Every number of a series up to its last was given to exactly one invoice of ours."""
    table = schema.invoice
    prefix = invoices.number_key(f"{name}-")
    query = select(table.c.seq, table.c.number_key).where(
        table.c.issuer_seq == issuer_seq, table.c.number_key >= prefix, table.c.number_key < prefix[:-1] + "."
    )
    found: Counter[int] = Counter()
    for piece in connection.execution_options(yield_per=_STEP).execute(query).partitions():
        imported = _InvoiceChecks(connection, report)._imported([row.seq for row in piece])
        found.update(
            int(row.number_key[len(prefix) :])
            for row in piece
            if row.seq not in imported and row.number_key[len(prefix) :].isdecimal()
        )
    report.note("numbers", len(found))
    where = f"account {issuer_id}, series {name}"
    missing = [number for number in range(1, last + 1) if number not in found]
    if missing:
        report.add("numbers", where, f"{len(missing)} numbers are missing, the first {missing[0]}")
    for number, count in sorted(found.items()):
        if count > 1 or not 1 <= number <= last:
            report.add("numbers", where, f"number {number} stands on {count} invoices; the last one given is {last}")


def _chain(database: Database, report: Report) -> None:
    report.chains = check_chain(database, partial(report.add, "chain"))
    report.note("chain", sum(head.documents for head in report.chains))


def _vendor_ids(database: Database, report: Report) -> None:
    ids = schema.vendor_id
    target = {"invoice": schema.invoice, "account": schema.account}
    with database.snapshot() as connection:
        for kind, table in target.items():
            query = (
                select(ids.c.vendor, ids.c.vendor_key)
                .join_from(ids, table, ids.c.our_seq == table.c.seq, isouter=True)
                .where(ids.c.kind == kind, table.c.seq.is_(None))
                .limit(MOST_TOLD)
            )
            report.note("vendor ids", _count_kind(connection, kind))
            for vendor, vendor_key in connection.execute(query):
                report.add(
                    "vendor ids",
                    f"{vendor} {vendor_key}",
                    f"it names {'an' if kind[0] in 'ai' else 'a'} {kind} that is not there",
                )


def _count_kind(connection: Connection, kind: str) -> int:
    ids = schema.vendor_id
    return int(connection.execute(select(func.count()).select_from(ids).where(ids.c.kind == kind)).scalar_one())
