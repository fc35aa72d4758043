"""Parquet files, read by DuckDB: every column as text, so that nothing is rounded on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb

from billsmith.units.errors import Invalid

_FETCH = 10_000


def header(path: Path) -> list[str]:
    """The names of a file's columns. Raises :class:`Invalid` where it is no Parquet file."""
    with _reading(path, "LIMIT 0") as cursor:
        return [str(column[0]) for column in cursor.description or ()]


def rows(path: Path) -> Iterator[tuple[str | None, ...]]:
    """The rows of a file, in its order. Raises :class:`Invalid`."""
    with _reading(path, "") as cursor:
        while found := cursor.fetchmany(_FETCH):
            yield from found


def _reading(path: Path, rest: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    try:
        return connection.execute(f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM read_parquet($path) {rest}", {"path": str(path)})
    except duckdb.Error as error:
        connection.close()
        raise Invalid(f"{path} can't be read as Parquet: {error}"[:400], code="input.not_parquet", where="file") from None
