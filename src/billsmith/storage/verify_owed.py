"""What the ledger says is owed and held, against what documents, notes and grants say: each is derived from other rows.

The caller adds up the ledger and reads all of it in one snapshot with these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, select

from billsmith.invoicing.model import InvoiceKind, InvoiceStatus, SettlementKind
from billsmith.ledger import chart
from billsmith.storage import agreements, schema
from billsmith.storage.agreements import StoredGrant
from billsmith.storage.grant_states import as_voided, balance_of
from billsmith.storage.invoices import STATUS_MASK
from billsmith.storage.ledger import Subject
from billsmith.storage.schema_billing import ledger_entry, wallet_grant, wallet_movement
from billsmith.units.currency import to_minor

#: Told: where, and what is wrong.
Tell = Callable[[str, str], None]
#: What the postings of an account sum to, by account and currency.
Sums = Mapping[tuple[str, str], int]

_FOREVER = 2**63 - 1
_STEP = 500


def check_owed(connection: Connection, sums: Sums, tell: Tell) -> int:
    """What each customer owes, and has as credit, is what is open of his documents. Gives how many sums there are."""
    wanted: dict[tuple[str, str], int] = {}
    for id, currency, owed, credit in connection.execute(_open_by_customer()):
        wanted[chart.receivable(id), currency] = int(owed)
        wanted[chart.credit_balance(id), currency] = int(credit)
    found = {key for key in sums if key[0].startswith((chart.receivable(""), chart.credit_balance("")))}
    for account, currency in sorted(found | set(wanted)):
        ledger, documents = sums.get((account, currency), 0), wanted.get((account, currency), 0)
        if ledger != documents:
            tell(account, f"the ledger has {ledger}, {documents} is open of the documents ({currency}, minor units)")
    return len(found | set(wanted))


def check_credits(connection: Connection, tell: Tell) -> int:
    """What credit pays for an invoice is taken from the document that gave it. Gives how many of these there are."""
    payment = schema.payment
    given: Counter[str] = Counter()
    query = select(payment.c.reference, payment.c.amount_minor).where(_settles(SettlementKind.CREDIT_NOTE))
    for reference, amount in connection.execute(query, execution_options={"yield_per": 1000}):
        given[reference.split(":")[1]] += amount
    taken = _taken(connection)
    for source in sorted(set(given) | set(taken)):
        if given[source] != taken.get(source, 0):
            tell(
                f"invoice {source}",
                f"its credit paid {given[source]} for others, and {taken.get(source, 0)} was taken from it (minor units)",
            )
    return len(set(given) | set(taken))


def check_wallets(connection: Connection, sums: Sums, tell: Tell) -> int:
    """What is left of each grant is what the ledger holds, and what wallets paid is what was taken from them.

    A grant that the clock is to look at again may be ahead of the ledger, and is left out until it has. Gives how many grants
    there are.
    """
    known: set[str] = set()
    for stored, left in _left(connection):
        known.add(stored.grant.id)
        held = -sums.get((chart.wallet(stored.grant.id), stored.currency), 0)
        if left is not None and left != held:
            tell(f"grant {stored.grant.id}", f"{left} is left of it, the ledger holds {held} ({stored.currency}, minor units)")
    for (account, currency), amount in sums.items():
        id = account.removeprefix(chart.wallet(""))
        if id != account and id not in known and amount:  # included in a plan: booked as far as it pays, when it does
            tell(f"grant {id}", f"it came with a plan, and the ledger holds {-amount} of it ({currency}, minor units)")
    burnt = _by_invoice(connection, wallet_movement, wallet_movement.c.what == "burn")
    paid = _by_invoice(connection, schema.payment, _settles(SettlementKind.WALLET))
    for seq in sorted(set(burnt) | set(paid)):
        if burnt.get(seq, 0) != paid.get(seq, 0):
            tell(
                f"invoice row {seq}",
                f"wallets paid {paid.get(seq, 0)} of it, and {burnt.get(seq, 0)} was taken from them (minor units)",
            )
    return len(known)


def _open_by_customer() -> Any:
    """What is open of the documents that the ledger has: asked for, and to be given back."""
    invoice, account = schema.invoice, schema.account
    settled = invoice.c.flags.op("&")(STATUS_MASK).in_([int(InvoiceStatus.VOID), int(InvoiceStatus.WRITTEN_OFF)])
    due: ColumnElement[int] = case((settled, 0), else_=invoice.c.total_minor - invoice.c.paid_minor)
    is_credit = (invoice.c.kind == InvoiceKind.CREDIT_NOTE) | (due < 0)
    booked = (
        (ledger_entry.c.subject == int(Subject.INVOICE))
        & (ledger_entry.c.subject_seq == invoice.c.seq)
        & (ledger_entry.c.step == 0)
    )
    return (
        select(
            account.c.id,
            invoice.c.currency,
            func.sum(case((is_credit, 0), else_=due)),
            func.sum(case((is_credit, due), else_=0)),
        )
        .join_from(invoice, ledger_entry, booked)
        .join(account, account.c.seq == invoice.c.recipient_seq)
        .group_by(account.c.id, invoice.c.currency)
    )


def _settles(kind: str) -> ColumnElement[bool]:
    """Whether a payment is no money, but something else that settles a document (decision 0406)."""
    return (schema.payment.c.method == kind) & schema.payment.c.reference.startswith(f"{kind}:")


def _taken(connection: Connection) -> dict[str, int]:
    """What was taken from documents that hold credit, for invoices, by their ids."""
    payment = schema.payment
    query = (
        select(schema.invoice.c.id, func.sum(payment.c.amount_minor))
        .join_from(payment, schema.invoice, payment.c.invoice_seq == schema.invoice.c.seq)
        .where(_settles("invoice"))
        .group_by(schema.invoice.c.id)
    )
    return {id: -int(amount) for id, amount in connection.execute(query)}


def _left(connection: Connection) -> Iterator[tuple[StoredGrant, int | None]]:
    """Every grant with what is left of it when the ledger was last told, in minor units; ``None``: that is yet to be."""
    after = 0
    query = select(wallet_grant).order_by(wallet_grant.c.seq).limit(_STEP)
    while rows := connection.execute(query.where(wallet_grant.c.seq > after)).all():
        moves = agreements.movements(connection, sorted({row.account_seq for row in rows}))
        told = _newest(connection, [row.id for row in rows])
        for row in rows:
            each = agreements.stored_grant(row)
            if row.next_at is not None and row.next_at <= max(row.recorded_at, told.get(row.id, 0)):
                yield each, None
                continue
            own = [move for move in moves[each.account_seq] if move.grant_id == row.id]
            at = _FOREVER if row.next_at is None else max(row.next_at - 1, each.grant.effective_at)
            yield each, to_minor(balance_of(as_voided(each.grant, own), own, each.currency, at), each.currency)
        after = rows[-1].seq


def _newest(connection: Connection, grants: list[str]) -> dict[str, int]:
    """When something was last recorded of grants."""
    table = wallet_movement
    query = (
        select(table.c.grant_id, func.max(table.c.recorded_at)).where(table.c.grant_id.in_(grants)).group_by(table.c.grant_id)
    )
    return {id: int(at) for id, at in connection.execute(query)}


def _by_invoice(connection: Connection, table: Any, which: ColumnElement[bool]) -> dict[int, int]:
    query = select(table.c.invoice_seq, func.sum(table.c.amount_minor)).where(which).group_by(table.c.invoice_seq)
    return {seq: int(amount) for seq, amount in connection.execute(query)}
