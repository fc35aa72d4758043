"""The recipients of a run in chunks, read ahead: what they are billed by and what was counted, in the hands of who makes it.

A stretch of several chunks is read and measured at a time, by a thread of its own while the stretch before is made and
committed: a usage store that is asked about thousands of accounts at once goes through its roll-ups once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec

from billsmith.accounts.model import Account
from billsmith.invoicing.cases import Books
from billsmith.storage import subscriptions
from billsmith.storage.database import Connection, Database
from billsmith.storage.runs import Run
from billsmith.units.instants import start_of_day
from billsmith.units.spans import NamedSpan
from billsmith.usage.store import UsageStore
from billsmith.workflows.billing_answers import worked_out
from billsmith.workflows.billing_cases import Loaded, load
from billsmith.workflows.billing_cycles import CYCLE, recipients_due
from billsmith.workflows.billing_issue import Made, Step
from billsmith.workflows.billing_work import Bench, Outcome, draft

#: Chunks in a stretch at most. The first has one and each that follows twice as many: whoever makes them waits for the first.
STRETCH = 8


class Chunk(NamedTuple):
    """Recipients that are in the making: those after ``start`` up to ``end``."""

    start: int
    end: int
    loaded: Loaded
    outcomes: Callable[[], list[Outcome]]

    def made(self) -> Made:
        """The chunk, once every case is made."""
        return Made(self.start, self.end, self.loaded, list(zip(self.loaded.cases, self.outcomes(), strict=True)))


class Reading:
    """Who is due for a span, and what they are billed by. ``size`` recipients make a chunk.

    Of a day's cycles it is those whose period ends on it: they are looked for once.
    """

    def __init__(
        self,
        database: Database,
        usage: UsageStore | None,
        issuer: Account,
        span: NamedSpan,
        scope: Account | None,
        size: int,
        step: Step,
        grace: int = 0,
    ) -> None:
        self._database, self._usage, self._issuer, self._span, self._scope = database, usage, issuer, span, scope
        self._size, self._step, self._grace = size, step, grace
        self._of_cycles: dict[int, list[int]] = {}

    def due(self, connection: Connection, run: Run, books: Books, after: int, limit: int) -> list[int]:
        """Recipients after one, in order, that may have something to be billed by a run."""
        if run.kind != CYCLE:
            return due_for(connection, self._issuer, self._span, self._scope, after, limit)
        if run.at not in self._of_cycles:
            found = recipients_due(connection, self._issuer, books, self._span.first, run.at)
            self._of_cycles[run.at] = found
        found = self._of_cycles[run.at]
        first = bisect_right(found, after)
        return found[first : first + limit]

    def loads(self, connection: Connection, run: Run, after: int, books: Books) -> Iterator[tuple[int, Loaded]]:
        """The recipients after one, chunk by chunk: the last of each chunk, and what they are billed by."""
        while recipients := self.due(connection, run, books, after, self._size):
            after = recipients[-1]
            yield after, load(connection, self._issuer, run, self._span, recipients, books, self._grace)

    def chunks(self, run: Run, books: Books, at_work: Bench) -> Iterator[Chunk]:
        """Every chunk after the run's cursor, each in the making."""
        with ThreadPoolExecutor(1, "billing-ahead") as ahead:
            length = 1
            stretch = ahead.submit(self._stretch, run, run.cursor, length, books, at_work)
            while chunks := stretch.result():
                length = min(2 * length, STRETCH)
                stretch = ahead.submit(self._stretch, run, chunks[-1].end, length, books, at_work)
                yield from chunks

    def _stretch(self, run: Run, start: int, length: int, books: Books, at_work: Bench) -> list[Chunk]:
        loads: list[tuple[int, Loaded]] = []
        with self._database.read() as connection:
            for found in self.loads(connection, run, start, books):
                loads.append(found)
                if len(loads) == length:
                    break
        self._step("loaded")
        people = {seq: account for _, loaded in loads for seq, account in loaded.accounts.items()}
        cases = [case for _, loaded in loads for case in loaded.cases]
        all_works = worked_out(self._usage, self._issuer, cases, people, books, run.as_of_seq)
        self._step("measured")
        chunks, first = [], 0
        for end, loaded in loads:
            last = first + len(loaded.cases)
            works = msgspec.structs.replace(all_works, works=all_works.works[first:last])
            chunks.append(Chunk(start, end, loaded, at_work.submit(works, draft)))
            start, first = end, last
        return chunks


def due_for(
    connection: Connection, issuer: Account, span: NamedSpan, scope: Account | None, after: int, limit: int
) -> list[int]:
    """Recipients after one, in order, that may have something to be billed for a span."""
    return subscriptions.due_recipients(connection, issuer.seq, _threshold(span), scope=scope, after_seq=after, limit=limit)


def _threshold(span: NamedSpan) -> int:
    """An instant that tells in SQL who is not billed for a span: when it ends where it ends first.

    A day ends here when the next one has begun there; so of days, the last end counts, and more recipients are looked at.
    """
    days = (span.after - span.first).days
    return start_of_day(span.after, "Pacific/Kiritimati" if days > 1 else "Etc/GMT+12")
