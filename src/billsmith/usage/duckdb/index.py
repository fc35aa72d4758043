"""Which identities are known: 128-bit hashes, each with 64 bits of its first body's hash. Disposable: a cache of the table.

New hashes gather in a dictionary; a full one becomes a *run*, a sorted file that is never changed; runs of one size are merged
in the background, slice by slice of the hash space, so that memory stays bounded whatever their length. A look-up asks the
dictionary, then the runs from the newest to the oldest. The manifest names the runs and the highest ``seq`` they hold; what
the table has beyond it is put in again when the index is opened. A manifest or run that can't be right means: build anew.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from billsmith.usage.prepare import ABSENT

#: Identities in the dictionary before they become a run; runs of one level before they are merged.
MEMORY_LIMIT = 250_000
FAN_IN = 4
#: Rows of all runs together that a merge holds at a time, and rows between two entries of a run's fence.
SLICE = 500_000
STRIDE = 512
_STEPS = STRIDE.bit_length()

Words = NDArray[np.uint64]


class _Line(msgspec.Struct):
    name: str
    level: int
    rows: int


class _Manifest(msgspec.Struct):
    seq: int
    next: int
    runs: list[_Line]


class Run:
    """A sorted file: all first words, all second words, all fingerprints."""

    def __init__(self, path: Path, line: _Line) -> None:
        self.path, self.line = path, line
        if path.stat().st_size != 24 * line.rows:
            raise ValueError(f"{path} has not the length of {line.rows} rows")
        words: Words = np.memmap(path, dtype="<u8", mode="r", shape=(3, line.rows))
        self.first, self.second, self.bodies = words
        self.fence = self.first[::STRIDE].copy()

    def find(self, first: Words, second: Words, into: Words) -> None:
        """Write the fingerprints of the hashes that the run has to where ``into`` says ABSENT."""
        low = np.maximum(np.searchsorted(self.fence, first, "left") - 1, 0) * STRIDE
        high = np.minimum(low + STRIDE + 1, self.line.rows)
        for _ in range(_STEPS + 1):
            open_ = low < high
            middle = (low + high) >> 1
            less = open_ & (self.first[np.minimum(middle, self.line.rows - 1)] < first)
            low = np.where(less, middle + 1, low)
            high = np.where(open_ & ~less, middle, high)
        place = low
        while True:
            inside = place < self.line.rows
            at = np.minimum(place, self.line.rows - 1)
            same = inside & (self.first[at] == first)
            hit = same & (self.second[at] == second) & (into == ABSENT)
            into[hit] = self.bodies[at[hit]]
            if not (same & ~hit).any() or not (same & (into == ABSENT)).any():
                return
            place = place + 1


class IdentityIndex:
    """The index in its folder. One thread adds; any may look up. ``stored_seq`` is what needs no replay."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._merging: threading.Thread | None = None
        self._closed = False
        self._memory: dict[bytes, int] = {}
        self._runs: list[Run] = []
        self._next = 1
        self.stored_seq = 0
        self.seq = 0
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
            self._runs, self._memory, self.stored_seq, self.seq = [], {}, 0, 0
            for path in self._folder.iterdir():
                path.unlink()

    def __len__(self) -> int:
        with self._lock:
            return len(self._memory) + sum(run.line.rows for run in self._runs)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        with self._lock:
            return sum(24 * run.line.rows for run in self._runs)

    def find(self, hashes: Sequence[bytes]) -> Words:
        """The fingerprints of hashes, or CORRECTED, or ABSENT."""
        with self._lock:
            memory, runs = self._memory, self._runs
            found: Words = np.fromiter((memory.get(key, ABSENT) for key in hashes), np.uint64, len(hashes))
        if runs and len(hashes):
            order = np.frombuffer(b"".join(hashes), "<u8").reshape(-1, 2)
            first, second = np.ascontiguousarray(order[:, 0]), np.ascontiguousarray(order[:, 1])
            for run in reversed(runs):
                run.find(first, second, found)
        return found

    def add(self, hashes: Sequence[bytes], fingerprints: Sequence[int], seq: int) -> None:
        """Add or change identities; ``seq`` is the highest of the table that is now in."""
        with self._lock:
            self._memory.update(zip(hashes, fingerprints, strict=True))
            self.seq = seq
            if len(self._memory) >= MEMORY_LIMIT:
                with suppress(OSError):  # a full disk: the memory holds it, and the table has it all
                    self.flush()

    def flush(self) -> None:
        """Make a run of what is in memory, durably."""
        with self._lock:
            if self._memory:
                keys = np.frombuffer(b"".join(self._memory), "<u8").reshape(-1, 2)
                bodies = np.fromiter(self._memory.values(), np.uint64, len(self._memory))
                order = np.lexsort((keys[:, 1], keys[:, 0]))
                path, writer = self._new_run(len(bodies))
                writer.write(keys[order, 0], keys[order, 1], bodies[order])
                self._runs = [*self._runs, Run(path, writer.finish(0))]
                self._memory = {}
            self.stored_seq = self.seq
            self._write_manifest()
            self._start_merge()

    def close(self) -> None:
        """Write what is in memory and wait for a merge."""
        self.flush()
        with self._lock:
            self._closed = True
        if self._merging is not None:
            self._merging.join()

    def _new_run(self, rows: int) -> tuple[Path, _Writer]:
        with self._lock:
            path = self._folder / f"run-{self._next:06d}"
            self._next += 1
        return path, _Writer(path, rows)

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
        while not self._closed and (runs := self._mergeable()):
            try:
                merged = self._merge(runs)
            except OSError:  # a full disk: the runs stay as they are, the next flush tries again
                return
            with self._lock:
                place = self._runs.index(runs[0])
                rest = [run for run in self._runs if run not in runs]
                self._runs = [*rest[:place], merged, *rest[place:]]
                self._write_manifest()
            for run in runs:
                run.path.unlink()

    def _merge(self, runs: list[Run]) -> Run:
        """One run of several: slice by slice of the hash space, the newest entry of a hash wins."""
        rows = sum(run.line.rows for run in runs)
        path, writer = self._new_run(rows)
        slices = -(-rows // SLICE)
        bounds = [(2**64 * number // slices) for number in range(1, slices)]
        cuts = [
            [0, *(int(np.searchsorted(run.first, np.uint64(bound))) for bound in bounds), run.line.rows]
            for run in reversed(runs)  # the newest first: a stable sort keeps it first
        ]
        for number in range(slices):
            parts = [
                tuple(words[cut[number] : cut[number + 1]] for words in (run.first, run.second, run.bodies))
                for run, cut in zip(reversed(runs), cuts, strict=True)
            ]
            first, second, bodies = (np.concatenate(words) for words in zip(*parts, strict=True))
            order = np.lexsort((second, first))
            first, second, bodies = first[order], second[order], bodies[order]
            fresh = np.ones(len(first), bool)
            fresh[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
            writer.write(first[fresh], second[fresh], bodies[fresh])
        return Run(path, writer.finish(runs[0].line.level + 1))


class _Writer:
    """Writes a run whose number of rows is known at most beforehand: three files, joined at the end."""

    def __init__(self, path: Path, rows: int) -> None:
        self._path = path
        self._parts = [path.with_suffix(f".{number}") for number in range(3)]
        self._files: list[Any] = [part.open("wb") for part in self._parts]
        self._rows = 0

    def write(self, *columns: Words) -> None:
        for file, column in zip(self._files, columns, strict=True):
            file.write(np.ascontiguousarray(column, dtype="<u8").data)
        self._rows += len(columns[0])

    def finish(self, level: int) -> _Line:
        for file in self._files:
            file.close()
        with self._path.open("wb") as whole:
            for part in self._parts:
                with part.open("rb") as file:
                    while chunk := file.read(1 << 22):
                        whole.write(chunk)
                part.unlink()
            whole.flush()
            os.fsync(whole.fileno())
        return _Line(self._path.name, level, self._rows)
