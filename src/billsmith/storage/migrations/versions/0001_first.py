"""The first form: accounts, credentials, invoices and what hangs on them. Written by scripts/freeze_migration.py."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _id() -> Any:
    return sa.LargeBinary(16).with_variant(sa.Uuid(as_uuid=False), "postgresql")


def _seq() -> Any:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _key(length: int) -> Any:
    return sa.String(length).with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "account",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("id", _id(), nullable=False),
        sa.Column("parent_seq", _seq(), nullable=True),
        sa.Column("path", _key(255), nullable=False),
        sa.Column("external_id", _key(128), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["parent_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("path"),
    )
    op.create_index("account_by_external_id", "account", ["external_id"], unique=False)
    op.create_index("account_by_parent", "account", ["parent_seq", "seq"], unique=False)
    op.create_table(
        "installation",
        sa.Column("id", _id(), nullable=False),
        sa.Column("cursor_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("accounts_version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "invoice_change",
        sa.Column("account_seq", _seq(), nullable=False),
        sa.Column("role", sa.SmallInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("invoice_seq", _seq(), nullable=False),
        sa.Column("old_flags", sa.SmallInteger(), nullable=True),
        sa.Column("new_flags", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_seq", "role", "version"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_entry",
        sa.Column("subject", sa.SmallInteger(), nullable=False),
        sa.Column("subject_seq", _seq(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "subject_seq", "step"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "agreement",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("id", _id(), nullable=False),
        sa.Column("issuer_seq", _seq(), nullable=False),
        sa.Column("account_seq", _seq(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_seq"],
            ["account.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("agreement_of_account", "agreement", ["issuer_seq", "account_seq", "seq"], unique=False)
    op.create_table(
        "batch_tally",
        sa.Column("issuer_seq", _seq(), nullable=False),
        sa.Column("batch", _key(32), nullable=False),
        sa.Column("flags", sa.SmallInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("issuer_seq", "batch", "flags"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "billing_run",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("id", _id(), nullable=False),
        sa.Column("issuer_seq", _seq(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("period", sa.String(length=16), nullable=False),
        sa.Column("scope_seq", _seq(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("as_of_seq", sa.BigInteger(), nullable=False),
        sa.Column("catalogs", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("billed", sa.Integer(), nullable=False),
        sa.Column("parked", sa.Integer(), nullable=False),
        sa.Column("empty", sa.Integer(), nullable=False),
        sa.Column("opened_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["scope_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("issuer_seq", "number", name="billing_run_number"),
    )
    op.create_table(
        "billing_setting",
        sa.Column("account_seq", _seq(), autoincrement=False, nullable=False),
        sa.Column("grace_hours", sa.BigInteger(), nullable=False),
        sa.Column("automatic", sa.SmallInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("account_seq"),
    )
    op.create_table(
        "catalog_part",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("issuer_seq", _seq(), nullable=False),
        sa.Column("catalog", _key(128), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("code", _key(128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("since", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("meters", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("issuer_seq", "catalog", "kind", "code", "version", name="catalog_part_once"),
    )
    op.create_table(
        "catalog_version",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("issuer_seq", _seq(), nullable=False),
        sa.Column("code", _key(128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("hash", sa.String(length=32), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("offers", sa.Text(), nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.Column("applied_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("issuer_seq", "code", "version", name="catalog_version_once"),
    )
    op.create_table(
        "change",
        sa.Column("seq", _seq(), autoincrement=False, nullable=False),
        sa.Column("id", _id(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", _key(64), nullable=False),
        sa.Column("account_seq", _seq(), nullable=False),
        sa.Column("issuer_seq", _seq(), nullable=True),
        sa.Column("subject", _key(160), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_seq"],
            ["account.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("change_of_account", "change", ["account_seq", "seq"], unique=False)
    op.create_table(
        "credential",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("id", _id(), nullable=False),
        sa.Column("account_seq", _seq(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_index(op.f("ix_credential_account_seq"), "credential", ["account_seq"], unique=False)
    op.create_table(
        "invoice",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("id", _id(), nullable=False),
        sa.Column("issuer_seq", _seq(), nullable=False),
        sa.Column("recipient_seq", _seq(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("number_key", _key(192), nullable=False),
        sa.Column("flags", sa.SmallInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("tax_minor", sa.BigInteger(), nullable=False),
        sa.Column("paid_minor", sa.BigInteger(), nullable=False),
        sa.Column("stated_total", sa.String(length=64), nullable=True),
        sa.Column("customer_name", sa.String(length=200), nullable=False),
        sa.Column("name_key", _key(600), nullable=False),
        sa.Column("billing_entity", _key(200), nullable=False),
        sa.Column("date", sa.Integer(), nullable=False),
        sa.Column("due_date", sa.Integer(), nullable=True),
        sa.Column("period_start", sa.BigInteger(), nullable=False),
        sa.Column("period_end", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=True),
        sa.Column("paid_at", sa.BigInteger(), nullable=True),
        sa.Column("voided_at", sa.BigInteger(), nullable=True),
        sa.Column("scheduled_at", sa.BigInteger(), nullable=True),
        sa.Column("exported_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("direct_debit", sa.SmallInteger(), nullable=False),
        sa.Column("consolidated", sa.SmallInteger(), nullable=False),
        sa.Column("batch", _key(32), nullable=False),
        sa.Column("invoiced_by", _key(200), nullable=False),
        sa.Column("payment_method", _key(64), nullable=False),
        sa.Column("extras", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["recipient_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("invoice_by_batch", "invoice", ["issuer_seq", "batch", "recipient_seq", "flags"], unique=False)
    op.create_index("invoice_by_creation", "invoice", ["issuer_seq", "created_at", "seq", "flags"], unique=False)
    op.create_index(
        "invoice_by_customer_name", "invoice", ["issuer_seq", "name_key", "created_at", "seq", "flags"], unique=False
    )
    op.create_index("invoice_by_number", "invoice", ["issuer_seq", "number_key", "created_at", "seq", "flags"], unique=False)
    op.create_index("invoice_by_period", "invoice", ["issuer_seq", "period_start", "number_key", "seq", "flags"], unique=False)
    op.create_index(
        "invoice_credit_left",
        "invoice",
        ["recipient_seq"],
        unique=False,
        sqlite_where=sa.text("paid_minor > total_minor"),
        postgresql_where=sa.text("paid_minor > total_minor"),
    )
    op.create_index(
        "invoice_due",
        "invoice",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "invoice_of_recipient_by_date", "invoice", ["recipient_seq", "date", "number_key", "seq", "flags"], unique=False
    )
    op.create_index(
        "invoice_of_recipient_by_period",
        "invoice",
        ["recipient_seq", "period_start", "number_key", "seq", "flags"],
        unique=False,
    )
    op.create_table(
        "invoice_draft",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("id", _id(), nullable=False),
        sa.Column("issuer_seq", _seq(), nullable=False),
        sa.Column("recipient_seq", _seq(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("issue_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["recipient_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("draft_of_issuer", "invoice_draft", ["issuer_seq", "seq"], unique=False)
    op.create_index(
        "draft_to_issue",
        "invoice_draft",
        ["issue_at"],
        unique=False,
        sqlite_where=sa.text("issue_at IS NOT NULL"),
        postgresql_where=sa.text("issue_at IS NOT NULL"),
    )
    op.create_table(
        "invoice_tally",
        sa.Column("account_seq", _seq(), nullable=False),
        sa.Column("role", sa.SmallInteger(), nullable=False),
        sa.Column("flags", sa.SmallInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("account_seq", "role", "flags"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "meter_version",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("account_seq", _seq(), nullable=False),
        sa.Column("code", _key(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("counts_from", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("account_seq", "code", "version", name="meter_version_once"),
    )
    op.create_table(
        "number_series",
        sa.Column("issuer_seq", _seq(), nullable=False),
        sa.Column("series", sa.String(length=32), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("date", sa.Integer(), nullable=False),
        sa.Column("head", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("issuer_seq", "series"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pair_tally",
        sa.Column("issuer_seq", _seq(), nullable=False),
        sa.Column("recipient_seq", _seq(), nullable=False),
        sa.Column("flags", sa.SmallInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["recipient_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("issuer_seq", "recipient_seq", "flags"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_pair_tally_recipient_seq"), "pair_tally", ["recipient_seq"], unique=False)
    op.create_table(
        "reminder_plan",
        sa.Column("issuer_seq", _seq(), autoincrement=False, nullable=False),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.Column("done_until", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("issuer_seq"),
    )
    op.create_table(
        "simulation",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("id", _id(), nullable=False),
        sa.Column("issuer_seq", _seq(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_index(
        "simulation_waiting",
        "simulation",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "subscription",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("id", _id(), nullable=False),
        sa.Column("issuer_seq", _seq(), nullable=False),
        sa.Column("account_seq", _seq(), nullable=False),
        sa.Column("recipient_seq", _seq(), nullable=False),
        sa.Column("catalog", _key(128), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_seq"],
            ["account.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["recipient_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_index(op.f("ix_subscription_account_seq"), "subscription", ["account_seq"], unique=False)
    op.create_index("subscription_by_recipient", "subscription", ["issuer_seq", "recipient_seq", "seq"], unique=False)
    op.create_table(
        "sync_connection",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("id", _id(), nullable=False),
        sa.Column("name", _key(64), nullable=False),
        sa.Column("vendor", sa.String(length=16), nullable=False),
        sa.Column("account_seq", _seq(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("secret_from", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("every_minutes", sa.Integer(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_holder", sa.String(length=128), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("watermark_walk", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("account_seq", "name", name="sync_connection_name"),
        sa.UniqueConstraint("id"),
    )
    op.create_index(op.f("ix_sync_connection_due_at"), "sync_connection", ["due_at"], unique=False)
    op.create_table(
        "usage_correction",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("id", _id(), nullable=False),
        sa.Column("sender_seq", _seq(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("expected", sa.BigInteger(), nullable=False),
        sa.Column("as_of_seq", sa.BigInteger(), nullable=True),
        sa.Column("matched", sa.BigInteger(), nullable=True),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("end_seq", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["sender_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("usage_correction_of_sender", "usage_correction", ["sender_seq", "seq"], unique=False)
    op.create_index("usage_correction_state", "usage_correction", ["state", "created_at"], unique=False)
    op.create_table(
        "vendor_id",
        sa.Column("vendor", sa.String(length=16), nullable=False),
        sa.Column("owner_seq", _seq(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("vendor_key", _key(255), nullable=False),
        sa.Column("our_seq", _seq(), nullable=False),
        sa.Column("stated", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["owner_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("vendor", "owner_seq", "kind", "vendor_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("vendor_id_by_ours", "vendor_id", ["vendor", "kind", "our_seq"], unique=False)
    op.create_table(
        "wallet_grant",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("id", _id(), nullable=False),
        sa.Column("issuer_seq", _seq(), nullable=False),
        sa.Column("account_seq", _seq(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_by", sa.String(length=64), nullable=False),
        sa.Column("by_clock", sa.SmallInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_seq"],
            ["account.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_index(
        "wallet_due",
        "wallet_grant",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("next_at IS NOT NULL"),
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )
    op.create_index("wallet_of_account", "wallet_grant", ["issuer_seq", "account_seq", "seq"], unique=False)
    op.create_table(
        "webhook",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("id", _id(), nullable=False),
        sa.Column("account_seq", _seq(), nullable=False),
        sa.Column("url", sa.String(length=500), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.Column("kinds", sa.Text(), nullable=False),
        sa.Column("state", _key(12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_before", sa.LargeBinary(), nullable=True),
        sa.Column("before_until", sa.BigInteger(), nullable=True),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_holder", sa.String(length=128), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_index(op.f("ix_webhook_account_seq"), "webhook", ["account_seq"], unique=False)
    op.create_table(
        "agreement_use",
        sa.Column("agreement_seq", _seq(), nullable=False),
        sa.Column("invoice_seq", _seq(), nullable=False),
        sa.Column("amount", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agreement_seq"],
            ["agreement.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["invoice_seq"],
            ["invoice.seq"],
        ),
        sa.PrimaryKeyConstraint("agreement_seq", "invoice_seq"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_agreement_use_invoice_seq"), "agreement_use", ["invoice_seq"], unique=False)
    op.create_table(
        "billed_line",
        sa.Column("period_start", sa.BigInteger(), nullable=False),
        sa.Column("subscription_seq", _seq(), nullable=False),
        sa.Column("together", sa.BigInteger(), nullable=False),
        sa.Column("invoice_seq", _seq(), nullable=False),
        sa.Column("lines", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscription_seq"],
            ["subscription.seq"],
        ),
        sa.PrimaryKeyConstraint("period_start", "subscription_seq", "together"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "correction",
        sa.Column("invoice_seq", _seq(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("note_seq", _seq(), nullable=False),
        sa.Column("run_seq", _seq(), nullable=True),
        sa.ForeignKeyConstraint(
            ["invoice_seq"],
            ["invoice.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["note_seq"],
            ["invoice.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["run_seq"],
            ["billing_run.seq"],
        ),
        sa.PrimaryKeyConstraint("invoice_seq", "step"),
        sa.UniqueConstraint("note_seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "credential_secret",
        sa.Column("hash", sa.String(length=128), nullable=False),
        sa.Column("credential_seq", _seq(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["credential_seq"],
            ["credential.seq"],
        ),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index(op.f("ix_credential_secret_credential_seq"), "credential_secret", ["credential_seq"], unique=False)
    op.create_table(
        "document_seal",
        sa.Column("issuer_seq", _seq(), nullable=False),
        sa.Column("series", sa.String(length=32), nullable=False),
        sa.Column("place", _seq(), nullable=False),
        sa.Column("invoice_seq", _seq(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["invoice_seq"],
            ["invoice.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("issuer_seq", "series", "place"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "idempotent_answer",
        sa.Column("credential_seq", _seq(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["credential_seq"],
            ["credential.seq"],
        ),
        sa.PrimaryKeyConstraint("credential_seq", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_idempotent_answer_created_at"), "idempotent_answer", ["created_at"], unique=False)
    op.create_table(
        "invoice_document",
        sa.Column("invoice_seq", _seq(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["invoice_seq"],
            ["invoice.seq"],
        ),
        sa.PrimaryKeyConstraint("invoice_seq"),
    )
    op.create_table(
        "invoice_history",
        sa.Column("invoice_seq", _seq(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["invoice_seq"],
            ["invoice.seq"],
        ),
        sa.PrimaryKeyConstraint("invoice_seq", "step"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "invoice_viewer",
        sa.Column("viewer_seq", _seq(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("invoice_seq", _seq(), nullable=False),
        sa.ForeignKeyConstraint(
            ["invoice_seq"],
            ["invoice.seq"],
        ),
        sa.PrimaryKeyConstraint("viewer_seq", "created_at", "invoice_seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "mail",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("id", _id(), nullable=False),
        sa.Column("invoice_seq", _seq(), nullable=False),
        sa.Column("what", _key(64), nullable=False),
        sa.Column("recipient_seq", _seq(), nullable=False),
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("state", _key(12), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["invoice_seq"],
            ["invoice.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["recipient_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("invoice_seq", "what", name="mail_once"),
    )
    op.create_index(op.f("ix_mail_recipient_seq"), "mail", ["recipient_seq"], unique=False)
    op.create_index(
        "mail_waiting",
        "mail",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "payment",
        sa.Column("id", _id(), nullable=False),
        sa.Column("invoice_seq", _seq(), nullable=False),
        sa.Column("reference", _key(128), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("paid_at", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.String(length=64), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["invoice_seq"],
            ["invoice.seq"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("invoice_seq", "reference", name="payment_once"),
    )
    op.create_table(
        "rebill_charge",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("issuer_seq", _seq(), nullable=False),
        sa.Column("invoice_seq", _seq(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("recipient_seq", _seq(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("period_start", sa.BigInteger(), nullable=False),
        sa.Column("period_end", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("issued_seq", _seq(), nullable=True),
        sa.ForeignKeyConstraint(
            ["invoice_seq"],
            ["invoice.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["issued_seq"],
            ["invoice.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["recipient_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("issuer_seq", "invoice_seq", "line", "recipient_seq", name="rebill_charge_once"),
    )
    op.create_index(op.f("ix_rebill_charge_issued_seq"), "rebill_charge", ["issued_seq"], unique=False)
    op.create_index("rebill_charge_open", "rebill_charge", ["issuer_seq", "issued_seq", "recipient_seq"], unique=False)
    op.create_table(
        "rebill_line",
        sa.Column("issuer_seq", _seq(), nullable=False),
        sa.Column("invoice_seq", _seq(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("rule", _key(64), nullable=False),
        sa.Column("claimed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["invoice_seq"],
            ["invoice.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["issuer_seq"],
            ["account.seq"],
        ),
        sa.PrimaryKeyConstraint("issuer_seq", "invoice_seq", "line"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reminder",
        sa.Column("invoice_seq", _seq(), nullable=False),
        sa.Column("step", _key(32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["invoice_seq"],
            ["invoice.seq"],
        ),
        sa.PrimaryKeyConstraint("invoice_seq", "step"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run_item",
        sa.Column("run_seq", _seq(), nullable=False),
        sa.Column("recipient_seq", _seq(), nullable=False),
        sa.Column("step", _seq(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("invoice_seq", _seq(), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["recipient_seq"],
            ["account.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["run_seq"],
            ["billing_run.seq"],
        ),
        sa.PrimaryKeyConstraint("run_seq", "recipient_seq", "step"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "subscription_bill",
        sa.Column("subscription_seq", _seq(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("known_at", sa.BigInteger(), nullable=False),
        sa.Column("run_seq", _seq(), nullable=False),
        sa.Column("invoice_seq", _seq(), nullable=True),
        sa.Column("open", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_seq"],
            ["billing_run.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["subscription_seq"],
            ["subscription.seq"],
        ),
        sa.PrimaryKeyConstraint("subscription_seq", "step"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_subscription_bill_invoice_seq"), "subscription_bill", ["invoice_seq"], unique=False)
    op.create_table(
        "subscription_change",
        sa.Column("subscription_seq", _seq(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_by", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscription_seq"],
            ["subscription.seq"],
        ),
        sa.PrimaryKeyConstraint("subscription_seq", "step"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sync_account",
        sa.Column("connection_seq", _seq(), nullable=False),
        sa.Column("account_seq", _seq(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_seq"],
            ["account.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["connection_seq"],
            ["sync_connection.seq"],
        ),
        sa.PrimaryKeyConstraint("connection_seq", "account_seq"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_sync_account_account_seq"), "sync_account", ["account_seq"], unique=False)
    op.create_table(
        "sync_difference",
        sa.Column("walk_seq", sa.BigInteger(), nullable=False),
        sa.Column("connection_seq", _seq(), nullable=False),
        sa.Column("vendor_key", _key(255), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_seq"],
            ["sync_connection.seq"],
        ),
        sa.PrimaryKeyConstraint("walk_seq", "connection_seq", "vendor_key", "what"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sync_problem",
        sa.Column("connection_seq", _seq(), nullable=False),
        sa.Column("place", _key(300), nullable=False),
        sa.Column("vendor_key", _key(255), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("first_walk", sa.BigInteger(), nullable=False),
        sa.Column("last_walk", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_seq"],
            ["sync_connection.seq"],
        ),
        sa.PrimaryKeyConstraint("connection_seq", "place"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sync_record",
        sa.Column("connection_seq", _seq(), nullable=False),
        sa.Column("vendor_key", _key(255), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=16), nullable=False),
        sa.Column("first_walk", sa.BigInteger(), nullable=False),
        sa.Column("last_walk", sa.BigInteger(), nullable=False),
        sa.Column("disappeared_walk", sa.BigInteger(), nullable=True),
        sa.Column("invoice_seq", _seq(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_seq"],
            ["sync_connection.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["invoice_seq"],
            ["invoice.seq"],
        ),
        sa.PrimaryKeyConstraint("connection_seq", "vendor_key"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_sync_record_invoice_seq"), "sync_record", ["invoice_seq"], unique=False)
    op.create_table(
        "sync_walk",
        sa.Column("seq", _seq(), nullable=False),
        sa.Column("id", _id(), nullable=False),
        sa.Column("connection_seq", _seq(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sa.Integer(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("mark", sa.Text(), nullable=True),
        sa.Column("resumed", sa.SmallInteger(), nullable=False),
        sa.Column("stated_total", sa.BigInteger(), nullable=True),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("moved", sa.BigInteger(), nullable=False),
        sa.Column("unchanged", sa.BigInteger(), nullable=False),
        sa.Column("set_aside", sa.BigInteger(), nullable=False),
        sa.Column("unreadable", sa.BigInteger(), nullable=False),
        sa.Column("accounts_made", sa.BigInteger(), nullable=False),
        sa.Column("disappeared", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_seq"],
            ["sync_connection.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("sync_walk_of_connection", "sync_walk", ["connection_seq", "seq"], unique=False)
    op.create_table(
        "token",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("credential_seq", _seq(), nullable=False),
        sa.Column("face", sa.String(length=16), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["credential_seq"],
            ["credential.seq"],
        ),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index(op.f("ix_token_credential_seq"), "token", ["credential_seq"], unique=False)
    op.create_index(op.f("ix_token_expires_at"), "token", ["expires_at"], unique=False)
    op.create_table(
        "wallet_movement",
        sa.Column("account_seq", _seq(), nullable=False),
        sa.Column("grant_id", _id(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.String(length=12), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("invoice_seq", _seq(), nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_seq"],
            ["account.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["invoice_seq"],
            ["invoice.seq"],
        ),
        sa.PrimaryKeyConstraint("account_seq", "grant_id", "step"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_wallet_movement_invoice_seq"), "wallet_movement", ["invoice_seq"], unique=False)
    op.create_table(
        "webhook_attempt",
        sa.Column("webhook_seq", _seq(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("change_seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("took_ms", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["change_seq"],
            ["change.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["webhook_seq"],
            ["webhook.seq"],
        ),
        sa.PrimaryKeyConstraint("webhook_seq", "number"),
        sqlite_with_rowid=False,
    )
    op.create_index("webhook_attempt_at", "webhook_attempt", ["at"], unique=False)
    op.create_index("account_sibling", "account", [sa.literal_column("coalesce(parent_seq, 0)"), "external_id"], unique=True)

    for statement in _PROTECTION[op.get_bind().dialect.name]:
        op.get_bind().exec_driver_sql(statement)


# The triggers that refuse to change what was issued.
_PROTECTION = {
    "sqlite": [
        "CREATE TRIGGER invoice_stays BEFORE UPDATE OF seq, id, issuer_seq, recipient_seq, kind, number, number_key, currency, total_minor, tax_minor, stated_total, customer_name, name_key, billing_entity, date, due_date, period_start, period_end, created_at, issued_at, direct_debit, consolidated, batch, invoiced_by ON invoice BEGIN SELECT RAISE(ABORT, 'what was issued never changes'); END",
        "CREATE TRIGGER invoice_is_kept BEFORE DELETE ON invoice BEGIN SELECT RAISE(ABORT, 'what was issued never changes'); END",
        "CREATE TRIGGER invoice_document_stays BEFORE UPDATE ON invoice_document BEGIN SELECT RAISE(ABORT, 'what was issued never changes'); END",
        "CREATE TRIGGER invoice_document_is_kept BEFORE DELETE ON invoice_document BEGIN SELECT RAISE(ABORT, 'what was issued never changes'); END",
        "CREATE TRIGGER invoice_history_stays BEFORE UPDATE ON invoice_history BEGIN SELECT RAISE(ABORT, 'what was issued never changes'); END",
        "CREATE TRIGGER invoice_history_is_kept BEFORE DELETE ON invoice_history BEGIN SELECT RAISE(ABORT, 'what was issued never changes'); END",
        "CREATE TRIGGER payment_stays BEFORE UPDATE ON payment BEGIN SELECT RAISE(ABORT, 'what was issued never changes'); END",
        "CREATE TRIGGER payment_is_kept BEFORE DELETE ON payment BEGIN SELECT RAISE(ABORT, 'what was issued never changes'); END",
        "CREATE TRIGGER document_seal_stays BEFORE UPDATE ON document_seal BEGIN SELECT RAISE(ABORT, 'what was issued never changes'); END",
        "CREATE TRIGGER document_seal_is_kept BEFORE DELETE ON document_seal BEGIN SELECT RAISE(ABORT, 'what was issued never changes'); END",
        "CREATE TRIGGER correction_stays BEFORE UPDATE ON correction BEGIN SELECT RAISE(ABORT, 'what was issued never changes'); END",
        "CREATE TRIGGER correction_is_kept BEFORE DELETE ON correction BEGIN SELECT RAISE(ABORT, 'what was issued never changes'); END",
        "CREATE TRIGGER ledger_entry_stays BEFORE UPDATE ON ledger_entry BEGIN SELECT RAISE(ABORT, 'what was issued never changes'); END",
        "CREATE TRIGGER ledger_entry_is_kept BEFORE DELETE ON ledger_entry BEGIN SELECT RAISE(ABORT, 'what was issued never changes'); END",
        "CREATE TRIGGER change_stays BEFORE UPDATE ON change BEGIN SELECT RAISE(ABORT, 'what was issued never changes'); END",
        "CREATE TRIGGER change_is_kept BEFORE DELETE ON change BEGIN SELECT RAISE(ABORT, 'what was issued never changes'); END",
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION billsmith_stays() RETURNS trigger LANGUAGE plpgsql AS\n$$ BEGIN RAISE EXCEPTION 'what was issued never changes' USING ERRCODE = 'restrict_violation'; END $$",
        "CREATE TRIGGER invoice_stays BEFORE UPDATE OF seq, id, issuer_seq, recipient_seq, kind, number, number_key, currency, total_minor, tax_minor, stated_total, customer_name, name_key, billing_entity, date, due_date, period_start, period_end, created_at, issued_at, direct_debit, consolidated, batch, invoiced_by ON invoice FOR EACH ROW EXECUTE FUNCTION billsmith_stays()",
        "CREATE TRIGGER invoice_is_kept BEFORE DELETE ON invoice FOR EACH ROW EXECUTE FUNCTION billsmith_stays()",
        "CREATE TRIGGER invoice_document_stays BEFORE UPDATE ON invoice_document FOR EACH ROW EXECUTE FUNCTION billsmith_stays()",
        "CREATE TRIGGER invoice_document_is_kept BEFORE DELETE ON invoice_document FOR EACH ROW EXECUTE FUNCTION billsmith_stays()",
        "CREATE TRIGGER invoice_history_stays BEFORE UPDATE ON invoice_history FOR EACH ROW EXECUTE FUNCTION billsmith_stays()",
        "CREATE TRIGGER invoice_history_is_kept BEFORE DELETE ON invoice_history FOR EACH ROW EXECUTE FUNCTION billsmith_stays()",
        "CREATE TRIGGER payment_stays BEFORE UPDATE ON payment FOR EACH ROW EXECUTE FUNCTION billsmith_stays()",
        "CREATE TRIGGER payment_is_kept BEFORE DELETE ON payment FOR EACH ROW EXECUTE FUNCTION billsmith_stays()",
        "CREATE TRIGGER document_seal_stays BEFORE UPDATE ON document_seal FOR EACH ROW EXECUTE FUNCTION billsmith_stays()",
        "CREATE TRIGGER document_seal_is_kept BEFORE DELETE ON document_seal FOR EACH ROW EXECUTE FUNCTION billsmith_stays()",
        "CREATE TRIGGER correction_stays BEFORE UPDATE ON correction FOR EACH ROW EXECUTE FUNCTION billsmith_stays()",
        "CREATE TRIGGER correction_is_kept BEFORE DELETE ON correction FOR EACH ROW EXECUTE FUNCTION billsmith_stays()",
        "CREATE TRIGGER ledger_entry_stays BEFORE UPDATE ON ledger_entry FOR EACH ROW EXECUTE FUNCTION billsmith_stays()",
        "CREATE TRIGGER ledger_entry_is_kept BEFORE DELETE ON ledger_entry FOR EACH ROW EXECUTE FUNCTION billsmith_stays()",
        "CREATE TRIGGER change_stays BEFORE UPDATE ON change FOR EACH ROW EXECUTE FUNCTION billsmith_stays()",
        "CREATE TRIGGER change_is_kept BEFORE DELETE ON change FOR EACH ROW EXECUTE FUNCTION billsmith_stays()",
    ],
}
