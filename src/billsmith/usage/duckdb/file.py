"""The DuckDB file: its tables, how it is opened, how a failure to write is told."""

from __future__ import annotations

import secrets
from pathlib import Path

import duckdb

from billsmith.usage.duckdb.names import FILE as FILE
from billsmith.usage.duckdb.names import INDEX as INDEX

#: A row: ``sign`` +1 puts a body in force, −1 takes back the row ``undoes``. high and low: see ``limbs``. dims: JSON, sorted.
#: ``runs``, ``families`` and ``cells`` follow from it: see the modules ``runs`` and ``cells``.
_TABLES = """
CREATE TABLE IF NOT EXISTS events (
    seq BIGINT NOT NULL, sign TINYINT NOT NULL, undoes BIGINT NOT NULL, subject INTEGER NOT NULL, type VARCHAR NOT NULL,
    source VARCHAR NOT NULL, id VARCHAR NOT NULL, time BIGINT NOT NULL, high BIGINT NOT NULL, low BIGINT NOT NULL,
    dims VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS subjects (subject INTEGER NOT NULL, owner VARCHAR NOT NULL, reference VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS bindings (subject INTEGER NOT NULL, account VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS secret (key BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS runs (high BIGINT NOT NULL);
CREATE SEQUENCE IF NOT EXISTS family_numbers;
CREATE TABLE IF NOT EXISTS families (
    family INTEGER NOT NULL, type VARCHAR NOT NULL, names VARCHAR NOT NULL, moments BOOLEAN NOT NULL, seq BIGINT NOT NULL,
    hourly BOOLEAN NOT NULL, reason VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS cells (
    seq BIGINT NOT NULL, family INTEGER NOT NULL, length BIGINT NOT NULL, subject INTEGER NOT NULL, time BIGINT NOT NULL,
    key VARCHAR NOT NULL, n BIGINT NOT NULL, high HUGEINT NOT NULL, low HUGEINT NOT NULL,
    high_s HUGEINT, low_s HUGEINT, high_ns HUGEINT, low_ns HUGEINT
);
"""


def connect(path: Path, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """Open or make the file. Raises :class:`duckdb.Error`."""
    connection = duckdb.connect(
        path,
        config={
            "memory_limit": memory_limit,
            "checkpoint_threshold": "256MB",
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "temp_directory": str(path.with_suffix(".tmp")),
        },
    )
    connection.execute("BEGIN")
    connection.execute(_TABLES)
    if connection.execute("SELECT count(*) FROM secret").fetchall() == [(0,)]:
        connection.execute("INSERT INTO secret VALUES (?)", [secrets.token_bytes(32)])
    connection.execute("COMMIT")
    path.chmod(0o600)
    return connection
