"""``billsmith drafts``: what a run will bill."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from billsmith.accounts.model import Account
from billsmith.cli.billing import Issuer, issuer_of, usage_store
from billsmith.cli.common import PLAIN, Common, opened
from billsmith.cli.invoices import full, row
from billsmith.cli.output import Listing, Row, note
from billsmith.storage import accounts
from billsmith.units.instants import format_instant
from billsmith.units.spans import parse_span
from billsmith.workflows.bill_period import last_month
from billsmith.workflows.clock import system_clock
from billsmith.workflows.computed_drafts import NotYet, compute

#: Recipients that are computed together.
PAGE = 200


def drafts(
    *,
    period: Annotated[str | None, Parameter(help="Such as 2026-10 (the month that ended last where the issuer is).")] = None,
    account: Annotated[str | None, Parameter(help="Only invoices to this account and those below it.")] = None,
    issuer: Issuer = None,
    lines: Annotated[bool, Parameter(negative=(), help="With lines and taxes (for --json).")] = False,
    common: Common = PLAIN,
) -> int:
    """Show what a run would bill for a period that goes on, or is over and in its grace. Nothing is written.

    The exit code is 1 where an account can't be billed as things stand; each is told with the reason.

    Example: billsmith drafts --period 2026-10
    """
    now = system_clock()
    with opened(common) as database, usage_store(common, database) as usage:
        with database.read() as connection:
            scope = accounts.get(connection, account) if account is not None else None
            by = issuer_of(connection, issuer, scope)
        span = last_month(by, now) if period is None else parse_span(period)
        rows: list[Row] = []
        parked: list[NotYet] = []
        after: Account | None = None
        while True:
            found = compute(database, usage, by, span, now=now, scope=scope, after=after, limit=PAGE)
            rows += [full(each).row if lines else row(each) for each in found.documents]
            parked += found.parked
            after = found.last
            if after is None:
                break
    common.show(
        Listing(rows=rows, columns=("customer_name", "currency", "total", "due", "status", "date"), empty="nothing to bill")
    )
    note(f"{span.name} is due at {format_instant(found.due_at)}")
    for each in parked:
        note(f"{each.account.name} can't be billed: {each.reason} [{each.code}]")
    return 1 if parked else 0
