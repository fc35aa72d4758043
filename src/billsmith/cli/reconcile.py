"""``billsmith reconcile``: what vendors say beside what this store says."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from billsmith.cli.common import PLAIN, Common, opened
from billsmith.cli.output import Form, Listing, Record
from billsmith.invoicing.comparison import Verdict
from billsmith.storage import sync_connections
from billsmith.units.instants import format_instant
from billsmith.workflows.reconcile import Reconciliation, duplicates, reconcile_one


def reconcile(
    name: Annotated[str | None, Parameter(help="Only this connection (default: all).")] = None, *, common: Common = PLAIN
) -> int:
    """Hold what connections pulled against our invoices: matched, differs, missing or not audited, and how much was seen.

    Also: what the last walk found changed, invoices that seem to have come through two connections, and customers whom only
    the vendor knows. A list that is empty or was seen in part is never clean. Exit code 1: not everything is clean.

    Example: billsmith reconcile acronis
    """
    with opened(common) as database, database.read() as connection:
        every = sync_connections.every(connection)
        wanted = [sync_connections.get(connection, name)] if name else every
        results = [reconcile_one(connection, of) for of in wanted]
        twice = [each for each in duplicates(connection, every) if not name or name in each.connections]
    clean = bool(results) and not twice and all(result.verdict is Verdict.CLEAN for result in results)
    findings = [{"connection": result.connection, **_plain(each)} for result in results for each in result.told]
    if common.form in (Form.CSV, Form.IDS):
        columns = ("connection", "vendor_key", "state", "invoice_id", "number", "detail")
        common.show(Listing(rows=findings, columns=columns, id_field="vendor_key"))
        return 0 if clean else 1
    row = {
        "verdict": overall(results, bool(twice)).value,
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
    tables = ("connections", "findings", "changes", "duplicates", "unmatched_customers")
    common.show(Record(row=row, id_field="verdict", tables=tables))
    return 0 if clean else 1


def overall(results: list[Reconciliation], twice: bool) -> Verdict:
    """What all connections come to together."""
    verdicts = {result.verdict for result in results}
    if twice or Verdict.DIFFERENCES in verdicts:
        return Verdict.DIFFERENCES
    return Verdict.CLEAN if verdicts == {Verdict.CLEAN} else Verdict.NOT_AUDITED


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
