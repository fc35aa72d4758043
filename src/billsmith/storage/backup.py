"""Backups: everything that a store holds, in one file that restores on either engine (promise P14, decision 0061).

The file is one zstd frame of JSON lines, sealed by a skippable frame with the SHA-256 of all bytes before it; so
``zstd -dc FILE`` shows it, and a flipped bit anywhere is an error::

    {"billsmith_backup":1,"form":"0001","program":"0.1.0","made_at":…}
    {"table":"account","columns":[["seq","int"],["id","id"],…]}
    [1,"ede9f834-…",…]                                   one line a row, in the order of the primary key
    {"end":"account","rows":1}
    …
    {"complete":true,"rows":123}

It is written from one snapshot while others write, read back, made durable, and only then given its name.
"""

from __future__ import annotations

import hashlib
import io
import os
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import zstandard
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    insert,
    select,
    text,
)
from sqlalchemy import (
    inspect as inspect_schema,
)

from billsmith import __version__
from billsmith.storage import upgrade
from billsmith.storage.database import Database
from billsmith.storage.schema import Id, metadata
from billsmith.units.errors import Conflict, Invalid

_VERSION = 1
_CHUNK = 1000
_LEVEL = 6
# zstd's frames of this magic number are skipped by every reader; its content here is the digest of the file before it.
_SEAL = b"\x5b\x2a\x4d\x18" + (32).to_bytes(4, "little")
_SEAL_BYTES = len(_SEAL) + 32

Progress = Callable[[int], None]


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself, once it was read to its end."""

    file: Path
    size: int
    sha256: str
    form: str
    program: str
    made_at: int
    rows: int
    usage: bool = False
    """Whether the usage store was copied too, into the file beside it (:func:`usage_file`)."""


class _Header(msgspec.Struct, frozen=True):
    billsmith_backup: int
    form: str
    program: str
    made_at: int
    usage: bool = False


class _TableStart(msgspec.Struct, frozen=True):
    table: str
    columns: tuple[tuple[str, str], ...]


class _TableEnd(msgspec.Struct, frozen=True):
    end: str
    rows: int


class _Complete(msgspec.Struct, frozen=True):
    complete: bool
    rows: int


def backup(
    database: Database,
    file: Path,
    *,
    now: int,
    force: bool = False,
    progress: Progress = lambda _count: None,
    copy_usage: Callable[[Path], None] | None = None,
) -> Described:
    """Write the store into ``file``, as it is at one instant, and read it back.

    ``copy_usage`` writes a copy of the usage store into the path that it is given. It is asked after the instant, so that every
    event that an invoice was made of is in the copy.

    Raises :class:`Conflict` when the file is there and ``force`` is off, :class:`Unavailable` when the disk is full.
    """
    if file.exists() and not force:
        raise Conflict(f"{file} is there already; name another file, or write over it with --force", code="backup.file_exists")
    temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
    beside = file.with_name(f".{file.name}.{os.getpid()}.usage")
    try:
        with open(temporary, "xb", opener=_owner_only) as raw:
            _write(database, raw, now, progress, usage=copy_usage is not None)
            raw.flush()
            os.fsync(raw.fileno())
        described = inspect(temporary)
        if copy_usage is not None:
            copy_usage(beside)
            _sync_file(beside)
            os.replace(beside, usage_file(file))
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
        beside.unlink(missing_ok=True)
    _sync_folder(file.parent)
    return msgspec.structs.replace(described, file=file)


def inspect(file: Path) -> Described:
    """Read a backup to its end and check its seal, its tables and their counts. Raises :class:`Invalid`."""
    digest = _check_seal(file)
    with _lines(file) as lines:
        header = _header(file, next(lines, b""))
        rows = sum(len(chunk) for _, chunk in _chunks(file, lines))
    return Described(
        file=file,
        size=file.stat().st_size,
        sha256=digest,
        form=header.form,
        program=header.program,
        made_at=header.made_at,
        rows=rows,
        usage=header.usage,
    )


def usage_file(file: Path) -> Path:
    """Where the copy of the usage store stands beside a backup."""
    return file.with_name(f"{file.name}.usage")


def restore(database: Database, file: Path, *, force: bool = False, progress: Progress = lambda _count: None) -> None:
    """Bring a backup into a store, in one transaction: all of it or nothing. The store then has this program's form.

    Raises :class:`Conflict` when the store holds data and ``force`` is off, :class:`Invalid` for a damaged backup,
    :class:`Unavailable` for one that a newer program made.
    """
    form = inspect(file).form
    upgrade.refuse_newer(form)
    with database.write() as connection:
        upgrade.lock(connection)
        _make_room(connection, force)
        upgrade.make(connection, form)
        with _lines(file) as lines:
            _header(file, next(lines, b""))
            for table, rows in _chunks(file, lines):
                connection.execute(insert(_table(table)), [_values(table, row) for row in rows])
                progress(len(rows))
        _set_sequences(connection)
        upgrade.make(connection, "head")


def count_rows(database: Database) -> int:
    """How many rows a backup would hold, about."""
    with database.read() as connection:
        counts = (connection.execute(select(func.count()).select_from(table)).scalar_one() for table in metadata.sorted_tables)
        return sum(counts)


def _write(database: Database, raw: IO[bytes], now: int, progress: Progress, *, usage: bool) -> None:
    sealed = _Hashing(raw)
    # No size in the frame's header: it is written as a stream.
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with database.snapshot() as connection, compressor.stream_writer(cast("IO[bytes]", sealed), closefd=False) as out:
        out.write(_line(_Header(_VERSION, upgrade.newest_form(), __version__, now, usage)))
        total = sum(_write_table(connection, table, out, progress) for table in metadata.sorted_tables)
        out.write(_line(_Complete(True, total)))
    raw.write(_SEAL + sealed.digest.digest())


def _write_table(connection: Connection, table: Table, out: IO[bytes], progress: Progress) -> int:
    out.write(_line(_TableStart(str(table.name), tuple((str(column.name), _kind(column)) for column in table.columns))))
    rows = 0
    # In the order of the key, so that a parent stands before its children.
    result = connection.execution_options(yield_per=_CHUNK).execute(select(table).order_by(*table.primary_key.columns))
    for chunk in result.partitions():
        out.write(b"".join(_line(tuple(row)) for row in chunk))
        rows += len(chunk)
        progress(len(chunk))
    out.write(_line(_TableEnd(str(table.name), rows)))
    return rows


def _kind(column: Column[Any]) -> str:
    if isinstance(column.type, Id):
        return "id"
    if isinstance(column.type, LargeBinary):
        return "bytes"
    return "int" if isinstance(column.type, Integer) else "text"


def _line(value: Any) -> bytes:
    return msgspec.json.encode(value) + b"\n"


class _Hashing(io.RawIOBase):
    """A file that remembers the digest of what was written to it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self._raw.write(data)


