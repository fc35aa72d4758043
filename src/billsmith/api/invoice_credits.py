"""Credit: ``/v1/invoices/{invoice}/credit-notes``, and letting a recipient's credit pay: ``…/apply-credit``."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import UNSET, Raw, UnsetType

from billsmith.accounts.authorisation import Scope
from billsmith.api.invoice_shapes import InvoiceRow, InvoiceView, row
from billsmith.api.invoice_steps import changeable
from billsmith.api.invoices import view
from billsmith.api.lookups import invoice_of_path
from billsmith.api.operations import Made, Operation
from billsmith.api.values import Text, check_places
from billsmith.storage.database import Connection
from billsmith.units.errors import Invalid
from billsmith.wire.face import Call
from billsmith.wire.json import RawDecimal, exact
from billsmith.workflows import credit
from billsmith.workflows.credit import Asked
from billsmith.workflows.issue_invoice import MAX_LINES
from billsmith.workflows.new_ids import new_id


class CreditLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given back of a line, counted from 0; without ``amount``, all that is left of it. Its taxes follow."""

    line: Annotated[int, msgspec.Meta(ge=0, le=MAX_LINES)]
    amount: RawDecimal | UnsetType = UNSET


class CreditNoteCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A credit note for an invoice: of some ``lines``, or of an ``amount`` with its taxes; neither: of all that is left.

    It pays what is still due of the invoice (unless ``settle`` is false); the rest is credit for the recipient's next one.
    """

    lines: Annotated[tuple[CreditLine, ...], msgspec.Meta(max_length=MAX_LINES)] = ()
    amount: RawDecimal | UnsetType = UNSET
    reason: Text = ""
    settle: bool = True


class CreditApply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing needs to be said."""


class NoteList(msgspec.Struct, frozen=True, kw_only=True):
    """The notes that correct an invoice, in their order."""

    items: list[InvoiceRow]


def list_notes(call: Call) -> NoteList:
    """``GET /v1/invoices/{invoice}/credit-notes``."""
    with call.services.database.read() as connection:
        found, _issuer = invoice_of_path(connection, call.principal, call.path_values["invoice"])
        return NoteList(items=[row(each.invoice) for each in credit.notes(connection, found)])


def create_note(connection: Connection, call: Call, body: CreditNoteCreate) -> Made:
    """``POST /v1/invoices/{invoice}/credit-notes``."""
    found, issuer = changeable(connection, call)
    currency = found.invoice.currency
    if len({each.line for each in body.lines}) < len(body.lines):
        raise Invalid("a line is named twice", code="note.line_twice", where="lines")

    def amount(raw: Raw | UnsetType, where: str) -> Decimal | None:
        return None if isinstance(raw, UnsetType) else check_places(exact(raw, where), currency, where)

    asked = Asked(
        lines={each.line: amount(each.amount, f"lines[{place}].amount") for place, each in enumerate(body.lines)},
        amount=amount(body.amount, "amount"),
        reason=body.reason,
        settle=body.settle,
    )
    id, now = new_id(), call.services.clock()
    made = credit.credit(connection, found, asked, id=id, now=now, actor=call.principal.actor)
    return Made(view(connection, call.principal, made, issuer), f"/v1/invoices/{id}")


def apply_credit(connection: Connection, call: Call, _body: CreditApply) -> Made:
    """``POST /v1/invoices/{invoice}/apply-credit``."""
    found, issuer = changeable(connection, call)
    moved = credit.apply(connection, found, now=call.services.clock(), actor=call.principal.actor)
    return Made(view(connection, call.principal, moved, issuer))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/invoices/{invoice}/credit-notes",
        id="listCreditNotes",
        tag="invoices",
        summary="List the notes that correct an invoice",
        scope=Scope.INVOICES_READ,
        answer=NoteList,
        read=list_notes,
    ),
    Operation(
        method="POST",
        path="/v1/invoices/{invoice}/credit-notes",
        id="createCreditNote",
        tag="invoices",
        summary="Issue a credit note for an invoice",
        description="A document of its own with a number of its own; no line or tax is given back twice.",
        scope=Scope.INVOICES_WRITE,
        body=CreditNoteCreate,
        example={"amount": "10.00", "reason": "an outage on 3 October"},
        status=201,
        answer=InvoiceView,
        write=create_note,
    ),
    Operation(
        method="POST",
        path="/v1/invoices/{invoice}/apply-credit",
        id="applyCredit",
        tag="invoices",
        summary="Let the recipient's credit pay what is due",
        description="Credit notes and overpayments that are not used up, the oldest first; billing runs do so by themselves. "
        "Without credit: no change.",
        scope=Scope.INVOICES_WRITE,
        body=CreditApply,
        answer=InvoiceView,
        write=apply_credit,
    ),
)
