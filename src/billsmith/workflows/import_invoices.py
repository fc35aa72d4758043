"""Invoices that another system issued come in here: idempotent, row by row, each row at or below the importing account.

A vendor's folder reads its own file into :class:`Imported` values; this module finds or makes the accounts, gives each invoice
the id that derives from the vendor's id, and adds what is new. The same file again changes nothing; a row that was paid or
voided in the meantime moves the invoice; a row whose amount changed is an error of that row, because issued is issued.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

import msgspec

from billsmith.accounts.model import Account, check_text
from billsmith.invoicing.model import Content, Invoice, Line, LineKind, Party
from billsmith.storage import accounts, invoice_writing, invoices
from billsmith.storage.database import Connection, Database
from billsmith.storage.invoice_writing import NewInvoice
from billsmith.storage.invoices import Stored
from billsmith.units.currency import from_minor
from billsmith.units.errors import BillsmithError, Conflict, Invalid
from billsmith.units.ids import derived_id, parse_id
from billsmith.units.instants import parse_instant
from billsmith.workflows.issue_invoice import MAX_TOTAL_MINOR
from billsmith.workflows.parties import party

# Years whose every instant fits 64 bits of nanoseconds.
_FIRST_INSTANT = parse_instant("1678-01-01T00:00:00Z")
_LAST_INSTANT = parse_instant("2262-01-01T00:00:00Z")

#: The parties of an imported invoice are filled in from the accounts when it is added.
NOBODY = Party(name="")


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """One invoice of a vendor's file.

    ``vendor_key`` is the vendor's own id for it, unique within the importing account. ``recipient`` names the account that
    it was issued to, by UUID or external id; ``None`` is the importing account itself. ``invoice`` is everything else, with
    empty ids and :data:`NOBODY` as parties.
    """

    where: str
    vendor: str
    vendor_key: str
    recipient: str | None
    recipient_name: str
    invoice: Invoice


class RowError(msgspec.Struct, frozen=True, kw_only=True):
    """A row that did not come in: where it stands, why, and the error's code; the vendor's own id for it, where it was read."""

    where: str
    code: str
    message: str
    vendor_key: str = ""


class Came(msgspec.Struct, frozen=True, kw_only=True):
    """A row that came in or was there: our invoice's number in the store, and what it moved (none: unchanged).

    ``moved`` gives each moved field's value before and after.
    """

    row: Imported
    seq: int
    new: bool = False
    moved: dict[str, tuple[Any, Any]] = {}


class ImportReport(msgspec.Struct, kw_only=True):
    """What an import did."""

    added: int = 0
    moved: int = 0
    unchanged: int = 0
    accounts_made: int = 0
    errors: list[RowError] = []

    @property
    def seen(self) -> int:
        """Rows looked at."""
        return self.added + self.moved + self.unchanged + len(self.errors)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Whose invoices a file holds: the account whose ids they are, and who issued them."""

    owner: Account
    issuer: Account
    actor: str = "command line"


def run(
    database: Database,
    plan: Plan,
    rows: Iterable[Imported | RowError],
    *,
    now: int,
    progress: Callable[[int], None] = lambda _count: None,
) -> ImportReport:
    """Bring rows in, in chunks of one transaction each. Killed in between and run again, the result is the same."""
    report = ImportReport()
    iterator = iter(rows)
    while chunk := list(islice(iterator, invoices.CHUNK)):
        with database.write() as connection:
            partial = bring_in(connection, plan, chunk, now=now).report
        report.added += partial.added
        report.moved += partial.moved
        report.unchanged += partial.unchanged
        report.accounts_made += partial.accounts_made
        report.errors.extend(partial.errors)
        progress(len(chunk))
    return report


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the rows of one transaction: those that came (or were there), the ids of accounts made, the counts."""

    came: list[Came]
    made: list[str]
    report: ImportReport


def bring_in(connection: Connection, plan: Plan, rows: Sequence[Imported | RowError], *, now: int) -> Chunk:
    """Bring rows in (at most :data:`billsmith.storage.invoices.CHUNK`) within the caller's transaction."""
    chunk = _Chunk(connection, plan, now)
    report = chunk.bring_in(rows)
    return Chunk(came=chunk.came, made=chunk.made, report=report)


