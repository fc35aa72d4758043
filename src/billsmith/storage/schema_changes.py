"""The change log's table. The database itself refuses to edit it (schema_chain.py).

One row for each change of what the store holds, in the order of the commits, written in the transaction of its cause. It is the
audit log and the outbox at once (decision 0421).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, String, Table, Text

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
