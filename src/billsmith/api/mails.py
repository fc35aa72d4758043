"""``/v1/mails``: invoices and reminders that go by e-mail, of the caller's account and those below it as issuers."""

from __future__ import annotations

import msgspec

from billsmith.accounts.authorisation import Scope
from billsmith.accounts.model import Account
from billsmith.api import cursors
from billsmith.api.operations import Made, Operation, QueryParameter, bound_to, limit_of, list_parameters
from billsmith.api.values import Id, Instant, instant_text
from billsmith.storage import accounts, mails
from billsmith.storage.database import Connection
from billsmith.storage.mails import STATES, WAITING, Mail
from billsmith.storage.upgrade import cursor_key
from billsmith.units.errors import Invalid, NotFound
from billsmith.units.ids import parse_id
from billsmith.units.instants import format_instant
from billsmith.wire.face import Call
from billsmith.wire.parameters import shown
from billsmith.workflows import mail as workflow


class MailView(msgspec.Struct, frozen=True, kw_only=True):
    """A mail. ``what`` is `invoice`, or the reminder's name. ``due_at`` is when it is tried next; ``problem`` says why it
    was not sent, or not yet."""

    id: Id
    invoice: Id
    number: str
    account_id: Id
    what: str
    address: str
    state: str
    attempts: int
    due_at: Instant | None
    created_at: Instant
    ended_at: Instant | None
    code: str
    problem: str


class MailPage(msgspec.Struct, frozen=True, kw_only=True):
    """Mails, the last first, and the cursor of the next page (null: this is the last)."""

    items: list[MailView]
    next_cursor: str | None


class MailRetry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing needs to be said."""


def list_mails(call: Call) -> MailPage:
    """``GET /v1/mails``."""
    limit, cursor, own = limit_of(call.parameters), call.parameters.text("cursor"), call.principal.account
    state = call.parameters.text("state")
    if state not in (None, *STATES):
        raise Invalid(f"state is one of {', '.join(STATES)}, not {shown(state or '')}", code="mail.state", where="state")
    with call.services.database.read() as connection:
        secret = cursor_key(connection)
        before = None if cursor is None else mails.find(connection, cursors.read(secret, bound_to(call), cursor), own)
        found = mails.page(connection, own, state=state, before=None if before is None else before.seq, limit=limit + 1)
        items = [view(connection, each) for each in found[:limit]]
    more = len(found) > limit
    return MailPage(items=items, next_cursor=cursors.write(secret, bound_to(call), items[-1].id) if more else None)


def retry_mail(connection: Connection, call: Call, _body: MailRetry) -> Made:
    """``POST /v1/mails/{mail}/retry``."""
    of = _of_path(connection, call.path_values["mail"], call.principal.account)
    again = workflow.retry(connection, of, now=call.services.clock(), actor=call.principal.actor)
    return Made(view(connection, again))


def view(connection: Connection, of: Mail) -> MailView:
    """A mail as it is shown."""
    return MailView(
        id=of.id,
        invoice=of.invoice_id,
        number=of.number,
        account_id=accounts.by_seq(connection, of.recipient_seq).id,
        what=of.what,
        address=of.address,
        state=of.state,
        attempts=of.attempts,
        due_at=format_instant(of.due_at) if of.state == WAITING else None,
        created_at=format_instant(of.created_at),
        ended_at=instant_text(of.ended_at),
        code=of.code,
        problem=of.problem,
    )


def _of_path(connection: Connection, text: str, own: Account) -> Mail:
    id = parse_id(text)
    found = None if id is None else mails.find(connection, id, own)
    if found is None:
        raise NotFound("no such mail of this account as issuer, or of one below it", code="mail.unknown")
    return found


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/mails",
        id="listMails",
        tag="mails",
        summary="List what goes by e-mail, the last first",
        scope=Scope.INVOICES_READ,
        query=(
            *list_parameters(),
            QueryParameter(
                name="state", description="Only those in this state.", schema={"type": "string", "enum": list(STATES)}
            ),
        ),
        answer=MailPage,
        read=list_mails,
    ),
    Operation(
        method="POST",
        path="/v1/mails/{mail}/retry",
        id="retryMail",
        tag="mails",
        summary="Queue a mail again that failed",
        description="It goes to the address that the recipient has now.",
        scope=Scope.INVOICES_WRITE,
        body=MailRetry,
        answer=MailView,
        write=retry_mail,
    ),
)
