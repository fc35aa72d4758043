"""Late, voided or replaced usage: what was billed is rated anew, and the difference is a credit or debit note (decision 0124).

A re-rating is a run of its own: one present, one state of the usage store, a cursor over the invoices. It opens with the first
note, so that a run that finds nothing leaves nothing. Of processes that find the same, one notes it: the others see under the
lock that the invoice has one note more. A note's lines name the lines that they correct.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import msgspec

from billsmith.accounts.model import Account
from billsmith.invoicing.billing import Book
from billsmith.invoicing.bookings import book_document
from billsmith.invoicing.cases import Books, Case, Charged, Counted, make
from billsmith.invoicing.corrections import correct
from billsmith.invoicing.model import Content, Invoice, InvoiceKind, InvoiceStatus
from billsmith.invoicing.notes import Document, Note, document_of
from billsmith.storage import accounts, agreements, catalogs, invoice_writing, invoices, ledger, runs, subscriptions
from billsmith.storage.database import Connection, Database
from billsmith.storage.invoice_writing import NewInvoice, Numbers
from billsmith.storage.invoices import Stored
from billsmith.storage.ledger import Entry, Subject
from billsmith.storage.runs import Item, Run
from billsmith.subscriptions import learnt
from billsmith.subscriptions.agreements import CommitmentAgreed
from billsmith.units.errors import BillsmithError
from billsmith.units.exact import Exact, add, subtract
from billsmith.units.ids import derived_id
from billsmith.units.instants import local_date
from billsmith.units.periods import Period
from billsmith.units.rounding import ZERO
from billsmith.units.spans import NamedSpan
from billsmith.usage.store import UsageStore
from billsmith.workflows.billing_answers import worked_out
from billsmith.workflows.billing_cases import held_by, load_books
from billsmith.workflows.billing_issue import Step
from billsmith.workflows.billing_report import Billed, Report
from billsmith.workflows.billing_work import Parked, Work
from billsmith.workflows.parties import party

#: The kind of run, and what the batch of its notes says.
RERATE = "rerate"
#: Invoices in one chunk.
CHUNK = 100


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice, what it bills, and the note that it needs; or why it can't be rated.

    ``draws`` are what it draws more of commitments than was noted, by their numbers.
    """

    found: Stored
    earlier: tuple[int, ...]
    outcome: Note | Parked
    draws: tuple[tuple[int, Exact], ...] = ()


def rerate(
    database: Database,
    usage: UsageStore | None,
    issuer: Account,
    span: NamedSpan,
    *,
    at: int,
    actor: str,
    scope: Account | None = None,
    dry_run: bool = False,
    step: Step = lambda _name: None,
    progress: Callable[[int], None] = lambda _count: None,
) -> Report:
    """Rate anew what an issuer's runs billed for periods that end in a span, and note every difference.

    ``rows`` of the report tell of what can't be rated; of a dry run, which writes nothing, of every note.
    """
    report = Report(issuer=issuer.id)
    with database.read() as connection:
        run = runs.unfinished(connection, issuer, RERATE, span.name, scope)
    as_of_seq = 0 if usage is None else usage.watermark()
    report.resumed = run is not None
    rater = _Rater(database, usage, issuer, span)
    after = 0 if run is None else run.cursor
    while True:
        present, seq = (at, as_of_seq) if run is None else (run.at, run.as_of_seq)
        with database.read() as connection:
            batch = invoices.issued_between(connection, issuer.seq, _anywhere(span), scope=scope, after_seq=after, limit=CHUNK)
            noted = rater.noted(connection, batch, present, seq)
        _tell_parked(report, noted, rater)
        step("rated anew")
        if not dry_run and any(isinstance(each.outcome, Note) for each in noted):
            with database.write() as connection:
                runs.lock_issuer(connection, issuer)
                noted = rater.still(connection, noted)
                if noted:
                    current = runs.lock(connection, run or _open(connection, issuer, span, scope, at, as_of_seq, actor))
                    items = rater.issue(connection, current, noted, actor)
                    run = runs.advance(connection, current, max(current.cursor, batch[-1].seq), items)
                    step("noted")
            step("committed")
        _tell(report, noted, rater, dry_run)
        progress(len(batch))
        if len(batch) < CHUNK:
            break
        after = batch[-1].seq
    if run is not None and not dry_run:
        with database.write() as connection:
            runs.finish(connection, run)
        report.run, report.batch, report.at, report.as_of_seq = run.id, run.batch, run.at, run.as_of_seq
    return report


