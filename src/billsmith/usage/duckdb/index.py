"""Which identities are known: 128-bit hashes, each with 64 bits of its first body's hash. Disposable: a cache of the table.

New hashes gather in memory (``recent``); when they are many they become a *run*, a sorted file that is never changed; runs of
one size are merged in the background, slice by slice of the hash space, so that memory stays bounded whatever their length. A
look-up asks the memory, then of each run its ``sieve`` and, if that lets a hash pass, the rows, from the newest run to the
oldest. The manifest names the runs and the highest ``seq`` they hold; what the table has beyond it is put in again when the
index is opened (``replay``). A manifest or run that can't be right means: build anew.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import numpy as np

from billsmith.usage.duckdb import sieve
from billsmith.usage.duckdb.recent import Recent
from billsmith.usage.hashing import Hashes, Words
from billsmith.usage.singly import ABSENT

#: Identities in memory before they become a run, at most; runs of one level before they are merged.
MEMORY_LIMIT = 250_000
FAN_IN = 4
#: Rows of all runs together that a merge holds at a time, at most.
SLICE = 500_000
_WORD = 8


class _Line(msgspec.Struct):
    """A run: its file has ``room`` rows, of which the first ``rows`` are used, and the sieve after them."""

    name: str
    level: int
    rows: int
    room: int

    @property
    def bytes(self) -> int:
        return _WORD * (3 * self.room + sieve.words_for(self.room))


class _Manifest(msgspec.Struct):
    seq: int
    next: int
    runs: list[_Line]


class Run:
    """A sorted file: all first words, all second words, all entries, the sieve."""

    def __init__(self, path: Path, line: _Line) -> None:
        self.path, self.line = path, line
        if path.stat().st_size != line.bytes:
            raise ValueError(f"{path} has not the length of {line.room} rows")
        words: Words = np.memmap(path, dtype="<u8", mode="r")
        self._first, self._second, self._entries = words[: 3 * line.room].reshape(3, -1)[:, : line.rows]
        self._sieve = words[3 * line.room :]

    def find(self, hashes: Hashes, marks: Words, into: Words) -> None:
        """Write the entries of the hashes that the run has to where ``into`` says ABSENT."""
        which = np.flatnonzero((into == ABSENT) & sieve.passes(self._sieve, hashes, marks))
        places = np.searchsorted(self._first, hashes[0, which])
        while len(which):  # rows of one first word stand side by side
            inside = places < self.line.rows
            which, places = which[inside], places[inside]
            same = self._first[places] == hashes[0, which]
            which, places = which[same], places[same]
            hit = self._second[places] == hashes[1, which]
            into[which[hit]] = self._entries[places[hit]]
            which, places = which[~hit], places[~hit] + 1

    def cuts(self, bounds: Words) -> list[int]:
        """The places at which slices of the hash space begin, and the end."""
        return [0, *np.searchsorted(self._first, bounds).tolist(), self.line.rows]

    def read(self, start: int, end: int) -> Words:
        """Rows, read rather than mapped, so that a merge leaves no page of the file in this process."""
        columns = [
            np.fromfile(self.path, "<u8", end - start, offset=_WORD * (column * self.line.room + start)) for column in range(3)
        ]
        return np.stack(columns)


class IdentityIndex:
    """The index in its folder. One thread adds; any may look up. ``stored_seq`` is what needs no replay.

    ``recent`` and ``merged`` are the identities that memory has room for: new ones, and those of a merge.
    """

    def __init__(self, folder: Path, *, recent: int = MEMORY_LIMIT, merged: int = SLICE) -> None:
        self._folder = folder
        self._room, self._slice = min(recent, MEMORY_LIMIT), min(merged, SLICE)
        self._lock = threading.RLock()
        self._merging: threading.Thread | None = None
        self._closed = False
        self._memory = Recent(self._room)
        self._runs: list[Run] = []
        self._next = 1
        self.stored_seq = 0
        self.seq = 0
        #: Why runs are not merged, if so.
        self.failure = ""
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            self._open()
        except (OSError, ValueError, msgspec.MsgspecError):
            self.clear()

    def _open(self) -> None:
        manifest = msgspec.json.decode((self._folder / "manifest").read_bytes(), type=_Manifest)
        self._runs = [Run(self._folder / line.name, line) for line in manifest.runs]
        self._next, self.stored_seq = manifest.next, manifest.seq
        self.seq = manifest.seq
        named = {line.name for line in manifest.runs} | {"manifest"}
        for path in self._folder.iterdir():
            if path.name not in named:
                path.unlink()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._runs, self._memory, self.stored_seq, self.seq = [], Recent(self._room), 0, 0
            for path in self._folder.iterdir():
                path.unlink()

    def __len__(self) -> int:
        with self._lock:
            return len(self._memory) + sum(run.line.rows for run in self._runs)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        with self._lock:
            return sum(run.line.bytes for run in self._runs)

    def find(self, hashes: Hashes) -> Words:
        """The entries of hashes: 64 bits of a body, or CORRECTED, or ABSENT."""
        found: Words = np.full(hashes.shape[1], ABSENT, np.uint64)
        with self._lock:
            self._memory.find(hashes, found)
            runs = self._runs
        if runs and len(found):
            marks = sieve.marks(hashes)
            for run in reversed(runs):
                run.find(hashes, marks, found)
        return found

    def add(self, hashes: Hashes, entries: Words, seq: int) -> None:
        """Add or change identities, no two the same; ``seq`` is the highest of the table that is now in."""
        with self._lock:
            self._memory.add(hashes, entries)
            self.seq = seq
            if len(self._memory) >= self._room:
                with suppress(OSError):  # a full disk: the memory holds it, and the table has it all
                    self.flush()

    def flush(self) -> None:
        """Make a run of what is in memory, durably."""
        with self._lock:
            if len(self._memory):
                hashes, entries = self._memory.all()
                with self._new_run(len(entries)) as writer:
                    writer.write(*_sorted(hashes, entries))
                    self._runs = [*self._runs, writer.finish(0)]
                self._memory = Recent(self._room)
            self.stored_seq = self.seq
            self._write_manifest()
            self._start_merge()

    def close(self) -> None:
        """Write what is in memory, if the disk has room (the table has it all), and wait for a merge."""
        with suppress(OSError):
            self.flush()
        with self._lock:
            self._closed = True
        if self._merging is not None:
            self._merging.join()

    @contextmanager
    def _new_run(self, room: int) -> Iterator[_Writer]:
        with self._lock:
            path = self._folder / f"run-{self._next:06d}"
            self._next += 1
        try:
            with path.open("xb") as file:
                yield _Writer(path, file.fileno(), room)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _write_manifest(self) -> None:
        data = msgspec.json.encode(_Manifest(self.stored_seq, self._next, [run.line for run in self._runs]))
        part = self._folder / "manifest.new"
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.rename(self._folder / "manifest")
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _start_merge(self) -> None:
        if self._closed or (self._merging is not None and self._merging.is_alive()) or not self._mergeable():
            return
        self._merging = threading.Thread(target=self._merge_all, name="identity-merge", daemon=True)
        self._merging.start()

    def _mergeable(self) -> list[Run]:
        """The neighbouring runs of one level that are enough for a merge, oldest first."""
        with self._lock:
            for level in {run.line.level for run in self._runs}:
                runs = [run for run in self._runs if run.line.level == level]
                if len(runs) >= FAN_IN:
                    return runs[:FAN_IN]
        return []

    def _merge_all(self) -> None:
        """Merge while there is what to merge. Where one fails (a full disk) the runs stay as they are until the next flush."""
        try:
            while not self._closed and (runs := self._mergeable()):
                merged = self._merge(runs)
                with self._lock:
                    if runs[0] not in self._runs:  # forgotten meanwhile
                        merged.path.unlink()
                        return
                    place = self._runs.index(runs[0])
                    rest = [run for run in self._runs if run not in runs]
                    self._runs = [*rest[:place], merged, *rest[place:]]
                    self._write_manifest()
                for run in runs:
                    run.path.unlink()
            self.failure = ""
        except Exception as error:
            self.failure = f"the index of identities is not merged, so look-ups are slower: {error}"[:300]

    def _merge(self, runs: list[Run]) -> Run:
        """One run of several: slice by slice of the hash space, the newest entry of a hash wins."""
        rows = sum(run.line.rows for run in runs)
        slices = -(-rows // self._slice)
        bounds = np.array([2**64 * number // slices for number in range(1, slices)], np.uint64)
        newest_first = runs[::-1]
        cuts = [run.cuts(bounds) for run in newest_first]
        with self._new_run(rows) as writer:
            for number in range(slices):
                parts = [run.read(cut[number], cut[number + 1]) for run, cut in zip(newest_first, cuts, strict=True)]
                both: Words = np.concatenate(parts, axis=1)
                writer.write(*_sorted(both[:2], both[2]))
            return writer.finish(runs[0].line.level + 1)


def _sorted(hashes: Hashes, entries: Words) -> tuple[Hashes, Words]:
    """By hash; of one that stands there several times, the first."""
    order = np.argsort(hashes[0], kind="stable")
    first = hashes[0, order]
    if not (first[1:] == first[:-1]).any():
        return hashes[:, order], entries[order]
    order = np.lexsort((hashes[1], hashes[0]))
    hashes, entries = hashes[:, order], entries[order]
    fresh = np.r_[True, (hashes[:, 1:] != hashes[:, :-1]).any(axis=0)]
    return hashes[:, fresh], entries[fresh]


class _Writer:
    """Writes a run whose rows come in order, a part at a time, ``room`` of them at most."""

    def __init__(self, path: Path, file: int, room: int) -> None:
        self._path, self._file, self._room = path, file, room
        self._sieve: Words = np.zeros(sieve.words_for(room), np.uint64)
        self._rows = 0
        os.truncate(file, _Line("", 0, 0, room).bytes)

    def write(self, hashes: Hashes, entries: Words) -> None:
        for column, words in enumerate((*hashes, entries)):
            self._put(column * self._room + self._rows, words)
        sieve.put(self._sieve, hashes)
        self._rows += len(entries)

    def finish(self, level: int) -> Run:
        self._put(3 * self._room, self._sieve)
        os.fsync(self._file)
        return Run(self._path, _Line(self._path.name, level, self._rows, self._room))

    def _put(self, place: int, words: Words) -> None:
        data = np.ascontiguousarray(words, "<u8").data.cast("B")
        place *= _WORD
        while data:
            written = os.pwrite(self._file, data, place)
            data, place = data[written:], place + written
