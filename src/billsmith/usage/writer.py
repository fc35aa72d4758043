"""The one thread that writes: it takes all batches that wait, commits them as one, and acknowledges each.

A batch is acknowledged when it is durable. A commit that fails leaves nothing, and its batches are told so; or it came through
in spite of its error, which the store finds when they are sent again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, NamedTuple, Protocol, TypeVar

from billsmith.units.errors import Busy, Unavailable
from billsmith.usage.store import Item, Receipt

#: Most items in one commit.
GROUP = 50_000


class Batch(Protocol):
    """A batch made ready, in its store's own way."""

    @property
    def items(self) -> Sequence[Item]:
        """What it is made of."""


Ready = TypeVar("Ready", bound=Batch)


class _Waiting(NamedTuple, Generic[Ready]):
    """A batch that waits, how many bytes it takes, and who is told of it."""

    batch: Ready
    weight: int
    future: Future[Receipt]


class Writer(Generic[Ready]):
    """Groups batches for ``write``, which commits a group and gives a receipt for each batch.

    ``room`` is how many bytes may wait, those of the group being written among them.
    """

    def __init__(self, write: Callable[[list[Ready]], list[Receipt]], room: int) -> None:
        self._write = write
        self._room = room
        self._queue: deque[_Waiting[Ready]] = deque()
        self._changed = threading.Condition()
        #: Batches are made ready one after the other, as bodies are read (decision 0224).
        self._turn = threading.Lock()
        self._items = self._bytes = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="usage-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Items that wait."""
        return self._items

    def submit(self, items: int, weight: int, prepare: Callable[[], Ready]) -> Receipt:
        """Make a batch ready and queue it; gives its receipt when it is durable. Raises :class:`Busy`, :class:`Unavailable`.

        A batch of ``items`` that takes ``weight`` bytes is let in before it is made ready, so that what is refused costs
        nothing. One that is larger than the room gets in when nothing else waits.
        """
        self._let_in(items, weight)
        future: Future[Receipt] = Future()
        try:
            with self._turn:
                batch = prepare()
            with self._changed:
                self._open_only()
                self._queue.append(_Waiting(batch, weight, future))
                self._changed.notify()
        except BaseException:
            self._let_out(items, weight)
            raise
        return future.result()

    def _let_in(self, items: int, weight: int) -> None:
        with self._changed:
            self._open_only()
            if self._bytes and self._bytes + weight > self._room:
                raise Busy(f"{self._items} events wait to be written. Send the batch again in a second", code="usage.busy")
            self._items += items
            self._bytes += weight

    def _let_out(self, items: int, weight: int) -> None:
        with self._changed:
            self._items -= items
            self._bytes -= weight

    def _open_only(self) -> None:
        if self._closed:
            raise Unavailable("the usage store is closed", code="usage.closed")

    def close(self) -> None:
        """Write what waits, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._next_group():
            try:
                receipts = self._write([waiting.batch for waiting in group])
            except BaseException as error:
                for waiting in group:
                    waiting.future.set_exception(error)
            else:
                for waiting, receipt in zip(group, receipts, strict=True):
                    waiting.future.set_result(receipt)
            self._let_out(sum(len(waiting.batch.items) for waiting in group), sum(waiting.weight for waiting in group))

    def _next_group(self) -> list[_Waiting[Ready]]:
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait()
            group: list[_Waiting[Ready]] = []
            items = 0
            while self._queue and (not group or items + len(self._queue[0].batch.items) <= GROUP):
                group.append(self._queue.popleft())
                items += len(group[-1].batch.items)
            return group