class _Rater:
    def __init__(self, database: Database, usage: UsageStore | None, issuer: Account, span: NamedSpan) -> None:
        self.database, self.usage, self.issuer, self.span = database, usage, issuer, span
        self.people: dict[int, Account] = {}
        self._books: dict[str, dict[str, Book]] = {}

    def noted(self, connection: Connection, batch: Sequence[Stored], at: int, as_of_seq: int) -> list[Noted]:
        """What invoices need a note, or can't be rated."""
        seqs = [found.seq for found in batch]
        billed = subscriptions.steps_of(connection, seqs)
        whose = runs.of_invoices(connection, seqs)
        notes = runs.corrections(connection, seqs)
        looked_at = [found for found in batch if found.seq in whose and self._ends_in_span(billed[found.seq])]
        self.people |= accounts.by_seqs(
            connection,
            {found.recipient_seq for found in looked_at}
            | {each.account_seq for found in looked_at for each, _ in billed[found.seq]},
        )
        live = self._live_notes(connection, [note for found in looked_at for note in notes[found.seq]])
        by_hand = runs.by_hand(connection, seqs)
        looked_at = [
            found
            for found in looked_at
            if by_hand.isdisjoint(notes[found.seq]) or not _given_back(found, [live[n] for n in notes[found.seq] if n in live])
        ]
        groups: dict[str, list[tuple[Stored, Run]]] = {}
        for found in invoices.with_content(connection, looked_at):
            run = whose[found.seq]
            groups.setdefault(repr(sorted(run.catalogs.items())), []).append((found, run))
        used = agreements.used_by(connection, [seq for found in looked_at for seq in (found.seq, *notes[found.seq])])
        drawn: dict[int, Exact] = {}
        result = []
        for group in groups.values():
            books = self.books(connection, group[0][1])
            cases = [self._case(connection, found, billed[found.seq], run, at) for found, run in group]
            works = worked_out(self.usage, self.issuer, cases, self.people, books, as_of_seq)
            for (found, _), (work, counted) in zip(group, works.counted(), strict=True):
                earlier = tuple(notes[found.seq])
                standing = [live[note] for note in earlier if note in live and note not in by_hand]
                documents = [document_of(each.invoice) for each in (found, *standing)]
                outcome, draws = _outcome(work, counted, books, documents, drawn)
                if outcome is not None:
                    more = {seq: subtract(amount, used.get((found.seq, seq), ZERO)) for seq, amount in draws}
                    drawn |= {seq: add(drawn.get(seq, ZERO), amount) for seq, amount in more.items()}
                    changed = tuple((seq, amount) for seq, amount in more.items() if amount)
                    result.append(Noted(found=found, earlier=earlier, outcome=outcome, draws=changed))
        return sorted(result, key=lambda noted: noted.found.seq)

    def _ends_in_span(self, billed: Sequence[tuple[subscriptions.Stored, learnt.Step]]) -> bool:
        """Whether what a document bills last ends in the span, where its subscriber is: so it was billed for that span."""
        if not billed:
            return False
        last, step = max(billed, key=lambda each: each[1].until)
        period = self.span.period(last.subscription.zone)
        return period.start < step.until.until <= period.end

    def _live_notes(self, connection: Connection, seqs: Sequence[int]) -> dict[int, Stored]:
        """Notes that stand, with their contents."""
        found = [each for each in invoices.by_seqs(connection, seqs).values() if each.invoice.voided_at is None]
        return {each.seq: each for each in invoices.with_content(connection, found)}

    def _case(
        self,
        connection: Connection,
        found: Stored,
        billed: Sequence[tuple[subscriptions.Stored, learnt.Step]],
        run: Run,
        at: int,
    ) -> Case:
        """What an invoice was made of, but for what was learnt of its usage since."""
        return Case(
            recipient=found.recipient_seq,
            currency=found.invoice.currency,
            parts=tuple(
                Charged(
                    seq=each.seq,
                    subscription=each.subscription,
                    catalog=each.catalog,
                    step=step,
                    account=self.people[each.account_seq].external_id if each.account_seq != each.recipient_seq else "",
                    usage_known_at=at,
                )
                for each, step in billed
            ),
            period=found.invoice.period,
            date=found.invoice.date,
            at=found.invoice.period.end - 1,
            country=self.people[found.recipient_seq].profile.country,
            held=tuple(held_by(connection, self.issuer, run, [found.recipient_seq], of=found.seq)[found.recipient_seq]),
        )

    def books(self, connection: Connection, run: Run) -> dict[str, Book]:
        """The catalogs as the run that issued an invoice billed by them."""
        key = repr(sorted(run.catalogs.items()))
        if key not in self._books:
            self._books[key] = load_books(connection, self.issuer, run.catalogs)
        return self._books[key]

    def still(self, connection: Connection, noted: Sequence[Noted]) -> list[Noted]:
        """Those whose invoice was neither corrected nor voided meanwhile, and that can be rated."""
        now = runs.corrections(connection, [each.found.seq for each in noted])
        states = invoices.by_seqs(connection, [each.found.seq for each in noted])
        return [
            each
            for each in noted
            if isinstance(each.outcome, Note)
            and tuple(now[each.found.seq]) == each.earlier
            and states[each.found.seq].invoice.voided_at is None
        ]

    def issue(self, connection: Connection, run: Run, noted: Sequence[Noted], actor: str) -> list[Item]:
        """Number and issue the notes."""
        ready = [(each, each.outcome) for each in noted if isinstance(each.outcome, Note)]
        date = local_date(run.at, self.issuer.time_zone)
        kinds = [note.kind for _, note in ready]
        numbered = {
            kind: invoice_writing.numbers(connection, self.issuer, kind, date, kinds.count(kind))
            for kind in dict.fromkeys(kinds)
        }
        texts = {kind: iter(each.texts) for kind, each in numbered.items()}
        new = [
            self._document(run, each.found, note, next(texts[note.kind]), numbered[note.kind], actor) for each, note in ready
        ]
        seqs = invoice_writing.add(connection, new)
        ledger.append(
            connection,
            [Entry(Subject.INVOICE, seq, 0, book_document(each.invoice, run.at)) for seq, each in zip(seqs, new, strict=True)],
        )
        runs.add_corrections(
            connection,
            run,
            [(each.found.seq, len(each.earlier) + 1, seq) for seq, (each, _) in zip(seqs, ready, strict=True)],
        )
        agreements.add_uses(
            connection,
            [(agreement, seq, amount) for seq, (each, _) in zip(seqs, ready, strict=True) for agreement, amount in each.draws],
        )
        return [
            Item(each.found.recipient_seq, each.found.seq, "billed", seq) for seq, (each, _) in zip(seqs, ready, strict=True)
        ]

    def _document(self, run: Run, found: Stored, note: Note, number: str, numbered: Numbers, actor: str) -> NewInvoice:
        corrected, recipient = found.invoice, self.people[found.recipient_seq]
        assert corrected.content is not None
        open_days = (corrected.due_date - corrected.date).days if corrected.due_date else 0
        date = numbered.date
        nothing = note.total_minor == 0
        invoice = Invoice(
            id=derived_id("note", run.id, corrected.id),
            issuer_id=self.issuer.id,
            recipient_id=recipient.id,
            kind=note.kind,
            number=number,
            status=InvoiceStatus.PAID if nothing else InvoiceStatus.ISSUED,
            currency=corrected.currency,
            total_minor=note.total_minor,
            tax_minor=note.tax_minor,
            customer_name=recipient.name,
            billing_entity=self.issuer.profile.billing_entity or self.issuer.name,
            date=date,
            due_date=date + timedelta(days=open_days) if note.kind is InvoiceKind.DEBIT_NOTE else None,
            period=corrected.period,
            created_at=run.at,
            issued_at=run.at,
            paid_at=run.at if nothing else None,
            send_by_email=corrected.send_by_email,
            direct_debit=corrected.direct_debit,
            consolidated=corrected.consolidated,
            batch=run.batch,
            invoiced_by=actor,
            content=Content(
                issuer=party(self.issuer, as_issuer=True),
                recipient=party(recipient),
                lines=note.lines,
                taxes=note.taxes,
                rounding_place=corrected.content.rounding_place,
                notes=f"Corrects {corrected.number}",
            ),
        )
        return NewInvoice(invoice=invoice, issuer=self.issuer, recipient=recipient, series=numbered.series)


