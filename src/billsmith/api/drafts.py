"""``/v1/drafts``: what a run will bill; ``/v1/accounts/{account}/billing``: how an account bills."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from billsmith.accounts.authorisation import Scope
from billsmith.api import cursors
from billsmith.api.catalogs import ISSUER
from billsmith.api.invoice_shapes import InvoiceView, whole
from billsmith.api.lookups import account_of_field, account_of_path
from billsmith.api.operations import Made, Operation, QueryParameter, bound_to, limit_of, list_parameters
from billsmith.api.runs import ParkedView
from billsmith.api.values import Instant
from billsmith.storage import accounts, issuers
from billsmith.storage.database import Connection
from billsmith.storage.patience import may_take_long
from billsmith.storage.upgrade import cursor_key
from billsmith.subscriptions.how_billed import MAX_GRACE_HOURS, HowBilled
from billsmith.units.instants import format_instant
from billsmith.units.spans import parse_span
from billsmith.wire.face import Call
from billsmith.workflows.bill_period import last_month
from billsmith.workflows.computed_drafts import compute

Grace = Annotated[int, msgspec.Meta(ge=0, le=MAX_GRACE_HOURS)]


class DraftPage(msgspec.Struct, frozen=True, kw_only=True):
    """Drafts of a period, when they are due, who can't be billed as things stand, and the cursor of the next page.

    Their status is ``draft`` while the period goes on, ``grace`` once it is over; they have no number, and ids that hold for
    the period alone.
    """

    period: str
    due_at: Instant
    items: list[InvoiceView]
    parked_accounts: list[ParkedView]
    next_cursor: str | None


class BillingView(msgspec.Struct, frozen=True, kw_only=True):
    """How an account bills: a period is due so many hours after its end; ``automatic``: the server bills each period then,
    and each month whatever else is due."""

    grace_hours: int
    automatic: bool


class BillingUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes; a field that is not given stays as it is."""

    grace_hours: Grace | UnsetType = UNSET
    automatic: bool | UnsetType = UNSET


def list_drafts(call: Call) -> DraftPage:
    """``GET /v1/drafts``."""
    may_take_long()  # it reads usage and rates it
    limit, cursor, parameters = limit_of(call.parameters), call.parameters.text("cursor"), call.parameters
    now, period = call.services.clock(), parameters.text("period")
    with call.services.database.read() as connection:
        issuer = account_of_field(connection, call.principal, parameters.text("issuer"), "issuer")
        name = parameters.text("account")
        scope = None if name is None else account_of_field(connection, call.principal, name, "account")
        secret = cursor_key(connection)
        after = None if cursor is None else accounts.by_id(connection, cursors.read(secret, bound_to(call), cursor))
    span = last_month(issuer, now) if period is None else parse_span(period)
    usage = None if call.services.usage_or_none is None else call.services.usage_or_none.catch_up()
    found = compute(call.services.database, usage, issuer, span, now=now, scope=scope, after=after, limit=limit)
    return DraftPage(
        period=span.name,
        due_at=format_instant(found.due_at),
        items=[whole(each, [], [], with_actors=True, invoiced_by="") for each in found.documents],
        parked_accounts=[ParkedView(account_id=each.account.id, code=each.code, reason=each.reason) for each in found.parked],
        next_cursor=None if found.last is None else cursors.write(secret, bound_to(call), found.last.id),
    )


def get_billing(call: Call) -> BillingView:
    """``GET /v1/accounts/{account}/billing``."""
    with call.services.database.read() as connection:
        account = account_of_path(connection, call.principal, call.path_values["account"])
        return _view(issuers.how(connection, account.seq))


def update_billing(connection: Connection, call: Call, body: BillingUpdate) -> Made:
    """``PATCH /v1/accounts/{account}/billing``."""
    account = account_of_path(connection, call.principal, call.path_values["account"])
    before = issuers.how(connection, account.seq)
    new = HowBilled(
        grace_hours=before.grace_hours if body.grace_hours is UNSET else body.grace_hours,
        automatic=before.automatic if body.automatic is UNSET else body.automatic,
    )
    issuers.set_how(connection, account, new, now=call.services.clock(), actor=call.principal.actor)
    return Made(_view(new))


def _view(how: HowBilled) -> BillingView:
    return BillingView(grace_hours=how.grace_hours, automatic=how.automatic)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/drafts",
        id="listComputedDrafts",
        tag="runs",
        summary="List what a run would bill",
        description="Computed when asked for, of the usage that there is now; late usage within the grace is in it. A page may "
        "be empty before the last.",
        scope=Scope.BILLING_READ,
        query=(
            *list_parameters(),
            ISSUER,
            QueryParameter(
                name="period",
                description="Such as 2026-10 (the month that ended last where the issuer is).",
                schema={"type": "string", "pattern": "^[0-9]{4}(-Q[1-4]|-[0-9]{2}(-[0-9]{2})?)?$"},
            ),
            QueryParameter(
                name="account",
                description="Only invoices to this account and those below it: a UUID or an external id.",
                schema={"type": "string", "minLength": 1, "maxLength": 128},
            ),
        ),
        answer=DraftPage,
        read=list_drafts,
    ),
    Operation(
        method="GET",
        path="/v1/accounts/{account}/billing",
        id="getBilling",
        tag="runs",
        summary="Get how an account bills",
        scope=Scope.BILLING_READ,
        answer=BillingView,
        read=get_billing,
    ),
    Operation(
        method="PATCH",
        path="/v1/accounts/{account}/billing",
        id="updateBilling",
        tag="runs",
        summary="Set how an account bills",
        scope=Scope.BILLING_WRITE,
        body=BillingUpdate,
        example={"grace_hours": 72, "automatic": True},
        answer=BillingView,
        write=update_billing,
    ),
)
