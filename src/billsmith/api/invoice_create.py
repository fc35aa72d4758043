"""``POST /v1/invoices``: a one-off invoice, issued at once with its number, or kept as a draft until it is issued."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from billsmith.accounts.authorisation import Scope
from billsmith.api.invoice_shapes import InvoiceView, whole
from billsmith.api.invoices import view
from billsmith.api.lookups import account_of_field
from billsmith.api.operations import Made, Operation
from billsmith.api.values import (
    CLEAN,
    CLEAN_LINES,
    AccountName,
    CurrencyCode,
    Instant,
    LongText,
    ShortText,
    Span,
    Text,
    check_day,
    read_instant,
    read_period,
)
from billsmith.invoicing.model import LineKind, RoundingPlace
from billsmith.invoicing.totals import DraftLine, TaxRate
from billsmith.storage.database import Connection
from billsmith.storage.drafts import Draft
from billsmith.units.errors import Invalid
from billsmith.units.rounding import EXACT, plain
from billsmith.wire.face import Call
from billsmith.wire.json import RawDecimal, exact
from billsmith.workflows import drafts as workflow
from billsmith.workflows.issue_invoice import MAX_LINES, OneOff, issue
from billsmith.workflows.new_ids import new_id

MAX_TAXES = 20
#: A tax of more percent than this is a slip of the pen.
MAX_RATE = 1000

Description = Annotated[str, msgspec.Meta(min_length=1, max_length=2000, extra_json_schema=CLEAN_LINES)]
Batch = Annotated[str, msgspec.Meta(max_length=32, extra_json_schema=CLEAN)]
TaxName = Annotated[str, msgspec.Meta(min_length=1, max_length=200, extra_json_schema=CLEAN)]


class LineCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A position: either ``amount``, or ``quantity`` × ``unit_price``. Amounts are before taxes that are not included."""

    description: Description
    amount: RawDecimal | UnsetType = UNSET
    quantity: RawDecimal | UnsetType = UNSET
    unit_price: RawDecimal | UnsetType = UNSET
    unit: ShortText = ""
    kind: Literal["fee", "usage", "discount", "adjustment"] = "fee"
    tax_category: ShortText = ""
    period: Span | None = None


class TaxCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tax on the lines of a category. ``rate`` is in percent; ``compound`` also taxes the taxes before it."""

    name: TaxName
    rate: RawDecimal
    category: ShortText = ""
    included: bool = False
    compound: bool = False
    note: Text = ""


class InvoiceCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A one-off invoice. The issuer is the caller's account unless named; a negative total makes a credit note.

    A ``draft`` has no number and is seen by its issuer alone; it is issued when asked for, or at ``issue_at``.
    """

    recipient: AccountName
    issuer: AccountName | None = None
    lines: Annotated[tuple[LineCreate, ...], msgspec.Meta(min_length=1, max_length=MAX_LINES)]
    taxes: Annotated[tuple[TaxCreate, ...], msgspec.Meta(max_length=MAX_TAXES)] = ()
    currency: CurrencyCode | None = None
    date: dt.date | None = None
    due_date: dt.date | None = None
    period: Span | None = None
    rounding_place: RoundingPlace = RoundingPlace.LINE
    send_by_email: bool = False
    direct_debit: bool = False
    batch: Batch = ""
    notes: LongText = ""
    scheduled_at: Instant | None = None
    draft: bool = False
    issue_at: Instant | None = None


def create_invoice(connection: Connection, call: Call, body: InvoiceCreate) -> Made:
    """``POST /v1/invoices``."""
    issuer = account_of_field(connection, call.principal, body.issuer, "issuer")
    recipient = account_of_field(connection, call.principal, body.recipient, "recipient")
    what = one_off(body)
    id, now, actor = new_id(), call.services.clock(), call.principal.actor
    where = f"/v1/invoices/{id}"
    if body.draft:
        issue_at = read_instant(body.issue_at, "issue_at")
        kept = workflow.keep(connection, issuer, recipient, what, id=id, now=now, actor=actor, issue_at=issue_at)
        return Made(draft_view(connection, kept, now), where)
    _no_time(body)
    made = issue(connection, issuer, recipient, what, id=id, now=now, actor=actor)
    return Made(view(connection, call.principal, made, issuer), where)