def _check_seal(file: Path) -> str:
    if not file.is_file():
        raise FileNotFoundError(2, "no such file", str(file))
    left = file.stat().st_size - _SEAL_BYTES
    digest = hashlib.sha256()
    with file.open("rb") as raw:
        while left > 0 and (piece := raw.read(min(left, 1 << 20))):
            digest.update(piece)
            left -= len(piece)
        if left < 0 or raw.read() != _SEAL + digest.digest():
            raise _damaged(file, "its checksum is wrong or it was cut short")
    return digest.hexdigest()


@contextmanager
def _lines(file: Path) -> Iterator[Iterator[bytes]]:
    with file.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        yield _split(file, stream)


def _split(file: Path, stream: zstandard.ZstdDecompressionReader) -> Iterator[bytes]:
    rest = b""
    try:
        while piece := stream.read(1 << 20):
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
    except zstandard.ZstdError as error:
        raise _damaged(file, str(error)) from error


def _header(file: Path, line: bytes) -> _Header:
    try:
        header = msgspec.json.decode(line, type=_Header)
    except msgspec.MsgspecError as error:
        raise _damaged(file, "it does not begin as a backup does") from error
    if header.billsmith_backup != _VERSION:
        raise Invalid(
            f"{file} is a backup of version {header.billsmith_backup}, which this program does not read; upgrade it",
            code="backup.version",
        )
    return header


def _chunks(file: Path, lines: Iterable[bytes]) -> Iterator[tuple[_TableStart, Sequence[Any]]]:
    """The rows of every table, in chunks; the counts that the file states are checked on the way."""
    table: _TableStart | None = None
    chunk: list[Any] = []
    rows = total = 0
    complete = False
    for line in lines:
        if line.startswith(b"["):
            chunk.append(msgspec.json.decode(line))
            if table is None:
                raise _damaged(file, "it holds a row of no table")
            if len(chunk) == _CHUNK:
                rows += len(chunk)
                yield table, chunk
                chunk = []
        elif line.startswith(b'{"table"'):
            table, rows = msgspec.json.decode(line, type=_TableStart), 0
        elif line.startswith(b'{"end"'):
            if table is not None and chunk:
                rows += len(chunk)
                yield table, chunk
                chunk = []
            total += rows
            if rows != msgspec.json.decode(line, type=_TableEnd).rows:
                raise _damaged(file, "a table lacks rows")
        else:
            complete = msgspec.json.decode(line, type=_Complete).rows == total
    if not complete:
        raise _damaged(file, "it ends before it is complete")


def _damaged(file: Path, why: str) -> Invalid:
    return Invalid(f"{file} is not a whole backup: {why}; use another one", code="backup.damaged", where="file")


def _table(start: _TableStart) -> Table:
    """The table as the backup describes it, whatever it looks like in this program."""
    types: dict[str, Any] = {"id": Id, "bytes": LargeBinary, "int": BigInteger, "text": Text}
    return Table(start.table, MetaData(), *(Column(name, types[kind]) for name, kind in start.columns))


def _values(start: _TableStart, row: Sequence[Any]) -> dict[str, Any]:
    return {
        name: b64decode(value) if kind == "bytes" and value is not None else value
        for (name, kind), value in zip(start.columns, row, strict=True)
    }


def _make_room(connection: Connection, force: bool) -> None:
    there = set(inspect_schema(connection).get_table_names())
    if "account" in there and not force and connection.execute(text("SELECT 1 FROM account LIMIT 1")).first():
        raise Conflict(
            "the store holds data; restore into a new folder (--home NEW), or replace what it holds with --force",
            code="backup.store_not_empty",
        )
    for table in reversed(metadata.sorted_tables):
        if table.name in there:
            table.drop(connection)
    connection.execute(text("DROP TABLE IF EXISTS alembic_version"))


def _set_sequences(connection: Connection) -> None:
    """PostgreSQL draws row numbers from sequences, which go on after the highest one restored."""
    if connection.dialect.name != "postgresql":
        return
    for table in inspect_schema(connection).get_table_names():
        owner = {"name": table, "column": "seq"}
        if any(column["name"] == "seq" for column in inspect_schema(connection).get_columns(table)):
            highest = connection.execute(text(f'SELECT max(seq) FROM "{table}"')).scalar_one()
            if highest is not None:
                connection.execute(text("SELECT setval(pg_get_serial_sequence(:name, :column), :to)"), {**owner, "to": highest})


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_file(file: Path) -> None:
    with file.open("rb") as raw:
        os.fsync(raw.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
