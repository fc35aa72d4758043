"""The tables of billing: what is offered, who agreed to what, the runs, and what they billed.

Nothing in them is edited but a run's state: a change is a row. The key of :data:`billed_line` is promise P4: what is billed
stands on one live document line.
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

# A catalog of an issuer as it was applied: its text, and the version of each part that is offered from then on.
catalog_version = Table(
    "catalog_version",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("issuer_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("code", key(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("hash", String(32), nullable=False),
    Column("source", Text, nullable=False),
    Column("offers", Text, nullable=False),
    Column("applied_at", BigInteger, nullable=False),
    Column("applied_by", String(64), nullable=False),
    UniqueConstraint("issuer_seq", "code", "version", name="catalog_version_once"),
)

# A version of a plan, meter, price …, as catalog/writing.py writes it.
catalog_part = Table(
    "catalog_part",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("issuer_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("catalog", key(128), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("code", key(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("since", Integer, nullable=False),  # the catalog version that brought it
    Column("digest", String(32), nullable=False),
    Column("meters", Text, nullable=False),  # the versions of the meters that it counts by
    Column("body", Text, nullable=False),
    UniqueConstraint("issuer_seq", "catalog", "kind", "code", "version", name="catalog_part_once"),
)

# recipient: who gets the invoices; account: whose usage is counted.
subscription = Table(
    "subscription",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("issuer_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("account_seq", Seq, ForeignKey("account.seq"), nullable=False, index=True),
    Column("recipient_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("catalog", key(128), nullable=False),
    Column("body", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("recorded_by", String(64), nullable=False),
    Index("subscription_by_recipient", "issuer_seq", "recipient_seq", "seq"),
)

subscription_change = Table(
    "subscription_change",
    metadata,
    Column("subscription_seq", Seq, ForeignKey("subscription.seq"), primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("recorded_by", String(64), nullable=False),
    Column("body", Text, nullable=False),
    sqlite_with_rowid=False,
)

# What an account agreed to beside its subscriptions: coupons, minimums, commitments, terms of payment; and the end of one.
agreement = Table(
    "agreement",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("issuer_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("account_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("body", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("recorded_by", String(64), nullable=False),
    Index("agreement_of_account", "issuer_seq", "account_seq", "seq"),
)

# What an invoice used of an agreement: a coupon's amount, a commitment's draw. Exact, as text.
agreement_use = Table(
    "agreement_use",
    metadata,
    Column("agreement_seq", Seq, ForeignKey("agreement.seq"), primary_key=True),
    Column("invoice_seq", Seq, ForeignKey("invoice.seq"), primary_key=True, index=True),
    Column("amount", Text, nullable=False),
    sqlite_with_rowid=False,
)

# by_clock: whether it expires or is filled up; next_at: when the ledger has to hear of that next (workflows/wallet_books.py).
wallet_grant = Table(
    "wallet_grant",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("issuer_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("account_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("body", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("recorded_by", String(64), nullable=False),
    Column("by_clock", SmallInteger, nullable=False),
    Column("next_at", BigInteger),
    Index("wallet_of_account", "issuer_seq", "account_seq", "seq"),
)
Index(
    "wallet_due",
    wallet_grant.c.next_at,
    sqlite_where=wallet_grant.c.next_at.is_not(None),
    postgresql_where=wallet_grant.c.next_at.is_not(None),
)

# What happened to a grant, a plan's included ones too (they have no row of their own): a burn names its invoice.
wallet_movement = Table(
    "wallet_movement",
    metadata,
    Column("account_seq", Seq, ForeignKey("account.seq"), primary_key=True),
    Column("grant_id", Id, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("what", String(12), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("invoice_seq", Seq, ForeignKey("invoice.seq"), index=True),
    Column("recorded_at", BigInteger, nullable=False),
    Column("recorded_by", String(64), nullable=False),
    sqlite_with_rowid=False,
)

# One run of an issuer: what it was asked for, the state of the world that it bills, and how far it has come.
billing_run = Table(
    "billing_run",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("issuer_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", String(12), nullable=False),
    Column("period", String(16), nullable=False),
    Column("scope_seq", Seq, ForeignKey("account.seq")),
    Column("at", BigInteger, nullable=False),
    Column("as_of_seq", BigInteger, nullable=False),
    Column("catalogs", Text, nullable=False),
    Column("state", String(12), nullable=False),
    Column("cursor", BigInteger, nullable=False),
    Column("billed", Integer, nullable=False),
    Column("parked", Integer, nullable=False),
    Column("empty", Integer, nullable=False),
    Column("opened_by", String(64), nullable=False),
    UniqueConstraint("issuer_seq", "number", name="billing_run_number"),
)

# What became of an account in a run: billed (with the document), nothing to bill, or parked, and why.
run_item = Table(
    "run_item",
    metadata,
    Column("run_seq", Seq, ForeignKey("billing_run.seq"), primary_key=True),
    Column("recipient_seq", Seq, ForeignKey("account.seq"), primary_key=True),
    Column("step", Seq, primary_key=True),  # of several documents; of a re-rating, the invoice that it looked at
    Column("state", String(8), nullable=False),
    Column("invoice_seq", Seq),
    Column("code", String(64)),
    Column("reason", Text),
    sqlite_with_rowid=False,
)

# How far a subscription is billed: step by step, up to an instant, as it was known at another. A step whose document was voided
# is open again.
subscription_bill = Table(
    "subscription_bill",
    metadata,
    Column("subscription_seq", Seq, ForeignKey("subscription.seq"), primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("until", BigInteger, nullable=False),
    Column("known_at", BigInteger, nullable=False),
    Column("run_seq", Seq, ForeignKey("billing_run.seq"), nullable=False),
    Column("invoice_seq", Seq, index=True),
    Column("open", SmallInteger, nullable=False),
    sqlite_with_rowid=False,
)

# P4: (subscription, component, service interval, part of a split) on at most one live document line. Lines that are always
# billed together have one row: ``together`` is 64 bits that follow from each line's own component, interval's end and split,
# ``lines`` 64 bits of each line (decision 0433). Time comes first, so that a run's rows go to the end of the table.
billed_line = Table(
    "billed_line",
    metadata,
    Column("period_start", BigInteger, primary_key=True),
    Column("subscription_seq", Seq, ForeignKey("subscription.seq"), primary_key=True),
    Column("together", BigInteger, primary_key=True),
    Column("invoice_seq", Seq, nullable=False),
    Column("lines", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# The notes that correct an invoice, in their order; those that no run made were issued by hand.
correction = Table(
    "correction",
    metadata,
    Column("invoice_seq", Seq, ForeignKey("invoice.seq"), primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("note_seq", Seq, ForeignKey("invoice.seq"), nullable=False, unique=True),
    Column("run_seq", Seq, ForeignKey("billing_run.seq")),
    sqlite_with_rowid=False,
)

# The double-entry ledger: one row a transaction, with its postings. ``subject`` says of what table ``subject_seq`` is a row.
ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("subject", SmallInteger, primary_key=True),
    Column("subject_seq", Seq, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
