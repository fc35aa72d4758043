"""The first form: accounts, credentials, invoices and what hangs on them."""

from alembic import op

from billsmith.storage.schema import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    metadata.create_all(op.get_bind())
