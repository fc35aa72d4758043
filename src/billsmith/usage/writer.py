"""The one thread that writes: it takes all batches that wait, commits them as one, and acknowledges each.

Order: look up → commit to the table → index → acknowledge. A commit that fails leaves nothing: its batches are told so, the
file is opened anew, and what the table then has (a failed commit may have come through) is put into the index.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from billsmith.units.errors import Busy, Unavailable
from billsmith.usage.prepare import Prepared
from billsmith.usage.store import Receipt

#: Most items in one commit, and most that may wait before the next batch is refused.
GROUP = 50_000
WAITING = 400_000


class Writer:
    """Groups batches for ``write``, which commits a group and gives a receipt for each batch."""

    def __init__(self, write: Callable[[list[Prepared]], list[Receipt]]) -> None:
        self._write = write
        self._queue: deque[tuple[Prepared, Future[Receipt]]] = deque()
        self._changed = threading.Condition()
        self._waiting = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="usage-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Items that wait."""
        return self._waiting

    def submit(self, batch: Prepared) -> Receipt:
        """Queue a batch; gives its receipt when it is durable. Raises :class:`Busy`, :class:`Unavailable`."""
        future: Future[Receipt] = Future()
        with self._changed:
            if self._closed:
                raise Unavailable("the usage store is closed", code="usage.closed")
            if self._waiting and self._waiting + len(batch.items) > WAITING:
                raise Busy(f"{self._waiting} events wait to be written. Send the batch again in a second", code="usage.busy")
            self._waiting += len(batch.items)
            self._queue.append((batch, future))
            self._changed.notify()
        return future.result()

    def close(self) -> None:
        """Write what waits, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._next_group():
            batches = [batch for batch, _ in group]
            try:
                receipts = self._write(batches)
            except BaseException as error:
                for _, future in group:
                    future.set_exception(error)
            else:
                for (_, future), receipt in zip(group, receipts, strict=True):
                    future.set_result(receipt)
            with self._changed:
                self._waiting -= sum(len(batch.items) for batch in batches)

    def _next_group(self) -> list[tuple[Prepared, Future[Receipt]]]:
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait()
            group: list[tuple[Prepared, Future[Receipt]]] = []
            items = 0
            while self._queue and (not group or items + len(self._queue[0][0].items) <= GROUP):
                group.append(self._queue.popleft())
                items += len(group[-1][0].items)
            return group