def stated_lines(
    lines: Sequence[Line], total_minor: int, currency: str, *, stated_by: str, stated_total: Decimal | None = None
) -> tuple[Line, ...]:
    """A vendor's lines made to sum to its total, which is authoritative.

    Without lines there is one that carries the total, "as stated by …"; where they differ from it, a line of kind
    ``unexplained`` carries the difference (``billsmith verify`` counts those).

    >>> [line.description for line in stated_lines([], 1890, "EUR", stated_by="Acronis")]
    ['as stated by Acronis']
    """
    if not lines:
        differs = stated_total is not None and stated_total != from_minor(total_minor, currency)
        return (
            Line(
                description=f"as stated by {stated_by}",
                amount_minor=total_minor,
                kind=LineKind.STATED,
                exact_amount=stated_total if differs else None,
            ),
        )
    missing = total_minor - sum(line.amount_minor for line in lines)
    if not missing:
        return tuple(lines)
    return (
        *lines,
        Line(
            description=f"what the total stated by {stated_by} says beyond its lines",
            amount_minor=missing,
            kind=LineKind.UNEXPLAINED,
        ),
    )


class _Chunk:
    """The rows of one transaction."""

    def __init__(self, connection: Connection, plan: Plan, now: int) -> None:
        self.connection = connection
        self.plan = plan
        self.now = now
        self.report = ImportReport()
        self.came: list[Came] = []
        self.made: list[str] = []
        self.recipients: dict[str | None, Account | BillsmithError] = {None: plan.owner}

    def bring_in(self, rows: Sequence[Imported | RowError]) -> ImportReport:
        self.report.errors.extend(row for row in rows if isinstance(row, RowError))
        good = self._without_repeats([row for row in rows if isinstance(row, Imported)])
        known = self._known(good)
        new: list[NewInvoice] = []
        arriving: list[Imported] = []
        for row in good:
            try:
                recipient = self._recipient(row)
                if row.vendor_key in known:
                    self._compare(row, recipient, *known[row.vendor_key])
                else:
                    new.append(self._new(row, recipient))
                    arriving.append(row)
            except BillsmithError as error:
                self._refuse(row, error)
        seqs = invoice_writing.add(self.connection, new)
        self.came += [Came(row=row, seq=seq, new=True) for row, seq in zip(arriving, seqs, strict=True)]
        self.report.added = len(new)
        return self.report

    def _without_repeats(self, rows: Sequence[Imported]) -> list[Imported]:
        """One row a key: the same one again is unchanged, another content under the key is an error."""
        first: dict[str, Imported] = {}
        for row in rows:
            before = first.setdefault(row.vendor_key, row)
            if before is row:
                continue
            if msgspec.structs.replace(before, where="") == msgspec.structs.replace(row, where=""):
                self.report.unchanged += 1
            else:
                self._refuse(row, Conflict(f"{before.where} has the same id with another content", code="import.repeated_id"))
        return list(first.values())

    def _known(self, rows: Sequence[Imported]) -> dict[str, tuple[Stored, str]]:
        """The rows whose vendor's id was met before, with what the vendor stated then."""
        if not rows:
            return {}
        keys = [row.vendor_key for row in rows]
        known = invoices.vendor_invoices(self.connection, rows[0].vendor, self.plan.owner, keys)
        found = invoices.by_seqs(self.connection, [entry.seq for entry in known.values()])
        return {key: (found[entry.seq], entry.stated) for key, entry in known.items()}

    def _recipient(self, row: Imported) -> Account:
        if row.recipient not in self.recipients:
            assert row.recipient is not None
            try:
                self.recipients[row.recipient] = self._find_or_make(row.recipient, row.recipient_name)
            except BillsmithError as error:
                self.recipients[row.recipient] = error
        found = self.recipients[row.recipient]
        if isinstance(found, BillsmithError):
            raise found
        return found

    def _find_or_make(self, name: str, display_name: str) -> Account:
        owner = self.plan.owner
        found = accounts.find(self.connection, name, owner)
        if found is not None:
            return found
        canonical = parse_id(name)
        if canonical is not None and accounts.by_id(self.connection, canonical) is not None:
            raise Invalid(
                f"account {canonical} lies elsewhere, not at or below {owner.name!r}", code="import.account_elsewhere"
            )
        external_id = check_text(name, "customer id", 128)
        self.report.accounts_made += 1
        id = canonical or derived_id("account", owner.id, external_id)
        self.made.append(id)
        return accounts.create(
            self.connection,
            id=id,
            name=display_name.strip() or external_id,
            now=self.now,
            parent=owner,
            external_id=external_id,
            actor=self.plan.actor,
        )

    def _new(self, row: Imported, recipient: Account) -> NewInvoice:
        plan = self.plan
        if not recipient.is_at_or_below(plan.issuer):
            raise Invalid("the recipient does not stand at or below the issuer", code="import.account_elsewhere")
        _check_storable(row)
        content = row.invoice.content
        assert content is not None
        named = row.invoice.customer_name or recipient.name
        invoice = msgspec.structs.replace(
            row.invoice,
            id=derived_id("invoice", row.vendor, plan.owner.id, row.vendor_key),
            issuer_id=plan.issuer.id,
            recipient_id=recipient.id,
            customer_name=named,
            billing_entity=row.invoice.billing_entity or plan.issuer.profile.billing_entity or plan.issuer.name,
            created_at=row.invoice.created_at or self.now,
            content=_with_parties(content, plan.issuer, recipient, named),
        )
        return NewInvoice(
            invoice=invoice,
            issuer=plan.issuer,
            recipient=recipient,
            vendor=row.vendor,
            vendor_owner=plan.owner,
            vendor_key=row.vendor_key,
            stated=_statement(row.invoice),
            recorded_at=self.now,
            recorded_by=plan.actor,
        )

    def _compare(self, row: Imported, recipient: Account, found: Stored, last_stated: str) -> None:
        stored, stated = found.invoice, row.invoice
        if found.recipient_seq != recipient.seq:
            raise Conflict("it was issued to another account before", code="import.recipient_changed")
        if (stored.total_minor, stored.currency, stored.number) != (stated.total_minor, stated.currency, stated.number):
            raise Conflict(
                f"it came before as {stored.number} over {from_minor(stored.total_minor, stored.currency)} {stored.currency}; "
                "an issued invoice does not change, a correction is a document of its own",
                code="import.amount_changed",
            )
        statement = _statement(stated)
        if statement == last_stated:
            self._stays(row, found)
            return
        invoice_writing.restate(self.connection, row.vendor, self.plan.owner, row.vendor_key, statement)
        locked = invoice_writing.lock(self.connection, found)
        changed = _moves(locked.invoice, stated, _fields(last_stated))
        if not changed:
            self._stays(row, found)
            return
        invoice_writing.move(
            self.connection,
            locked,
            what="import",
            actor=self.plan.actor,
            at=self.now,
            detail=", ".join(sorted(changed)),
            **changed,
        )
        self.report.moved += 1
        moved = {name: (getattr(locked.invoice, name), value) for name, value in changed.items()}
        self.came.append(Came(row=row, seq=found.seq, moved=moved))

    def _stays(self, row: Imported, found: Stored) -> None:
        self.report.unchanged += 1
        self.came.append(Came(row=row, seq=found.seq))

    def _refuse(self, row: Imported, error: BillsmithError) -> None:
        self.report.errors.append(RowError(where=row.where, code=error.code, message=error.message, vendor_key=row.vendor_key))


