"""What the processes of a run do: cases and what was counted in, documents ready to be kept out. No store, no clock.

A case that can't be billed comes back as parked, with the reason; the others are not touched by it (P22).
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.documents.packed import packed_and_sealed
from billsmith.invoicing.billing import Book, Shared
from billsmith.invoicing.bookings import earned
from billsmith.invoicing.cases import Books, Case, Counted, Document, LineMarks, Questions, make, questions
from billsmith.invoicing.model import InvoiceKind, Party, Settlement
from billsmith.units.errors import BillsmithError
from billsmith.units.exact import Exact
from billsmith.usage.sheets import Read
from billsmith.usage.store import Query
from billsmith.workflows.processes import Processes

#: Cases in one piece of work: few enough that the processes end together, enough to pay for the way there and back; and an
#: even number, since simulations make pairs.
PIECE = 126


class Drafted(msgspec.Struct, frozen=True, kw_only=True):
    """A document, but for number and dates. ``earned`` is what it credits, by ledger account."""

    kind: InvoiceKind
    total_minor: int
    tax_minor: int
    settlements: tuple[Settlement, ...]
    body: bytes
    digest: bytes
    earned: tuple[tuple[str, int], ...]
    marks: tuple[LineMarks, ...]
    uses: tuple[tuple[int, Exact], ...]


class Nothing(msgspec.Struct, frozen=True):
    """Nothing to ask for."""

    marks: tuple[LineMarks, ...] = ()


class Parked(msgspec.Struct, frozen=True):
    """It can't be billed, and why: ``code`` is stable."""

    code: str
    reason: str


Outcome = Drafted | Nothing | Parked


class Sheet(NamedTuple):
    """What was counted for an account, as the store packed it; ``asking`` is the number of the query."""

    asking: int
    account: str
    packed: Any


class Asking(NamedTuple):
    """A query (its accounts left out), and what makes the reader of its sheets of it."""

    query: Query
    reader: Callable[[Query], Read]


#: Where the answer to a question stands: which of the work's sheets, which meter of its query.
Place = tuple[int, int]
NOWHERE: tuple[Place, ...] = ()


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A case with its recipient and what was counted for it, question by question; ``fault``: that can't even be asked."""

    case: Case
    recipient: Party
    sheets: tuple[Sheet, ...] = ()
    places: tuple[Place, ...] = NOWHERE
    fault: Parked | None = None


class Works(msgspec.Struct, frozen=True, kw_only=True):
    """Works of an issuer, and the queries that their sheets answer."""

    issuer: Party
    asking: tuple[Asking, ...]
    works: tuple[Work, ...]

    def pieces(self, size: int) -> list[Works]:
        """The works in their order, so many at a time."""
        return [
            msgspec.structs.replace(self, works=self.works[index : index + size]) for index in range(0, len(self.works), size)
        ]

    def counted(self) -> Iterator[tuple[Work, Sequence[Counted]]]:
        """Each work with the answers to its questions, made values."""
        reads = [reader(query) for query, reader in self.asking]
        before: tuple[tuple[Sheet, ...], tuple[Place, ...]] | None = None
        answers: Sequence[Counted] = ()
        for work in self.works:
            asked = work.sheets, work.places
            if asked != before:  # both sides of a simulation ask the same
                read = [reads[number](account, packed) for number, account, packed in work.sheets]
                before, answers = asked, [read[sheet](meter) for sheet, meter in work.places]
            yield work, answers


R = TypeVar("R")


class Make(Protocol[R]):
    """A function of a module's own that makes something of each of some works, or of each two."""

    def __call__(self, works: Works, books: Books, /) -> list[R]:
        """The results, in order."""


def ask(case: Case, books: Books) -> list[Questions] | Parked:
    """What must be measured for a case."""
    try:
        return list(questions(case, books))
    except Exception as error:
        return parked(error)


def draft(works: Works, books: Books) -> list[Outcome]:
    """What each case comes to."""
    return [_draft(works.issuer, work, counted, books) for work, counted in works.counted()]


def _draft(issuer: Party, work: Work, counted: Sequence[Counted], books: Books) -> Outcome:
    if work.fault is not None:
        return work.fault
    try:
        return _drafted(issuer, work.recipient, make(work.case, books, counted))
    except Exception as error:
        return parked(error)


def parked(error: Exception) -> Parked:
    """Why a case can't be billed: bad data in its own words; anything else is our fault, and still only this case's."""
    if isinstance(error, BillsmithError):
        return Parked(error.code, error.message)
    return Parked("bill.broken", f"{type(error).__name__}: {error}. This is a fault of billsmith, please report it"[:500])


def _drafted(issuer: Party, recipient: Party, document: Document) -> Outcome:
    if document.is_empty:
        return Nothing(document.marks)
    assembled = document.assembled
    totals = assembled.totals
    content = assembled.content(issuer, recipient)
    body, digest = packed_and_sealed(content)
    kind = InvoiceKind.CREDIT_NOTE if totals.total_minor < 0 else InvoiceKind.INVOICE
    return Drafted(
        kind=kind,
        total_minor=totals.total_minor,
        tax_minor=totals.tax_minor,
        settlements=assembled.settlements,
        body=body,
        digest=digest,
        earned=tuple(earned(content.lines, content.taxes).items()),
        marks=document.marks,
        uses=document.uses,
    )


class Bench:
    """Where pieces of work are done: in this process, or in others."""

    def __init__(self, books: Books, processes: Processes | None) -> None:
        self._books = books
        self._processes = processes

    def submit(self, works: Works, make: Make[R]) -> Callable[[], list[R]]:
        """Have something made of works: gives what waits for it, in order. Here it is made when waited for."""
        if self._processes is None:
            return partial(make, works, self._books)
        futures = [self._processes.submit(_in_worker, (make, piece)) for piece in works.pieces(PIECE)]
        return lambda: [made for future in futures for made in future.result()]


@contextmanager
def bench(books: Books, processes: int) -> Iterator[Bench]:
    """A bench of so many processes; 1 works here. They start anew and share no lock, thread or file with this one."""
    if processes <= 1:
        yield Bench(books, None)
        return
    told = {code: (book.catalog, book.in_words, book.shared is not None) for code, book in books.items()}
    others = Processes(processes, _start, told)
    try:
        yield Bench(books, others)
    finally:
        others.close()


@contextmanager
def no_cycles() -> Iterator[None]:
    """Have nobody look for cycles among a run's values, which have none: looking takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def cores() -> int:
    """How many processes a run may use unless told otherwise."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_books: dict[str, Book] = {}


def _start(books: Mapping[str, tuple[Any, bool, bool]]) -> None:
    gc.disable()
    shared = Shared()
    for code, (catalog, in_words, shares) in books.items():
        _books[code] = Book(catalog, in_words=in_words, shared=shared if shares else None)


def _in_worker(asked: tuple[Make[R], Works]) -> list[R]:
    make, works = asked
    return make(works, _books)
