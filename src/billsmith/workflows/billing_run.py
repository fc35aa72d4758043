"""The billing run: from subscriptions and usage to issued invoices, each once.

A run has one present (``at``), one state of the usage store (``as_of_seq``) and one version of each catalog, all kept in its
row when it opens. It goes through the recipients in order, chunk by chunk: read what their documents depend on, measure, rate
and assemble in several processes, then number and issue the chunk in one transaction that also moves the run's cursor. Killed
anywhere, it goes on from the last chunk that was committed and comes to the same bytes, because ids derive from the run's keys
and numbers are given in the order of the recipients. Nothing due: nothing is written, so a run again is no run at all (P5).

Several processes may bill the same at once: they find the same open run, and of two that made a chunk the second sees under the
lock that the cursor has moved. What another run billed since the chunk was read is seen there too, and left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import NamedTuple

import msgspec

from billsmith.accounts.model import Account
from billsmith.invoicing.bookings import book_document, book_grant, book_settlements
from billsmith.invoicing.cases import Asked, Books, Case, Counted
from billsmith.invoicing.model import Invoice, InvoiceKind, InvoiceStatus, Payment, SettlementKind
from billsmith.ledger.postings import Transaction
from billsmith.ledger.wallets import Grant
from billsmith.metering.measure import Grain
from billsmith.storage import agreements, catalogs, invoices, ledger, runs, subscriptions
from billsmith.storage.agreements import Movement
from billsmith.storage.database import Connection, Database
from billsmith.storage.invoices import NewInvoice
from billsmith.storage.ledger import Entry, Subject
from billsmith.storage.runs import BillStep, Item, Run
from billsmith.units.currency import from_minor
from billsmith.units.errors import Conflict, Invalid
from billsmith.units.ids import derived_id
from billsmith.units.instants import start_of_day
from billsmith.units.periods import Period
from billsmith.units.spans import NamedSpan
from billsmith.usage.store import Query, UsageStore
from billsmith.workflows.billing_cases import Loaded, load, load_books, today
from billsmith.workflows.billing_work import Bench, Drafted, Outcome, Parked, Work, ask, bench, no_cycles
from billsmith.workflows.parties import party

#: What a document's batch says of how it was made; the kind of run.
BILL = "bill"

#: Recipients in one chunk, and so documents in one commit.
CHUNK = 500
#: Chunks that are made while an earlier one is committed.
AHEAD = 2
#: So few cases are made in this process: starting others takes longer.
FEW = 200

Step = Callable[[str], None]
Progress = Callable[[int], None]

#: The named steps of a run, in order: what a test may stop at.
STEPS = ("opened", "loaded", "measured", "drafted", "numbered", "issued", "committed", "passed", "finished")


class Billed(msgspec.Struct, frozen=True, kw_only=True):
    """What a run billed to one recipient in one currency, or why it did not. Of a dry run ``number`` is empty."""

    account: str
    name: str
    currency: str
    state: str
    number: str = ""
    invoice: str = ""
    total_minor: int = 0
    code: str = ""
    reason: str = ""


class Report(msgspec.Struct, kw_only=True):
    """What a run did. ``early`` counts recipients for whom the period was not over.

    ``resumed`` where an earlier run was gone on with.
    """

    issuer: str
    run: str = ""
    batch: str = ""
    at: int = 0
    as_of_seq: int = 0
    billed: int = 0
    nothing: int = 0
    parked: int = 0
    early: int = 0
    resumed: bool = False
    totals: dict[str, int] = {}
    rows: list[Billed] = []


def bill(
    database: Database,
    usage: UsageStore | None,
    issuer: Account,
    span: NamedSpan,
    *,
    at: int,
    actor: str,
    scope: Account | None = None,
    dry_run: bool = False,
    processes: int = 1,
    step: Step = lambda _name: None,
    progress: Progress = lambda _count: None,
) -> Report:
    """Bill what an issuer's subscribers (at or below ``scope``) owe by the end of a span, as known at ``at``.

    A run for the same that did not come to its end is gone on with, at its own ``at``. ``rows`` tell of what was parked; of a
    dry run, which writes nothing, of everything. Raises :class:`Invalid` where the span is not over.
    """
    if span.end(issuer.time_zone) > at:
        raise Invalid(
            f"{span.name} is not over yet. Bill it when it is, or say with --at from when to look at it",
            code="bill.period_not_over",
            where="period",
        )
    maker = _Maker(database, usage, issuer, span, scope, step, progress)
    if dry_run:
        return maker.preview(at)
    return maker.run(at, actor, processes)


class _Chunk(NamedTuple):
    """Recipients that are in the making: those after ``start`` up to ``end``."""

    start: int
    end: int
    loaded: Loaded
    futures: list[Future[list[Outcome]]]

    def outcomes(self) -> list[tuple[Case, Outcome]]:
        """What each case came to."""
        done = [outcome for future in self.futures for outcome in future.result()]
        return list(zip(self.loaded.cases, done, strict=True))


class _Maker:
    def __init__(
        self,
        database: Database,
        usage: UsageStore | None,
        issuer: Account,
        span: NamedSpan,
        scope: Account | None,
        step: Step,
        progress: Progress,
    ) -> None:
        self.database, self.usage, self.issuer, self.span, self.scope = database, usage, issuer, span, scope
        self.step, self.progress = step, progress
        self.report = Report(issuer=issuer.id)

    def preview(self, at: int) -> Report:
        """What a run would do."""
        with self.database.read() as connection:
            run = self._imagined(connection, at)
            books = load_books(connection, self.issuer, run.catalogs)
        after = 0
        while (chunk := self._chunk(run, after, books, Bench(books, None))) is not None:
            for case, outcome in chunk.outcomes():
                self._tell(chunk, case, outcome, None)
            self._refused(chunk)
            after = chunk.end
        return self.report

    def run(self, at: int, actor: str, processes: int) -> Report:
        """Open a run, or find the one that is open, and bring it to its end."""
        run = self._open(at, actor)
        if run is None:
            return self.report
        self.step("opened")
        with self.database.read() as connection:
            books = load_books(connection, self.issuer, run.catalogs)
            few = len(self._due(connection, run.cursor, FEW + 1)) <= FEW
        with bench(books, 1 if few else processes) as at_work, no_cycles():
            while not self._pass(run, books, at_work, actor):
                with self.database.read() as connection:
                    run = runs.by_seqs(connection, [run.seq])[run.seq]
        self.step("finished")
        self._sum_up(run)
        return self.report

    def _open(self, at: int, actor: str) -> Run | None:
        with self.database.read() as connection:
            found = runs.unfinished(connection, self.issuer, BILL, self.span.name, self.scope)
            if found is None and not self._due(connection, 0, 1):
                return None
        with self.database.write() as connection:
            runs.lock_issuer(connection, self.issuer)
            found = runs.unfinished(connection, self.issuer, BILL, self.span.name, self.scope)
            self.report.resumed = found is not None
            if found is not None:
                return found
            if not self._anything(connection, at):
                return None
            imagined = self._imagined(connection, at)
            return runs.create(
                connection,
                self.issuer,
                kind=BILL,
                period=self.span.name,
                scope=self.scope,
                at=at,
                as_of_seq=imagined.as_of_seq,
                catalogs=imagined.catalogs,
                actor=actor,
            )

    def _anything(self, connection: Connection, at: int) -> bool:
        """Whether any recipient has a step to bill: a subscription that began after the span's end has none."""
        run = self._imagined(connection, at)
        books = load_books(connection, self.issuer, run.catalogs)
        after = 0
        while recipients := self._due(connection, after, CHUNK):
            loaded = load(connection, self.issuer, run, self.span, recipients, books)
            if loaded.cases or loaded.refused:
                return True
            after = recipients[-1]
        return False

    def _imagined(self, connection: Connection, at: int) -> Run:
        return imagined(connection, self.usage, self.issuer, self.span, at)

    def _due(self, connection: Connection, after: int, limit: int) -> list[int]:
        return subscriptions.due_recipients(
            connection, self.issuer.seq, _threshold(self.span), scope=self.scope, after_seq=after, limit=limit
        )

    def _pass(self, run: Run, books: Books, at_work: Bench, actor: str) -> bool:
        """Go through the recipients after the run's cursor; ``False`` where another process moved it meanwhile."""
        waiting: deque[_Chunk] = deque()
        after, more = run.cursor, True
        while more or waiting:
            while more and len(waiting) < AHEAD:
                chunk = self._chunk(run, after, books, at_work)
                more = chunk is not None
                if chunk is not None:
                    waiting.append(chunk)
                    after = chunk.end
            if not waiting:
                break
            chunk = waiting.popleft()
            outcomes = chunk.outcomes()
            self.step("drafted")
            moved = self._committed(run, chunk, outcomes, actor)
            if moved is None:
                return self._ended(run)
            run = moved
            self.step("committed")
            self.progress(len(chunk.loaded.cases))
        self.step("passed")
        with self.database.write() as connection:
            runs.lock_issuer(connection, self.issuer)
            if runs.lock(connection, run).cursor == run.cursor:
                runs.finish(connection, run)
                return True
        return False

    def _ended(self, run: Run) -> bool:
        with self.database.read() as connection:
            return runs.by_seqs(connection, [run.seq])[run.seq].state == runs.DONE

    def _chunk(self, run: Run, after: int, books: Books, at_work: Bench) -> _Chunk | None:
        with self.database.read() as connection:
            recipients = self._due(connection, after, CHUNK)
            if not recipients:
                return None
            loaded = load(connection, self.issuer, run, self.span, recipients, books)
        self.step("loaded")
        self.report.early += len(loaded.early)
        works = worked_out(self.usage, self.issuer, loaded.cases, loaded.accounts, books, run.as_of_seq)
        self.step("measured")
        return _Chunk(after, recipients[-1], loaded, at_work.submit(works))

    def _committed(self, run: Run, chunk: _Chunk, outcomes: Sequence[tuple[Case, Outcome]], actor: str) -> Run | None:
        """A chunk, issued. Where something of it stands on a live document, that account is parked and the others go on."""
        try:
            with self.database.write() as connection:
                return self._issue(connection, run, chunk, outcomes, actor)
        except Conflict as error:
            if error.code != runs.BILLED_ALREADY:
                raise
            with self.database.read() as connection:
                checked = [(case, _if_new(connection, outcome, error)) for case, outcome in outcomes]
        with self.database.write() as connection:
            return self._issue(connection, run, chunk, checked, actor)

    def _issue(
        self, connection: Connection, run: Run, chunk: _Chunk, outcomes: Sequence[tuple[Case, Outcome]], actor: str
    ) -> Run | None:
        """Number and issue a chunk; ``None`` where another process has come further with the run."""
        runs.lock_issuer(connection, self.issuer)
        current = runs.lock(connection, run)
        if current.cursor != chunk.start or current.state != runs.RUNNING:
            return None
        still = self._undisturbed(connection, chunk, [case for case, _ in outcomes])
        kept = [(case, outcome) for (case, outcome), good in zip(outcomes, still, strict=True) if good]
        drafted = [(case, outcome) for case, outcome in kept if isinstance(outcome, Drafted)]
        new = self._documents(connection, current, chunk.loaded, drafted, actor)
        self.step("numbered")
        seqs = invoices.add(connection, new)
        of_case = dict(zip((id(case) for case, _ in drafted), zip(seqs, new, strict=True), strict=True))
        runs.add_lines(
            connection,
            ((mark, seq) for seq, (_, outcome) in zip(seqs, drafted, strict=True) for mark in outcome.marks),
        )
        self._settle(connection, chunk.loaded, list(zip(seqs, new, drafted, strict=True)), current, actor)
        runs.note_bills(connection, current, list(_steps(kept, {key: seq for key, (seq, _) in of_case.items()})))
        items = list(_items(kept, {key: seq for key, (seq, _) in of_case.items()}, chunk.loaded))
        moved = runs.advance(connection, current, chunk.end, items)
        self.step("issued")
        for case, outcome in kept:
            self._tell(chunk, case, outcome, of_case.get(id(case), (0, None))[1])
        self._refused(chunk)
        return moved

    def _undisturbed(self, connection: Connection, chunk: _Chunk, cases: Sequence[Case]) -> list[bool]:
        """Which cases are still as they were read: nothing of them was billed, voided or paid from since."""
        loaded = chunk.loaded
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
        self, connection: Connection, run: Run, loaded: Loaded, drafted: Sequence[tuple[Case, Drafted]], actor: str
    ) -> list[NewInvoice]:
        date = today(run, self.issuer)
        kinds = [outcome.kind for _, outcome in drafted]
        numbered = {
            kind: invoices.numbers(connection, self.issuer, kind, date, kinds.count(kind)) for kind in dict.fromkeys(kinds)
        }
        texts = {kind: iter(each.texts) for kind, each in numbered.items()}
        new = []
        for case, outcome in drafted:
            date = numbered[outcome.kind].date
            recipient = loaded.accounts[case.recipient]
            agreed = case.terms_agreed
            settled = sum(each.amount_minor for each in outcome.settlements)
            paid = settled == outcome.total_minor
            invoice = Invoice(
                id=document_id(run, recipient, case.currency),
                issuer_id=self.issuer.id,
                recipient_id=recipient.id,
                kind=outcome.kind,
                number=next(texts[outcome.kind]),
                status=_status(paid, settled),
                currency=case.currency,
                total_minor=outcome.total_minor,
                tax_minor=outcome.tax_minor,
                paid_minor=settled,
                customer_name=recipient.name,
                billing_entity=self.issuer.profile.billing_entity or self.issuer.name,
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
                    issuer=self.issuer,
                    recipient=recipient,
                    body=outcome.body,
                    series=numbered[outcome.kind].series,
                )
            )
        return new

    def _settle(
        self,
        connection: Connection,
        loaded: Loaded,
        issued: Sequence[tuple[int, NewInvoice, tuple[Case, Drafted]]],
        run: Run,
        actor: str,
    ) -> None:
        """What hangs on the documents: their bookings, and what credit notes, wallets, coupons and commitments gave."""
        entries: list[Entry] = []
        payments: list[tuple[int, Payment]] = []
        burns: list[Movement] = []
        uses: list[tuple[int, int, object]] = []
        for seq, each, (case, outcome) in issued:
            invoice = each.invoice
            booked = [book_document(invoice, run.at, dict(outcome.earned))]
            for settlement in outcome.settlements:
                payments.append(
                    (seq, _payment(invoice.id, settlement.kind, settlement.reference, settlement.amount_minor, run, actor))
                )
                if settlement.kind is SettlementKind.WALLET:
                    grant = loaded.grants[settlement.reference]
                    burns.append(
                        Movement(
                            each.recipient.seq,
                            grant.id,
                            max(case.at, grant.effective_at),
                            "burn",
                            settlement.amount_minor,
                            seq,
                        )
                    )
                    if grant.id in loaded.included:
                        booked.append(_given_with_the_plan(grant, settlement.amount_minor, invoice, run, seq))
                else:
                    note_seq, _ = loaded.credit_notes[settlement.reference]
                    _use_credit(connection, note_seq, invoice, settlement.amount_minor, run, actor)
            booked += book_settlements(invoice, outcome.settlements, run.at)
            entries += [Entry(Subject.INVOICE, seq, place, transaction) for place, transaction in enumerate(booked)]
            uses += [(agreement, seq, amount) for agreement, amount in outcome.uses]
        ledger.append(connection, entries)
        invoices.add_payments(connection, payments)
        agreements.add_movements(connection, burns, now=run.at, actor=actor)
        agreements.add_uses(connection, uses)  # type: ignore[arg-type]

    def _tell(self, chunk: _Chunk, case: Case, outcome: Outcome, new: NewInvoice | None) -> None:
        recipient = chunk.loaded.accounts[case.recipient]
        row = Billed(account=recipient.id, name=recipient.name, currency=case.currency, state=_state(outcome))
        if isinstance(outcome, Drafted):
            self.report.billed += 1
            self.report.totals[case.currency] = self.report.totals.get(case.currency, 0) + outcome.total_minor
            row = msgspec.structs.replace(row, total_minor=outcome.total_minor)
        elif isinstance(outcome, Parked):
            self.report.parked += 1
            row = msgspec.structs.replace(row, code=outcome.code, reason=outcome.reason)
        else:
            self.report.nothing += 1
        if isinstance(outcome, Parked) or new is None:
            self.report.rows.append(row)

    def _refused(self, chunk: _Chunk) -> None:
        for seq, (code, reason) in chunk.loaded.refused.items():
            account = chunk.loaded.accounts[seq]
            self.report.parked += 1
            self.report.rows.append(
                Billed(account=account.id, name=account.name, currency="", state="parked", code=code, reason=reason)
            )

    def _sum_up(self, run: Run) -> None:
        self.report.run, self.report.batch = run.id, run.batch
        self.report.at, self.report.as_of_seq = run.at, run.as_of_seq


