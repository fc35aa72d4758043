"""The change log's table, and the triggers by which the database itself refuses to edit it.

One row for each change of what the store holds, in the order of the commits, written in the transaction of its cause. It is the
audit log and the outbox at once (decision 0421).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Connection, ForeignKey, Index, LargeBinary, MetaData, String, Table, Text, event

from billsmith.storage.schema import Id, Seq, key, metadata

# ``account``: whose the change is; who sees the account sees the row. ``issuer``: whose affair it is who did it, where that is
# another account (decision 0056). ``digest`` covers the row and the digest of the row before it.
change = Table(
    "change",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=False),
    Column("id", Id, nullable=False, unique=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", key(64), nullable=False),
    Column("account_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("issuer_seq", Seq, ForeignKey("account.seq")),
    Column("subject", key(160), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("facts", Text, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Index("change_of_account", "account_seq", "seq"),
)

_REFUSAL = "the change log only grows"
_FUNCTION = f"""CREATE OR REPLACE FUNCTION billsmith_log_only_grows() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$"""


def protection(dialect: str) -> list[str]:
    """The statements that make the triggers on an engine, in order."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER change_{name} BEFORE {what} ON change BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
            for name, what in (("stays", "UPDATE"), ("is_kept", "DELETE"))
        ]
    return [
        _FUNCTION,
        *(
            f"CREATE TRIGGER change_{name} BEFORE {what} ON change FOR EACH {each} EXECUTE FUNCTION billsmith_log_only_grows()"
            for name, what, each in (
                ("stays", "UPDATE", "ROW"),
                ("is_kept", "DELETE", "ROW"),
                ("is_not_emptied", "TRUNCATE", "STATEMENT"),
            )
        ),
    ]


@event.listens_for(metadata, "after_create")
def _protect(_metadata: MetaData, connection: Connection, **_more: Any) -> None:
    for statement in protection(connection.dialect.name):
        connection.exec_driver_sql(statement)
