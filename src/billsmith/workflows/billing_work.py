"""What the processes of a run do: cases and what was counted in, documents ready to be kept out. No store, no clock.

A case that can't be billed comes back as parked, with the reason; the others are not touched by it (P22).
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import msgspec

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.invoicing.billing import Book
from billsmith.invoicing.bookings import earned
from billsmith.invoicing.cases import Asked, Books, Case, Counted, Document, Mark, make, questions
from billsmith.invoicing.model import InvoiceKind, Party, Settlement
from billsmith.storage.invoices import pack_content
from billsmith.units.errors import BillsmithError
from billsmith.units.exact import Exact

#: Cases in one piece of work: few enough that the processes end together, enough to pay for the way there and back.
PIECE = 125


class Drafted(msgspec.Struct, frozen=True, kw_only=True):
    """A document, but for number and dates. ``earned`` is what it credits, by ledger account."""

    kind: InvoiceKind
    total_minor: int
    tax_minor: int
    settlements: tuple[Settlement, ...]
    body: bytes
    earned: tuple[tuple[str, int], ...]
    marks: tuple[Mark, ...]
    uses: tuple[tuple[int, Exact], ...]


class Nothing(msgspec.Struct, frozen=True):
    """Nothing to ask for."""

    marks: tuple[Mark, ...] = ()


class Parked(msgspec.Struct, frozen=True):
    """It can't be billed, and why: ``code`` is stable."""

    code: str
    reason: str


Outcome = Drafted | Nothing | Parked


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A case with its parties and what was counted for it; ``fault`` where that could not even be asked."""

    case: Case
    issuer: Party
    recipient: Party
    counted: tuple[Counted, ...]
    fault: Parked | None = None


def ask(case: Case, books: Books) -> list[Asked] | Parked:
    """What must be measured for a case."""
    try:
        return list(questions(case, books))
    except Exception as error:
        return _parked(error)


def draft(work: Work, books: Books) -> Outcome:
    """What a case comes to."""
    if work.fault is not None:
        return work.fault
    try:
        return _drafted(work, make(work.case, books, work.counted))
    except Exception as error:
        return _parked(error)


def _parked(error: Exception) -> Parked:
    """Why a case can't be billed: bad data in its own words; anything else is our fault, and still only this case's."""
    if isinstance(error, BillsmithError):
        return Parked(error.code, error.message)
    return Parked("bill.broken", f"{type(error).__name__}: {error}. This is a fault of billsmith, please report it"[:500])


def _drafted(work: Work, document: Document) -> Outcome:
    if document.is_empty:
        return Nothing(document.marks)
    assembled = document.assembled
    totals = assembled.totals
    content = assembled.content(work.issuer, work.recipient)
    kind = InvoiceKind.CREDIT_NOTE if totals.total_minor < 0 else InvoiceKind.INVOICE
    return Drafted(
        kind=kind,
        total_minor=totals.total_minor,
        tax_minor=totals.tax_minor,
        settlements=assembled.settlements,
        body=pack_content(content),
        earned=tuple(earned(content.lines, content.taxes).items()),
        marks=document.marks,
        uses=document.uses,
    )


class Bench:
    """Where pieces of work are done: in this process, or in others."""

    def __init__(self, books: Books, pool: Executor | None) -> None:
        self._books = books
        self._pool = pool

    def submit(self, works: Sequence[Work]) -> list[Future[list[Outcome]]]:
        """Have works done; the futures give their outcomes in order, piece by piece."""
        pieces = [works[index : index + PIECE] for index in range(0, len(works), PIECE)]
        if self._pool is not None:
            return [self._pool.submit(_in_worker, piece) for piece in pieces]
        done: list[Future[list[Outcome]]] = []
        for piece in pieces:
            future: Future[list[Outcome]] = Future()
            future.set_result([draft(work, self._books) for work in piece])
            done.append(future)
        return done


@contextmanager
def bench(books: Books, processes: int) -> Iterator[Bench]:
    """A bench of so many processes; 1 works here. They start anew and share no lock, thread or file with this one."""
    if processes <= 1:
        yield Bench(books, None)
        return
    catalogs = {code: book.catalog for code, book in books.items()}
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_start, initargs=(catalogs,)) as pool:
        yield Bench(books, pool)


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


def _start(catalogs: Mapping[str, Any]) -> None:
    gc.disable()
    _books.update({code: Book(catalog) for code, catalog in catalogs.items()})


def _in_worker(works: Sequence[Work]) -> list[Outcome]:
    return [draft(work, _books) for work in works]
