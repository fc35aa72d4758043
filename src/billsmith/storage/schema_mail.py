"""The table of mails: each is queued in the transaction of its cause, sent by a job, and never forgotten."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint, text

from billsmith.storage.schema import Id, Seq, key, metadata

# ``what`` is ``invoice``, or the name of a reminder: each goes once for an invoice. ``due_at`` is when it is tried next;
# whoever sends it moves that on first, so that no other sends it meanwhile.
mail = Table(
    "mail",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("invoice_seq", Seq, ForeignKey("invoice.seq"), nullable=False),
    Column("what", key(64), nullable=False),
    Column("recipient_seq", Seq, ForeignKey("account.seq"), nullable=False, index=True),
    Column("address", String(254), nullable=False),
    Column("state", key(12), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("failing_since", BigInteger),
    Column("due_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("code", String(64), nullable=False),
    Column("problem", Text, nullable=False),
    UniqueConstraint("invoice_seq", "what", name="mail_once"),
)
_WAITING = text("state = 'waiting'")
Index("mail_waiting", mail.c.due_at, sqlite_where=_WAITING, postgresql_where=_WAITING)
