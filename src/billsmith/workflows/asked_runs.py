"""Runs that were asked for: kept as a row when they are asked for, begun and brought to their end by a job.

So a run of the API survives the server that took it: whoever runs the jobs next goes on with it, and so does `billsmith bill`
for the same period.
"""

from __future__ import annotations

from collections.abc import Callable

from billsmith.accounts.model import Account
from billsmith.storage import accounts, catalogs, issuers, runs
from billsmith.storage.database import Connection, Database
from billsmith.storage.runs import Run
from billsmith.units.spans import NamedSpan, parse_span
from billsmith.usage.store import UsageStore
from billsmith.workflows import billing_run
from billsmith.workflows.rerate import RERATE, rerate


def ask(
    connection: Connection,
    issuer: Account,
    kind: str,
    span: NamedSpan,
    *,
    at: int,
    actor: str,
    scope: Account | None = None,
) -> Run:
    """Keep a run (``bill`` or ``rerate``) that waits to be begun. Raises ``Invalid`` where its period is not due at ``at``."""
    if kind == billing_run.BILL:
        billing_run.check_due(issuer, span, at, issuers.how(connection, issuer.seq).grace)
    runs.lock_issuer(connection, issuer)
    return runs.create(
        connection,
        issuer,
        kind=kind,
        period=span.name,
        scope=scope,
        at=at,
        as_of_seq=0,
        catalogs={},
        actor=actor,
        state=runs.WAITING,
    )


def bring_to_end(
    database: Database,
    usage: UsageStore | None,
    run: Run,
    *,
    processes: int = 1,
    progress: Callable[[int], None] = lambda _count: None,
) -> int:
    """Begin a run if it waits, and bring it to its end; how many documents came of it. At its end already: none."""
    with database.read() as connection:
        issuer = accounts.by_seq(connection, run.issuer_seq)
        scope = None if run.scope_seq is None else accounts.by_seq(connection, run.scope_seq)
    as_of_seq = 0 if usage is None else usage.watermark()
    with database.write() as connection:
        runs.lock_issuer(connection, issuer)
        current = runs.lock(connection, run)
        if current.state == runs.WAITING:
            versions = {each.code: each.version for each in catalogs.newest(connection, issuer)}
            current = runs.begin(connection, current, as_of_seq=as_of_seq, catalogs=versions)
    billed = 0
    while current.state != runs.DONE:
        billed += _go_on(database, usage, issuer, scope, current, processes, progress)
        with database.read() as connection:
            current = runs.by_seqs(connection, [run.seq])[run.seq]
    return billed


def _go_on(
    database: Database,
    usage: UsageStore | None,
    issuer: Account,
    scope: Account | None,
    run: Run,
    processes: int,
    progress: Callable[[int], None],
) -> int:
    """Bring the first of the runs that were begun for the same to its end: this one, or one before it."""
    span, actor = parse_span(run.period), run.opened_by
    if run.kind == RERATE:
        report = rerate(database, usage, issuer, span, at=run.at, actor=actor, scope=scope, progress=progress)
    else:
        report = billing_run.bill(
            database,
            usage,
            issuer,
            span,
            at=run.at,
            actor=actor,
            kind=run.kind,
            scope=scope,
            processes=processes,
            progress=progress,
        )
    return report.billed
