"""What must be true of what runs left behind: the ledger balances and has every document, and what is billed is billed once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection, case, func, select

from billsmith.invoicing.cases import LINE_BYTES
from billsmith.invoicing.model import InvoiceStatus
from billsmith.ledger import chart
from billsmith.storage import ledger, schema
from billsmith.storage.database import Database
from billsmith.storage.invoices import STATUS_MASK
from billsmith.storage.ledger import Entry, Subject
from billsmith.storage.schema_billing import billed_line, correction, ledger_entry, subscription_bill
from billsmith.storage.verify_owed import Tell, check_credits, check_owed, check_wallets
from billsmith.units.errors import Invalid

_OWED = (chart.receivable(""), chart.credit_balance(""))
#: The accounts of one customer or wallet, whose sums stand elsewhere too.
_OF_ONE = (*_OWED, chart.wallet(""))


def check_ledger(database: Database, tell: Callable[[str, str, str], None]) -> dict[str, int]:
    """Every entry balances, each document's is of its total, and every document of a run has one; what the ledger sums to is
    what is owed, held as credit and left in wallets.

    ``tell`` is told which check found it first. Gives how many things each check looked at.
    """
    count, sums = 0, Counter[tuple[str, str]]()
    with database.snapshot() as connection:
        try:
            for entry in ledger.entries(connection):
                count += 1
                for posting in entry.transaction.postings:
                    if posting.account.startswith(_OF_ONE):
                        sums[posting.account, posting.currency] += posting.amount_minor
                if entry.subject == Subject.INVOICE and entry.step == 0:
                    _of_total(connection, entry, partial(tell, "ledger"))
        except Invalid as error:
            tell("ledger", "ledger", error.message)
            return {"ledger": count}  # what a part of it sums to says nothing
        for seq in _unbooked(connection):
            tell("ledger", f"invoice row {seq}", "a run issued it, but the ledger doesn't have it")
        return {
            "ledger": count,
            "owed": check_owed(connection, sums, partial(tell, "owed")),
            "credits": check_credits(connection, partial(tell, "credits")),
            "wallets": check_wallets(connection, sums, partial(tell, "wallets")),
        }


def check_billed(database: Database, tell: Tell) -> int:
    """What is marked as billed stands on a document that is there and live. Gives how many marks there are."""
    invoice = schema.invoice
    live = invoice.c.flags.op("&")(STATUS_MASK) != int(InvoiceStatus.VOID)
    with database.snapshot() as connection:
        for table, what in ((billed_line, "a line"), (subscription_bill, "a step of a subscription")):
            query = (
                select(table.c.invoice_seq)
                .join(invoice, (invoice.c.seq == table.c.invoice_seq) & live, isouter=True)
                .where(table.c.invoice_seq.is_not(None), invoice.c.seq.is_(None))
                .distinct()
                .limit(100)
            )
            for (seq,) in connection.execute(query):
                tell(f"invoice row {seq}", f"{what} is marked as billed by it, but it isn't there or is void")
        steps = subscription_bill
        query = select(steps.c.subscription_seq, func.count(), func.max(steps.c.step)).group_by(steps.c.subscription_seq)
        for seq, number, last in connection.execution_options(yield_per=1000).execute(query):
            if number != last:
                tell(f"subscription row {seq}", f"{number} steps are billed, and the last has the number {last}")
        size = func.length(billed_line.c.lines)
        lines = select(func.coalesce(func.sum(case((size > 0, size // LINE_BYTES), else_=1)), 0))
        return int(connection.execute(lines).scalar_one())


def _of_total(connection: Connection, entry: Entry, tell: Tell) -> None:
    owed = sum(each.amount_minor for each in entry.transaction.postings if each.account.startswith(_OWED))
    query = select(schema.invoice.c.total_minor).where(schema.invoice.c.seq == entry.subject_seq)
    total = connection.execute(query).scalar()
    if total != owed:
        tell(f"invoice row {entry.subject_seq}", f"its total is {total}, the ledger says {owed} (minor units)")


def _unbooked(connection: Connection) -> list[int]:
    booked = select(ledger_entry.c.subject_seq).where(ledger_entry.c.subject == int(Subject.INVOICE), ledger_entry.c.step == 0)
    found = []
    for column in (subscription_bill.c.invoice_seq, correction.c.note_seq):
        query = select(column).where(column.is_not(None), column.not_in(booked)).distinct().limit(100)
        found += [row[0] for row in connection.execute(query)]
    return found
