"""A period billed for an issuer: late usage of the one before first, then what is due; by hand, or when its grace has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from billsmith.accounts.model import Account
from billsmith.storage import accounts, issuers, runs
from billsmith.storage.database import Connection, Database
from billsmith.units.instants import HOUR, local_date
from billsmith.units.spans import NamedSpan, parse_span, span_after, span_before
from billsmith.usage.store import UsageStore
from billsmith.workflows import billing_run
from billsmith.workflows.billing_reading import due_for
from billsmith.workflows.billing_report import Report
from billsmith.workflows.rerate import rerate

#: What was parked is tried again after so long; whoever mends it may call sooner.
AGAIN_AFTER = 24 * HOUR


def bill_period(
    database: Database,
    usage: UsageStore | None,
    issuer: Account,
    span: NamedSpan,
    *,
    at: int,
    actor: str,
    scope: Account | None = None,
    late_usage: bool = True,
    dry_run: bool = False,
    processes: int = 1,
    progress: Callable[[int], None] = lambda _count: None,
) -> list[Report]:
    """Rate the period before anew, for what came in late, then bill the period: what either did, in this order.

    Raises as :func:`billsmith.workflows.billing_run.bill` does.
    """
    billing_run.check_over(database, issuer, span, at, scope=scope, dry_run=dry_run)
    reports = []
    if late_usage:
        before = span_before(span)
        reports.append(
            rerate(database, usage, issuer, before, at=at, actor=actor, scope=scope, dry_run=dry_run, progress=progress)
        )
    reports.append(
        billing_run.bill(
            database,
            usage,
            issuer,
            span,
            at=at,
            actor=actor,
            scope=scope,
            dry_run=dry_run,
            processes=processes,
            progress=progress,
        )
    )
    return reports


def due_by_the_clock(connection: Connection, now: int) -> Iterator[tuple[Account, NamedSpan]]:
    """The months that are over, grace and all, and not billed, of the issuers that bill by the clock: each issuer's in order.

    It begins with the month of the issuer's last run (what that parked is tried again, once a day), or with the last one.
    """
    for seq in issuers.automatic(connection):
        issuer = accounts.by_seq(connection, seq)
        last = last_month(issuer, now - issuers.how(connection, seq).grace)
        run = runs.newest(connection, issuer, billing_run.BILL)
        month = last if run is None or len(run.period) != len(last.name) else parse_span(run.period)
        if run is not None and run.period == month.name and run.state == runs.DONE and run.at > now - AGAIN_AFTER:
            month = span_after(month)
        while month.first <= last.first:
            if due_for(connection, issuer, month, None, 0, 1):
                yield issuer, month
            month = span_after(month)


def last_month(issuer: Account, now: int) -> NamedSpan:
    """The month that ended last where an issuer is."""
    today = local_date(now, issuer.time_zone)
    return span_before(parse_span(f"{today.year}-{today.month:02d}"))
