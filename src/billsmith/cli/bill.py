"""``billsmith bill``: from subscriptions and usage to issued invoices."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from billsmith.accounts.model import Account
from billsmith.cli.billing import moment, usage_store
from billsmith.cli.common import ACTOR, PLAIN, Common, opened
from billsmith.cli.output import Listing, Record
from billsmith.cli.progress import progress
from billsmith.storage import accounts, subscriptions
from billsmith.storage.database import Database
from billsmith.units.currency import from_minor
from billsmith.units.instants import format_instant
from billsmith.units.spans import parse_span
from billsmith.workflows import due as due_workflow
from billsmith.workflows import rerate as workflow
from billsmith.workflows.bill_period import bill_period
from billsmith.workflows.billing_report import Report
from billsmith.workflows.billing_work import cores
from billsmith.workflows.clock import system_clock


def bill(
    *,
    period: Annotated[str, Parameter(help="Everything due by the end of it: 2026-10, 2026-Q4, 2026 or 2026-10-31.")],
    account: Annotated[str | None, Parameter(help="Only invoices to this account and those below it.")] = None,
    at: Annotated[str | None, Parameter(help="The run's present: an instant or a day in UTC (now).")] = None,
    late_usage: Annotated[bool, Parameter(help="Rate the period before anew first, for what came in late.")] = True,
    dry_run: Annotated[bool, Parameter(negative=(), help="Show what would be billed; write nothing.")] = False,
    processes: Annotated[int | None, Parameter(help="How many processes rate (one a core).")] = None,
    common: Common = PLAIN,
) -> int:
    """Bill what subscribers owe by the end of a period: each thing once, however often this is called.

    Usage of the period before that came in late makes credit and debit notes first, as `billsmith rerate` does.

    A run that was killed goes on where it was, under its own present. An account that can't be billed is parked with the
    reason, and the exit code is then 1; mend it and call again.

    Example: billsmith bill --period 2026-10
    """
    span = parse_span(period)
    now = moment(at, "UTC", "at") if at is not None else system_clock()
    with opened(common) as database, usage_store(common, database) as usage:
        issuers, scope = _issuers(database, account)
        with progress("documents") as advance:
            reports = [
                report
                for issuer in issuers
                for report in bill_period(
                    database,
                    usage,
                    issuer,
                    span,
                    at=now,
                    actor=ACTOR,
                    scope=scope,
                    late_usage=late_usage,
                    dry_run=dry_run,
                    processes=cores() if processes is None else max(processes, 1),
                    progress=advance,
                )
            ]
    common.show(Record(row=summary(reports), id_field="billed", tables=("runs", "documents", "parked_accounts")))
    return 1 if any(report.parked for report in reports) else 0


def rerate(
    *,
    period: Annotated[str, Parameter(help="What was billed for periods that end in it: 2026-10, 2026-Q4, 2026.")],
    account: Annotated[str | None, Parameter(help="Only invoices to this account and those below it.")] = None,
    at: Annotated[str | None, Parameter(help="The date of the notes: an instant or a day in UTC (now).")] = None,
    dry_run: Annotated[bool, Parameter(negative=(), help="Show the notes; write nothing.")] = False,
    common: Common = PLAIN,
) -> int:
    """Rate anew what was billed: late, voided or replaced usage makes a credit or debit note for exactly the difference.

    Each line of a note names the line that it corrects. Without a difference nothing is written.

    Example: billsmith rerate --period 2026-10 --dry-run
    """
    span = parse_span(period)
    now = moment(at, "UTC", "at") if at is not None else system_clock()
    with opened(common) as database, usage_store(common, database) as usage:
        issuers, scope = _issuers(database, account)
        with progress("invoices") as advance:
            reports = [
                workflow.rerate(
                    database, usage, issuer, span, at=now, actor=ACTOR, scope=scope, dry_run=dry_run, progress=advance
                )
                for issuer in issuers
            ]
    common.show(Record(row=summary(reports), id_field="billed", tables=("runs", "documents", "parked_accounts")))
    return 1 if any(report.parked for report in reports) else 0


def due(
    *,
    account: Annotated[str | None, Parameter(help="Only subscriptions of this account and those below it.")] = None,
    at: Annotated[str | None, Parameter(help="Due by then: an instant or a day in UTC (now).")] = None,
    common: Common = PLAIN,
) -> None:
    """List every period that should have an invoice and has none.

    Example: billsmith due --csv
    """
    now = moment(at, "UTC", "at") if at is not None else system_clock()
    with opened(common) as database:
        issuers, scope = _issuers(database, account)
        rows = (
            {
                "subscription": each.subscription,
                "account": each.account.id,
                "name": each.account.name,
                "start": format_instant(each.period.start),
                "end": format_instant(each.period.end),
                "components": list(each.components),
            }
            for issuer in issuers
            for each in due_workflow.due(database, issuer, at=now, known_at=max(now, system_clock()), scope=scope)
        )
        common.show(
            Listing(
                rows=rows,
                columns=("name", "start", "end", "components", "subscription"),
                id_field="subscription",
                empty="everything that is due is billed",
            )
        )


def _issuers(database: Database, account: str | None) -> tuple[list[Account], Account | None]:
    with database.read() as connection:
        scope = accounts.get(connection, account) if account is not None else None
        return [accounts.by_seq(connection, seq) for seq in subscriptions.issuers(connection, scope)], scope


def summary(reports: list[Report]) -> dict[str, Any]:
    """What runs did, as one answer."""
    rows = [row for report in reports for row in report.rows]
    return {
        "billed": sum(report.billed for report in reports),
        "nothing_to_bill": sum(report.nothing for report in reports),
        "parked": sum(report.parked for report in reports),
        "period_not_over": sum(report.early for report in reports),
        "runs": [
            {
                "issuer": report.issuer,
                "batch": report.batch,
                "run": report.run,
                "at": format_instant(report.at),
                "as_of_seq": report.as_of_seq,
                "resumed": report.resumed,
                "billed": report.billed,
                "totals": {currency: from_minor(minor, currency) for currency, minor in report.totals.items()},
            }
            for report in reports
            if report.run
        ],
        "documents": [
            {
                "account": row.account,
                "name": row.name,
                "total": from_minor(row.total_minor, row.currency),
                "currency": row.currency,
            }
            for row in rows
            if row.state == "billed"
        ],
        "parked_accounts": [
            {"account": row.account, "name": row.name, "code": row.code, "reason": row.reason}
            for row in rows
            if row.state == "parked"
        ],
    }
