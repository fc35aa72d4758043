"""Records on disk, in segments that are only appended to, until somebody else has them for good.

A record is a line: eight hex digits of its CRC, a space, its JSON. A process that is killed leaves all that it appended; one
whose machine loses power leaves all that was synced, and at most one torn line after it, which the CRC shows. What was
delivered is a position in a file of its own; where that lags behind, records are delivered again, which does no harm.
"""

from __future__ import annotations

import fcntl
import os
import threading
import zlib
from pathlib import Path
from typing import NamedTuple

import msgspec

from billsmith.units.errors import Busy

#: Bytes after which a new segment is begun; a segment that was delivered whole is deleted.
SEGMENT = 8 * 1024 * 1024
_POSITION = "delivered"
_LOCK = "lock"


class Position(NamedTuple):
    """A place in the spool: the segment's number, and bytes from its beginning."""

    segment: int
    offset: int


class Batch(NamedTuple):
    """Records in their order, where they end, and how many lines before there were damaged."""

    records: list[bytes]
    end: Position
    damaged: int


class Spool:
    """The records of one folder; one process at a time holds it. May be used from any thread."""

    def __init__(self, folder: Path, lock: int, *, most_bytes: int) -> None:
        """``lock`` is the folder's lock, as :func:`take` gives it."""
        self._folder, self._lock_file, self._most_bytes = folder, lock, most_bytes
        self._lock = threading.Lock()
        self._sizes = {int(path.stem): path.stat().st_size for path in sorted(folder.glob("*.log"))}
        self._delivered = self._read_position()
        self._current = max([*self._sizes, self._delivered.segment]) + 1
        self._file = self._begin()
        self._drop_delivered()

    def append(self, record: bytes) -> Position:
        """Put a record at the end; gives the place after it. Raises :class:`Busy` where the buffer is full."""
        line = b"%08x %s\n" % (zlib.crc32(record), record)
        with self._lock:
            if sum(self._sizes.values()) + len(line) > self._most_bytes:
                raise Busy(
                    f"the buffer {self._folder} holds {self._most_bytes} bytes that were not delivered yet",
                    code="event.buffer_full",
                )
            if self._sizes[self._current] >= SEGMENT:
                os.fsync(self._file)
                os.close(self._file)
                self._current += 1
                self._file = self._begin()
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            self._sizes[self._current] += len(line)
            return Position(self._current, self._sizes[self._current])

    def _begin(self) -> int:
        self._sizes[self._current] = 0
        return os.open(self._path(self._current), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:010d}.log"

    def end(self) -> Position:
        """The place after the last record."""
        with self._lock:
            return Position(self._current, self._sizes[self._current])

    @property
    def delivered(self) -> Position:
        """The place up to which all is delivered."""
        return self._delivered

    def has_more(self) -> bool:
        """Whether a record waits."""
        with self._lock:
            return any(
                size > (self._delivered.offset if segment == self._delivered.segment else 0)
                for segment, size in self._sizes.items()
                if segment >= self._delivered.segment
            )

    def sync(self) -> None:
        """Make all that was appended survive a loss of power."""
        with self._lock:
            copy = os.dup(self._file)
        try:
            os.fsync(copy)
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        finally:
            os.close(copy)

    def read(self, most: int, most_bytes: int) -> Batch:
        """The next records that were not delivered, of one segment; none: nothing waits."""
        with self._lock:
            place = self._delivered
            waiting = sorted(segment for segment in self._sizes if segment >= place.segment)
            sizes = dict(self._sizes)
        for segment in waiting:
            start = place.offset if segment == place.segment else 0
            if sizes[segment] > start:
                return self._read(segment, start, sizes[segment], most, most_bytes)
        return Batch([], place, 0)

    def _read(self, segment: int, start: int, size: int, most: int, most_bytes: int) -> Batch:
        records: list[bytes] = []
        damaged = 0
        with self._path(segment).open("rb") as file:
            file.seek(start)
            at = start
            while at < size and len(records) < most and at - start < most_bytes:
                line = file.readline()
                at += len(line)
                record = line[9:-1]
                if line.endswith(b"\n") and line[:8] == b"%08x" % zlib.crc32(record):
                    records.append(record)
                else:
                    damaged += 1
        return Batch(records, Position(segment, at), damaged)

    def deliver(self, end: Position) -> None:
        """Say that all before a place was delivered."""
        made = self._folder / f"{_POSITION}.new"
        made.write_bytes(msgspec.json.encode(end))
        made.replace(self._folder / _POSITION)
        with self._lock:
            self._delivered = end
            self._drop_delivered()

    def _read_position(self) -> Position:
        try:
            return msgspec.json.decode((self._folder / _POSITION).read_bytes(), type=Position)
        except (FileNotFoundError, msgspec.DecodeError):
            return Position(0, 0)

    def _drop_delivered(self) -> None:
        gone = [
            segment for segment, size in self._sizes.items() if segment != self._current and (segment, size) <= self._delivered
        ]
        for segment in gone:
            self._path(segment).unlink(missing_ok=True)
            del self._sizes[segment]

    def close(self) -> None:
        """Let go of the folder; what was not delivered waits there."""
        os.close(self._file)
        os.close(self._lock_file)


def take(folder: Path, *, most_bytes: int) -> list[Spool]:
    """The spools of a buffer that no other process holds: at least one, to which new records go first.

    Each process of a program has one of its own, in a numbered folder; those that a process left behind are taken up by the
    next that comes.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    spools: list[Spool] = []
    number = 0
    while True:
        place = folder / str(number)
        if not place.exists() and spools:
            return spools
        place.mkdir(exist_ok=True, mode=0o700)
        lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            spools.append(Spool(place, lock, most_bytes=most_bytes))
        except BlockingIOError:
            os.close(lock)
        number += 1
