"""How an issuer bills: one row for each account that said so."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, SmallInteger, String, Table

from billsmith.storage.schema import Seq, metadata

billing_setting = Table(
    "billing_setting",
    metadata,
    Column("account_seq", Seq, ForeignKey("account.seq"), primary_key=True, autoincrement=False),
    Column("grace_hours", BigInteger, nullable=False),
    Column("automatic", SmallInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("updated_by", String(64), nullable=False),
)
