"""The tables of metering: what is counted, version by version. The events themselves stand in the usage store."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from billsmith.storage.schema import Seq, key, metadata

# A meter's version, never changed. ``body`` is the meter as JSON; ``counts_from`` is the instant from which events count
# (empty: all, those that came before the meter too).
meter_version = Table(
    "meter_version",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("account_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("code", key(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("counts_from", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("actor", String(128), nullable=False),
    UniqueConstraint("account_seq", "code", "version", name="meter_version_once"),
)
