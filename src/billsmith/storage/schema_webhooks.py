"""The tables of webhooks: who is told of changes, how far each has come in the log, and what was tried."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from billsmith.storage.schema import Id, Seq, key, metadata

# ``cursor`` is the row of the change log up to which it was told. ``attempts`` and ``failing_since`` are of the change that
# waits; ``due_at`` is when it is tried next. One process at a time holds the lease. ``sealed`` is the secret, encrypted, and
# ``sealed_before`` the one that signs beside it until ``before_until``.
webhook = Table(
    "webhook",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("account_seq", Seq, ForeignKey("account.seq"), nullable=False, index=True),
    Column("url", String(500), nullable=False),
    Column("description", String(200), nullable=False),
    Column("kinds", Text, nullable=False),
    Column("state", key(12), nullable=False),
    Column("reason", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("sealed_before", LargeBinary),
    Column("before_until", BigInteger),
    Column("cursor", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("failing_since", BigInteger),
    Column("due_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("lease_holder", String(128)),
    Column("lease_until", BigInteger),
)

# Each attempt to tell of a change: the status of the answer, or why there was none.
webhook_attempt = Table(
    "webhook_attempt",
    metadata,
    Column("webhook_seq", Seq, ForeignKey("webhook.seq"), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("change_seq", BigInteger, ForeignKey("change.seq"), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("took_ms", Integer, nullable=False),
    Column("status", Integer),
    Column("code", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Index("webhook_attempt_at", "at"),
    sqlite_with_rowid=False,
)
