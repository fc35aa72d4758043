"""The cases of a chunk of recipients: everything that their documents depend on, read in one state of the store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from billsmith.accounts.model import Account, AccountStatus
from billsmith.invoicing.billing import Book, included_grants
from billsmith.invoicing.cases import Case, Charged, Held
from billsmith.invoicing.terms import Credit, Wallet
from billsmith.ledger.wallets import Grant
from billsmith.storage import accounts, agreements, catalogs, invoices, subscriptions
from billsmith.storage.agreements import Movement, Use
from billsmith.storage.database import Connection
from billsmith.storage.grant_states import as_voided, balance_of
from billsmith.storage.runs import Run
from billsmith.storage.subscriptions import Billed, Stored
from billsmith.subscriptions.agreements import Agreement, CouponGiven, in_force
from billsmith.subscriptions.learnt import Mark, Step, as_learnt
from billsmith.subscriptions.subscription import ChangePlan, PlanRef, Subscription
from billsmith.subscriptions.timeline import ends_at
from billsmith.units.errors import BillsmithError
from billsmith.units.exact import total
from billsmith.units.instants import local_date
from billsmith.units.periods import Period
from billsmith.units.spans import NamedSpan
from billsmith.workflows.billing_cycles import CYCLE, is_billed_by, last_mark


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """Cases with the accounts that they name, those that can't be billed at all, and what was billed of each subscription.

    ``refused`` says of a recipient why; ``early`` are those whose period is not over, or in its grace. ``grants`` are those of
    wallets, by id (``included`` came with plans), ``movements`` counts by recipient what had happened to them.
    """

    cases: tuple[Case, ...]
    accounts: dict[int, Account]
    steps: dict[int, tuple[int, int]]
    credit_notes: dict[str, tuple[int, int]]
    grants: dict[str, Grant]
    included: frozenset[str]
    movements: dict[int, int]
    refused: dict[int, tuple[str, str]]
    early: tuple[int, ...] = ()


def load_books(connection: Connection, issuer: Account, versions: Mapping[str, int]) -> dict[str, Book]:
    """The catalogs of an issuer as a run bills by them."""
    return {code: Book(catalogs.load(connection, issuer, code, version)) for code, version in versions.items()}


def load(
    connection: Connection,
    issuer: Account,
    run: Run,
    span: NamedSpan,
    recipients: Sequence[int],
    books: Mapping[str, Book],
    grace: int = 0,
) -> Loaded:
    """The cases of some recipients. Before its ``grace`` has passed, a period that is over is early still.

    A run of a day's cycles takes those subscriptions alone whose period ends on it.
    """
    of_cycles = run.kind == CYCLE
    stored = subscriptions.of_recipients(connection, issuer.seq, recipients)
    billed = subscriptions.billed(connection, [each.seq for each in stored])
    people = accounts.by_seqs(connection, {seq for each in stored for seq in (each.account_seq, each.recipient_seq)})
    held = held_by(connection, issuer, run, recipients)
    wallets = _Wallets(connection, issuer, run, recipients)
    notes = invoices.credits_left(connection, issuer.seq, recipients)
    date = local_date(run.at, issuer.time_zone)
    refused: dict[int, tuple[str, str]] = {}
    early: dict[int, None] = {}
    groups: dict[tuple[int, str], list[tuple[Stored, Step, int, bool]]] = {}
    for each in stored:
        until = span.end(each.subscription.zone)
        if until + grace > run.at:
            early[each.recipient_seq] = None
            continue
        if each.subscription.recorded_at > run.at:
            continue
        if of_cycles and not is_billed_by(each, books, last_mark(billed[each.seq]), span.first, run.at):
            continue
        for step, number, again in steps_to_bill(billed[each.seq], Mark(until, run.at)):
            if not again and _is_over(each.subscription, step):
                continue
            if people[each.recipient_seq].status is AccountStatus.CLOSED:
                refused[each.recipient_seq] = ("account.closed", "the account is closed; it takes no more invoices")
            else:
                currency = books[each.catalog].currency(plan_at(each.subscription, run.at))
                groups.setdefault((each.recipient_seq, currency), []).append((each, step, number, again))
    cases = []
    for (recipient_seq, currency), members in sorted(groups.items()):
        if recipient_seq in refused:
            continue
        parts = tuple(_charged(*member, people) for member in members)
        starts = [_last_document(each, billed[each.seq], number) for each, _, number, _ in members]
        period = _period(starts, max(part.step.until.until for part in parts))
        at = period.end - 1  # what was used before the run may be paid by what expires at it
        try:
            included = [grant for part in parts for grant in _included(part, books[part.catalog])]
            wallet = wallets.of(recipient_seq, currency, included, at)
        except BillsmithError as error:
            refused[recipient_seq] = (error.code, error.message)
            continue
        cases.append(
            Case(
                recipient=recipient_seq,
                currency=currency,
                parts=parts,
                period=period,
                date=date,
                at=at,
                country=people[recipient_seq].profile.country,
                held=tuple(held[recipient_seq]),
                wallet=wallet,
                credits=tuple(
                    Credit(reference=note.invoice.id, amount_minor=-note.invoice.due_minor)
                    for note in notes
                    if note.recipient_seq == recipient_seq and note.invoice.currency == currency
                ),
            )
        )
    return Loaded(
        cases=tuple(cases),
        accounts=people,
        steps={seq: (len(steps), sum(step.is_open for step in steps)) for seq, steps in billed.items()},
        credit_notes={note.invoice.id: (note.seq, note.invoice.paid_minor) for note in notes},
        grants=wallets.begun,
        included=frozenset(wallets.included),
        movements=wallets.movements,
        refused=refused,
        early=tuple(early),
    )


def steps_to_bill(billed: Sequence[Billed], mark: Mark) -> Iterator[tuple[Step, int, bool]]:
    """The steps that a run up to ``mark`` bills, with their numbers: those that are open again (``True``), then the next."""
    before: Mark | None = None
    for each in billed:
        if each.is_open:
            yield Step(before, each.mark), each.number, True
        before = each.mark
    if before is None or before.until < mark.until:
        yield Step(before, mark), len(billed) + 1, False


def plan_at(subscription: Subscription, known_at: int) -> PlanRef:
    """The plan that a subscription ends on, as known at an instant."""
    plans = [each for each in subscription.changes if isinstance(each, ChangePlan) and each.recorded_at <= known_at]
    return max(plans, key=lambda change: (change.at, change.recorded_at)).plan if plans else subscription.plan


def _charged(each: Stored, step: Step, number: int, again: bool, people: Mapping[int, Account]) -> Charged:
    name = people[each.account_seq].external_id if each.account_seq != each.recipient_seq else ""
    return Charged(
        seq=each.seq, subscription=each.subscription, catalog=each.catalog, step=step, number=number, again=again, account=name
    )


def _last_document(found: Stored, billed: Sequence[Billed], number: int) -> int:
    """Where the last document of a subscription before a step ended; where it began, if there was none."""
    before = (each.mark.until for each in billed if each.number < number and each.invoice_seq is not None)
    return max(before, default=found.subscription.starts_at)


def _period(starts: Sequence[int], end: int) -> Period:
    return Period(min(*starts, end - 1) if len(starts) > 1 else min(starts[0], end - 1), end)


def _is_over(subscription: Subscription, step: Step) -> bool:
    """Whether a step can have nothing to bill: it has not begun, or had ended before, and nothing was learnt since."""
    if subscription.starts_at >= step.until.until:
        return step.since is None
    if step.since is None:
        return False
    seen = as_learnt(subscription, Step(None, step.until))
    learnt = any(step.since.known_at < change.recorded_at <= step.until.known_at for change in subscription.changes)
    return seen is not None and not learnt and ends_at(seen) < step.since.until


def _included(part: Charged, book: Book) -> list[Grant]:
    """The credits that came with the plans of a subscription, as the step knows it."""
    seen = as_learnt(part.subscription, part.step)
    if seen is None or not any(plan.credits for plan in book.catalog.plans):
        return []
    return included_grants(seen, book.catalog, Period(seen.starts_at, part.step.until.until))


def held_by(
    connection: Connection, issuer: Account, run: Run, recipients: Sequence[int], of: int | None = None
) -> dict[int, list[Held]]:
    """What recipients agreed to and holds at a run, with what invoices used of it; or as it stood for one (``of``, its row)."""
    stored = agreements.of_accounts(connection, issuer.seq, recipients, run.at)
    used = agreements.uses(connection, [each.seq for group in stored.values() for each in group])
    found: dict[int, list[Held]] = {}
    for recipient, group in stored.items():
        seqs = {each.id: each.seq for each in group}
        holding = in_force([(each.id, each.body) for each in group], run.at)
        held = (_held(seqs[id], id, body, used[seqs[id]], of) for id, body in holding.items())
        found[recipient] = [each for each in held if each is not None]
    return found


def _held(seq: int, id: str, body: Agreement, used: Sequence[Use], of: int | None) -> Held | None:
    """An agreement with what was used of it before; ``None`` for a coupon that the invoice in question was made without.

    A coupon lasts for so many runs, however many documents they make of it. Which invoices it was for stands beside them: what
    was voided or billed since doesn't change that. Of a commitment an invoice has what the others leave of it: those before
    it, and what those after it drew together, for it is drawn but once.
    """
    if isinstance(body, CouponGiven):
        if of is None:
            return Held(seq=seq, id=id, agreement=body, runs=len({use.batch for use in used}))
        return Held(seq=seq, id=id, agreement=body) if any(use.invoice_seq == of for use in used) else None
    before = tuple(use.amount for use in used if of is None or use.invoice_seq < of)
    after = total([use.amount for use in used if of is not None and use.invoice_seq > of])
    return Held(seq=seq, id=id, agreement=body, used=(*before, after) if after > 0 else before)


class _Wallets:
    """What wallets hold. Each grant is replayed for itself, for what an invoice took from it is known."""

    def __init__(self, connection: Connection, issuer: Account, run: Run, recipients: Sequence[int]) -> None:
        self._grants = agreements.grants(connection, issuer.seq, recipients, run.at)
        self._moves = agreements.movements(connection, recipients)
        self._present = run.at
        self.begun: dict[str, Grant] = {}
        self.included: set[str] = set()
        self.movements = {recipient: len(moves) for recipient, moves in self._moves.items()}

    def of(self, recipient: int, currency: str, included: Sequence[Grant], at: int) -> Wallet:
        """The wallet of a recipient in a currency, for a document whose period has ended at an instant.

        What was granted since, up to the run's present, pays too, as if it had begun by then; what was taken back by then
        pays for nothing, for it is lost already.
        """
        moves: dict[str, list[Movement]] = {}
        for move in self._moves[recipient]:
            moves.setdefault(move.grant_id, []).append(move)
        own = [each.grant for each in self._grants[recipient] if each.currency == currency]
        self.included.update(grant.id for grant in included)
        grants, balances = [], {}
        for grant in (*(each for each in own if each.effective_at <= self._present), *included):
            grant = as_voided(grant, moves.get(grant.id, []))
            if grant.voided_at is not None and grant.voided_at <= self._present:
                continue
            self.begun[grant.id] = grant
            left = balance_of(grant, moves.get(grant.id, []), currency, max(at, grant.effective_at))
            if left:
                grants.append(msgspec.structs.replace(grant, effective_at=min(grant.effective_at, at)))
                balances[grant.id] = left
        return Wallet(grants=tuple(grants), balances=balances)


def today(run: Run, issuer: Account) -> dt.date:
    """The date of a run's documents: the day on which it runs, where the issuer is."""
    return local_date(run.at, issuer.time_zone)
