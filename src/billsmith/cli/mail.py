"""``billsmith mail``: what is sent by e-mail, and what could not be."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from billsmith.cli.common import ACTOR, PLAIN, Common, opened
from billsmith.cli.output import Listing, Record
from billsmith.storage import accounts, mails
from billsmith.storage.database import Connection
from billsmith.storage.mails import FAILED, STATES, Mail
from billsmith.units.errors import Invalid
from billsmith.units.instants import format_instant
from billsmith.workflows import mail
from billsmith.workflows.clock import system_clock

app = App(name="mail", help="Mail: invoices and reminders that go by e-mail, and what could not be sent.")

_COLUMNS = ("id", "number", "what", "address", "state", "attempts", "problem")
_STEP = 500


@app.command(name="list")
def list_mails(
    *,
    state: Annotated[str | None, Parameter(help="Only those that are waiting, sent or failed.")] = None,
    limit: Annotated[int, Parameter(help="How many at most.")] = 100,
    common: Common = PLAIN,
) -> None:
    """List mails, the last first.

    Example: billsmith mail list --state failed
    """
    if state not in (None, *STATES):
        raise Invalid(f"a mail is {', '.join(STATES)}", code="mail.state", where="state")
    with opened(common) as database, database.read() as connection:
        found = mails.page(connection, None, state=state, limit=limit)
        rows = [_row(connection, each) for each in found]
    common.show(Listing(rows=rows, columns=_COLUMNS, empty="no mails"))


@app.command
def retry(
    mail_id: Annotated[str | None, Parameter(help="The mail's id, as `billsmith mail list` shows it.")] = None,
    /,
    *,
    every: Annotated[bool, Parameter(name="--all", negative=(), help="All that failed and can be sent again.")] = False,
    common: Common = PLAIN,
) -> None:
    """Queue a mail again that failed, to the address that its account has now.

    Example: billsmith mail retry 0b9f3d6e-2a7c-4c41-9d0e-5f6a7b8c9d0e
    """
    if (mail_id is None) != every:
        raise Invalid("name a mail, or say --all", code="usage.arguments")
    with opened(common) as database:
        if mail_id is not None:
            with database.write() as connection:
                rows = [_row(connection, _again(connection, mail.get(connection, mail_id)))]
        else:
            rows, before = [], None
            while True:
                with database.write() as connection:
                    found = mails.page(connection, None, state=FAILED, before=before, limit=_STEP)
                    rows += [_row(connection, _again(connection, each)) for each in found if _has_address(connection, each)]
                if len(found) < _STEP:
                    break
                before = found[-1].seq
    common.show(Record(row=rows[0]) if mail_id is not None else Listing(rows=rows, columns=_COLUMNS, empty="none failed"))


def _again(connection: Connection, of: Mail) -> Mail:
    return mail.retry(connection, of, now=system_clock(), actor=ACTOR)


def _has_address(connection: Connection, of: Mail) -> bool:
    return of.code != "mail.not_needed" and bool(accounts.by_seq(connection, of.recipient_seq).profile.email)


def _row(connection: Connection, of: Mail) -> dict[str, Any]:
    return {
        "id": of.id,
        "invoice": of.invoice_id,
        "number": of.number,
        "what": of.what,
        "account": accounts.by_seq(connection, of.recipient_seq).external_id,
        "address": of.address,
        "state": of.state,
        "attempts": of.attempts,
        "due_at": format_instant(of.due_at) if of.state == mails.WAITING else None,
        "created_at": format_instant(of.created_at),
        "ended_at": None if of.ended_at is None else format_instant(of.ended_at),
        "code": of.code,
        "problem": of.problem,
    }
