"""A billing run, from usage to committed invoices, beside rating and assembling alone; and the same simulated."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable

import msgspec
from sqlalchemy import text

from benchmarks.billing.data import AT, PERIOD, Company, Size, catalog, company
from billsmith.catalog import parse
from billsmith.catalog.versions import compare, shelf
from billsmith.storage.database import Database
from billsmith.units.spans import parse_span
from billsmith.workflows import billing_run
from billsmith.workflows.billing_answers import worked_out
from billsmith.workflows.billing_cases import load, load_books
from billsmith.workflows.billing_work import Works, bench, draft, no_cycles
from billsmith.workflows.simulate import other_catalog, simulate

#: Cases that are rated and assembled alone, to compare with.
ALONE = 3_000


class Cost:
    """Time by the clock, and by the processor: of this process, and of those that it started and that have ended."""

    def __init__(self) -> None:
        self.began, self.own, self.others = time.perf_counter(), time.process_time(), _of_children()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def processor(self) -> tuple[float, float]:
        """Seconds of this process, and of the others."""
        return time.process_time() - self.own, _of_children() - self.others


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Clock:
    """What the thread that issues did between the named steps of a run, in seconds of processor."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._thread, self._last = threading.get_ident(), time.thread_time()

    def __call__(self, name: str) -> None:
        if threading.get_ident() == self._thread:
            now = time.thread_time()
            self.spent[name] = self.spent.get(name, 0.0) + now - self._last
            self._last = now


def works(of: Company, count: int) -> tuple[Works, dict[str, object]]:
    """The first cases with all that was counted for them, and the catalogs."""
    span = parse_span(PERIOD)
    with of.database.read() as connection:
        run = billing_run.imagined(connection, of.usage, of.issuer, span, AT)
        books = load_books(connection, of.issuer, run.catalogs)
        recipients = list(range(of.issuer.seq + 1, of.issuer.seq + 1 + count))
        loaded = load(connection, of.issuer, run, span, recipients, books)
    return worked_out(of.usage, of.issuer, loaded.cases, loaded.accounts, books, run.as_of_seq), books  # type: ignore[return-value]


def alone(of: Company, count: int, processes: int) -> tuple[float, float]:
    """Invoices a second of rating and assembling alone in so many processes; and milliseconds of processor for one."""
    made, books = works(of, count)
    with bench(books, processes) as at_work, no_cycles():  # type: ignore[arg-type]
        at_work.submit(msgspec.structs.replace(made, works=made.works[: 126 * processes]), draft)()  # they have begun
        cost = Cost()
        at_work.submit(made, draft)()
        seconds = cost.seconds
    return count / seconds, sum(cost.processor()) * 1000 / count


def measure(engine: str, size: Size, processes: int) -> dict[str, float]:
    """One run."""
    with company(engine, size) as of:
        ceiling, ceiling_cpu = alone(of, min(size.accounts, ALONE), processes)
        before, clock = _bytes(of.database), Clock()
        cost = Cost()
        report = billing_run.bill(
            of.database, of.usage, of.issuer, parse_span(PERIOD), at=AT, actor="bench", processes=processes, step=clock
        )
        seconds, (own, others) = cost.seconds, cost.processor()
        assert (report.billed, report.parked) == (size.accounts, 0), report
        result = {
            "invoices/s": size.accounts / seconds,
            "rating and assembling alone, invoices/s": ceiling,
            "run : alone": size.accounts / seconds / ceiling,
            "processor of an invoice, ms": (own + others) * 1000 / size.accounts,
            "  of the process that reads and issues": own * 1000 / size.accounts,
            "  of those that rate": others * 1000 / size.accounts,
            "  alone": ceiling_cpu,
            "processor : alone": (own + others) * 1000 / size.accounts / ceiling_cpu,
            "KB on disk an invoice": (_bytes(of.database) - before) / size.accounts / 1024,
            **{f"  issuing thread until {name}, ms": spent * 1000 / size.accounts for name, spent in clock.spent.items()},
        }
        result.update(simulated(of, size, processes))
    return result


def simulated(of: Company, size: Size, processes: int) -> dict[str, float]:
    """The same accounts under other prices."""
    new = parse(catalog(size.meters, 110), "bench")
    found = compare([], {}, new, 1)
    books, other = other_catalog(shelf("bench", 1, new.currency, found.new_parts, found.offers))
    cost = Cost()
    differences = simulate(of.database, of.usage, of.issuer, parse_span(PERIOD), other, at=AT, books=books, processes=processes)
    dearer = sum(each.change_minor > 0 for each in differences)
    seconds, (own, others) = cost.seconds, cost.processor()
    assert dearer > size.accounts // 2, dearer
    return {
        "simulated accounts/s": size.accounts / seconds,
        "processor of a simulated account, ms": (own + others) * 1000 / size.accounts,
    }


def _bytes(database: Database) -> int:
    """How many bytes the database takes, once all is where it stays."""
    if database.is_sqlite:
        assert database.file is not None
        with database.engine.connect() as connection:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        return database.file.stat().st_size
    with database.read() as connection:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


def run(engines: tuple[str, ...], sizes: tuple[Size, ...], say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Every size on every engine."""
    results = {}
    for engine in engines:
        for size in sizes:
            say(f"\nrun: {engine}, {size}")
            found = results[f"{engine}, {size}"] = measure(engine, size, len(os.sched_getaffinity(0)))
            for name, value in found.items():
                say(f"  {name}: {value:,.3f}" if value < 100 else f"  {name}: {value:,.0f}")
    return results
