"""Writes the first migration out of schema.py, in full: from a release on, no later change of schema.py may alter it.

    python scripts/freeze_migration.py > src/billsmith/storage/migrations/versions/0001_first.py

Run it only until the first release; after that a change of the tables is a new migration. tests/storage/test_schema.py holds
that a database made by the migrations has exactly the tables of schema.py.
"""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from alembic.operations.ops import CreateIndexOp
from sqlalchemy.dialects import postgresql

from billsmith.storage.schema import Id, metadata
from billsmith.storage.schema_chain import protection

HEAD = '''"""The first form: accounts, credentials, invoices and what hangs on them. Written by scripts/freeze_migration.py."""

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
'''


TAIL = """
    for statement in _PROTECTION[op.get_bind().dialect.name]:
        op.get_bind().exec_driver_sql(statement)


# The triggers that refuse to change what was issued.
_PROTECTION = """


def protected() -> str:
    """The statements of each engine, as a literal."""
    return repr({dialect: protection(dialect) for dialect in ("sqlite", "postgresql")}) + "\n"


def render_item(kind: str, item: Any, _context: AutogenContext) -> str | bool:
    """The types of our own, spelled by the helpers of the migration itself."""
    if kind != "type":
        return False
    if isinstance(item, Id):
        return "_id()"
    variants = getattr(item, "_variant_mapping", {})
    if "sqlite" in variants and isinstance(item, sa.BigInteger):
        return "_seq()"
    if isinstance(variants.get("postgresql"), postgresql.VARCHAR):
        return f"_key({item.length})"
    return False


def body() -> str:
    """The operations that make every table on an empty database."""
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"target_metadata": metadata, "render_item": render_item})
        with warnings.catch_warnings():
            # Alembic can't compare indexes on expressions on SQLite, and leaves them out; they are added below.
            warnings.simplefilter("ignore", UserWarning)
            script = produce_migrations(context, metadata)
        assert script.upgrade_ops is not None
        script.upgrade_ops.ops += [CreateIndexOp.from_index(index) for index in indexes_on_expressions()]
        return render_python_code(
            script.upgrade_ops, render_item=render_item, migration_context=context, user_module_prefix=None
        )


def indexes_on_expressions() -> list[sa.Index]:
    """Indexes that are not on bare columns."""
    indexes = [index for table in metadata.sorted_tables for index in table.indexes]
    return [index for index in indexes if not all(isinstance(part, sa.Column) for part in index.expressions)]


def main() -> None:
    """Write the migration to standard output, in the house's format."""
    text = HEAD + re.sub(r"^ *# ### .*\n", "", body() + "\n", flags=re.MULTILINE) + TAIL + protected()
    done = subprocess.run([sys.executable, "-m", "ruff", "format", "-"], input=text, capture_output=True, text=True, check=True)
    sys.stdout.write(done.stdout)


if __name__ == "__main__":
    main()
