"""What holds issued documents in place: the chain over them, and the triggers by which the database refuses to change them.

A row of :data:`document_seal` is written with the document, in the transaction that numbers it. Its key is promise P7 too: a
number stands on one document.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, ForeignKey, LargeBinary, MetaData, String, Table, event, text

from billsmith.storage import schema, schema_billing, schema_changes
from billsmith.storage.schema import Seq, metadata

document_seal = Table(
    "document_seal",
    metadata,
    Column("issuer_seq", Seq, ForeignKey("account.seq"), primary_key=True),
    Column("series", String(32), primary_key=True),
    Column("place", Seq, primary_key=True),
    Column("invoice_seq", Seq, ForeignKey("invoice.seq"), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    sqlite_with_rowid=False,
)

#: What may happen to a document after it was made; every other column of its row stays as it is.
MOVING = frozenset(
    {"flags", "paid_minor", "paid_at", "voided_at", "scheduled_at", "exported_at", "due_at", "payment_method", "extras"}
)
#: Rows that are added and never touched again.
APPENDED = (
    schema.invoice_document,
    schema.invoice_history,
    schema.payment,
    document_seal,
    schema_billing.correction,
    schema_billing.ledger_entry,
    schema_changes.change,
)

_REFUSAL = "what was issued never changes"
_FUNCTION = f"""CREATE OR REPLACE FUNCTION billsmith_stays() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$"""


def triggers(dialect: str) -> dict[str, str]:
    """The statements that make the triggers of an engine, by the triggers' names."""
    frozen = ", ".join(column.name for column in schema.invoice.c if column.name not in MOVING)
    found = {
        "invoice_stays": _trigger(dialect, "invoice_stays", f"UPDATE OF {frozen}", "invoice"),
        "invoice_is_kept": _trigger(dialect, "invoice_is_kept", "DELETE", "invoice"),
    }
    for table in APPENDED:
        for name, what in ((f"{table.name}_stays", "UPDATE"), (f"{table.name}_is_kept", "DELETE")):
            found[name] = _trigger(dialect, name, what, table.name)
    return found


def protection(dialect: str) -> list[str]:
    """Every statement that sets the protection up on an engine, in order."""
    return [*([_FUNCTION] if dialect == "postgresql" else []), *triggers(dialect).values()]


def missing_triggers(connection: Connection) -> list[str]:
    """The triggers that should be there and are not."""
    dialect = connection.dialect.name
    names = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        if dialect == "sqlite"
        else "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
    )
    there = {row[0] for row in connection.execute(text(names))}
    return sorted(set(triggers(dialect)) - there)


def _trigger(dialect: str, name: str, what: str, table: str) -> str:
    if dialect == "sqlite":
        return f"CREATE TRIGGER {name} BEFORE {what} ON {table} BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
    return f"CREATE TRIGGER {name} BEFORE {what} ON {table} FOR EACH ROW EXECUTE FUNCTION billsmith_stays()"


@event.listens_for(metadata, "after_create")
def _protect(_metadata: MetaData, connection: Connection, **_more: Any) -> None:
    for statement in protection(connection.dialect.name):
        connection.exec_driver_sql(statement)
