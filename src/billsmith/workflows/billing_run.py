"""The billing run: from subscriptions and usage to issued invoices, each once.

A run has one present (``at``), one state of the usage store (``as_of_seq``) and one version of each catalog, all kept in its
row when it opens. It goes through the recipients in order, chunk by chunk: read what their documents depend on, measure, rate
and assemble in several processes, then number and issue the chunk in one transaction that also moves the run's cursor. Killed
anywhere, it goes on from the last chunk that was committed and comes to the same bytes, because ids derive from the run's keys
and numbers are given in the order of the recipients. Nothing due: nothing is written, so a run again is no run at all (P5).

Several processes may bill the same at once: they find the same open run, and of two that made a chunk the second sees under the
lock that the cursor has moved. What another run billed since the chunk was read is seen there too, and left out.
"""

from __future__ import annotations

from collections.abc import Callable

from billsmith.accounts.model import Account
from billsmith.invoicing.cases import Books
from billsmith.storage import catalogs, issuers, runs
from billsmith.storage.database import Connection, Database
from billsmith.storage.runs import Run
from billsmith.units.errors import Conflict, Invalid
from billsmith.units.instants import format_instant
from billsmith.units.spans import NamedSpan
from billsmith.usage.store import UsageStore
from billsmith.workflows.billing_cases import Loaded, load_books
from billsmith.workflows.billing_cycles import CYCLE
from billsmith.workflows.billing_issue import Made, Outcomes, Step, issue, without_billed
from billsmith.workflows.billing_reading import Reading
from billsmith.workflows.billing_report import Report
from billsmith.workflows.billing_work import Bench, bench, no_cycles

#: What a document's batch says of how it was made; the kind of run.
BILL = "bill"

#: Recipients in one chunk, and so documents in one commit.
CHUNK = 500
#: So few cases are made in this process: starting others takes longer.
FEW = 200

Progress = Callable[[int], None]

#: The named steps of a run, in order: what a test may stop at.
STEPS = ("opened", "loaded", "measured", "drafted", "numbered", "issued", "committed", "passed", "finished")


def bill(
    database: Database,
    usage: UsageStore | None,
    issuer: Account,
    span: NamedSpan,
    *,
    at: int,
    actor: str,
    kind: str = BILL,
    scope: Account | None = None,
    dry_run: bool = False,
    processes: int = 1,
    step: Step = lambda _name: None,
    progress: Progress = lambda _count: None,
) -> Report:
    """Bill what an issuer's subscribers (at or below ``scope``) owe by the end of a span, as known at ``at``.

    Of the kind :data:`~billsmith.workflows.billing_cycles.CYCLE` the span is a day, and those are billed whose billing period
    ends on it, as soon as it is over where each of them is.
    A run for the same that did not come to its end is gone on with, at its own ``at``. ``rows`` tell of what was parked; of a
    dry run, which writes nothing, of everything. Raises :class:`Invalid` where the span is not over or in its grace.
    """
    if kind == CYCLE:
        with database.read() as connection:
            grace = issuers.how(connection, issuer.seq).grace
    else:
        grace = check_over(database, issuer, span, at, scope=scope, dry_run=dry_run)
    maker = _Maker(database, usage, issuer, span, kind, scope, step, progress, grace)
    if dry_run:
        return maker.preview(at)
    with no_cycles():
        return maker.run(at, actor, processes)


def check_over(
    database: Database, issuer: Account, span: NamedSpan, at: int, *, scope: Account | None = None, dry_run: bool = False
) -> int:
    """The issuer's grace, which a dry run does not wait for. Raises :class:`Invalid` where a span is not over with it.

    A run for the same that was begun is gone on with, whatever the grace is by now.
    """
    with database.read() as connection:
        grace = 0 if dry_run else issuers.how(connection, issuer.seq).grace
        if dry_run or runs.unfinished(connection, issuer, BILL, span.name, scope) is None:
            check_due(issuer, span, at, grace)
    return grace


def check_due(issuer: Account, span: NamedSpan, at: int, grace: int) -> None:
    """Raise :class:`Invalid` where a span is not over, or in its grace."""
    end = span.end(issuer.time_zone)
    if end > at:
        raise Invalid(
            f"{span.name} is not over yet. Bill it when it is, or say with --at from when to look at it",
            code="bill.period_not_over",
            where="period",
        )
    if end + grace > at:
        raise Invalid(
            f"{span.name} is over, and late usage may come in until {format_instant(end + grace)}. Bill it then; `billsmith "
            "drafts` shows what it comes to now",
            code="bill.in_grace",
            where="period",
        )


