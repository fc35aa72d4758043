"""The tables. Names are singular; ``…_seq`` is a store's own number and never leaves it; instants are ns UTC.

An invoice is one list row of typed columns (every list, filter and sort reads only these) and one compressed document of
its lines (decision 0004). The covering indexes of the list row all end in ``seq, flags``, so that a page is found without
touching the rows it skips.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import VARCHAR
from sqlalchemy.engine import Dialect

from billsmith.units.ids import format_id, id_bytes

metadata = MetaData()

#: Row numbers: 64 bits; on SQLite the rowid itself.
Seq = BigInteger().with_variant(Integer, "sqlite")


def key(length: int) -> Any:
    """Text that is compared and sorted by code point on every database, whatever its locale."""
    return String(length).with_variant(VARCHAR(length, collation="C"), "postgresql")


class Id(TypeDecorator[str]):
    """A UUID: sixteen bytes on SQLite, ``uuid`` on PostgreSQL, canonical text in Python."""

    impl = LargeBinary(16)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """The column's type in the database at hand."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Uuid(as_uuid=False))
        return dialect.type_descriptor(LargeBinary(16))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        """Text to what the database keeps."""
        return value if value is None or dialect.name == "postgresql" else id_bytes(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """What the database keeps to text."""
        return value if value is None or isinstance(value, str) else format_id(value)


account = Table(
    "account",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("parent_seq", Seq, ForeignKey("account.seq")),
    Column("path", key(255), nullable=False, unique=True),
    Column("external_id", key(128), nullable=False),
    Column("name", String(200), nullable=False),
    Column("status", String(16), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("profile", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index("account_by_external_id", "external_id"),
    Index("account_by_parent", "parent_seq", "seq"),
)
# Roots have no parent; they are each other's siblings all the same.
Index("account_sibling", func.coalesce(account.c.parent_seq, 0), account.c.external_id, unique=True)

credential = Table(
    "credential",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("account_seq", Seq, ForeignKey("account.seq"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("label", String(200), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
)

# A credential has one secret, and for a while two when it is rotated. High-entropy secrets are kept as SHA-256 and looked
# up by it; a password's hash is argon2's and hangs on the credential.
credential_secret = Table(
    "credential_secret",
    metadata,
    Column("hash", String(128), primary_key=True),
    Column("credential_seq", Seq, ForeignKey("credential.seq"), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
)

token = Table(
    "token",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("credential_seq", Seq, ForeignKey("credential.seq"), nullable=False, index=True),
    Column("face", String(16), nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

invoice = Table(
    "invoice",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("issuer_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("recipient_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("number", String(64), nullable=False),
    Column("number_key", key(192), nullable=False),
    # status | send_by_email << 3 | payment_sent << 4 | exported << 5: all that lists filter by, in one small number
    Column("flags", SmallInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("tax_minor", BigInteger, nullable=False),
    Column("paid_minor", BigInteger, nullable=False),
    Column("stated_total", String(64)),
    Column("customer_name", String(200), nullable=False),
    Column("name_key", key(600), nullable=False),
    Column("billing_entity", key(200), nullable=False),
    Column("date", Integer, nullable=False),  # proleptic ordinal: compact, and sorts
    Column("due_date", Integer),
    Column("period_start", BigInteger, nullable=False),
    Column("period_end", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("issued_at", BigInteger),
    Column("paid_at", BigInteger),
    Column("voided_at", BigInteger),
    Column("scheduled_at", BigInteger),
    Column("exported_at", BigInteger),
    Column("due_at", BigInteger),  # when it becomes past due, while money is asked for
    Column("direct_debit", SmallInteger, nullable=False),
    Column("consolidated", SmallInteger, nullable=False),
    Column("batch", key(32), nullable=False),
    Column("invoiced_by", key(200), nullable=False),
    Column("payment_method", key(64), nullable=False),
    Column("extras", Text),
    Index("invoice_by_customer_name", "issuer_seq", "name_key", "created_at", "seq", "flags"),
    Index("invoice_by_creation", "issuer_seq", "created_at", "seq", "flags"),
    Index("invoice_by_number", "issuer_seq", "number_key", "created_at", "seq", "flags"),
    Index("invoice_by_period", "issuer_seq", "period_start", "number_key", "seq", "flags"),
    # Not for an order: how long a batch is for one customer.
    Index("invoice_by_batch", "issuer_seq", "batch", "recipient_seq", "flags"),
    Index("invoice_of_recipient_by_date", "recipient_seq", "date", "number_key", "seq", "flags"),
    Index("invoice_of_recipient_by_period", "recipient_seq", "period_start", "number_key", "seq", "flags"),
)
Index(
    "invoice_due", invoice.c.due_at, sqlite_where=invoice.c.due_at.is_not(None), postgresql_where=invoice.c.due_at.is_not(None)
)

# What has something left for the next invoice: credit notes, and invoices that were overpaid. Literal, so that a query's own
# literals are seen to imply it.
HAS_CREDIT_LEFT = text("paid_minor > total_minor")
Index("invoice_credit_left", invoice.c.recipient_seq, sqlite_where=HAS_CREDIT_LEFT, postgresql_where=HAS_CREDIT_LEFT)

# Apart from the row, so that a page of rows stays on few pages of the file.
invoice_document = Table(
    "invoice_document",
    metadata,
    Column("invoice_seq", Seq, ForeignKey("invoice.seq"), primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)

invoice_history = Table(
    "invoice_history",
    metadata,
    Column("invoice_seq", Seq, ForeignKey("invoice.seq"), primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("what", String(32), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    sqlite_with_rowid=False,
)

payment = Table(
    "payment",
    metadata,
    Column("id", Id, primary_key=True),
    Column("invoice_seq", Seq, ForeignKey("invoice.seq"), nullable=False),
    Column("reference", key(128), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("paid_at", BigInteger, nullable=False),
    Column("method", String(64), nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("recorded_by", String(64), nullable=False),
    UniqueConstraint("invoice_seq", "reference", name="payment_once"),
)

# How many invoices of an account stand in each state: totals without counting. role: 0 issued by, 1 issued to.
invoice_tally = Table(
    "invoice_tally",
    metadata,
    Column("account_seq", Seq, ForeignKey("account.seq"), primary_key=True),
    Column("role", SmallInteger, primary_key=True),
    Column("flags", SmallInteger, primary_key=True),
    Column("count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The same for each batch of an issuer: how long a batch is, without counting.
batch_tally = Table(
    "batch_tally",
    metadata,
    Column("issuer_seq", Seq, ForeignKey("account.seq"), primary_key=True),
    Column("batch", key(32), primary_key=True),
    Column("flags", SmallInteger, primary_key=True),
    Column("count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The same for each pair of issuer and recipient: a list filtered by customer, counted without counting.
pair_tally = Table(
    "pair_tally",
    metadata,
    Column("issuer_seq", Seq, ForeignKey("account.seq"), primary_key=True),
    Column("recipient_seq", Seq, ForeignKey("account.seq"), primary_key=True, index=True),
    Column("flags", SmallInteger, primary_key=True),
    Column("count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What changed in an account's list, in the order of the commits: the version of the list is the highest one. old_flags is
# null for a new invoice. Readers patch what they know of a list by these.
invoice_change = Table(
    "invoice_change",
    metadata,
    Column("account_seq", Seq, primary_key=True),
    Column("role", SmallInteger, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("invoice_seq", Seq, nullable=False),
    Column("old_flags", SmallInteger),
    Column("new_flags", SmallInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Who else sees an invoice: the recipient and every account above it, but for the issuer.
invoice_viewer = Table(
    "invoice_viewer",
    metadata,
    Column("viewer_seq", Seq, primary_key=True),
    Column("created_at", BigInteger, primary_key=True),
    Column("invoice_seq", Seq, ForeignKey("invoice.seq"), primary_key=True),
    sqlite_with_rowid=False,
)

# A vendor's ids, made or met once, never changed: unique for a vendor within the account that owns the name space.
vendor_id = Table(
    "vendor_id",
    metadata,
    Column("vendor", String(16), primary_key=True),
    Column("owner_seq", Seq, ForeignKey("account.seq"), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("vendor_key", key(255), primary_key=True),
    Column("our_seq", Seq, nullable=False),
    # What the vendor's last statement said of an invoice's state: only what it changes since then moves our invoice.
    Column("stated", Text),
    Index("vendor_id_by_ours", "vendor", "kind", "our_seq"),
    sqlite_with_rowid=False,
)

# How far a series has come: its last number, the date that it carries, and the digest at the end of its chain.
number_series = Table(
    "number_series",
    metadata,
    Column("issuer_seq", Seq, ForeignKey("account.seq"), primary_key=True),
    Column("series", String(32), primary_key=True),
    Column("last", BigInteger, nullable=False),
    Column("date", Integer, nullable=False),
    Column("head", LargeBinary(32), nullable=False),
    sqlite_with_rowid=False,
)

# The answer to each write that carried an Idempotency-Key, kept with its effect in one transaction. No secret is in it.
idempotent_answer = Table(
    "idempotent_answer",
    metadata,
    Column("credential_seq", Seq, ForeignKey("credential.seq"), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request_hash", String(64), nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# One row: when this store was made, with what secret its signed cursors are checked, and a number that grows with every
# change of an account.
installation = Table(
    "installation",
    metadata,
    Column("id", Id, primary_key=True),
    Column("cursor_key", LargeBinary(32), nullable=False),
    Column("accounts_version", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