def _anywhere(span: NamedSpan) -> Period:
    """From where a span begins first to where it ends last."""
    return Period(span.period("Pacific/Kiritimati").start, span.end("Etc/GMT+12"))


def _given_back(found: Stored, notes: Sequence[Stored]) -> bool:
    """Whether nothing is left of an invoice that somebody gave back, whole or the rest of it: then it isn't rated any more."""
    return found.invoice.total_minor + sum(note.invoice.total_minor for note in notes) == 0


def _outcome(
    work: Work, counted: Sequence[Counted], books: Books, documents: Sequence[Document], drawn: Mapping[int, Exact]
) -> tuple[Note | Parked | None, list[tuple[int, Exact]]]:
    """The note that turns documents into what a case comes to now, or why that can't be told; what it draws of commitments.

    ``drawn`` are what others draw more of them, whose notes aren't kept yet.
    """
    if work.fault is not None:
        return work.fault, []
    held = tuple(
        msgspec.structs.replace(each, used=(*each.used, drawn[each.seq])) if each.seq in drawn else each
        for each in work.case.held
    )
    case = msgspec.structs.replace(work.case, held=held)
    commitments = {each.seq for each in held if isinstance(each.agreement, CommitmentAgreed)}
    try:
        made = make(case, books, counted)
        note = correct(made.assembled.totals, documents, case.currency)
        return note, [use for use in made.uses if use[0] in commitments]
    except BillsmithError as error:
        return Parked(error.code, error.message), []


