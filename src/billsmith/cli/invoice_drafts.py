"""``billsmith invoices create | drafts | issue | drop``: one-off invoices, at once or by way of a draft."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from billsmith.api.invoice_create import InvoiceCreate, one_off
from billsmith.api.values import check_text, read_instant
from billsmith.cli.common import ACTOR, PLAIN, Common, opened
from billsmith.cli.invoices import app, full, row
from billsmith.cli.output import Listing
from billsmith.storage import accounts, drafts
from billsmith.storage.database import Connection
from billsmith.storage.drafts import Draft
from billsmith.units.errors import Invalid, NotFound
from billsmith.units.ids import parse_id
from billsmith.wire.json import decode
from billsmith.workflows import drafts as workflow
from billsmith.workflows.clock import system_clock
from billsmith.workflows.issue_invoice import issue as issue_now
from billsmith.workflows.new_ids import new_id

Which = Annotated[str, Parameter(help="The draft, by its id.")]


@app.command
def create(
    file: Annotated[Path, Parameter(help="A JSON file as POST /v1/invoices takes it, with its issuer named.")],
    *,
    common: Common = PLAIN,
) -> None:
    """Issue a one-off invoice, or keep a draft of it where the file says `"draft": true`.

    Example: billsmith invoices create invoice.json
    """
    body = decode(file.read_bytes(), InvoiceCreate)
    check_text(body)
    if body.issuer is None:
        raise Invalid("name the issuer: an account, by UUID or external id", code="invoice.no_issuer", where="issuer")
    what, now, id = one_off(body), system_clock(), new_id()
    with opened(common) as database, database.write() as connection:
        issuer, recipient = accounts.get(connection, body.issuer), accounts.get(connection, body.recipient)
        if body.draft:
            issue_at = read_instant(body.issue_at, "issue_at")
            kept = workflow.keep(connection, issuer, recipient, what, id=id, now=now, actor=ACTOR, issue_at=issue_at)
            answer = full(workflow.shown(connection, kept, now))
        else:
            made = issue_now(connection, issuer, recipient, what, id=id, now=now, actor=ACTOR)
            answer = full(made.invoice)
    common.show(answer)


@app.command(name="drafts")
def list_drafts(
    issuer: Annotated[str, Parameter(help="Whose drafts: the account that would issue them.")], *, common: Common = PLAIN
) -> None:
    """List an issuer's drafts of one-off invoices, oldest first.

    Example: billsmith invoices drafts my-partner
    """
    with opened(common) as database, database.read() as connection:
        found = drafts.page(connection, accounts.get(connection, issuer).seq, limit=10_000)
        now = system_clock()
        rows = [row(workflow.shown(connection, each, now)) for each in found]
    common.show(
        Listing(rows=rows, columns=("id", "date", "customer_name", "currency", "total"), empty="no drafts"),
    )


@app.command
def issue(draft: Which, *, common: Common = PLAIN) -> None:
    """Issue a draft: it gets the next number of its issuer and keeps its id.

    Example: billsmith invoices issue ede9f834-70b3-476c-83d9-736f9f8c7dae
    """
    with opened(common) as database, database.write() as connection:
        made = workflow.issue_draft(connection, _find(connection, draft), now=system_clock(), actor=ACTOR)
    common.show(full(made.invoice))


@app.command
def drop(draft: Which, *, common: Common = PLAIN) -> None:
    """Drop a draft. It never had a number, so none is missing.

    Example: billsmith invoices drop ede9f834-70b3-476c-83d9-736f9f8c7dae
    """
    with opened(common) as database, database.write() as connection:
        found = _find(connection, draft)
        now = system_clock()
        answer = full(workflow.shown(connection, found, now))
        drafts.drop(connection, found, now=now, actor=ACTOR)
    common.show(answer)


def _find(connection: Connection, text: str) -> Draft:
    id = parse_id(text)
    found = drafts.by_id(connection, id, lock=True) if id is not None else None
    if found is None:
        raise NotFound("no such draft; `billsmith invoices drafts ISSUER` shows them", code="draft.unknown")
    return found
