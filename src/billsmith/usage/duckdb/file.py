"""The DuckDB file: its tables, how it is opened, how a failure to write is told."""

from __future__ import annotations

import secrets
from pathlib import Path

import duckdb

#: The data's file in the data folder, and the folder of the identity index beside it.
FILE = "usage.duckdb"
INDEX = "usage.index"

#: A row: ``sign`` +1 puts a body in force, −1 takes back the row ``undoes``. high and low: see ``limbs``. dims: JSON, sorted.
_TABLES = """
CREATE TABLE IF NOT EXISTS events (
    seq BIGINT NOT NULL, sign TINYINT NOT NULL, undoes BIGINT NOT NULL, subject INTEGER NOT NULL, type VARCHAR NOT NULL,
    source VARCHAR NOT NULL, id VARCHAR NOT NULL, time BIGINT NOT NULL, high BIGINT NOT NULL, low BIGINT NOT NULL,
    dims VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS subjects (subject INTEGER NOT NULL, owner VARCHAR NOT NULL, reference VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS bindings (subject INTEGER NOT NULL, account VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS secret (key BLOB NOT NULL);
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