def _open(
    connection: Connection, issuer: Account, span: NamedSpan, scope: Account | None, at: int, as_of_seq: int, actor: str
) -> Run:
    """The run that the first note opens, or the one that another process has opened meanwhile."""
    return runs.unfinished(connection, issuer, RERATE, span.name, scope) or runs.create(
        connection,
        issuer,
        kind=RERATE,
        period=span.name,
        scope=scope,
        at=at,
        as_of_seq=as_of_seq,
        catalogs={each.code: each.version for each in catalogs.newest(connection, issuer)},
        actor=actor,
    )


def _row(each: Noted, rater: _Rater) -> Billed:
    recipient, invoice = rater.people[each.found.recipient_seq], each.found.invoice
    return Billed(account=recipient.id, name=recipient.name, currency=invoice.currency, state="billed", number=invoice.number)


def _tell_parked(report: Report, noted: Sequence[Noted], rater: _Rater) -> None:
    for each in noted:
        if isinstance(each.outcome, Parked):
            report.parked += 1
            row = msgspec.structs.replace(_row(each, rater), state="parked", code=each.outcome.code)
            report.rows.append(msgspec.structs.replace(row, reason=each.outcome.reason))


def _tell(report: Report, noted: Sequence[Noted], rater: _Rater, dry_run: bool) -> None:
    for each in noted:
        if isinstance(each.outcome, Note):
            currency = each.found.invoice.currency
            report.billed += 1
            report.totals[currency] = report.totals.get(currency, 0) + each.outcome.total_minor
            if dry_run:
                report.rows.append(msgspec.structs.replace(_row(each, rater), total_minor=each.outcome.total_minor))
