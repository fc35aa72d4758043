"""The tables of pulling: connections to vendors, walks of their lists, what each walk met.

Of an invoice only what ours lacks is kept here: its key at the vendor, a hash of what the vendor last said, in which walks it
was seen. A vendor's own words stand in no table.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from billsmith.storage.schema import Id, Seq, key, metadata

# A vendor's list of invoices that is pulled. ``sealed`` is the secret, encrypted; ``secret_from`` says where it is read from
# instead. One run at a time holds the lease.
sync_connection = Table(
    "sync_connection",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("name", key(64), nullable=False),
    Column("vendor", String(16), nullable=False),
    Column("account_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("options", Text, nullable=False),
    Column("secret_from", Text, nullable=False),
    Column("sealed", LargeBinary),
    Column("every_minutes", Integer),
    Column("due_at", BigInteger, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("lease_holder", String(128)),
    Column("lease_until", BigInteger),
    Column("watermark_walk", BigInteger),
    # Within an account: a name that another tenant uses is free.
    UniqueConstraint("account_seq", "name", name="sync_connection_name"),
)

# One pass over the whole list. ``mark`` is where an interrupted one goes on.
sync_walk = Table(
    "sync_walk",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("connection_seq", Seq, ForeignKey("sync_connection.seq"), nullable=False),
    Column("state", String(12), nullable=False),
    Column("code", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", Integer),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("mark", Text),
    Column("resumed", SmallInteger, nullable=False),
    Column("stated_total", BigInteger),
    Column("added", BigInteger, nullable=False),
    Column("moved", BigInteger, nullable=False),
    Column("unchanged", BigInteger, nullable=False),
    Column("set_aside", BigInteger, nullable=False),
    Column("unreadable", BigInteger, nullable=False),
    Column("accounts_made", BigInteger, nullable=False),
    Column("disappeared", BigInteger, nullable=False),
    Index("sync_walk_of_connection", "connection_seq", "seq"),
)

# An invoice at the vendor, by its key there. ``invoice_seq`` is ours; null where it did not come in.
sync_record = Table(
    "sync_record",
    metadata,
    Column("connection_seq", Seq, ForeignKey("sync_connection.seq"), primary_key=True),
    Column("vendor_key", key(255), primary_key=True),
    Column("hash", LargeBinary(16), nullable=False),
    Column("first_walk", BigInteger, nullable=False),
    Column("last_walk", BigInteger, nullable=False),
    Column("disappeared_walk", BigInteger),
    Column("invoice_seq", Seq, ForeignKey("invoice.seq"), index=True),
    sqlite_with_rowid=False,
)

# What a walk found changed at the vendor since the one before: the amount, the status, gone, back again.
sync_difference = Table(
    "sync_difference",
    metadata,
    Column("walk_seq", BigInteger, primary_key=True),
    Column("connection_seq", Seq, ForeignKey("sync_connection.seq"), primary_key=True),
    Column("vendor_key", key(255), primary_key=True),
    Column("what", String(16), primary_key=True),
    Column("detail", Text, nullable=False),
    sqlite_with_rowid=False,
)

# A record that did not come in, and why; gone once it does. ``place`` is the record's key, or where it stood in the answer.
sync_problem = Table(
    "sync_problem",
    metadata,
    Column("connection_seq", Seq, ForeignKey("sync_connection.seq"), primary_key=True),
    Column("place", key(300), primary_key=True),
    Column("vendor_key", key(255)),
    Column("path", Text, nullable=False),
    Column("code", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("first_walk", BigInteger, nullable=False),
    Column("last_walk", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Accounts that a pull made because the vendor named a customer that nobody knew.
sync_account = Table(
    "sync_account",
    metadata,
    Column("connection_seq", Seq, ForeignKey("sync_connection.seq"), primary_key=True),
    Column("account_seq", Seq, ForeignKey("account.seq"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)

# A pulled line that a rule turned into charges: each line once for each issuer, for ever.
rebill_line = Table(
    "rebill_line",
    metadata,
    Column("issuer_seq", Seq, ForeignKey("account.seq"), primary_key=True),
    Column("invoice_seq", Seq, ForeignKey("invoice.seq"), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("rule", key(64), nullable=False),
    Column("claimed_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The charges of such a line, one for each customer that shares it; ``issued_seq`` is the invoice that asks for it.
rebill_charge = Table(
    "rebill_charge",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("issuer_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("invoice_seq", Seq, ForeignKey("invoice.seq"), nullable=False),
    Column("line", Integer, nullable=False),
    Column("recipient_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("period_start", BigInteger, nullable=False),
    Column("period_end", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("issued_seq", Seq, ForeignKey("invoice.seq"), index=True),
    Index("rebill_charge_open", "issuer_seq", "issued_seq", "recipient_seq"),
    UniqueConstraint("issuer_seq", "invoice_seq", "line", "recipient_seq", name="rebill_charge_once"),
)
