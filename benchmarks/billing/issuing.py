"""Issuing: one by one, in chunks, and by two processes from one series; beside writing 4 KiB durably and nothing else."""

from __future__ import annotations

import datetime as dt
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec

from benchmarks.billing.data import AT, Size, company
from billsmith.accounts.model import Account
from billsmith.invoicing.bookings import book_document
from billsmith.invoicing.model import Content, Invoice, InvoiceKind, InvoiceStatus, Line
from billsmith.invoicing.totals import DraftLine
from billsmith.storage import accounts, invoice_writing, ledger
from billsmith.storage.database import Database
from billsmith.storage.invoice_writing import NewInvoice
from billsmith.storage.ledger import Entry, Subject
from billsmith.units.ids import random_id_of
from billsmith.units.instants import DAY
from billsmith.units.periods import Period
from billsmith.workflows import issue_invoice
from billsmith.workflows.issue_invoice import OneOff
from billsmith.workflows.parties import party

CHUNK = 500
_WHAT = OneOff(lines=(DraftLine(description="Support", amount=Decimal("12.50")),))


def one(database: Database, issuer: Account, recipient: Account) -> None:
    """One invoice, durably."""
    with database.write() as connection:
        issue_invoice.issue(connection, issuer, recipient, _WHAT, id=random_id_of(os.urandom(16)), now=AT, actor="bench")


def chunk(database: Database, issuer: Account, recipient: Account) -> None:
    """A chunk of invoices, durably."""
    date = dt.date(2026, 10, 2)
    content = Content(issuer=party(issuer), recipient=party(recipient), lines=(Line(description="Support", amount_minor=1250),))
    with database.write() as connection:
        numbered = invoice_writing.numbers(connection, issuer, InvoiceKind.INVOICE, date, CHUNK)
        new = [
            NewInvoice(
                issuer=issuer,
                recipient=recipient,
                series=numbered.series,
                invoice=Invoice(
                    id=random_id_of(os.urandom(16)),
                    issuer_id=issuer.id,
                    recipient_id=recipient.id,
                    number=number,
                    status=InvoiceStatus.ISSUED,
                    currency="EUR",
                    total_minor=1250,
                    tax_minor=0,
                    customer_name=recipient.name,
                    billing_entity=issuer.name,
                    date=date,
                    period=Period(AT, AT + DAY),
                    created_at=AT,
                    issued_at=AT,
                    content=content,
                ),
            )
            for number in numbered.texts
        ]
        seqs = invoice_writing.add(connection, new)
        booked = [book_document(each.invoice, AT) for each in new]
        ledger.append(connection, [Entry(Subject.INVOICE, seq, 0, each) for seq, each in zip(seqs, booked, strict=True)])


def rate_of(work: Callable[[], object], seconds: float) -> float:
    """How often a second."""
    began, count = time.perf_counter(), 0
    while (now := time.perf_counter()) - began < seconds:
        work()
        count += 1
    return count / (now - began)


def measure(engine: str, size: Size, seconds: float) -> dict[str, float]:
    """All of it, in turns."""
    with company(engine, size) as of, tempfile.TemporaryFile(dir=of.folder) as file:
        with of.database.read() as connection:
            recipient = accounts.by_seqs(connection, [of.issuer.seq + 1])[of.issuer.seq + 1]
        block = b"x" * 4096

        def durable() -> None:
            file.write(block)
            file.flush()
            os.fdatasync(file.fileno())

        rounds = [
            (
                rate_of(durable, seconds),
                rate_of(lambda: one(of.database, of.issuer, recipient), seconds),
                rate_of(lambda: chunk(of.database, of.issuer, recipient), seconds) * CHUNK,
            )
            for _ in range(3)
        ]
        ceiling, single, chunked = (statistics.median(each) for each in zip(*rounds, strict=True))
        result = {
            "4 KiB and fdatasync, a second": ceiling,
            "one at a time, a second": single,
            "in chunks of 500, a second": chunked,
            "one at a time : ceiling": statistics.median(each[1] / each[0] for each in rounds),
            "in chunks : ceiling": statistics.median(each[2] / each[0] for each in rounds),
            "in chunks : one at a time": statistics.median(each[2] / each[1] for each in rounds),
        }
        result.update(together(of.database, of.issuer, recipient, seconds * 3))
    return result


def together(database: Database, issuer: Account, recipient: Account, seconds: float) -> dict[str, float]:
    """Two processes from one series."""
    url = database.url.render_as_string(hide_password=False)
    arguments = [sys.executable, "-m", "benchmarks.billing.issuing", url, str(recipient.seq), str(seconds)]
    running = [
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
        for _ in range(2)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == _READY
    for process in running:
        assert process.stdin is not None
        process.stdin.write(_READY)
        process.stdin.flush()
    waits = [msgspec.json.decode(process.communicate()[0], type=list[float]) for process in running]
    total = sum(map(len, waits))
    return {
        "two processes, a second": total / seconds,
        "  the smaller share": min(map(len, waits)) / total,
        "  p99.9, ms": max(sorted(each)[int(len(each) * 0.999)] for each in waits) * 1000,
        "  longest, ms": max(map(max, waits)) * 1000,
    }


_READY = b"ready\n"


def _one_of_two(url: str, recipient_seq: int, seconds: float) -> list[float]:
    database = Database(url)
    with database.read() as connection:
        found = accounts.by_seqs(connection, [1, recipient_seq])
    one(database, found[1], found[recipient_seq])
    sys.stdout.buffer.write(_READY)
    sys.stdout.buffer.flush()
    sys.stdin.buffer.readline()
    waits, until = [], time.perf_counter() + seconds
    while (start := time.perf_counter()) < until:
        one(database, found[1], found[recipient_seq])
        waits.append(time.perf_counter() - start)
    database.close()
    return waits


def run(engines: tuple[str, ...], size: Size, seconds: float, say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """On every engine."""
    results = {}
    for engine in engines:
        say(f"\nissuing: {engine}, {size}")
        found = results[engine] = measure(engine, size, seconds)
        for name, value in found.items():
            say(f"  {name}: {value:,.3f}" if value < 100 else f"  {name}: {value:,.0f}")
    return results


if __name__ == "__main__":
    _url, _recipient, _seconds = sys.argv[1:]
    sys.stdout.buffer.write(msgspec.json.encode(_one_of_two(_url, int(_recipient), float(_seconds))))