def draft_view(connection: Connection, draft: Draft, now: int) -> InvoiceView:
    """A draft as the document that it would be now."""
    return whole(workflow.shown(connection, draft, now), [], [], with_actors=True, invoiced_by=draft.updated_by)


def one_off(body: InvoiceCreate) -> OneOff:
    """What a body says of the document itself. Raises :class:`Invalid`, which names the place."""
    return OneOff(
        lines=[_line(line, f"lines[{index}]") for index, line in enumerate(body.lines)],
        taxes=[_tax(tax, f"taxes[{index}]") for index, tax in enumerate(body.taxes)],
        currency=body.currency,
        date=check_day(body.date, "date"),
        due_date=check_day(body.due_date, "due_date"),
        period=read_period(body.period, "period"),
        rounding_place=body.rounding_place,
        send_by_email=body.send_by_email,
        direct_debit=body.direct_debit,
        batch=body.batch,
        notes=body.notes,
        scheduled_at=read_instant(body.scheduled_at, "scheduled_at"),
    )


def _no_time(body: InvoiceCreate) -> None:
    if body.issue_at is not None:
        raise Invalid("only a draft waits to be issued; say draft: true", code="draft.not_one", where="issue_at")


def _line(line: LineCreate, where: str) -> DraftLine:
    quantity, unit_price = _number(line.quantity, f"{where}.quantity"), _number(line.unit_price, f"{where}.unit_price")
    amount = _number(line.amount, f"{where}.amount")
    trace: tuple[str, ...] = ()
    if amount is None and quantity is not None and unit_price is not None:
        amount = EXACT.multiply(quantity, unit_price)
        trace = (f"{plain(quantity)} × {plain(unit_price)} = {plain(amount)}",)
    elif amount is None or unit_price is not None:
        raise Invalid("a line has either amount, or quantity and unit_price", code="invoice.line_amount", where=where)
    return DraftLine(
        description=line.description,
        amount=amount,
        kind=LineKind(line.kind),
        quantity=quantity,
        unit=line.unit,
        unit_price=unit_price,
        period=read_period(line.period, f"{where}.period"),
        tax_category=line.tax_category,
        trace=trace,
    )


def _tax(tax: TaxCreate, where: str) -> TaxRate:
    rate = exact(tax.rate, f"{where}.rate")
    if not 0 <= rate <= MAX_RATE:
        raise Invalid(f"a rate is between 0 and {MAX_RATE} percent", code="invoice.tax_rate", where=f"{where}.rate")
    return TaxRate(category=tax.category, name=tax.name, rate=rate, included=tax.included, compound=tax.compound, note=tax.note)


def _number(raw: Raw | UnsetType, where: str) -> Decimal | None:
    return None if isinstance(raw, UnsetType) else exact(raw, where)


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/invoices",
        id="createInvoice",
        tag="invoices",
        summary="Issue a one-off invoice, or keep a draft of it",
        description="It is issued at once, with the next number of its issuer, and never changes afterwards; a draft has no "
        "number until it is issued. Amounts are JSON numbers or strings; either way they are read exactly.",
        scope=Scope.INVOICES_WRITE,
        body=InvoiceCreate,
        example={
            "recipient": "acme",
            "due_date": "2199-12-31",
            "lines": [{"description": "Seats", "quantity": "3", "unit_price": "6.30", "tax_category": "standard"}],
            "taxes": [{"name": "VAT", "rate": "21", "category": "standard"}],
        },
        status=201,
        answer=InvoiceView,
        write=create_invoice,
    ),
)
