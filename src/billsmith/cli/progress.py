"""A progress bar on standard error, for work that takes longer than two seconds and somebody at a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

#: Seconds that work may take before a bar appears.
PATIENCE = 2.0


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Gives a function that is told how many more are done. ``total`` is how many there will be, where that is known."""
    bar = _Bar(what, total)
    try:
        yield bar.advance
    finally:
        bar.close()


class _Bar:
    def __init__(self, what: str, total: int | None) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._quiet = not sys.stderr.isatty()

    def advance(self, count: int) -> None:
        self._done += count
        if self._quiet or (self._progress is None and time.monotonic() - self._started < PATIENCE):
            return
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._progress.add_task(self._what, total=self._total)
            self._progress.start()
        self._progress.update(self._task, completed=self._done)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
