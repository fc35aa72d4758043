"""What happens to an issued invoice: ``/v1/invoices/{invoice}/payments``, ``…/void``, ``…/write-off``."""

from __future__ import annotations

from typing import Annotated

import msgspec

from billsmith.accounts.authorisation import Scope, may_change_invoice, may_reach
from billsmith.accounts.model import Account
from billsmith.api.invoice_shapes import InvoiceView, PaymentView, payment_view
from billsmith.api.invoices import view
from billsmith.api.lookups import invoice_of_path
from billsmith.api.operations import Made, Operation
from billsmith.api.values import CLEAN, Instant, ShortText, Text, check_places, read_instant
from billsmith.storage import invoices
from billsmith.storage.database import Connection
from billsmith.storage.invoices import Stored
from billsmith.units.currency import to_minor
from billsmith.units.errors import Forbidden, Invalid
from billsmith.units.ids import derived_id
from billsmith.wire.face import Call
from billsmith.wire.json import RawDecimal, exact
from billsmith.workflows import settle

MAX_REFERENCE = 128


Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_REFERENCE, extra_json_schema=CLEAN)]


class PaymentCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money received, in the invoice's currency; negative: paid back.

    ``reference`` names the payment within the invoice, so that it counts once; without it the Idempotency-Key does.
    """

    amount: RawDecimal
    reference: Reference | None = None
    paid_at: Instant | None = None
    method: ShortText = ""


class PaymentList(msgspec.Struct, frozen=True, kw_only=True):
    """The payments of an invoice, oldest first."""

    items: list[PaymentView]


class InvoiceVoid(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why it is taken back; its history keeps that."""

    reason: Text = ""


class InvoiceWriteOff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why the money is given up; its history keeps that."""

    reason: Text = ""


def list_payments(call: Call) -> PaymentList:
    """``GET /v1/invoices/{invoice}/payments``."""
    with call.services.database.read() as connection:
        found, issuer = invoice_of_path(connection, call.principal, call.path_values["invoice"])
        payments = invoices.payments(connection, found.seq)
    with_actors = may_reach(call.principal, issuer)
    return PaymentList(items=[payment_view(each, found.invoice.currency, with_actors=with_actors) for each in payments])


def record_payment(connection: Connection, call: Call, body: PaymentCreate) -> Made:
    """``POST /v1/invoices/{invoice}/payments``."""
    found, _issuer = changeable(connection, call)
    currency = found.invoice.currency
    _moved, payment = settle.record_payment(
        connection,
        found,
        amount_minor=to_minor(check_places(exact(body.amount, "amount"), currency, "amount"), currency),
        reference=_reference(call, body),
        now=call.services.clock(),
        actor=call.principal.actor,
        paid_at=read_instant(body.paid_at, "paid_at"),
        method=body.method,
    )
    return Made(payment_view(payment, currency, with_actors=True))


def void_invoice(connection: Connection, call: Call, body: InvoiceVoid) -> Made:
    """``POST /v1/invoices/{invoice}/void``."""
    found, issuer = changeable(connection, call)
    moved = settle.void(connection, found, now=call.services.clock(), actor=call.principal.actor, reason=body.reason)
    return Made(view(connection, call.principal, moved, issuer))


def write_off_invoice(connection: Connection, call: Call, body: InvoiceWriteOff) -> Made:
    """``POST /v1/invoices/{invoice}/write-off``."""
    found, issuer = changeable(connection, call)
    moved = settle.write_off(connection, found, now=call.services.clock(), actor=call.principal.actor, reason=body.reason)
    return Made(view(connection, call.principal, moved, issuer))


def changeable(connection: Connection, call: Call) -> tuple[Stored, Account]:
    """The invoice that the path names. Raises ``NotFound``, and :class:`Forbidden` for one that the caller only sees."""
    found, issuer = invoice_of_path(connection, call.principal, call.path_values["invoice"])
    if not may_change_invoice(call.principal, issuer):
        raise Forbidden("only those who run its issuer change an invoice", code="access.not_issuer")
    return found, issuer


def _reference(call: Call, body: PaymentCreate) -> str:
    if body.reference is not None:
        return body.reference
    key = call.headers.get("idempotency-key")
    if key is None:
        raise Invalid(
            "a payment needs a reference, or the request an Idempotency-Key", code="payment.no_reference", where="reference"
        )
    return key if len(key) <= MAX_REFERENCE else derived_id("idempotency key", key)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/invoices/{invoice}/payments",
        id="listPayments",
        tag="invoices",
        summary="List an invoice's payments",
        scope=Scope.INVOICES_READ,
        answer=PaymentList,
        read=list_payments,
    ),
    Operation(
        method="POST",
        path="/v1/invoices/{invoice}/payments",
        id="recordPayment",
        tag="invoices",
        summary="Record a payment",
        description="The same reference again changes nothing; with another amount it is a conflict.",
        scope=Scope.INVOICES_WRITE,
        body=PaymentCreate,
        example={"amount": "22.87", "reference": "bank-4711", "method": "sepa"},
        status=201,
        answer=PaymentView,
        write=record_payment,
    ),
    Operation(
        method="POST",
        path="/v1/invoices/{invoice}/void",
        id="voidInvoice",
        tag="invoices",
        summary="Take an invoice back",
        description="Only while nothing is paid for it. Void already: no change.",
        scope=Scope.INVOICES_WRITE,
        body=InvoiceVoid,
        example={"reason": "issued by mistake"},
        answer=InvoiceView,
        write=void_invoice,
    ),
    Operation(
        method="POST",
        path="/v1/invoices/{invoice}/write-off",
        id="writeOffInvoice",
        tag="invoices",
        summary="Give up the money that is still asked for",
        description="Written off already: no change.",
        scope=Scope.INVOICES_WRITE,
        body=InvoiceWriteOff,
        example={"reason": "insolvent"},
        answer=InvoiceView,
        write=write_off_invoice,
    ),
)
