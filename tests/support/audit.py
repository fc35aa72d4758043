"""An auditor of a store that shares no code with it: plain SQL, counted again."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import zstandard
from sqlalchemy import text

from billsmith.storage.database import Connection, Database

# What must give no row: each finds something that a half-written transaction, or a lost one, would leave.
_NEVER: dict[str, str] = {
    "an invoice without its document": """
        SELECT seq FROM invoice WHERE NOT EXISTS (SELECT 1 FROM invoice_document WHERE invoice_seq = invoice.seq)""",
    "a document without its invoice": """
        SELECT invoice_seq FROM invoice_document WHERE NOT EXISTS (SELECT 1 FROM invoice WHERE seq = invoice_seq)""",
    "a payment without its invoice": """
        SELECT invoice_seq FROM payment WHERE NOT EXISTS (SELECT 1 FROM invoice WHERE seq = invoice_seq)""",
    "paid is not the sum of the payments": """
        SELECT seq FROM invoice WHERE NOT EXISTS (SELECT 1 FROM vendor_id WHERE our_seq = invoice.seq AND kind = 'invoice')
        AND paid_minor <> (SELECT COALESCE(SUM(amount_minor), 0) FROM payment WHERE invoice_seq = invoice.seq)""",
    "a tally is not the count": """
        SELECT account_seq, role, flags FROM (
            SELECT account_seq, role, flags, count FROM invoice_tally
            UNION ALL SELECT issuer_seq, 0, flags, -COUNT(*) FROM invoice GROUP BY issuer_seq, flags
            UNION ALL SELECT recipient_seq, 1, flags, -COUNT(*) FROM invoice GROUP BY recipient_seq, flags
        ) AS both_sides GROUP BY account_seq, role, flags HAVING SUM(count) <> 0""",
    "a batch's tally is not the count": """
        SELECT issuer_seq, batch, flags FROM (
            SELECT issuer_seq, batch, flags, count FROM batch_tally
            UNION ALL SELECT issuer_seq, batch, flags, -COUNT(*) FROM invoice GROUP BY issuer_seq, batch, flags
        ) AS both_sides GROUP BY issuer_seq, batch, flags HAVING SUM(count) <> 0""",
    "numbers have a gap or stand twice": """
        SELECT issuer_seq, SUBSTR(number, 1, 8) FROM invoice WHERE number LIKE 'INV-%' OR number LIKE 'CN-%'
        GROUP BY issuer_seq, SUBSTR(number, 1, 8)
        HAVING COUNT(*) <> COUNT(DISTINCT number) OR COUNT(*) <> MAX(CAST(SUBSTR(number, LENGTH(number) - 5) AS INTEGER))""",
    "a series is ahead of its numbers": """
        SELECT issuer_seq FROM number_series WHERE last <> (
            SELECT COUNT(*) FROM invoice WHERE invoice.issuer_seq = number_series.issuer_seq AND number LIKE series || '-%')""",
    "versions of a list have a gap": """
        SELECT account_seq, role FROM invoice_change GROUP BY account_seq, role HAVING COUNT(*) <> MAX(version)""",
    "a list's changes are not its rows": """
        SELECT account_seq FROM (
            SELECT account_seq, role, COUNT(*) AS count FROM invoice_change WHERE old_flags IS NULL GROUP BY account_seq, role
            UNION ALL SELECT issuer_seq, 0, -COUNT(*) FROM invoice GROUP BY issuer_seq
            UNION ALL SELECT recipient_seq, 1, -COUNT(*) FROM invoice GROUP BY recipient_seq
        ) AS both_sides GROUP BY account_seq, role HAVING SUM(count) <> 0""",
}


def faults(database: Database) -> list[str]:
    """All that is wrong with a store; nothing, when it is whole."""
    found = []
    with database.read() as connection:
        if database.is_sqlite:
            state = connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()
            if state != "ok":
                return [f"the file: {state}"]
        for what, query in _NEVER.items():
            if (row := connection.execute(text(query)).first()) is not None:
                found.append(f"{what}: {tuple(row)}")
        found += _totals(connection)
    return found


def _totals(connection: Connection) -> list[str]:
    rows = connection.execute(
        text("SELECT seq, total_minor, tax_minor, body FROM invoice JOIN invoice_document ON invoice_seq = seq")
    )
    return [f"lines and total differ: {row.seq}" for row in rows if _sum(row.body, row.tax_minor) != row.total_minor]


def _sum(body: bytes, tax_minor: int) -> int:
    document = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(body))
    included = any(tax.get("included") for tax in document.get("taxes", ()))
    lines: int = sum(line["amount_minor"] for line in document["lines"])
    return lines if included else lines + tax_minor


def missing(database: Database, acknowledged: Sequence[str]) -> list[str]:
    """Which acknowledged writes are not in the store. Each is ``invoice ID`` or ``payment INVOICE REFERENCE``."""
    from billsmith.units.ids import id_bytes

    def key(id: str) -> object:
        return id_bytes(id) if database.is_sqlite else id

    cast = "" if database.is_sqlite else "::uuid"
    invoice = text(f"SELECT 1 FROM invoice WHERE id = (:id){cast}")
    payment = text(
        f"SELECT 1 FROM payment JOIN invoice ON seq = invoice_seq WHERE invoice.id = (:id){cast} AND reference = :reference"
    )
    lost = []
    with database.read() as connection:
        for entry in acknowledged:
            kind, id, *more = entry.split()
            found = (
                connection.execute(invoice, {"id": key(id)})
                if kind == "invoice"
                else connection.execute(payment, {"id": key(id), "reference": more[0]})
            )
            if found.first() is None:
                lost.append(entry)
    return lost
