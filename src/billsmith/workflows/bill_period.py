"""A period billed for an issuer: late usage of the one before first, then what is due; by hand, or when its grace has ended.

The clock bills each month, and between the ends of months each subscription as its billing period ends (decision 0407).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from billsmith.accounts.model import Account
from billsmith.storage import catalogs, issuers, runs
from billsmith.storage.database import Connection, Database
from billsmith.storage.runs import Run
from billsmith.subscriptions.learnt import Mark
from billsmith.units.instants import HOUR, local_date
from billsmith.units.spans import NamedSpan, parse_span, span_after, span_before
from billsmith.usage.store import UsageStore
from billsmith.workflows import billing_run
from billsmith.workflows.billing_cases import load_books
from billsmith.workflows.billing_cycles import CYCLE, days_due
from billsmith.workflows.billing_reading import due_for
from billsmith.workflows.billing_report import Report
from billsmith.workflows.rerate import rerate

#: What was parked is tried again after so long; whoever mends it may call sooner.
AGAIN_AFTER = 24 * HOUR
#: Days on which nothing is due are looked for so often: every subscription is looked at.
LOOK_EVERY = HOUR


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


class Turn(NamedTuple):
    """What the clock bills of an issuer: a month, or (``kind``: ``cycle``) those whose billing period ends on a day."""

    issuer: Account
    kind: str
    span: NamedSpan


def take(
    database: Database,
    usage: UsageStore | None,
    turn: Turn,
    *,
    at: int,
    actor: str,
    processes: int,
    progress: Callable[[int], None],
) -> list[Report]:
    """Bill what the clock says is due."""
    bill = bill_cycles if turn.kind == CYCLE else bill_period
    return bill(database, usage, turn.issuer, turn.span, at=at, actor=actor, processes=processes, progress=progress)


def bill_cycles(
    database: Database,
    usage: UsageStore | None,
    issuer: Account,
    day: NamedSpan,
    *,
    at: int,
    actor: str,
    processes: int = 1,
    progress: Callable[[int], None] = lambda _count: None,
) -> list[Report]:
    """Bill those whose billing period ends on a day. Late usage waits for the month's run."""
    report = billing_run.bill(
        database, usage, issuer, day, at=at, actor=actor, kind=CYCLE, processes=processes, progress=progress
    )
    return [report]


def months_by_the_clock(connection: Connection, issuer: Account, now: int) -> Iterator[Turn]:
    """The months that are over, grace and all, and not billed, in order.

    It begins with the month of the issuer's last run (what that parked is tried again, once a day), or with the last one.
    """
    last = last_month(issuer, now - issuers.how(connection, issuer.seq).grace)
    run = _newest_month(connection, issuer)
    month = last if run is None else parse_span(run.period)
    if run is not None and run.state == runs.DONE and run.at > now - AGAIN_AFTER:
        month = span_after(month)
    while month.first <= last.first:
        if due_for(connection, issuer, month, None, 0, 1):
            yield Turn(issuer, billing_run.BILL, month)
        month = span_after(month)


def days_by_the_clock(connection: Connection, issuer: Account, now: int) -> Iterator[Turn]:
    """The days, over with the grace, on which a billing period of a subscription ended and is not billed, in order.

    Days of a month that was billed are not looked at, nor those before this month where none was: what is due of them comes
    with the next day or month that is. Whom such a day's run parked is tried again, once a day.
    """
    grace = issuers.how(connection, issuer.seq).grace
    run = _newest_month(connection, issuer)
    first = last_month(issuer, now - grace).after if run is None else parse_span(run.period).after
    books = load_books(connection, issuer, {each.code: each.version for each in catalogs.newest(connection, issuer)})
    parked = runs.parked_since(connection, issuer, CYCLE, now - AGAIN_AFTER)
    for day in sorted(days_due(connection, issuer, books, now=Mark(now - grace, now), first=first, parked=parked)):
        yield Turn(issuer, CYCLE, parse_span(day.isoformat()))


def _newest_month(connection: Connection, issuer: Account) -> Run | None:
    """The issuer's last run, if it billed a month."""
    run = runs.newest(connection, issuer, billing_run.BILL)
    return run if run is not None and len(run.period) == len("2026-10") else None


def last_month(issuer: Account, now: int) -> NamedSpan:
    """The month that ended last where an issuer is."""
    today = local_date(now, issuer.time_zone)
    return span_before(parse_span(f"{today.year}-{today.month:02d}"))
