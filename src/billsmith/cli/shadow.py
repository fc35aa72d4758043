"""``billsmith shadow``: our invoices of a period beside those really issued elsewhere."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from billsmith.accounts.model import Account
from billsmith.cli.common import PLAIN, Common, opened
from billsmith.cli.imports import read_file
from billsmith.cli.output import Form, Listing, note
from billsmith.invoicing.comparison import WHOLE, Coverage, Finding, State, Verdict
from billsmith.storage import accounts, sync_connections
from billsmith.storage.database import Connection
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.errors import Invalid, NotFound
from billsmith.units.exact import Exact
from billsmith.units.period_words import parse_period
from billsmith.units.periods import Period
from billsmith.units.rounding import parse_decimal
from billsmith.units.wording import say_money
from billsmith.workflows import shadow as workflow
from billsmith.workflows.shadow import Amount


def shadow(
    *,
    period: Annotated[str, Parameter(help="2026-07, 2026-Q3, 2026, or 2026-07-01..2026-07-31; periods that start in it.")],
    against: Annotated[str, Parameter(help="A connection, a vendor (all its connections), or a CSV file.")],
    account: Annotated[str, Parameter(help="Who issues here, by UUID or external id.")],
    threshold: Annotated[str, Parameter(help="Amounts that lie at most so far apart agree.")] = "0",
    all_rows: Annotated[bool, Parameter(name="--all", negative=(), help="Show what matches too.")] = False,
    common: Common = PLAIN,
) -> int:
    """Compare what we issued for a period with what was really issued elsewhere, per account and line, before a cut-over.

    A CSV file has a header with account, currency, amount and, where lines are to be compared, line. Exit code 1: something
    differs by more than the threshold, or the other side is empty or not whole, so that nobody can say that it agrees.

    Example: billsmith shadow --period 2026-07 --against issued.csv --account my-msp --threshold 0.05
    """
    tolerance = parse_decimal(threshold, where="threshold")
    if tolerance < 0:
        raise Invalid("a threshold is zero or more", code="shadow.threshold", where="threshold")
    with opened(common) as database, database.read() as connection:
        issuer = accounts.get(connection, account)
        span = parse_period(period, issuer.time_zone, where="period")
        names: dict[str, str] = {}
        ours = workflow.our_amounts(connection, issuer, span, names)
        theirs, coverage = _theirs(connection, against, issuer, span, names)
        result = workflow.shadow(ours, theirs, coverage, tolerance, names)
    found = [
        _row(name, currency, line, finding)
        for name, currency, line, finding in workflow.rows(result)
        if all_rows or common.form is not Form.PEOPLE or finding.state is not State.MATCHED
    ]
    columns = ("account", "currency", "line", "state", "theirs", "ours", "difference")
    common.show(Listing(rows=found, columns=columns, id_field="account", empty="nothing differs"))
    counts = ", ".join(f"{count} {state.value.replace('_', ' ')}" for state, count in result.totals.counts.items() if count)
    note(f"accounts: {counts or 'none'}; the other side is {_told(result.coverage)}; {result.verdict.value.replace('_', ' ')}")
    return 0 if result.verdict is Verdict.CLEAN else 1


def _theirs(
    connection: Connection, against: str, issuer: Account, period: Period, names: dict[str, str]
) -> tuple[list[Amount], Coverage]:
    if against == "-" or against.lower().endswith(".csv") or Path(against).is_file():
        text = _decoded(read_file(against), against)
        return workflow.read_csv(connection, text, against, issuer, names), WHOLE
    return workflow.pulled_amounts(connection, named_connections(connection, against), period, names)


def named_connections(connection: Connection, name: str) -> list[VendorConnection]:
    """All connections of a vendor, or the one of a name. Raises :class:`NotFound`."""
    of_vendor = [each for each in sync_connections.every(connection) if each.vendor == name]
    if of_vendor:
        return of_vendor
    try:
        return [sync_connections.get(connection, name)]
    except NotFound:
        raise NotFound(
            f"{name[:64]!r} is no connection, no vendor that is connected and no file", code="sync.unknown"
        ) from None


def _decoded(body: bytes, name: str) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid("this is not UTF-8", code="shadow.csv", where=name) from None


def _row(account: str, currency: str, line: str, finding: Finding) -> dict[str, Any]:
    return {
        "account": account,
        "currency": currency,
        "line": line or "total",
        "state": finding.state.value,
        "theirs": money_text(finding.theirs),
        "ours": money_text(finding.ours),
        "difference": money_text(finding.difference),
        "missing_from": None if finding.missing_from is None else finding.missing_from.value,
    }


def money_text(value: Exact | None) -> str | None:
    """An amount for a table, without groups of digits; ``None`` where there is none."""
    if value is None:
        return None
    assert isinstance(value, Decimal)
    return say_money(value, 2).replace(",", "")


def _told(coverage: Coverage) -> str:
    return "whole" if coverage.whole else f"not whole ({coverage.reason})"