def imagined(connection: Connection, usage: UsageStore | None, issuer: Account, span: NamedSpan, at: int) -> Run:
    """A run as it would open now."""
    return Run(
        seq=0,
        id="",
        issuer_seq=issuer.seq,
        number=0,
        kind=BILL,
        period=span.name,
        scope_seq=None,
        at=at,
        as_of_seq=0 if usage is None else usage.watermark(),
        catalogs={each.code: each.version for each in catalogs.newest(connection, issuer)},
        state=runs.RUNNING,
        cursor=0,
        billed=0,
        parked=0,
        nothing=0,
    )


def worked_out(
    usage: UsageStore | None,
    issuer: Account,
    cases: Sequence[Case],
    people: Mapping[int, Account],
    books: Books,
    as_of_seq: int,
) -> list[Work]:
    """The cases with their parties and all that was counted for them."""
    asked = [ask(case, books) for case in cases]
    answers = measured(usage, books, [() if isinstance(each, Parked) else each for each in asked], as_of_seq)
    by = party(issuer, as_issuer=True)
    return [
        Work(
            case=case,
            issuer=by,
            recipient=party(people[case.recipient]),
            counted=tuple(counted),
            fault=each if isinstance(each, Parked) else None,
        )
        for case, each, counted in zip(cases, asked, answers, strict=True)
    ]


