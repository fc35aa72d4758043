"""Drafts: invoices that nobody but their issuer has seen. They have no number, and may be changed or dropped."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, String, Table, Text

from billsmith.storage.schema import Id, Seq, metadata

# body: what it says, as workflows/drafts.py writes it; issue_at: when it issues itself. The document has the draft's id.
invoice_draft = Table(
    "invoice_draft",
    metadata,
    Column("seq", Seq, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("issuer_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("recipient_seq", Seq, ForeignKey("account.seq"), nullable=False),
    Column("body", Text, nullable=False),
    Column("issue_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("updated_by", String(64), nullable=False),
    Index("draft_of_issuer", "issuer_seq", "seq"),
)
Index(
    "draft_to_issue",
    invoice_draft.c.issue_at,
    sqlite_where=invoice_draft.c.issue_at.is_not(None),
    postgresql_where=invoice_draft.c.issue_at.is_not(None),
)
