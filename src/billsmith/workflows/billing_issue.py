"""A chunk of a run, issued: numbers, documents, and all that hangs on them, in the transaction that moves the run's cursor.

A chunk was read and made outside of it; what was billed, voided or paid of it since is seen here, under the issuer's lock, and
left out. What follows from documents being issued belongs into :func:`issue`, where they are known and nothing is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

import msgspec

from billsmith.accounts.model import Account
from billsmith.invoicing.bookings import book_document, book_grant, book_settlements
from billsmith.invoicing.cases import Case
from billsmith.invoicing.model import Invoice, InvoiceKind, InvoiceStatus, Payment, SettlementKind
from billsmith.ledger.postings import Transaction
from billsmith.ledger.wallets import Grant
from billsmith.storage import agreements, invoice_writing, invoices, ledger, runs
from billsmith.storage.agreements import Movement
from billsmith.storage.database import Connection
from billsmith.storage.invoice_writing import NewInvoice
from billsmith.storage.ledger import Entry, Subject
from billsmith.storage.runs import BillStep, Item, Run
from billsmith.units.currency import from_minor
from billsmith.units.exact import Exact
from billsmith.units.ids import derived_id
from billsmith.workflows import credit
from billsmith.workflows.billing_cases import Loaded, today
from billsmith.workflows.billing_report import state_of
from billsmith.workflows.billing_work import Drafted, Outcome, Parked

Step = Callable[[str], None]
Outcomes = Sequence[tuple[Case, Outcome]]


class Made(NamedTuple):
    """A chunk: recipients after ``start`` up to ``end`` as they were read, and what each of their cases came to."""

    start: int
    end: int
    loaded: Loaded
    outcomes: Outcomes


class Document(NamedTuple):
    """A document of a chunk: its row's number, itself, and what it was made of."""

    seq: int
    new: NewInvoice
    case: Case
    drafted: Drafted


def issue(connection: Connection, issuer: Account, run: Run, made: Made, actor: str, step: Step) -> tuple[Run, Outcomes] | None:
    """Number and issue a chunk; gives the run as it stands then, and what was kept of the chunk.

    ``None`` where another process has come further with the run. Raises :class:`Conflict` (``bill.billed_already``) where
    something stands on a live document.
    """
    runs.lock_issuer(connection, issuer)
    current = runs.lock(connection, run)
    if current.cursor != made.start or current.state != runs.RUNNING:
        return None
    still = _undisturbed(connection, made.loaded, [case for case, _ in made.outcomes])
    kept = [each for each, good in zip(made.outcomes, still, strict=True) if good]
    documents = _documents(connection, issuer, current, made.loaded, kept, actor, step)
    runs.add_lines(connection, ((mark, each.seq) for each in documents for mark in each.drafted.marks))
    _settle(connection, made.loaded, documents, current, actor)
    seqs = {id(each.case): each.seq for each in documents}
    runs.note_bills(connection, current, list(_steps(kept, seqs)))
    moved = runs.advance(connection, current, made.end, list(_items(kept, seqs, made.loaded)))
    step("issued")
    return moved, kept


def without_billed(connection: Connection, made: Made, code: str, reason: str) -> Made:
    """The chunk once more, with those cases parked of which something stands on a live document already (P4)."""

    def looked_at(outcome: Outcome) -> Outcome:
        known = isinstance(outcome, Drafted) and runs.any_known(connection, outcome.marks)
        return Parked(code, reason) if known else outcome

    return made._replace(outcomes=[(case, looked_at(outcome)) for case, outcome in made.outcomes])


def document_id(run: Run, recipient: Account, currency: str) -> str:
    """The id of a run's document: derived from the run's keys, so that it is the same however often the run is begun."""
    return derived_id("document", run.id, recipient.id, currency)


def _undisturbed(connection: Connection, loaded: Loaded, cases: Sequence[Case]) -> list[bool]:
    """Which cases are still as they were read: nothing of them was billed, voided or paid from since."""
    now = runs.newest_steps(connection, [part.seq for case in cases for part in case.parts])
    notes = {credit.reference for case in cases for credit in case.credits}
    left: dict[str, int] = {}
    if notes:
        found = invoices.by_seqs(connection, [loaded.credit_notes[id][0] for id in notes])
        left = {each.invoice.id: each.invoice.paid_minor for each in found.values()}
    payers = [case.recipient for case in cases if case.wallet.grants]
    moves = {seq: len(found) for seq, found in agreements.movements(connection, payers).items()} if payers else {}
    return [
        all(now.get(part.seq, (0, 0)) == loaded.steps[part.seq] for part in case.parts)
        and (not case.wallet.grants or moves[case.recipient] == loaded.movements[case.recipient])
        and all(left[credit.reference] == loaded.credit_notes[credit.reference][1] for credit in case.credits)
        for case in cases
    ]


