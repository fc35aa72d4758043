"""The DuckDB file: its tables, how it is opened, how a failure to write is told."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from billsmith.usage.duckdb.names import FILE as FILE
from billsmith.usage.duckdb.names import INDEX as INDEX
from billsmith.usage.duckdb.names import LOG as LOG

#: Rights of others than the user; the process has one mask for all its threads.
_OTHERS = 0o077
_mask = threading.Lock()

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


def connect(path: Path, memory: int) -> duckdb.DuckDBPyConnection:
    """Open or make the file; DuckDB takes so many bytes of ``memory``. Raises :class:`duckdb.Error`."""
    temporary = path.with_suffix(".tmp")
    temporary.mkdir(mode=0o700, exist_ok=True)
    with private():
        connection = duckdb.connect(
            path,
            config={
                "memory_limit": f"{memory // 2**20}MiB",
                "checkpoint_threshold": "256MB",
                "preserve_insertion_order": "false",
                "pandas_analyze_sample": 1,  # columns of objects are texts alone: one tells
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "temp_directory": str(temporary),
            },
        )
    connection.execute("BEGIN")
    connection.execute(_TABLES)
    if connection.execute("SELECT count(*) FROM secret").fetchall() == [(0,)]:
        connection.execute("INSERT INTO secret VALUES (?)", [secrets.token_bytes(32)])
    commit(connection, path)
    path.chmod(0o600)
    return connection


def commit(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Commit what is open in the file at ``path``, durably.

    DuckDB makes its log when the first commit after a checkpoint needs one, with the rights that the process gives its files.
    """
    log = path.with_name(LOG)
    if log.exists():
        connection.execute("COMMIT")
    else:
        with private():
            connection.execute("COMMIT")
    with suppress(FileNotFoundError):  # a checkpoint may have taken it away meanwhile, and another commit have made it anew
        if log.stat().st_mode & _OTHERS:
            log.chmod(0o600)


@contextmanager
def private() -> Iterator[None]:
    """Files and sockets that the process makes within are its user's alone.

    The mask is the process's, for all its threads: were two to change it at once, one would put back the other's.
    """
    with _mask:
        before = os.umask(_OTHERS)
        try:
            yield
        finally:
            os.umask(before)