def measured(usage: UsageStore | None, books: Books, asked: Sequence[Sequence[Asked]], as_of_seq: int) -> list[list[Counted]]:
    """The answers to lists of questions: a query for each catalog, grain, zone and period, with all its meters and accounts."""
    answers = [[_NOTHING] * len(questions) for questions in asked]
    groups: dict[tuple[str, Grain, str, Period], _Group] = {}
    for of_case, questions in enumerate(asked):
        for place, one in enumerate(questions):
            group = groups.setdefault((one.catalog, one.grain, one.zone, one.period), {})
            group.setdefault((one.meter, one.version), {}).setdefault(one.account, []).append((of_case, place))
    if groups and usage is None:
        raise Conflict("usage is to be billed, but there is no usage store here", code="bill.no_usage_store")
    for (code, grain, zone, period), group in sorted(groups.items()):
        assert usage is not None
        wanted = sorted(group)
        query = Query(
            meters=tuple(books[code].catalog.meter(*key) for key in wanted),
            periods=(period,),
            accounts=tuple(sorted({account for accounts in group.values() for account in accounts})),
            grain=grain,
            zone=zone,
            as_of_seq=as_of_seq,
        )
        for each in usage.measure(query):
            counted = Counted(each.quantities, each.error, each.message)
            for of_case, place in group[wanted[each.meter]].get(each.account, ()):
                answers[of_case][place] = counted
    return answers