class _Maker:
    def __init__(
        self,
        database: Database,
        usage: UsageStore | None,
        issuer: Account,
        span: NamedSpan,
        kind: str,
        scope: Account | None,
        step: Step,
        progress: Progress,
        grace: int,
    ) -> None:
        self.database, self.usage, self.issuer, self.span, self.scope = database, usage, issuer, span, scope
        self.kind = kind
        self.step, self.progress = step, progress
        self.reading = Reading(database, usage, issuer, span, scope, CHUNK, step, grace)
        self.report = Report(issuer=issuer.id)

    def preview(self, at: int) -> Report:
        """What a run would do."""
        with self.database.read() as connection:
            run = self._imagined(connection, at)
            books = load_books(connection, self.issuer, run.catalogs)
        for chunk in self.reading.chunks(run, books, Bench(books, None)):
            self._tell(chunk.loaded, chunk.made().outcomes, issued=False)
        return self.report

    def run(self, at: int, actor: str, processes: int) -> Report:
        """Open a run, or find the one that is open, and bring it to its end."""
        run = self._open(at, actor)
        if run is None:
            return self.report
        self.step("opened")
        with self.database.read() as connection:
            books = load_books(connection, self.issuer, run.catalogs)
            few = len(self.reading.due(connection, run, books, run.cursor, FEW + 1)) <= FEW
        with bench(books, 1 if few else processes) as at_work:
            while not self._pass(run, books, at_work, actor):
                with self.database.read() as connection:
                    run = runs.by_seqs(connection, [run.seq])[run.seq]
        self.step("finished")
        self._sum_up(run)
        return self.report

    def _open(self, at: int, actor: str) -> Run | None:
        with self.database.read() as connection:
            found = runs.unfinished(connection, self.issuer, self.kind, self.span.name, self.scope)
            if found is None and not self._anybody(connection, at):
                return None
        with self.database.write() as connection:
            runs.lock_issuer(connection, self.issuer)
            found = runs.unfinished(connection, self.issuer, self.kind, self.span.name, self.scope)
            self.report.resumed = found is not None
            if found is not None:
                return found
            if not self._anything(connection, at):
                return None
            imagined = self._imagined(connection, at)
            return runs.create(
                connection,
                self.issuer,
                kind=self.kind,
                period=self.span.name,
                scope=self.scope,
                at=at,
                as_of_seq=imagined.as_of_seq,
                catalogs=imagined.catalogs,
                actor=actor,
            )

    def _anybody(self, connection: Connection, at: int) -> bool:
        """Whether there is anybody to look at, which costs less than to look."""
        run = self._imagined(connection, at)
        return bool(self.reading.due(connection, run, load_books(connection, self.issuer, run.catalogs), 0, 1))

    def _anything(self, connection: Connection, at: int) -> bool:
        """Whether any recipient has a step to bill: a subscription that began after the span's end has none."""
        run = self._imagined(connection, at)
        books = load_books(connection, self.issuer, run.catalogs)
        return any(loaded.cases or loaded.refused for _, loaded in self.reading.loads(connection, run, 0, books))

    def _imagined(self, connection: Connection, at: int) -> Run:
        return imagined(connection, self.usage, self.issuer, self.span, at, self.kind)

    def _pass(self, run: Run, books: Books, at_work: Bench, actor: str) -> bool:
        """Go through the recipients after the run's cursor; ``False`` where another process moved it meanwhile."""
        for chunk in self.reading.chunks(run, books, at_work):
            made = chunk.made()
            self.step("drafted")
            moved = self._committed(run, made, actor)
            if moved is None:
                return self._ended(run)
            run = moved
            self.step("committed")
            self.progress(len(chunk.loaded.cases))
        self.step("passed")
        with self.database.write() as connection:
            runs.lock_issuer(connection, self.issuer)
            if runs.lock(connection, run).cursor == run.cursor:
                runs.finish(connection, run)
                return True
        return False

    def _ended(self, run: Run) -> bool:
        with self.database.read() as connection:
            return runs.by_seqs(connection, [run.seq])[run.seq].state == runs.DONE

    def _committed(self, run: Run, made: Made, actor: str) -> Run | None:
        """A chunk, issued. Where something of it stands on a live document, that account is parked and the others go on."""
        try:
            return self._issued(run, made, actor)
        except Conflict as error:
            if error.code != runs.BILLED_ALREADY:
                raise
            with self.database.read() as connection:
                checked = without_billed(connection, made, error.code, error.message)
        return self._issued(run, checked, actor)

    def _issued(self, run: Run, made: Made, actor: str) -> Run | None:
        with self.database.write() as connection:
            done = issue(connection, self.issuer, run, made, actor, self.step)
        if done is None:
            return None
        moved, kept = done
        self._tell(made.loaded, kept, issued=True)
        return moved

    def _tell(self, loaded: Loaded, outcomes: Outcomes, *, issued: bool) -> None:
        self.report.early += len(loaded.early)
        for case, outcome in outcomes:
            self.report.tell(loaded, case, outcome, issued=issued)
        self.report.tell_refused(loaded)

    def _sum_up(self, run: Run) -> None:
        self.report.run, self.report.batch = run.id, run.batch
        self.report.at, self.report.as_of_seq = run.at, run.as_of_seq


def imagined(
    connection: Connection, usage: UsageStore | None, issuer: Account, span: NamedSpan, at: int, kind: str = BILL
) -> Run:
    """A run as it would open now."""
    return Run(
        seq=0,
        id="",
        issuer_seq=issuer.seq,
        number=0,
        kind=kind,
        period=span.name,
        scope_seq=None,
        at=at,
        as_of_seq=0 if usage is None else usage.watermark(),
        catalogs={each.code: each.version for each in catalogs.newest(connection, issuer)},
        state=runs.RUNNING,
        cursor=0,
        billed=0,
        parked=0,
        nothing=0,
    )
