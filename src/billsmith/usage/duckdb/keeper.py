"""What is done in the background, a step at a time, each one transaction: roll-ups filled, rows sorted, runs merged.

None of it changes an answer, and each step can be killed or fail: the next begins where the tables say.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import duckdb

from billsmith.units.errors import Unavailable
from billsmith.usage.duckdb import cells, runs
from billsmith.usage.duckdb.cells import Family
from billsmith.usage.shapes import Shape

#: Seconds after which a step that failed is tried again.
PAUSE = 30.0


class Keeper:
    """One thread. ``cursor`` opens one on the store, ``commit`` ends what it began; ``readable``: the highest seq."""

    def __init__(
        self,
        cursor: Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]],
        commit: Callable[[duckdb.DuckDBPyConnection], None],
        readable: Callable[[], int],
    ) -> None:
        self._cursor, self._commit, self._readable = cursor, commit, readable
        self._wanted: Collection[tuple[str, Shape]] | None = None
        self._families: dict[tuple[str, Shape], Family] = {}
        self._dropped: list[Family] = []
        self._sealed = 0
        self._failure = ""
        self._step_lock = threading.Lock()
        self._running: duckdb.DuckDBPyConnection | None = None
        self._changed = threading.Condition()
        self._work, self._closed = True, False
        self._thread = threading.Thread(target=self._run, name="usage-keeper", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # a thread in the middle of DuckDB's code must not meet the end of the process

    # ── what others say to it, and ask ──

    def keep(self, meant: Collection[tuple[str, Shape]]) -> None:
        """Name the families that are to be there."""
        with self._changed:
            self._wanted = meant
        self.wake()

    def written(self) -> None:
        """Rows were added."""
        if self._readable() - self._sealed >= runs.RUN and not self._work:
            self.wake()

    def wake(self) -> None:
        """There is work."""
        with self._changed:
            self._work = True
            self._changed.notify()

    def family(self, type: str, shape: Shape) -> Family | None:
        """What counts a type ahead, and how far it came, lately. What holds is in the tables."""
        return self._families.get((type, shape))

    def behind(self) -> int:
        """How many rows are not yet sorted, or not in all roll-ups that are kept."""
        done = min((family.seq for family in self._families.values()), default=self._sealed)
        return self._readable() - min(done, self._sealed)

    def notes(self) -> tuple[str, ...]:
        """What an operator should know."""
        dropped = [
            f"no roll-up of {family.type} by {', '.join(family.shape.names)}: {family.reason}" for family in self._dropped
        ]
        return (*dropped, *([self._failure] if self._failure else ()))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is under way within; a step that was is given up."""
        running = self._running
        if running is not None:
            running.interrupt()
        with self._step_lock:
            yield

    def close(self) -> None:
        """Give up the step under way, and stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        atexit.unregister(self.close)
        with self.paused():
            pass
        self._thread.join()

    # ── the work ──

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._work and not self._closed:
                    self._changed.wait(PAUSE if self._failure else None)
                if self._closed:
                    return
                self._work = False
            try:
                self.catch_up()
            except BaseException as error:
                self._failure = f"roll-ups stand still until the store is opened again: {error!r}"[:300]
                raise

    def catch_up(self, least: int | None = None) -> None:
        """Do all there is to do. ``least`` rows make a run."""
        try:
            while not self._closed and self._step(least or runs.RUN):
                pass
            self._failure = ""
        except (duckdb.Error, Unavailable) as error:
            self._failure = "" if isinstance(error, duckdb.InterruptException) else f"roll-ups are behind: {error}"[:300]

    def _step(self, least: int) -> bool:
        """Do the next thing; whether there may be another."""
        with self._step_lock, self._cursor() as cursor:
            self._running = cursor
            readable = self._readable()  # before the transaction, which then sees all of it
            try:
                cursor.execute("BEGIN")
                self._declare(cursor)
                more = self._fill(cursor) or self._seal(cursor, readable, least) or self._merge(cursor)
                self._commit(cursor)
                found = cells.families(cursor)
                self._families = {(family.type, family.shape): family for family in found if family.seq}
                self._dropped = [family for family in found if family.reason]
                self._sealed = max(runs.highs(cursor), default=0)
                return more
            except BaseException:
                with suppress(duckdb.Error):
                    cursor.rollback()
                raise
            finally:
                self._running = None

    def _declare(self, cursor: duckdb.DuckDBPyConnection) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            cells.declare(cursor, wanted)

    def _fill(self, cursor: duckdb.DuckDBPyConnection) -> bool:
        """Let families that lack a run catch up, a run at a time."""
        sealed = runs.highs(cursor)
        behind = [family for family in cells.families(cursor) if not family.reason and family.seq < max(sealed, default=0)]
        if not behind:
            return False
        low = min(family.seq for family in behind)
        cells.fill(cursor, low, min(high for high in sealed if high > low), [one for one in behind if one.seq == low])
        cells.drop_what_is_not_worth_it(cursor)
        return True

    def _seal(self, cursor: duckdb.DuckDBPyConnection, high: int, least: int) -> bool:
        low = max(runs.highs(cursor), default=0)
        if high - low < least:
            return False
        runs.seal(cursor, low, min(high, low + runs.RUN * runs.FAN_IN))
        cells.drop_what_is_not_worth_it(cursor)
        return True

    def _merge(self, cursor: duckdb.DuckDBPyConnection) -> bool:
        sealed = runs.highs(cursor)
        found = runs.to_merge(sealed)
        if found is None:
            return False
        first, last = found
        runs.merge(cursor, sealed[first - 1] if first else 0, sealed[first:last])
        return True