_NOTHING = Counted()
#: By meter and account, where the answer is wanted: which case, which of its questions.
_Group = dict[tuple[str, int], dict[str, list[tuple[int, int]]]]


def document_id(run: Run, recipient: Account, currency: str) -> str:
    """The id of a run's document: derived from the run's keys, so that it is the same however often the run is begun."""
    return derived_id("document", run.id, recipient.id, currency)


def _threshold(span: NamedSpan) -> int:
    """An instant that tells in SQL who is not billed for a span: when it ends where it ends first.

    A day ends here when the next one has begun there; so of days, the last end counts, and more recipients are looked at.
    """
    days = (span.after - span.first).days
    return start_of_day(span.after, "Pacific/Kiritimati" if days > 1 else "Etc/GMT+12")


def _if_new(connection: Connection, outcome: Outcome, error: Conflict) -> Outcome:
    """What a case came to, unless some of it stands on a live document already (P4)."""
    if isinstance(outcome, Drafted) and runs.known_lines(connection, outcome.marks):
        return Parked(error.code, error.message)
    return outcome


def _state(outcome: Outcome) -> str:
    return "billed" if isinstance(outcome, Drafted) else "parked" if isinstance(outcome, Parked) else "nothing"


def _status(paid: bool, settled: int) -> InvoiceStatus:
    if paid:
        return InvoiceStatus.PAID
    return InvoiceStatus.PARTIALLY_PAID if settled else InvoiceStatus.ISSUED


