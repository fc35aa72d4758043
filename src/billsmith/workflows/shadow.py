"""Shadowing: our invoices of a period beside those really issued elsewhere, per account and line, before a cut-over."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

import msgspec

from billsmith.accounts.model import Account
from billsmith.invoicing.comparison import WHOLE, Comparison, Coverage, Finding, Key, Verdict, compare, summed
from billsmith.invoicing.model import Invoice, InvoiceStatus, LineKind
from billsmith.storage import accounts, reconcile, sync
from billsmith.storage.database import Connection
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.currency import currency_exponent, from_minor
from billsmith.units.errors import BillsmithError, Invalid
from billsmith.units.exact import Exact
from billsmith.units.periods import Period
from billsmith.units.rounding import parse_decimal

MAX_ROWS = 1_000_000
_REQUIRED = ("account", "currency", "amount")
#: Kinds of lines that only repeat a total which came without any.
_NO_LINES = frozenset({LineKind.STATED, LineKind.UNEXPLAINED})
_NOT_ASKED_FOR = frozenset({InvoiceStatus.DRAFT, InvoiceStatus.GRACE, InvoiceStatus.VOID})

#: An amount of an account, a currency and a line; no line: it is only part of the total.
Amount = tuple[Key, Exact]


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides held together: ``totals`` by account and currency, ``lines`` also by line, where both sides have lines.

    ``verdict`` is of the totals and the lines; ``names`` are the accounts' by their keys.
    """

    totals: Comparison
    lines: Comparison
    verdict: Verdict
    coverage: Coverage
    names: dict[str, str]


def shadow(
    ours: Sequence[Amount], theirs: Sequence[Amount], coverage: Coverage, tolerance: Decimal, names: dict[str, str]
) -> Shadow:
    """Compare amounts that carry ``(account, currency, line)`` as their key.

    Lines are compared for the accounts of which both sides name some; a total without lines says nothing of them.
    """
    totals = compare(summed(theirs, 2), summed(ours, 2), their_coverage=coverage, tolerance=tolerance)
    with_lines = _named(theirs) & _named(ours)
    lines = compare(_by_line(theirs, with_lines), _by_line(ours, with_lines), their_coverage=coverage, tolerance=tolerance)
    apart = Verdict.DIFFERENCES in (totals.verdict, lines.verdict)
    return Shadow(
        totals=totals,
        lines=lines,
        verdict=Verdict.DIFFERENCES if apart else totals.verdict,
        coverage=coverage if theirs else Coverage(whole=False, reason=coverage.reason or "the other side is empty"),
        names=names,
    )


def our_amounts(connection: Connection, issuer: Account, period: Period, names: dict[str, str]) -> list[Amount]:
    """What we issued in a period, by account, currency and line."""
    found = (each.invoice for each in reconcile.issued_in_period(connection, issuer, period.start, period.end))
    return list(_amounts(connection, found, names))


def pulled_amounts(
    connection: Connection, of: Sequence[VendorConnection], period: Period, names: dict[str, str]
) -> tuple[list[Amount], Coverage]:
    """What connections pulled for a period, and whether that is all there is."""
    seqs = [each.seq for each in of]
    found = (each.invoice for _, each in reconcile.pulled_in_period(connection, seqs, period.start, period.end))
    return list(_amounts(connection, found, names)), coverage_of(connection, of, period)


def read_csv(connection: Connection, text: str, source: str, issuer: Account, names: dict[str, str]) -> list[Amount]:
    """A file of what was really issued: a header with ``account``, ``currency``, ``amount`` and, if you like, ``line``.

    An account is named by UUID or external id, at or below ``issuer``. Raises :class:`Invalid` with the line of the fault.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
    if missing:
        raise Invalid(f"the header lacks {', '.join(missing)}", code="shadow.header", where=source)
    amounts: list[Amount] = []
    known: dict[str, str] = {}
    try:
        for row in reader:
            where = f"{source}:{reader.line_num}"
            if len(amounts) >= MAX_ROWS:
                raise Invalid(f"at most {MAX_ROWS} rows are read", code="shadow.too_many_rows", where=where)
            amounts.append(_row(connection, row, where, issuer, known, names))
    except csv.Error as error:
        raise Invalid(f"this is not CSV: {error}", code="shadow.csv", where=f"{source}:{reader.line_num}") from None
    return amounts


def rows(result: Shadow) -> Iterator[tuple[str, str, str, Finding]]:
    """Every finding as account, currency, line (empty: the total) and the finding itself, each account's total first."""
    found = sorted([*result.totals.findings, *result.lines.findings], key=lambda finding: finding.key)
    for finding in found:
        account, currency, *line = finding.key
        yield result.names.get(account, account), currency, line[0] if line else "", finding


def _row(
    connection: Connection, row: dict[str, str], where: str, issuer: Account, known: dict[str, str], names: dict[str, str]
) -> Amount:
    account, currency = (row["account"] or "").strip(), (row["currency"] or "").strip()
    if None in row or not account:  # csv files what is too much under None
        raise Invalid("the row has too many fields, or no account", code="shadow.row", where=where)
    try:
        currency_exponent(currency)
        amount = parse_decimal((row["amount"] or "").strip())
    except BillsmithError as error:
        raise Invalid(error.message, code=error.code, where=where) from None
    if account not in known:
        found = accounts.find(connection, account, issuer)
        known[account] = found.id if found else f"?{account}"
        names[known[account]] = found.external_id if found else account
    return (known[account], currency, line_key(row.get("line") or "")), amount


def _amounts(connection: Connection, found: Iterable[Invoice], names: dict[str, str]) -> Iterator[Amount]:
    for invoice in found:
        if invoice.status in _NOT_ASKED_FOR:
            continue
        assert invoice.content is not None
        if invoice.recipient_id not in names:
            account = accounts.by_id(connection, invoice.recipient_id)
            names[invoice.recipient_id] = account.external_id if account else invoice.customer_name
        for line in invoice.content.lines:
            name = "" if line.kind in _NO_LINES else line_key(line.description)
            yield (invoice.recipient_id, invoice.currency, name), from_minor(line.amount_minor, invoice.currency)
        for tax in invoice.content.taxes:
            if not tax.included:
                yield (
                    (invoice.recipient_id, invoice.currency, line_key(tax.name)),
                    from_minor(tax.amount_minor, invoice.currency),
                )


def line_key(description: str) -> str:
    """A line's name for comparing: without case, spaces as one.

    >>> line_key("  Cloud  Backup ")
    'cloud backup'
    """
    return " ".join(description.split()).casefold()


def _named(amounts: Sequence[Amount]) -> set[Key]:
    """Accounts and currencies that have lines."""
    return {key[:2] for key, _ in amounts if key[2]}


def _by_line(amounts: Sequence[Amount], of: set[Key]) -> dict[Key, Exact]:
    return summed([(key, value) for key, value in amounts if key[:2] in of], 3)


def coverage_of(connection: Connection, of: Sequence[VendorConnection], period: Period) -> Coverage:
    """Whether every connection was pulled as a whole since the period ended."""
    for each in of:
        if each.watermark_walk is None:
            return Coverage(whole=False, reason=f"{each.name} was never pulled as a whole")
        if sync.walk_of(connection, each.watermark_walk).started_at < period.end:
            return Coverage(whole=False, reason=f"{each.name} was last pulled as a whole before the period had ended")
    return WHOLE
