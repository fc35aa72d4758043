"""``billsmith invoices``: look at invoices, record payments, take one back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter

from billsmith.accounts.model import Account, check_text
from billsmith.cli.billing import usage_store
from billsmith.cli.common import ACTOR, PLAIN, Common, opened
from billsmith.cli.output import Form, Listing, Record, note
from billsmith.invoicing.model import HistoryEntry, Invoice, InvoiceStatus, Line, Party, Payment, Tax
from billsmith.storage import accounts, invoices
from billsmith.storage.database import Connection, Database
from billsmith.storage.invoices import Stored
from billsmith.units.currency import from_minor, to_minor
from billsmith.units.errors import Invalid, NotFound
from billsmith.units.ids import parse_id
from billsmith.units.instants import format_instant, parse_instant
from billsmith.units.rounding import parse_decimal, plain
from billsmith.workflows import credit as credit_workflow
from billsmith.workflows import explain as explain_workflow
from billsmith.workflows import settle
from billsmith.workflows.clock import system_clock
from billsmith.workflows.explain import Explained
from billsmith.workflows.issue_invoice import MAX_TOTAL_MINOR
from billsmith.workflows.new_ids import new_id

app = App(name="invoices", help="Invoices: look at them, record payments, take one back.")

Which = Annotated[str, Parameter(help="The invoice, by its id or its number.")]
Status = Literal["draft", "grace", "issued", "partially_paid", "paid", "past_due", "void", "written_off"]
#: Rows that people are shown unless they ask for more; programs get all.
FOR_PEOPLE = 50


@app.command(name="list")
def list_invoices(
    *,
    account: Annotated[str | None, Parameter(help="Only what this account sees: issued by it, or to it or below it.")] = None,
    status: Annotated[Status | None, Parameter(help="Only those in this state.")] = None,
    limit: Annotated[int | None, Parameter(help="At most so many (people: 50 unless given; programs: all).")] = None,
    common: Common = PLAIN,
) -> None:
    """List invoices, the newest in the store first.

    Example: billsmith invoices list --account my-partner --status past_due --csv
    """
    if limit is not None and limit < 1:
        raise Invalid("a limit is 1 or more", code="usage.limit", where="limit")
    with opened(common) as database:
        viewer = None
        if account is not None:
            with database.read() as connection:
                viewer = accounts.get(connection, account)
        rows = _rows(database, viewer, InvoiceStatus[status.upper()] if status else None)
        shown = limit or (FOR_PEOPLE if common.form is Form.PEOPLE else None)
        common.show(
            Listing(
                rows=islice(rows, shown) if shown else rows,
                columns=("id", "number", "date", "customer_name", "currency", "total", "due", "status"),
                empty="no invoices; bring some in: billsmith import VENDOR FILE --account ACCOUNT",
            )
        )
        if limit is None and shown and next(rows, None) is not None:
            note(f"the newest {shown}; --limit shows more, --json, --csv and --ids all")


@app.command
def show(invoice: Which, *, common: Common = PLAIN) -> None:
    """Show one invoice with its lines, taxes, payments and history.

    Example: billsmith invoices show INV-2026-000001
    """
    with opened(common) as database, database.read() as connection:
        common.show(_full(connection, _find(connection, invoice)))


@app.command
def explain(
    invoice: Which,
    line: Annotated[int | None, Parameter(help="One line, counted from 0 (all of them).")] = None,
    *,
    events: Annotated[int, Parameter(help="How many of the counted events are shown of each line.")] = 5,
    common: Common = PLAIN,
) -> None:
    """Explain an invoice's lines: from the amount to tiers, quantity, and the events that were counted.

    Example: billsmith invoices explain INV-2026-000001 3
    """
    with opened(common) as database, usage_store(common, database) as usage, database.read() as connection:
        found = _find(connection, invoice)
        explained = explain_workflow.explain(connection, usage, found, line, events=max(0, min(events, 1000)))
    common.show(
        Listing(
            rows=[_explained(each, found.invoice.currency) for each in explained],
            columns=("line", "description", "amount", "quantity", "trace", "measured", "event_count", "events"),
            id_field="line",
            empty="this document has no lines",
        )
    )


def _explained(each: Explained, currency: str) -> dict[str, Any]:
    line = each.line
    return {
        "line": each.place,
        "description": line.description,
        "amount": plain(from_minor(line.amount_minor, currency)),
        "quantity": None if line.quantity is None else plain(line.quantity),
        "unit": line.unit,
        "trace": list(line.trace),
        "corrects": line.corrects,
        "meter": each.meter,
        "aggregation": each.aggregation,
        "measured": list(each.measured),
        "usage_as_of_seq": each.as_of_seq,
        "event_count": each.event_count,
        "events": [
            {
                "time": format_instant(event.time),
                "source": event.source,
                "id": event.id,
                "value": plain(event.value),
                **{name: str(value) for name, value in event.dimensions.items()},
            }
            for event in each.events
        ],
    }


@app.command
def pay(
    invoice: Which,
    *,
    amount: Annotated[str, Parameter(help="In the invoice's currency; negative: paid back.", allow_leading_hyphen=True)],
    reference: Annotated[str, Parameter(help="Names the payment; the same one again changes nothing.")],
    at: Annotated[str | None, Parameter(help="When it was paid, as an instant (now unless given).")] = None,
    method: Annotated[str, Parameter(help="How it was paid.")] = "",
    common: Common = PLAIN,
) -> None:
    """Record money received for an invoice, or paid back.

    Example: billsmith invoices pay INV-2026-000001 --amount 121.00 --reference bank-4711
    """
    paid_at = parse_instant(at, where="at") if at is not None else None
    exact = parse_decimal(amount, where="amount")
    with opened(common) as database, database.write() as connection:
        found = _find(connection, invoice)
        moved, _ = settle.record_payment(
            connection,
            found,
            amount_minor=_minor(exact, found.invoice.currency),
            reference=_short(reference, "reference", 128, empty=False),
            now=system_clock(),
            actor=ACTOR,
            paid_at=paid_at,
            method=_short(method, "method", 64),
        )
        answer = _full(connection, moved)
    common.show(answer)


@app.command
def credit(
    invoice: Which,
    *,
    amount: Annotated[str | None, Parameter(help="Give back this much, taxes and all (all that is left).")] = None,
    line: Annotated[
        list[str] | None,
        Parameter(
            help="Give back of a line, counted from 0: 2=10.00, or 2 for all of it; may be given several times.", negative=()
        ),
    ] = None,
    reason: Annotated[str, Parameter(help="Stands on the note.")] = "",
    keep: Annotated[bool, Parameter(negative=(), help="Leave it to the next invoice; don't pay this one with it.")] = False,
    common: Common = PLAIN,
) -> None:
    """Issue the credit note for an invoice: whole, of an amount, or of single lines.

    It pays what is still due of the invoice; the rest is credit for the next one.

    Example: billsmith invoices credit INV-2026-000001 --amount 10.00 --reason "an outage on 3 October"
    """
    with opened(common) as database, database.write() as connection:
        found = _find(connection, invoice)
        asked = credit_workflow.Asked(
            lines=dict(_credit_line(each, found.invoice.currency) for each in line or ()),
            amount=None if amount is None else _exact(amount, found.invoice.currency),
            reason=_short(reason, "reason", 200),
            settle=not keep,
        )
        made = credit_workflow.credit(connection, found, asked, id=new_id(), now=system_clock(), actor=ACTOR)
        answer = _full(connection, made)
    common.show(answer)


@app.command
def apply_credit(invoice: Which, *, common: Common = PLAIN) -> None:
    """Let what the recipient has in credit (notes, overpayments) pay what is due. Without credit: no change.

    Example: billsmith invoices apply-credit INV-2026-000002
    """
    with opened(common) as database, database.write() as connection:
        found = _find(connection, invoice)
        answer = _full(connection, credit_workflow.apply(connection, found, now=system_clock(), actor=ACTOR))
    common.show(answer)


def _credit_line(text: str, currency: str) -> tuple[int, Decimal | None]:
    place, given, amount = text.partition("=")
    if not place.isdecimal() or not place.isascii():
        raise Invalid(f"{text[:40]!r} is no line: write 2, or 2=10.00", code="note.line", where="line")
    return int(place), _exact(amount, currency) if given else None


def _exact(text: str, currency: str) -> Decimal:
    return from_minor(_minor(parse_decimal(text, where="amount"), currency), currency)


@app.command
def void(
    invoice: Which, *, reason: Annotated[str, Parameter(help="Goes into its history.")] = "", common: Common = PLAIN
) -> None:
    """Take an invoice back that nobody paid for. Void already: no change.

    Example: billsmith invoices void INV-2026-000001 --reason "sent twice"
    """
    with opened(common) as database, database.write() as connection:
        found = _find(connection, invoice)
        moved = settle.void(connection, found, now=system_clock(), actor=ACTOR, reason=_short(reason, "reason", 500))
        answer = _full(connection, moved)
    common.show(answer)


@app.command
def write_off(
    invoice: Which, *, reason: Annotated[str, Parameter(help="Goes into its history.")] = "", common: Common = PLAIN
) -> None:
    """Give up asking for an invoice's money. Written off already: no change.

    Example: billsmith invoices write-off INV-2026-000001 --reason "customer is bankrupt"
    """
    with opened(common) as database, database.write() as connection:
        found = _find(connection, invoice)
        moved = settle.write_off(connection, found, now=system_clock(), actor=ACTOR, reason=_short(reason, "reason", 500))
        answer = _full(connection, moved)
    common.show(answer)


def _find(connection: Connection, name: str) -> Stored:
    canonical = parse_id(name)
    found = invoices.by_id(connection, canonical, None) if canonical else None
    if found is not None:
        return found
    numbered = invoices.by_number(connection, name, None)
    if not numbered:
        raise NotFound(f"no invoice {name[:64]!r}; `billsmith invoices list` shows them", code="invoice.unknown")
    if len(numbered) > 1:
        raise Invalid(
            f"{len(numbered)} invoices have the number {name!r}; name one by its id: "
            + ", ".join(stored.invoice.id for stored in numbered[:5]),
            code="invoice.ambiguous",
        )
    return numbered[0]


def _rows(database: Database, viewer: Account | None, status: InvoiceStatus | None) -> Iterator[dict[str, Any]]:
    before = None
    while True:
        with database.read() as connection:
            batch = invoices.newest(connection, viewer, status=status, before_seq=before)
        yield from (row(stored.invoice) for stored in batch)
        if not batch:
            return
        before = batch[-1].seq


def row(invoice: Invoice) -> dict[str, Any]:
    """An invoice in a list."""
    currency = invoice.currency
    return {
        "id": invoice.id,
        "number": invoice.number,
        "kind": invoice.kind.value,
        "status": invoice.status.word,
        "issuer": invoice.issuer_id,
        "recipient": invoice.recipient_id,
        "customer_name": invoice.customer_name,
        "billing_entity": invoice.billing_entity,
        "currency": currency,
        "total": plain(invoice.stated_total if invoice.stated_total is not None else from_minor(invoice.total_minor, currency)),
        "tax": _amount(invoice.tax_minor, currency),
        "paid": _amount(invoice.paid_minor, currency),
        "due": _amount(invoice.due_minor, currency),
        "date": invoice.date.isoformat(),
        "due_date": invoice.due_date.isoformat() if invoice.due_date else None,
        "period_start": format_instant(invoice.period.start),
        "period_end": format_instant(invoice.period.end),
        "created_at": format_instant(invoice.created_at),
        "issued_at": _instant(invoice.issued_at),
        "paid_at": _instant(invoice.paid_at),
        "voided_at": _instant(invoice.voided_at),
        "batch": invoice.batch,
        "payment_method": invoice.payment_method,
    }


def full(invoice: Invoice, payments: Sequence[Payment] = (), history: Sequence[HistoryEntry] = ()) -> Record:
    """A whole invoice."""
    content, currency = invoice.content, invoice.currency
    fields = row(invoice)
    if content is not None:
        fields |= {
            "issued_by": _party(content.issuer),
            "issued_to": _party(content.recipient),
            "notes": content.notes,
            "lines": [_line(line, currency) for line in content.lines],
            "taxes": [_tax(tax, currency) for tax in content.taxes],
        }
    fields["payments"] = [
        {
            "reference": payment.reference,
            "amount": _amount(payment.amount_minor, currency),
            "paid_at": format_instant(payment.paid_at),
            "method": payment.method,
            "recorded_at": format_instant(payment.recorded_at),
            "recorded_by": payment.recorded_by,
        }
        for payment in payments
    ]
    fields["history"] = [
        {"at": format_instant(entry.at), "what": entry.what, "actor": entry.actor, "detail": entry.detail} for entry in history
    ]
    return Record(row=fields, tables=("lines", "taxes", "payments", "history"))


def _full(connection: Connection, found: Stored) -> Record:
    return full(found.invoice, invoices.payments(connection, found.seq), invoices.history(connection, found.seq))


def _line(line: Line, currency: str) -> dict[str, Any]:
    return {
        "description": line.description,
        "kind": line.kind.value,
        "quantity": None if line.quantity is None else plain(line.quantity),
        "unit": line.unit,
        "unit_price": None if line.unit_price is None else plain(line.unit_price),
        "amount": _amount(line.amount_minor, currency),
        "exact_amount": None if line.exact_amount is None else plain(line.exact_amount),
        "tax_category": line.tax_category,
        "trace": list(line.trace),
    }


def _tax(tax: Tax, currency: str) -> dict[str, Any]:
    return {
        "name": tax.name,
        "category": tax.category,
        "rate": plain(tax.rate),
        "base": _amount(tax.base_minor, currency),
        "amount": _amount(tax.amount_minor, currency),
        "included": tax.included,
        "note": tax.note,
    }


def _party(party: Party) -> dict[str, Any]:
    address = {name: value for name, value in msgspec.structs.asdict(party.address).items() if value}
    return {
        "name": party.name,
        **address,
        "tax_ids": list(party.tax_ids),
        "email": party.email,
        "language": party.language,
    }


def _amount(minor: int, currency: str) -> str:
    return plain(from_minor(minor, currency))


def _instant(instant: int | None) -> str | None:
    return None if instant is None else format_instant(instant)


def _minor(amount: Decimal, currency: str) -> int:
    minor = to_minor(amount, currency)
    if abs(minor) > MAX_TOTAL_MINOR:
        raise Invalid(f"{amount} {currency} is more than any invoice asks for", code="payment.too_large", where="amount")
    if from_minor(minor, currency) != amount:
        raise Invalid(f"{amount} {currency} is no whole number of its smallest coin", code="payment.places", where="amount")
    return minor


def _short(text: str, what: str, limit: int, *, empty: bool = True) -> str:
    return check_text(text, what, limit, empty=empty)
