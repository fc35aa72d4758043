"""``billsmith reconcile``: what vendors say beside what this store says."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from billsmith.catalog import Catalog, parse
from billsmith.cli.common import PLAIN, Common, opened, settings_of
from billsmith.cli.output import Form, Listing, Record
from billsmith.invoicing.comparison import Finding, Verdict
from billsmith.server.settings import open_usage
from billsmith.storage import accounts, sync_connections
from billsmith.storage.database import Connection, Database
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.errors import Invalid, NotFound
from billsmith.units.instants import format_instant
from billsmith.units.period_words import parse_period
from billsmith.units.rounding import parse_decimal
from billsmith.units.wording import say_number
from billsmith.workflows.catalogs import read_text
from billsmith.workflows.metered import Metered, compare_usage, measure_with
from billsmith.workflows.reconcile import Reconciliation, duplicates, reconcile_one


def reconcile(
    name: Annotated[str | None, Parameter(help="Only this connection (default: all).")] = None,
    *,
    usage: Annotated[
        Path | None, Parameter(help="A catalog: the quantities on pulled lines are held against its meters of the same code.")
    ] = None,
    period: Annotated[str | None, Parameter(help="With --usage: which period, such as 2026-07.")] = None,
    tolerance: Annotated[str, Parameter(help="With --usage: quantities that lie at most so far apart agree.")] = "0",
    common: Common = PLAIN,
) -> int:
    """Hold what connections pulled against our invoices: matched, differs, missing or not audited, and how much was seen.

    Also: what the last walk found changed, invoices that seem to have come through two connections, and customers whom only
    the vendor knows. A list that is empty or was seen in part is never clean. Exit code 1: not everything is clean.

    Example: billsmith reconcile acronis
    """
    if (usage is None) != (period is None):
        raise Invalid("--usage and --period go together", code="reconcile.usage", where="usage")
    catalog = None if usage is None else _catalog(usage)
    with opened(common) as database, database.read() as connection:
        every = sync_connections.every(connection)
        wanted = [sync_connections.get(connection, name)] if name else every
        results = [reconcile_one(connection, of) for of in wanted]
        metered = None
        if catalog is not None and period is not None:
            metered = _metered(common, database, connection, wanted, catalog, period, parse_decimal(tolerance))
        twice = [each for each in duplicates(connection, every) if not name or name in each.connections]
    verdicts = [result.verdict for result in results] + ([] if metered is None else [metered.comparison.verdict])
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
    if metered is not None:
        row["usage"] = [_usage_row(each) for each in metered.comparison.findings]
        row["usage_coverage"] = "whole" if metered.coverage.whole else f"partial: {metered.coverage.reason}"
    tables = ("connections", "findings", "changes", "duplicates", "unmatched_customers", "usage")
    common.show(Record(row=row, id_field="verdict", tables=tables))
    return 0 if clean else 1


def overall(verdicts: Sequence[Verdict], twice: bool) -> Verdict:
    """What all that was looked at comes to together."""
    if twice or Verdict.DIFFERENCES in verdicts:
        return Verdict.DIFFERENCES
    return Verdict.CLEAN if set(verdicts) == {Verdict.CLEAN} else Verdict.NOT_AUDITED


def _catalog(file: Path) -> Catalog:
    if not file.is_file():
        raise NotFound(f"there is no file {file}", code="input.no_such_file", where="usage")
    return parse(read_text(file.read_bytes(), file.name), file.name)


def _metered(
    common: Common,
    database: Database,
    connection: Connection,
    of: Sequence[VendorConnection],
    catalog: Catalog,
    period: str,
    tolerance: Decimal,
) -> Metered:
    zones = {accounts.by_seq(connection, each.account_seq).time_zone for each in of}
    span = parse_period(period, zones.pop() if len(zones) == 1 else "UTC", where="period")
    counts = open_usage(settings_of(common), database)
    try:
        return compare_usage(connection, of, catalog.meters, span, measure_with(lambda: counts.store), tolerance)
    finally:
        counts.close()


def _usage_row(finding: Finding) -> dict[str, Any]:
    account, meter = finding.key
    return {
        "account": account,
        "meter": meter,
        "state": finding.state.value,
        "theirs": None if finding.theirs is None else say_number(finding.theirs),
        "ours": None if finding.ours is None else say_number(finding.ours),
        "difference": say_number(finding.difference),
    }


def _summary(result: Reconciliation) -> dict[str, Any]:
    return {
        "connection": result.connection,
        "vendor": result.vendor,
        "verdict": result.verdict.value,
        "coverage": "whole" if result.coverage.whole else f"partial: {result.coverage.reason}",
        "whole_at": None if result.watermark_at is None else format_instant(result.watermark_at),
        **{state.value: count for state, count in result.counts.items()},
        "came_by_file": result.beside,
    }


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(value)
    return row
