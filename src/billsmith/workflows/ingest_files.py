"""Files of events into the usage store: NDJSON, CSV, Parquet and FOCUS, in batches that are each durable.

Killed anywhere and run again, the result is the same: what is in already is a duplicate.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import msgspec
import zstandard

from billsmith.accounts.model import Account
from billsmith.events.event import Event
from billsmith.events.reading import Form, Reading, Rejected, read
from billsmith.events.rows import FOCUS, PLAIN, ColumnMap, Rows
from billsmith.units.errors import BillsmithError, Invalid, NotFound, TooLarge
from billsmith.usage.store import UsageStore
from billsmith.workflows.ingest import Ingest

#: Rows of one batch.
BATCH = 10_000
#: Bytes of one line of text.
MAX_LINE = 1024 * 1024
#: Rows that did not come in, as the report keeps them; it counts them all.
MOST_TOLD = 1_000
_NDJSON = (".ndjson", ".jsonl", ".json", "")
_FOCUS_COLUMNS = {"ConsumedQuantity", "ChargePeriodStart", "ChargeCategory"}


class Kind(StrEnum):
    """What a file holds."""

    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"
    FOCUS = "focus"


class NotIn(msgspec.Struct, frozen=True, kw_only=True):
    """A row that did not come in: where it stands, and why."""

    where: str
    code: str
    field: str
    message: str


class FilesReport(msgspec.Struct, kw_only=True):
    """What became of the rows of all files. ``skipped`` rows say nothing of usage (FOCUS: purchases, taxes, credits)."""

    read: int = 0
    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0
    skipped: int = 0
    seq: int = 0
    errors: list[NotIn] = []

    def tell(self, error: NotIn) -> None:
        """Keep one of the rows that did not come in."""
        if len(self.errors) < MOST_TOLD:
            self.errors.append(error)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A file to read. ``file`` of ``-`` is ``stdin``; ``mapping`` and ``kind`` are found out where they are not given."""

    file: str
    kind: Kind | None = None
    mapping: ColumnMap | None = None


#: The events of some rows, the place of each of them in the file, and those that can't be read.
_Batch = tuple[Reading, Sequence[str]]


def bring_in(
    sources: Iterable[Source],
    *,
    owner: Account,
    keep: tuple[Ingest, UsageStore] | None,
    stdin: BinaryIO,
    progress: Callable[[int], None] = lambda _count: None,
) -> FilesReport:
    """Read files and keep their events as ``owner``'s; without ``keep`` they are only read.

    Raises :class:`Invalid` where a file as a whole can't be read, :class:`NotFound`, and what the store raises. What was
    kept until then stays.
    """
    report = FilesReport()
    for source in sources:
        for reading, places in _batches(source, owner.id, stdin, report):
            _take(report, source.file, reading, places, owner, keep)
            progress(len(places))
    return report


def _take(
    report: FilesReport,
    file: str,
    reading: Reading,
    places: Sequence[str],
    owner: Account,
    keep: tuple[Ingest, UsageStore] | None,
) -> None:
    report.read += len(places)
    rejected = reading.rejected
    if keep is None:
        report.accepted += len(reading.events)
    else:
        ingest, store = keep
        kept = ingest.keep(store, owner, reading)
        rejected = kept.rejected
        report.accepted += kept.accepted
        report.duplicates += kept.duplicates
        report.conflicts += len(kept.conflicts)
        report.seq = kept.seq
        for conflict in kept.conflicts:
            differing = ", ".join(f"{each.field}: {each.stored} stored, {each.sent} sent" for each in conflict.differences)
            report.tell(
                NotIn(
                    where=f"{file}: {places[conflict.index]}",
                    code="event.conflict",
                    field="id",
                    message=f"{conflict.source}/{conflict.id} is known with another body ({differing})"[:500],
                )
            )
    report.rejected += len(rejected)
    for each in rejected:
        report.tell(NotIn(where=f"{file}: {places[each.index]}", code=each.code, field=each.path, message=each.message))


def _batches(source: Source, owner: str, stdin: BinaryIO, report: FilesReport) -> Iterator[_Batch]:
    if source.file != "-" and not Path(source.file).is_file():
        raise NotFound(f"there is no file {source.file}", code="input.no_such_file", where="file")
    kind = source.kind or _kind_of(source)
    if kind is Kind.PARQUET:
        if source.file == "-":
            raise Invalid("Parquet is read from a file, not from standard input", code="input.not_parquet", where="file")
        from billsmith.usage.duckdb import parquet  # DuckDB takes a tenth of a second to load

        path = Path(source.file)
        yield from _table(source, kind, parquet.header(path), parquet.rows(path), owner, report)
        return
    with closing(_opened(source.file, stdin)) as data:
        if kind is Kind.NDJSON:
            yield from _lines(data, owner)
        else:
            yield from _csv(source, kind, data, owner, report)


