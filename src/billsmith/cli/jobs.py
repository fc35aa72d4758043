"""``billsmith jobs``: what is due, done without a server."""

from __future__ import annotations

import signal
import threading
from typing import Annotated, Any

from cyclopts import App, Parameter

from billsmith.cli.common import PLAIN, Common, opened, settings_of
from billsmith.cli.output import Listing, note
from billsmith.server.faces import tools
from billsmith.server.jobs import Jobs
from billsmith.server.settings import services
from billsmith.storage.database import Database
from billsmith.workflows.jobs import JOBS, Ran, Tools, run_due

app = App(name="jobs", help="Jobs: what has to be done when its time has come.")


@app.command(name="list")
def list_jobs(*, common: Common = PLAIN) -> None:
    """List the jobs, and whether something of each is due now.

    Example: billsmith jobs list
    """
    with opened(common) as database:
        work = _tools(common, database)
        now = work.clock()
        rows = [{"job": job.name, "due": job.due(work, now), "every": job.every, "what": job.what} for job in JOBS]
    common.show(Listing(rows=rows, columns=("job", "due", "every", "what"), id_field="job"))


@app.command
def run(
    *,
    once: Annotated[bool, Parameter(negative=(), help="Do what is due now, then end (for cron and timers).")] = False,
    common: Common = PLAIN,
) -> int:
    """Do what is due: all of it once, or again and again until Ctrl-C or SIGTERM.

    `billsmith serve` does the same beside its APIs, unless BILLSMITH_JOBS is false. Several at once do no harm. The exit code
    is 1 where a job could not do its work.

    Example: billsmith jobs run --once
    """
    with opened(common) as database:
        work = _tools(common, database)
        try:
            if not once:
                _until_stopped(Jobs(work))
                return 0
            ran = run_due(work, JOBS)
        finally:
            work.usage.close()
    common.show(
        Listing(rows=[_row(each) for each in ran], columns=("job", "done", "reason"), id_field="job", empty="nothing is due")
    )
    return 1 if any(each.code for each in ran) else 0


def _until_stopped(jobs: Jobs) -> None:
    ending = threading.Event()
    before = {number: signal.signal(number, lambda *_: ending.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    jobs.start()
    note("Ctrl-C ends it")
    try:
        ending.wait()
    finally:
        jobs.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def _tools(common: Common, database: Database) -> Tools:
    settings = settings_of(common)
    return tools(settings, services(settings, database))


def _row(ran: Ran) -> dict[str, Any]:
    return {"job": ran.job, "done": ran.done, "code": ran.code, "reason": ran.reason}
