"""SQL without SQLAlchemy in between, for the few statements of the hot path: a statement costs 1 to 7 µs so, else 30 to 240.

Statements are written with ``?`` and hold no ``%``. They run in the connection's own transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table

from billsmith.units.ids import id_bytes


class Condition(NamedTuple):
    """SQL with ``?`` and the values that stand for them."""

    sql: str
    parameters: tuple[Any, ...]

    def __and__(self, other: Condition) -> Condition:
        """Both."""
        if not self.sql or not other.sql:
            return self if self.sql else other
        return Condition(f"{self.sql} AND {other.sql}", self.parameters + other.parameters)


class Direct:
    """The driver's own connection beneath one of SQLAlchemy's. It lives no longer than that."""

    __slots__ = ("_cursor", "_execute", "is_sqlite")

    def __init__(self, connection: Connection) -> None:
        self.is_sqlite = connection.dialect.name == "sqlite"
        driver: Any = connection.connection.driver_connection
        self._cursor, self._execute = driver.cursor, driver.execute

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement. What it reads must be bounded."""
        found: list[tuple[Any, ...]] = self._execute(sql if self.is_sqlite else _numbered(sql), parameters).fetchall()
        return found

    def each(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement, one by one."""
        yield from self._execute(sql if self.is_sqlite else _numbered(sql), parameters)

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row."""
        found: tuple[Any, ...] | None = self._execute(sql if self.is_sqlite else _numbered(sql), parameters).fetchone()
        return found

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """A statement once for each row of parameters. Raises the driver's own errors."""
        cursor = self._cursor()
        cursor.executemany(sql if self.is_sqlite else _numbered(sql), rows)
        cursor.close()

    def add(self, table: Table, rows: Iterable[Sequence[Any]]) -> None:
        """New rows: the value of every column, in the table's order. Raises the driver's own errors."""
        if self.is_sqlite:
            self.many(_insertion(table), rows)
            return
        rows = list(rows)
        if len(rows) < _COPIED:
            self.many(_insertion(table), rows)
            return
        with self._cursor() as cursor, cursor.copy(_copy(table)) as copy:
            for row in rows:
                copy.write_row(row)

    def add_to(self, tally: Table, rows: Iterable[Sequence[Any]]) -> None:
        """Rows of a tally (its key, then a number): numbers are added to those that stand under their keys."""
        self.many(_addition(tally), rows)

    def id(self, text: str) -> Any:
        """An id as a row has it."""
        return id_bytes(text) if self.is_sqlite else text

    def run(self, sql: str) -> None:
        """A statement that gives no rows."""
        self._execute(sql)

    def one_of(self, column: str, numbers: Iterable[int]) -> Condition:
        """That a column has one of these row numbers; the same text however many there are."""
        text = ",".join(map(str, sorted(numbers)))
        if self.is_sqlite:
            return Condition(f"{column} IN (SELECT value FROM json_each(?))", (f"[{text}]",))
        return Condition(f"{column} IN (SELECT unnest(CAST(? AS bigint[])))", (f"{{{text}}}",))

    def numbers(self, column: str, numbers: Iterable[int]) -> Condition:
        """A relation of row numbers, in one column; the same text however many there are."""
        text = ",".join(map(str, sorted(numbers)))
        if self.is_sqlite:
            return Condition(f"(SELECT value AS {column} FROM json_each(?))", (f"[{text}]",))
        return Condition(f"(SELECT unnest(CAST(? AS bigint[])) AS {column})", (f"{{{text}}}",))


#: So many rows are sooner copied than inserted, where the database can copy.
_COPIED = 20


@lru_cache(maxsize=64)
def _copy(table: Table) -> str:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    return f"COPY {table.name} ({columns}) FROM STDIN"


@lru_cache(maxsize=64)
def _insertion(table: Table) -> str:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    return f"INSERT INTO {table.name} ({columns}) VALUES ({', '.join('?' * len(table.columns))})"


@lru_cache(maxsize=64)
def _addition(tally: Table) -> str:
    *keys, number = (column.name for column in tally.columns)
    named = ", ".join(f'"{name}"' for name in keys)
    added = f'DO UPDATE SET "{number}" = {tally.name}."{number}" + excluded."{number}"'
    return f"{_insertion(tally)} ON CONFLICT ({named}) {added}"


@lru_cache(maxsize=1024)
def _numbered(sql: str) -> str:
    return sql.replace("?", "%s")


def is_integrity_error(error: Exception) -> bool:
    """Whether the driver says that a key is there already (or another constraint is broken)."""
    return isinstance(error, sqlite3.IntegrityError) or str(getattr(error, "sqlstate", "")).startswith("23")
