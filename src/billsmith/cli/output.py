"""How an answer is shown: tables for people; JSON, CSV or bare ids for programs. Data is inert in each (promise P20).

Standard output holds the answer and nothing else; notes, progress and errors go to standard error.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from enum import Enum
from itertools import chain
from typing import Any, TextIO

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from billsmith.documents.inert import csv_cell, json_text, visible
from billsmith.units.rounding import plain

Row = Mapping[str, Any]

_NUMBER = re.compile(r"(-?[0-9]+(\.[0-9]+)?)?", re.ASCII)
_NO_FOLD = 100_000


class Form(Enum):
    """For whom an answer is."""

    PEOPLE = "people"
    JSON = "json"
    CSV = "csv"
    IDS = "ids"


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of many rows. People see ``columns`` of them, programs every field."""

    rows: Iterable[Row]
    columns: tuple[str, ...]
    id_field: str = "id"
    title: str = ""
    empty: str = "nothing there"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of one thing. ``tables`` are parts that people see as tables below it; programs find them as fields."""

    row: Row
    id_field: str = "id"
    title: str = ""
    tables: tuple[str, ...] = ()


Answer = Listing | Record


def show(answer: Answer, form: Form, out: TextIO | None = None) -> None:
    """Write an answer to standard output (or ``out``)."""
    out = out or sys.stdout
    if form is Form.JSON:
        _write_json(answer, out)
    elif form is Form.CSV:
        _write_csv(answer, out)
    elif form is Form.IDS:
        for row in _rows(answer):
            out.write(f"{visible(_text(row[answer.id_field]))}\n")
    else:
        _write_people(answer, out)
    out.flush()


def note(*lines: str) -> None:
    """Say something beside the answer, on standard error."""
    for line in lines:
        sys.stderr.write(f"{visible(line)}\n")
    sys.stderr.flush()


def _rows(answer: Answer) -> Iterable[Row]:
    return [answer.row] if isinstance(answer, Record) else answer.rows


def _write_json(answer: Answer, out: TextIO) -> None:
    if isinstance(answer, Record):
        out.write(f"{json_text(answer.row)}\n")
        return
    # Row by row, so that a list of any length needs no memory.
    separator = "["
    for row in answer.rows:
        out.write(f"{separator}{json_text(row)}")
        separator = ",\n"
    out.write("[]\n" if separator == "[" else "]\n")


def _write_csv(answer: Answer, out: TextIO) -> None:
    rows = iter(_rows(answer))
    first = next(rows, None)
    names = list(first) if first is not None else list(answer.columns if isinstance(answer, Listing) else ())
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    writer.writerow(names)
    for row in chain([] if first is None else [first], rows):
        writer.writerow([csv_cell(_text(row.get(name))) for name in names])
        out.write(line.getvalue())
        line.seek(0)
        line.truncate()
    out.write(line.getvalue())


def _write_people(answer: Answer, out: TextIO) -> None:
    # Into a file or a pipe nothing is folded: a line is a row.
    width = None if out.isatty() else _NO_FOLD
    console = Console(file=out, highlight=False, markup=False, emoji=False, width=width)
    if isinstance(answer, Listing):
        _print_listing(console, answer)
        return
    table = Table(show_header=False, box=None, title=answer.title or None, title_justify="left", pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in answer.row.items():
        if name not in answer.tables and value not in (None, "", [], {}):
            table.add_row(_cell(name.replace("_", " ")), _cell(value))
    console.print(table)
    for name in answer.tables:
        if rows := answer.row.get(name):
            console.print()
            _print_listing(console, Listing(rows=rows, columns=tuple(_keys(rows)), title=name.replace("_", " ")))


def _print_listing(console: Console, answer: Listing) -> None:
    table = Table(title=answer.title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    rows = list(answer.rows)
    if not rows:
        console.print(Text(answer.empty))
        return
    for name in answer.columns:
        number = all(_NUMBER.fullmatch(_text(row.get(name))) for row in rows)
        table.add_column(
            Text(name.replace("_", " ")),
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=name == answer.id_field,
        )
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in answer.columns))
    console.print(table)


def _keys(rows: Iterable[Row]) -> Iterator[str]:
    """Every field that some row fills, in the order in which they are met."""
    seen: dict[str, None] = {}
    for row in rows:
        seen.update(dict.fromkeys(name for name, value in row.items() if value not in (None, "", [], {})))
    return iter(seen)


def _cell(value: Any) -> Text:
    return Text(visible(_text(value)))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(item)}" for name, item in value.items() if item not in (None, "", []))
    return str(value)
