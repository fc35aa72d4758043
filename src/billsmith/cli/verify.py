"""``billsmith verify``: does the store hold together?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter

from billsmith.cli.common import PLAIN, Common, opened
from billsmith.cli.output import Form, Listing, Record, note, show
from billsmith.cli.progress import progress
from billsmith.storage import verify as store
from billsmith.storage.backup import inspect, restore
from billsmith.storage.database import Database, sqlite_url
from billsmith.workflows import usage_upkeep


def verify(
    backup: Annotated[Path | None, Parameter(help="A backup to check instead of the store; it needs no store.")] = None,
    *,
    common: Common = PLAIN,
) -> int:
    """Check the whole store: the file, the sums of every invoice, payments, tallies, numbers, the chain over issued documents,
    the ledger, and what it says is owed, held as credit and left in wallets.

    It only reads, in short steps, while others work. It counts lines that a vendor's total left unexplained, and says where
    each chain ends: keep those digests elsewhere. Exit code 1 means that it found problems; each says where it is.

    Example: billsmith verify --json
    """
    _ = common.form
    with opened(common) if backup is None else _restored(backup) as database:
        report = _checked(database)
    if common.form is Form.CSV or common.form is Form.IDS:
        show(Listing(rows=_problems(report), columns=("check", "where", "what"), id_field="where"), common.form)
    else:
        common.show(
            Record(
                row={
                    "ok": report.ok,
                    "invoices": report.invoices,
                    "lines": report.lines,
                    "unexplained_lines": report.unexplained_lines,
                    "checks": [{"check": name, "checked": count} for name, count in report.checked.items()],
                    "problems_found": report.problems_found,
                    "chains": [head._asdict() for head in report.chains],
                    "problems": _problems(report),
                },
                tables=("checks", "chains", "problems"),
            )
        )
    if not report.ok:
        note("restore a backup into a new folder and compare: billsmith restore FILE --home NEW")
    return 0 if report.ok else 1


@contextmanager
def _restored(backup: Path) -> Iterator[Database]:
    """A backup as a store of its own, for as long as it is looked at."""
    with TemporaryDirectory(prefix="billsmith-verify-") as folder:
        database = Database(sqlite_url(Path(folder)))
        try:
            with progress("rows read", inspect(backup).rows) as advance:
                restore(database, backup, progress=advance)
            yield database
        finally:
            database.close()


def report_of(database: Database) -> int:
    """Verify a store, with a progress bar; gives the number of problems."""
    return _checked(database).problems_found


def _checked(database: Database) -> store.Report:
    with progress("invoices verified", store.count_invoices(database)) as advance:
        report = store.verify(database, progress=advance)
    events, faults = usage_upkeep.faults(database)
    report.note("usage", events)
    for fault in faults:
        report.add("usage", "usage store", fault)
    return report


def _problems(report: store.Report) -> list[dict[str, str]]:
    return [{"check": problem.check, "where": problem.where, "what": problem.what} for problem in report.problems]