def _documents(
    connection: Connection, issuer: Account, run: Run, loaded: Loaded, kept: Outcomes, actor: str, step: Step
) -> list[Document]:
    """The documents of a chunk, numbered and added."""
    drafted = [(case, outcome) for case, outcome in kept if isinstance(outcome, Drafted)]
    date = today(run, issuer)
    kinds = [outcome.kind for _, outcome in drafted]
    numbered = {
        kind: invoice_writing.numbers(connection, issuer, kind, date, kinds.count(kind)) for kind in dict.fromkeys(kinds)
    }
    texts = {kind: iter(each.texts) for kind, each in numbered.items()}
    new = []
    for case, outcome in drafted:
        series, date = numbered[outcome.kind].series, numbered[outcome.kind].date
        recipient = loaded.accounts[case.recipient]
        agreed = case.terms_agreed
        settled = sum(each.amount_minor for each in outcome.settlements)
        paid = settled == outcome.total_minor
        invoice = Invoice(
            id=document_id(run, recipient, case.currency),
            issuer_id=issuer.id,
            recipient_id=recipient.id,
            kind=outcome.kind,
            number=next(texts[outcome.kind]),
            status=_status(paid, settled),
            currency=case.currency,
            total_minor=outcome.total_minor,
            tax_minor=outcome.tax_minor,
            paid_minor=settled,
            customer_name=recipient.name,
            billing_entity=issuer.profile.billing_entity or issuer.name,
            date=date,
            due_date=date + timedelta(days=agreed.due_days) if outcome.kind is InvoiceKind.INVOICE else None,
            period=case.period,
            created_at=run.at,
            issued_at=run.at,
            paid_at=run.at if paid else None,
            send_by_email=agreed.send_by_email,
            direct_debit=agreed.direct_debit,
            consolidated=any(part.account for part in case.parts),
            batch=run.batch,
            invoiced_by=actor,
        )
        new.append(
            NewInvoice(
                invoice=invoice,
                issuer=issuer,
                recipient=recipient,
                body=outcome.body,
                digest=outcome.digest,
                series=series,
            )
        )
    step("numbered")
    seqs = invoice_writing.add(connection, new)
    return [Document(seq, each, *made) for seq, each, made in zip(seqs, new, drafted, strict=True)]


def _settle(connection: Connection, loaded: Loaded, documents: Sequence[Document], run: Run, actor: str) -> None:
    """What hangs on the documents: their bookings, and what credit notes, wallets, coupons and commitments gave."""
    entries: list[Entry] = []
    payments: list[tuple[int, Payment]] = []
    burns: list[Movement] = []
    uses: list[tuple[int, int, Exact]] = []
    for seq, new, case, drafted in documents:
        invoice = new.invoice
        booked = [book_document(invoice, run.at, dict(drafted.earned))]
        for settlement in drafted.settlements:
            reference, amount = settlement.reference, settlement.amount_minor
            payments.append((seq, _payment(invoice.id, settlement.kind, reference, amount, run, actor)))
            if settlement.kind is SettlementKind.WALLET:
                grant = loaded.grants[reference]
                burnt_at = max(case.at, grant.effective_at)
                burns.append(Movement(new.recipient.seq, grant.id, burnt_at, "burn", amount, seq))
                if grant.id in loaded.included:
                    booked.append(_given_with_the_plan(grant, amount, invoice, run, seq))
            else:
                credit.use(connection, loaded.credit_notes[reference][0], invoice, amount, now=run.at, actor=actor)
        booked += book_settlements(invoice, drafted.settlements, run.at)
        entries += [Entry(Subject.INVOICE, seq, place, transaction) for place, transaction in enumerate(booked)]
        uses += [(agreement, seq, amount) for agreement, amount in drafted.uses]
    ledger.append(connection, entries)
    invoice_writing.add_payments(connection, payments)
    agreements.add_movements(connection, burns, now=run.at, actor=actor)
    agreements.add_uses(connection, uses)


def _status(paid: bool, settled: int) -> InvoiceStatus:
    if paid:
        return InvoiceStatus.PAID
    return InvoiceStatus.PARTIALLY_PAID if settled else InvoiceStatus.ISSUED


def _steps(kept: Outcomes, seqs: dict[int, int]) -> Iterator[BillStep]:
    for case, outcome in kept:
        if not isinstance(outcome, Parked):
            for part in case.parts:
                yield BillStep(part.seq, part.number, part.step.until, seqs.get(id(case)), part.again)


def _items(kept: Outcomes, seqs: dict[int, int], loaded: Loaded) -> Iterator[Item]:
    places: dict[int, int] = {}
    for case, outcome in kept:
        place = places[case.recipient] = places.get(case.recipient, -1) + 1
        parked = outcome if isinstance(outcome, Parked) else None
        yield Item(
            case.recipient,
            place,
            state_of(outcome),
            seqs.get(id(case)),
            parked.code if parked else None,
            parked.reason if parked else None,
        )
    for recipient, (code, reason) in loaded.refused.items():
        yield Item(recipient, places.get(recipient, -1) + 1, "parked", None, code, reason)


def _payment(invoice_id: str, kind: str, reference: str, amount_minor: int, run: Run, actor: str) -> Payment:
    named = f"{kind}:{reference}"
    return Payment(
        id=derived_id("payment", invoice_id, named),
        amount_minor=amount_minor,
        paid_at=run.at,
        reference=named,
        method=kind,
        recorded_at=run.at,
        recorded_by=actor,
    )


def _given_with_the_plan(grant: Grant, amount_minor: int, invoice: Invoice, run: Run, seq: int) -> Transaction:
    """A plan's included credit is booked as far as it pays, when it does: until then nobody owes or holds anything."""
    used = msgspec.structs.replace(grant, amount=from_minor(amount_minor, invoice.currency))
    return book_grant(used, run.at, invoice.currency, times=seq)
