"""``billsmith reconcile``: what vendors say beside what this store says."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from billsmith.cli.common import PLAIN, Common, opened, settings_of
from billsmith.cli.output import Form, Listing, Record, note
from billsmith.cli.progress import progress
from billsmith.cli.shadow import money_text
from billsmith.invoicing.comparison import Coverage, Finding, Verdict
from billsmith.server.settings import open_usage
from billsmith.storage import sync_connections
from billsmith.storage.database import Database
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.errors import Invalid
from billsmith.units.instants import format_instant
from billsmith.units.rounding import parse_decimal
from billsmith.units.spans import parse_span
from billsmith.units.wording import write_number
from billsmith.workflows.clock import system_clock
from billsmith.workflows.metered import Metered, compare_usage, measure_with, zone_of
from billsmith.workflows.rated import Rated, Rating, compare_charges, with_usage
from billsmith.workflows.reconcile import Reconciliation, duplicates, reconcile_one


def reconcile(
    name: Annotated[str | None, Parameter(help="Only this connection (default: all).")] = None,
    *,
    usage: Annotated[
        bool, Parameter(negative=(), help="Also hold the vendor's quantities and totals against our own metering and prices.")
    ] = False,
    period: Annotated[str | None, Parameter(help="With --usage: which period: 2026-07, 2026-Q3, 2026 or 2026-07-14.")] = None,
    tolerance: Annotated[str, Parameter(help="With --usage: quantities that lie at most so far apart agree.")] = "0",
    threshold: Annotated[str, Parameter(help="With --usage: amounts that lie at most so far apart agree.")] = "0",
    common: Common = PLAIN,
) -> int:
    """Hold what connections pulled against our invoices: matched, differs, missing or not audited, and how much was seen.

    Also: what the last walk found changed, invoices that seem to have come through two connections, and customers whom only
    the vendor knows. A list that is empty or was seen in part is never clean. Exit code 1: not everything is clean.

    With --usage, quantities on pulled lines are held against what our meters of the same codes counted, and the vendor's totals
    against what our subscriptions charge (ours) and did ask for (issued) in the period; nothing is written.

    Example: billsmith reconcile amberflo --usage --period 2026-07
    """
    if usage != (period is not None):
        raise Invalid("--usage and --period go together", code="reconcile.usage", where="usage")
    with opened(common) as database:
        with database.read() as connection:
            every = sync_connections.every(connection)
            wanted = [sync_connections.get(connection, name)] if name else every
            results = [reconcile_one(connection, of) for of in wanted]
            twice = [each for each in duplicates(connection, every) if not name or name in each.connections]
        ours = None if period is None else _against_ours(common, database, wanted, period, tolerance, threshold)
    verdicts = [result.verdict for result in results] + ([] if ours is None else [with_usage(*ours)])
    clean = bool(results) and not twice and all(each is Verdict.CLEAN for each in verdicts)
    findings = [{"connection": result.connection, **_plain(each)} for result in results for each in result.told]
    if common.form in (Form.CSV, Form.IDS):
        columns = ("connection", "vendor_key", "state", "invoice_id", "number", "detail")
        common.show(Listing(rows=findings, columns=columns, id_field="vendor_key"))
        return 0 if clean else 1
    row = {
        "verdict": overall(verdicts, bool(twice)).value,
        "connections": [_summary(result) for result in results],
        "findings": findings,
        "changes": [
            {"connection": result.connection, "vendor_key": each.vendor_key, "what": each.what, "detail": each.detail}
            for result in results
            for each in result.changes
        ],
        "duplicates": [_plain(each) for each in twice],
        "unmatched_customers": [
            {"connection": result.connection, **_plain(each)} for result in results for each in result.unmatched
        ],
    }
    if ours is not None:
        metered, rated = ours
        row["usage"] = [_usage_row(each, name) for name, each in metered.rows()]
        row["charges"] = [_charge_row(each) for each in rated.rows]
        row["usage_coverage"] = _told(rated.coverage)
    tables = ("connections", "findings", "changes", "duplicates", "unmatched_customers", "usage", "charges")
    common.show(Record(row=row, id_field="verdict", tables=tables))
    if not wanted:
        note("there is no connection to look at; make one: billsmith sync add VENDOR …")
    return 0 if clean else 1


def overall(verdicts: Sequence[Verdict], twice: bool) -> Verdict:
    """What all that was looked at comes to together."""
    if twice or Verdict.DIFFERENCES in verdicts:
        return Verdict.DIFFERENCES
    return Verdict.CLEAN if set(verdicts) == {Verdict.CLEAN} else Verdict.NOT_AUDITED


def _against_ours(
    common: Common, database: Database, of: Sequence[VendorConnection], period: str, tolerance: str, threshold: str
) -> tuple[Metered, Rating]:
    span, apart, money = parse_span(period), _least(tolerance, "tolerance"), _least(threshold, "threshold")
    counts = open_usage(settings_of(common), database)
    try:
        store = counts.catch_up()
        with database.read() as connection:
            zone = zone_of(connection, of)
            metered = compare_usage(connection, of, span.period(zone), measure_with(lambda: store), apart)
        with progress("accounts") as advance:
            rated = compare_charges(database, store, of, span, zone=zone, at=system_clock(), threshold=money, progress=advance)
        return metered, rated
    finally:
        counts.close()


def _least(text: str, where: str) -> Decimal:
    value = parse_decimal(text, where=where)
    if value < 0:
        raise Invalid(f"a {where} is zero or more", code="reconcile.tolerance", where=where)
    return value


def _usage_row(finding: Finding, account: str) -> dict[str, Any]:
    return {
        "account": account,
        "meter": finding.key[1],
        "state": finding.state.value,
        "theirs": None if finding.theirs is None else write_number(finding.theirs),
        "ours": None if finding.ours is None else write_number(finding.ours),
        "difference": write_number(finding.difference),
    }


def _charge_row(each: Rated) -> dict[str, Any]:
    return {
        "account": each.account,
        "currency": each.currency,
        "state": each.finding.state.value,
        "theirs": money_text(each.finding.theirs),
        "ours": money_text(each.finding.ours),
        "difference": money_text(each.finding.difference),
        "issued": money_text(each.issued),
        "reason": each.reason,
    }


def _told(coverage: Coverage) -> str:
    return "whole" if coverage.whole else f"partial: {coverage.reason}"


def _summary(result: Reconciliation) -> dict[str, Any]:
    return {
        "connection": result.connection,
        "vendor": result.vendor,
        "verdict": result.verdict.value,
        "coverage": _told(result.coverage),
        "whole_at": None if result.watermark_at is None else format_instant(result.watermark_at, digits=0),
        **{state.value: count for state, count in result.counts.items()},
        "came_by_file": result.beside,
    }


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(value)
    return row