def _steps(kept: Sequence[tuple[Case, Outcome]], seqs: Mapping[int, int]) -> Iterator[BillStep]:
    for case, outcome in kept:
        if not isinstance(outcome, Parked):
            for part in case.parts:
                yield BillStep(part.seq, part.number, part.step.until, seqs.get(id(case)), part.again)


def _items(kept: Sequence[tuple[Case, Outcome]], seqs: Mapping[int, int], loaded: Loaded) -> Iterator[Item]:
    places: dict[int, int] = {}
    for case, outcome in kept:
        place = places[case.recipient] = places.get(case.recipient, -1) + 1
        parked = outcome if isinstance(outcome, Parked) else None
        yield Item(
            case.recipient,
            place,
            _state(outcome),
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


def _use_credit(connection: Connection, note_seq: int, invoice: Invoice, amount_minor: int, run: Run, actor: str) -> None:
    """A credit note pays for an invoice: on the note that is money paid back."""
    found = invoices.lock(connection, invoices.by_seqs(connection, [note_seq])[note_seq])
    payment = _payment(found.invoice.id, "invoice", invoice.id, -amount_minor, run, actor)
    invoices.add_payments(connection, [(note_seq, payment)])
    paid = found.invoice.paid_minor - amount_minor
    done = paid == found.invoice.total_minor
    invoices.move(
        connection,
        found,
        what="payment",
        actor=actor,
        at=run.at,
        detail=invoice.number,
        paid_minor=paid,
        status=InvoiceStatus.PAID if done else InvoiceStatus.PARTIALLY_PAID,
        paid_at=run.at if done else None,
    )
