"""A database made by the migrations has exactly the tables of schema.py, on each engine; the first migration stands alone."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from billsmith.storage import upgrade
from billsmith.storage.database import Database
from billsmith.storage.schema import metadata
from tests.support.house import NOW

VERSIONS = Path(upgrade.__file__).parent / "migrations" / "versions"

_SQLITE = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name <> 'alembic_version'"
_POSTGRES = (
    "SELECT table_name, column_name, column_default, is_nullable, data_type, character_maximum_length, collation_name"
    " FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'",
    "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
)


def described(connection: Connection) -> set[object]:
    """Everything that an engine knows of its tables, in words of its own."""
    if connection.dialect.name == "sqlite":
        return {" ".join(_clauses(row[0])) for row in connection.execute(text(_SQLITE))}
    return {tuple(row) for query in _POSTGRES for row in connection.execute(text(query))}


def _clauses(sql: str) -> Iterable[str]:
    """A statement's lines in one order: whether a constraint stands before or after another makes no difference."""
    return sorted(line.strip().rstrip(",").strip() for line in sql.splitlines() if line.strip())


def test_the_migrations_make_the_tables_of_the_schema(empty_database: Database) -> None:
    upgrade.upgrade(empty_database, NOW)
    with empty_database.read() as connection:
        migrated = described(connection)
    with empty_database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            table.drop(connection)
        metadata.create_all(connection)
    with empty_database.read() as connection:
        assert described(connection) == migrated
        assert len(migrated) > len(metadata.tables)


def test_control_a_table_that_differs_in_one_column_is_seen(empty_database: Database) -> None:
    upgrade.upgrade(empty_database, NOW)
    with empty_database.read() as connection:
        before = described(connection)
    with empty_database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE installation ADD COLUMN motto VARCHAR(10)")
    with empty_database.read() as connection:
        assert described(connection) != before
        assert "motto" in {column["name"] for column in inspect(connection).get_columns("installation")}


@pytest.mark.parametrize("file", sorted(VERSIONS.glob("[0-9]*.py")), ids=lambda file: file.name)
def test_a_migration_depends_on_no_code_of_ours(file: Path) -> None:
    imported = {
        name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert not [name for name in imported if name.startswith("billsmith")]
