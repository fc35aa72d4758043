"""One-off invoices as drafts: read, changed, dropped, issued; at ``/v1/invoices/{invoice}``, for their issuer alone."""

from __future__ import annotations

import msgspec

from billsmith.accounts.authorisation import Scope, may_change_invoice
from billsmith.api import cursors
from billsmith.api.catalogs import ISSUER
from billsmith.api.invoice_create import InvoiceCreate, draft_view, one_off
from billsmith.api.invoice_shapes import InvoiceRow, InvoiceView, row
from billsmith.api.invoice_steps import changeable
from billsmith.api.invoices import view
from billsmith.api.lookups import account_of_field, invoice_of_path
from billsmith.api.operations import Made, Operation, bound_to, limit_of, list_parameters
from billsmith.api.values import read_instant
from billsmith.storage import accounts, drafts
from billsmith.storage.database import Connection
from billsmith.storage.drafts import Draft
from billsmith.storage.upgrade import cursor_key
from billsmith.units.errors import Conflict, Invalid
from billsmith.units.ids import parse_id
from billsmith.wire.face import Call
from billsmith.workflows import drafts as workflow


class DraftIssue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing needs to be said."""


class DraftList(msgspec.Struct, frozen=True, kw_only=True):
    """Drafts of an issuer, oldest first, and the cursor of the next page (null: this is the last)."""

    items: list[InvoiceRow]
    next_cursor: str | None


def get_invoice(call: Call) -> InvoiceView:
    """``GET /v1/invoices/{invoice}``; a draft too, for those who run its issuer."""
    with call.services.database.read() as connection:
        draft = _draft(connection, call)
        if draft is not None:
            return draft_view(connection, draft, call.services.clock())
        found, issuer = invoice_of_path(connection, call.principal, call.path_values["invoice"])
        return view(connection, call.principal, found, issuer)


def list_drafts(call: Call) -> DraftList:
    """``GET /v1/invoices/drafts``."""
    limit, cursor = limit_of(call.parameters), call.parameters.text("cursor")
    with call.services.database.read() as connection:
        issuer = account_of_field(connection, call.principal, call.parameters.text("issuer"), "issuer")
        secret = cursor_key(connection)
        after = None if cursor is None else drafts.by_id(connection, cursors.read(secret, bound_to(call), cursor))
        found = drafts.page(connection, issuer.seq, after=after.seq if after else 0, limit=limit + 1)
        items = [row(workflow.shown(connection, each, call.services.clock())) for each in found[:limit]]
    more = len(found) > limit
    return DraftList(items=items, next_cursor=cursors.write(secret, bound_to(call), found[limit - 1].id) if more else None)


def replace_draft(connection: Connection, call: Call, body: InvoiceCreate) -> Made:
    """``PUT /v1/invoices/{invoice}``."""
    draft = _draft_only(connection, call)
    issuer = account_of_field(connection, call.principal, body.issuer, "issuer")
    recipient = account_of_field(connection, call.principal, body.recipient, "recipient")
    if not body.draft:
        raise Invalid("say draft: true; to issue it, POST …/issue", code="draft.stays_one", where="draft")
    now = call.services.clock()
    changed = workflow.change(
        connection,
        draft,
        issuer,
        recipient,
        one_off(body),
        now=now,
        actor=call.principal.actor,
        issue_at=read_instant(body.issue_at, "issue_at"),
    )
    return Made(draft_view(connection, changed, now))


def drop_draft(connection: Connection, call: Call, _body: DraftIssue) -> Made:
    """``DELETE /v1/invoices/{invoice}``; answers what it was."""
    draft = _draft_only(connection, call)
    now = call.services.clock()
    was = draft_view(connection, draft, now)
    drafts.drop(connection, draft, now=now, actor=call.principal.actor)
    return Made(was)


def issue_draft(connection: Connection, call: Call, _body: DraftIssue) -> Made:
    """``POST /v1/invoices/{invoice}/issue``. Issued already: no change."""
    draft = _draft(connection, call, lock=True)
    if draft is None:
        found, issuer = changeable(connection, call)
        return Made(view(connection, call.principal, found, issuer))
    made = workflow.issue_draft(connection, draft, now=call.services.clock(), actor=call.principal.actor)
    return Made(view(connection, call.principal, made, accounts.by_seq(connection, made.issuer_seq)))


def _draft(connection: Connection, call: Call, *, lock: bool = False) -> Draft | None:
    """The draft that the path names, if the caller runs its issuer; to others it isn't there."""
    id = parse_id(call.path_values["invoice"])
    found = None if id is None else drafts.by_id(connection, id, lock=lock)
    runs_it = found is not None and may_change_invoice(call.principal, accounts.by_seq(connection, found.issuer_seq))
    return found if runs_it else None


def _draft_only(connection: Connection, call: Call) -> Draft:
    draft = _draft(connection, call, lock=True)
    if draft is None:
        changeable(connection, call)
        raise Conflict("an issued invoice never changes; correct it by a credit note", code="invoice.issued")
    return draft


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/invoices/drafts",
        id="listDrafts",
        tag="invoices",
        summary="List an issuer's drafts",
        scope=Scope.INVOICES_WRITE,
        query=(*list_parameters(), ISSUER),
        answer=DraftList,
        read=list_drafts,
    ),
    Operation(
        method="GET",
        path="/v1/invoices/{invoice}",
        id="getInvoice",
        tag="invoices",
        summary="Read an invoice: lines, taxes, parties, payments, history",
        description="A draft is there for those who run its issuer.",
        scope=Scope.INVOICES_READ,
        answer=InvoiceView,
        read=get_invoice,
    ),
    Operation(
        method="PUT",
        path="/v1/invoices/{invoice}",
        id="replaceDraft",
        tag="invoices",
        summary="Let a draft say something else",
        scope=Scope.INVOICES_WRITE,
        body=InvoiceCreate,
        example={"recipient": "acme", "draft": True, "lines": [{"description": "Seats", "amount": "18.90"}]},
        answer=InvoiceView,
        write=replace_draft,
    ),
    Operation(
        method="DELETE",
        path="/v1/invoices/{invoice}",
        id="dropDraft",
        tag="invoices",
        summary="Drop a draft",
        scope=Scope.INVOICES_WRITE,
        body=DraftIssue,
        answer=InvoiceView,
        write=drop_draft,
    ),
    Operation(
        method="POST",
        path="/v1/invoices/{invoice}/issue",
        id="issueDraft",
        tag="invoices",
        summary="Issue a draft",
        description="It gets the next number of its issuer and keeps its id. Issued already: no change.",
        scope=Scope.INVOICES_WRITE,
        body=DraftIssue,
        answer=InvoiceView,
        write=issue_draft,
    ),
)
