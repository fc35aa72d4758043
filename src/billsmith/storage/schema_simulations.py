"""Simulations that were asked for over the API, with what they came to. They touch nothing of billing."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, String, Table, Text

from billsmith.storage.schema import Id, Seq, metadata

# request and result: as workflows/asked_simulations.py writes them; result, code and reason once it was made.
simulation = Table(
    "simulation",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("issuer_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("request", Text, nullable=False),
    Column("state", String(12), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("asked_by", String(64), nullable=False),
    Column("result", Text),
    Column("code", String(64)),
    Column("reason", Text),
)
Index(
    "simulation_waiting",
    simulation.c.seq,
    sqlite_where=simulation.c.state == "waiting",
    postgresql_where=simulation.c.state == "waiting",
)
