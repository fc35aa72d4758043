"""``billsmith verify``: does the store hold together?"""

from __future__ import annotations

from billsmith.cli.common import PLAIN, Common, opened
from billsmith.cli.output import Form, Listing, Record, note, show
from billsmith.cli.progress import progress
from billsmith.storage import verify as store
from billsmith.storage.database import Database
from billsmith.workflows import usage_upkeep


def verify(*, common: Common = PLAIN) -> int:
    """Check the whole store: the file, the sums of every invoice, payments, tallies, numbers, who sees what.

    It only reads, in short steps, while others work. It counts lines that a vendor's total left unexplained. Exit code 1 means
    that it found problems; each says where it is.

    Example: billsmith verify --json
    """
    with opened(common) as database:
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
                    "problems": _problems(report),
                },
                tables=("checks", "problems"),
            )
        )
    if not report.ok:
        note("restore a backup into a new folder and compare: billsmith restore FILE --home NEW")
    return 0 if report.ok else 1


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
