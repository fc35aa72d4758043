"""The tables of reminders: each issuer's plan, and which steps were done for which invoice."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table, Text

from billsmith.storage.schema import Seq, key, metadata

# ``done_until`` is the day where the issuer is, as an ordinal, up to which every step was done.
reminder_plan = Table(
    "reminder_plan",
    metadata,
    Column("issuer_seq", Seq, ForeignKey("account.seq"), primary_key=True, autoincrement=False),
    Column("steps", Text, nullable=False),
    Column("done_until", Integer, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("updated_by", String(64), nullable=False),
)

# Each step once for an invoice, for ever.
reminder = Table(
    "reminder",
    metadata,
    Column("invoice_seq", Seq, ForeignKey("invoice.seq"), primary_key=True),
    Column("step", key(32), primary_key=True),
    Column("at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
