"""Whose turn it is to write on SQLite: two file locks, a queue and the work itself, taken before ``BEGIN IMMEDIATE``.

SQLite's own busy handler polls and starves a process for seconds under load; with the queue the longest wait measured was
6.5 ms (decision 0005). The operating system drops both locks when a process dies.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover (Windows: SQLite's busy handler alone)
    fcntl = None  # type: ignore[assignment]


class WriterQueue:
    """The two locks of one database file. One thread of a process at a time takes a turn (the caller holds a lock)."""

    def __init__(self, database: Path) -> None:
        self._queue = database.with_name(database.name + ".queue")
        self._work = database.with_name(database.name + ".work")
        self._files: tuple[int, int] | None = None
        self._pid = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for this process's turn, hold it for the block."""
        if fcntl is None:  # pragma: no cover
            yield
            return
        queue, work = self._open()
        fcntl.flock(queue, fcntl.LOCK_EX)
        try:
            fcntl.flock(work, fcntl.LOCK_EX)
        finally:
            fcntl.flock(queue, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(work, fcntl.LOCK_UN)

    def _open(self) -> tuple[int, int]:
        # Locks hang on the open file: a forked child must open its own, or it would share its parent's turn.
        if self._files is None or self._pid != os.getpid():
            mode = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._files = (os.open(self._queue, mode, 0o600), os.open(self._work, mode, 0o600))
            self._pid = os.getpid()
        return self._files


@contextmanager
def only_one(file: Path) -> Iterator[bool]:
    """Hold ``file`` for the block; gives ``False`` where another process holds it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _taken(descriptor)
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    if fcntl is None:  # pragma: no cover
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
