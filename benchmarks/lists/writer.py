"""Another process that writes while pages are read: one commit at a time, so many a second."""

from __future__ import annotations

import argparse
import random
import select
import sys
import time

from benchmarks.lists import data
from billsmith.invoicing.model import InvoiceStatus
from billsmith.storage import accounts, invoice_writing, invoices
from billsmith.storage.database import Database


def main() -> None:
    """Write until standard input ends: every other commit issues an invoice, the others move one. Print how many a second."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--partner", required=True)
    parser.add_argument("--customer", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--rate", type=float, default=200)
    options = parser.parse_args()
    database = Database(options.url)
    with database.read() as connection:
        partner, customer = (accounts.get(connection, name) for name in (options.partner, options.customer))
    dice = random.Random(time.time_ns())
    started = time.perf_counter()
    done = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        elapsed = time.perf_counter() - started
        if done > elapsed * options.rate:
            time.sleep(done / options.rate - elapsed)
        with database.write() as connection:
            if done % 2:
                now = time.time_ns()
                invoice_writing.add(connection, [data.one(dice, now, now, partner, customer)])
            else:
                found = invoices.by_seqs(connection, [dice.randrange(1, options.rows)])
                for each in found.values():
                    status = dice.choice((InvoiceStatus.PAID, InvoiceStatus.VOID))
                    invoice_writing.move(
                        connection, each, what="benchmark", actor="benchmark", at=time.time_ns(), status=status
                    )
        done += 1
    print(f"{done / (time.perf_counter() - started):.1f}")
    database.close()


if __name__ == "__main__":
    main()
