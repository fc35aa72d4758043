"""Totals without counting: the tallies that every write keeps, and the version of a list."""

from __future__ import annotations

from collections.abc import Sequence

from billsmith.storage.direct import Condition, Direct
from billsmith.storage.lists.conditions import PASSES, signed
from billsmith.storage.lists.criteria import InvoiceList

#: Rows that are looked through or sorted while others wait.
QUICK = 30_000


def is_short(direct: Direct, of: InvoiceList) -> bool:
    """Whether a list is so short that all of it can be looked through while others wait."""
    return sum(flags_tally(direct, of).values()) <= QUICK


def flags_tally(direct: Direct, of: InvoiceList) -> dict[int, int]:
    """How many invoices of a list have which flags."""
    return dict(
        direct.rows("SELECT flags, count FROM invoice_tally WHERE account_seq = ? AND role = ?", (of.account_seq, of.role))
    )


def long_lists(direct: Direct, rows: int, most: int) -> list[InvoiceList]:
    """Lists of at least so many rows, the longest first."""
    sql = (
        "SELECT role, account_seq FROM invoice_tally GROUP BY role, account_seq "
        "HAVING sum(count) >= ? ORDER BY sum(count) DESC LIMIT ?"
    )
    return [InvoiceList(role, account_seq) for role, account_seq in direct.rows(sql, (rows, most))]


def pair_tally(direct: Direct, of: InvoiceList, others: Condition) -> dict[int, int]:
    """The same for those of a list that have certain accounts on their other side."""
    sql = f"SELECT flags, sum(count) FROM pair_tally WHERE {of.owner} = ? AND {others.sql} GROUP BY flags"
    return {flags: int(count) for flags, count in direct.rows(sql, (of.account_seq, *others.parameters))}


def batch_tally(direct: Direct, of: InvoiceList, batches: Sequence[str], mask: int) -> dict[str, int]:
    """How many invoices of an issuer's batches pass."""
    marks = ", ".join("?" * len(batches))
    sql = f"SELECT batch, sum(count) FROM batch_tally WHERE issuer_seq = ? AND {PASSES} AND batch IN ({marks}) GROUP BY batch"
    return {batch: int(length) for batch, length in direct.rows(sql, (of.account_seq, signed(mask), *batches))}


def version_of(direct: Direct, of: InvoiceList) -> int:
    """A number that grows with every change of a list; zero while it is empty."""
    row = direct.row("SELECT max(version) FROM invoice_change WHERE account_seq = ? AND role = ?", (of.account_seq, of.role))
    assert row is not None
    return row[0] or 0