def _kind_of(source: Source) -> Kind:
    name = Path(source.file).name.removesuffix(".gz").removesuffix(".zst")
    suffix = "" if source.file == "-" else Path(name).suffix.lower()
    if source.mapping is not None and suffix in _NDJSON:
        return Kind.CSV
    if suffix in _NDJSON:
        return Kind.NDJSON
    if suffix in (".csv", ".parquet"):
        return Kind(suffix[1:])
    raise Invalid(
        f"what {source.file} holds is not to be seen from its name; say --format", code="input.format", where="format"
    )


def _opened(file: str, stdin: BinaryIO) -> BinaryIO:
    if file == "-":
        return stdin
    if file.endswith(".gz"):
        return cast(BinaryIO, gzip.open(file, "rb"))
    if file.endswith(".zst"):
        return cast(BinaryIO, zstandard.open(file, "rb"))
    return Path(file).open("rb")


def _lines(data: BinaryIO, owner: str) -> Iterator[_Batch]:
    numbered = ((number, line) for number, line in enumerate(_cut(data), 1) if line.strip())
    while chunk := list(islice(numbered, BATCH)):
        yield read(b"\n".join(line for _, line in chunk), Form.LINES, owner), [f"line {number}" for number, _ in chunk]


def _cut(data: BinaryIO) -> Iterator[bytes]:
    while line := data.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise TooLarge(f"a line of more than {MAX_LINE} bytes", code="input.line_too_long", where="file")
        yield line.rstrip(b"\r\n")


def _csv(source: Source, kind: Kind, data: BinaryIO, owner: str, report: FilesReport) -> Iterator[_Batch]:
    text = io.TextIOWrapper(data, encoding="utf-8-sig", newline="")
    try:
        rows = csv.reader(_short(text), strict=True)
        header = next(rows, [])
        if source.kind is None and source.mapping is None and set(header) >= _FOCUS_COLUMNS:
            kind = Kind.FOCUS
        yield from _table(source, kind, header, (tuple(row) for row in rows if row), owner, report)
    except UnicodeDecodeError:
        raise Invalid(f"{source.file} is not text in UTF-8", code="input.not_text", where="file") from None
    except csv.Error as error:
        raise Invalid(
            f"{source.file} is not CSV after line {rows.line_num}: {error}", code="input.not_csv", where="file"
        ) from None
    finally:
        text.detach()


def _short(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise TooLarge(f"a line of more than {MAX_LINE} characters", code="input.line_too_long", where="file")
        yield line


def _table(
    source: Source,
    kind: Kind,
    header: list[str],
    rows: Iterator[tuple[str | None, ...]],
    owner: str,
    report: FilesReport,
) -> Iterator[_Batch]:
    mapping = source.mapping or (_focus(header) if kind is Kind.FOCUS else PLAIN)
    mapping.check(header)
    events = Rows(mapping, owner)
    category = header.index("ChargeCategory") if kind is Kind.FOCUS and "ChargeCategory" in header else None
    quantity = header.index("ConsumedQuantity") if kind is Kind.FOCUS and "ConsumedQuantity" in header else None
    numbered = enumerate(rows, 1)
    while chunk := list(islice(numbered, BATCH)):
        read = _Read([], [], [])
        places: list[str] = []
        for number, row in chunk:
            full = len(row) == len(header)
            if full and quantity is not None and not (row[quantity] and (category is None or row[category] == "Usage")):
                report.skipped += 1
                continue
            _add(read, len(places), events, dict(zip(header, row, strict=False)) if full else None)
            places.append(f"row {number}")
        yield Reading(*read), places


class _Read(NamedTuple):
    """A :class:`Reading` that is being made."""

    events: list[Event]
    places: list[int]
    rejected: list[Rejected]


def _focus(header: list[str]) -> ColumnMap:
    """FOCUS's columns; those that a version or a cloud leaves out are no dimension."""
    named = FOCUS.dimensions or {}
    return msgspec.structs.replace(FOCUS, dimensions={name: column for name, column in named.items() if column in header})


def _add(read: _Read, place: int, rows: Rows, row: dict[str, str | None] | None) -> None:
    try:
        if row is None:
            raise Invalid("it has not as many cells as the header", code="input.row_length")
        event: Event = rows.event(row)
    except TooLarge:
        raise
    except BillsmithError as error:
        read.rejected.append(Rejected(index=place, code=error.code, message=error.message, path=error.where or ""))
    else:
        read.events.append(event)
        read.places.append(place)
