"""The tables of metering: what is counted, version by version; what was corrected. Events stand in the usage store."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from billsmith.storage.schema import Id, Seq, key, metadata

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

# A correction of events that an account sent: who asked for what, when and why, and how far it came. ``what`` is JSON.
# ``as_of_seq`` is the state of usage that it corrects and ``matched`` how many events that has of it (both empty: it has not
# begun); ``place`` is the last event that was seen to, and ``end_seq`` the state that the whole left.
usage_correction = Table(
    "usage_correction",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("sender_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("state", String(8), nullable=False),
    Column("what", Text, nullable=False),
    Column("reason", String(200), nullable=False),
    Column("expected", BigInteger, nullable=False),
    Column("as_of_seq", BigInteger),
    Column("matched", BigInteger),
    Column("changed", BigInteger, nullable=False),
    Column("place", Text),
    Column("end_seq", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("actor", String(128), nullable=False),
    Index("usage_correction_of_sender", "sender_seq", "seq"),
    Index("usage_correction_state", "state", "created_at"),
)
