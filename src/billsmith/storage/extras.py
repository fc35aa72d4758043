"""A vendor's own field of an invoice, as text, in SQL: each database reads JSON in its own way."""

from __future__ import annotations

from typing import Any

from sqlalchemy import String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class extra_text(FunctionElement[str]):  # noqa: N801 (it reads as an SQL function)
    """``extra_text(column, vendor, name)``: the field's text, null where the invoice lacks it."""

    type = String()
    inherit_cache = True


def sqlite_extra(column: str, vendor: str, name: str) -> str:
    """The same as SQLite's text, of three expressions."""
    return f"json_extract({column}, '$.' || {vendor} || '.' || {name})"


# Not jsonb: that refuses a whole document for one NUL in any of its texts.
def postgres_extra(column: str, vendor: str, name: str) -> str:
    """The same as PostgreSQL's."""
    return f"json_extract_path_text(CAST({column} AS json), {vendor}, {name})"


@compiles(extra_text, "sqlite")
def _sqlite(element: extra_text, compiler: Any, **options: Any) -> str:
    column, vendor, name = (compiler.process(clause, **options) for clause in element.clauses)
    return sqlite_extra(column, vendor, name)


@compiles(extra_text, "postgresql")
def _postgresql(element: extra_text, compiler: Any, **options: Any) -> str:
    column, vendor, name = (compiler.process(clause, **options) for clause in element.clauses)
    return postgres_extra(column, vendor, name)