# What the store's columns hold: a longer text would come in on one engine and not on the other.
_LONGEST = {"customer_name": 200, "billing_entity": 200, "batch": 32, "invoiced_by": 200, "payment_method": 64}


def _check_storable(row: Imported) -> None:
    """What a vendor's file says must fit the store, whatever its engine: texts, amounts, instants.

    Raises :class:`Invalid`.
    """
    invoice = row.invoice
    check_text(row.vendor_key, "id", 255)
    check_text(invoice.number, "the invoice number", 64)
    for name, longest in _LONGEST.items():
        check_text(getattr(invoice, name), name, longest, empty=True)
    if max(abs(invoice.total_minor), abs(invoice.paid_minor), abs(invoice.tax_minor)) > MAX_TOTAL_MINOR:
        raise Invalid("the total is too large to be owed", code="import.too_large")
    instants = (invoice.period.start, invoice.period.end, invoice.created_at)
    if not all(_FIRST_INSTANT <= instant <= _LAST_INSTANT for instant in instants):
        raise Invalid("a date lies before 1678 or after 2261", code="import.date")


_MOVING = ("status", "paid_minor", "paid_at", "voided_at", "exported_at", "send_by_email", "payment_sent", "payment_method")


def _statement(invoice: Invoice) -> str:
    """What a vendor says of an invoice's state, as one text to compare the next statement with."""
    fields = {name: getattr(invoice, name) for name in (*_MOVING, "extras")}
    return msgspec.json.encode(fields, order="sorted").decode()


def _fields(statement: str) -> dict[str, Any]:
    return msgspec.json.decode(statement) if statement else {}


def _moves(stored: Invoice, stated: Invoice, before: dict[str, Any]) -> dict[str, Any]:
    """What a later statement changes: only fields that the vendor itself moved since its last one.

    So a payment recorded here outlives the vendor's next statement, which still says unpaid as it did before.
    """
    now = _fields(_statement(stated))
    moved = [name for name in _MOVING if now[name] != before.get(name)]
    changed = {name: getattr(stated, name) for name in moved if getattr(stated, name) != getattr(stored, name)}
    if now["extras"] != before.get("extras"):
        changed["extras"] = stated.extras
    return changed


def _with_parties(content: Content, issuer: Account, recipient: Account, named: str) -> Content:
    return msgspec.structs.replace(
        content,
        issuer=party(issuer, as_issuer=True),
        recipient=msgspec.structs.replace(party(recipient), name=named),
    )
