"""Who would pay more: every account's invoices as they are and as they would be, line by line. Writes nothing.

It is the run's own pure call with other arguments: another catalog, or a subscription with one more change. Both sides bill the
same span of the same usage by what is known at one instant; wallets and credit notes stay out of it, for they price nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

import msgspec

from billsmith.accounts.model import Account
from billsmith.catalog.versions import Shelf
from billsmith.invoicing.billing import Book, Shared
from billsmith.invoicing.cases import Case, Charged
from billsmith.storage import accounts, subscriptions
from billsmith.storage.database import Connection, Database
from billsmith.storage.runs import Run
from billsmith.storage.subscriptions import Stored
from billsmith.subscriptions.learnt import Mark, Step
from billsmith.subscriptions.subscription import AddAddOn, ChangePlan, PlanRef, Subscription
from billsmith.units.errors import NotFound
from billsmith.units.instants import local_date
from billsmith.units.spans import NamedSpan
from billsmith.usage.store import UsageStore
from billsmith.workflows.billing_answers import worked_out
from billsmith.workflows.billing_cases import held_by, load_books, plan_at
from billsmith.workflows.billing_run import imagined
from billsmith.workflows.billing_work import Bench, Make, Parked, bench, no_cycles
from billsmith.workflows.sides import Compared, charged, compared
from billsmith.workflows.sides import LineDifference as LineDifference

#: Recipients that are looked at together: many, as the usage store answers for all of them at once.
CHUNK = 2_000

R = TypeVar("R")

#: What a subscription becomes on the other side, and by which of the books it is billed there.
Other = Callable[[Stored], tuple[Subscription, str]]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What an account would pay in a currency, taxes included. ``problem`` says why a side can't be billed."""

    account: Account
    currency: str
    old_minor: int
    new_minor: int
    lines: tuple[LineDifference, ...]
    problem: str = ""

    @property
    def change_minor(self) -> int:
        """How much more it would be."""
        return self.new_minor - self.old_minor


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What an account pays in a currency, taxes included. ``problem`` says why it can't be billed."""

    account: Account
    currency: str
    total_minor: int
    problem: str = ""


def as_it_is(found: Stored) -> tuple[Subscription, str]:
    """Everybody as they are."""
    return found.subscription, found.catalog


def other_catalog(new: Shelf) -> tuple[dict[str, Book], Other]:
    """Everybody on the plan of the same code as another catalog offers it."""
    key = f"new/{new.code}"

    def moved(found: Stored) -> tuple[Subscription, str]:
        return (_moved(found.subscription, new), key) if found.catalog == new.code else (found.subscription, found.catalog)

    return {key: Book(new)}, moved


def other_plan(change: ChangePlan, subscription: str) -> Other:
    """One subscription with one more change."""

    def moved(found: Stored) -> tuple[Subscription, str]:
        if found.subscription.id != subscription:
            return found.subscription, found.catalog
        changed = msgspec.structs.replace(found.subscription, changes=(*found.subscription.changes, change))
        return changed, found.catalog

    return moved


def simulate(
    database: Database,
    usage: UsageStore | None,
    issuer: Account,
    span: NamedSpan,
    other: Other,
    *,
    at: int,
    books: Mapping[str, Book] | None = None,
    scope: Account | None = None,
    only: str | None = None,
    processes: int = 1,
    progress: Callable[[int], None] = lambda _count: None,
) -> Iterator[Difference]:
    """What each account that gets invoices (at or below ``scope``) would pay for a span, account by account.

    ``books`` are those that ``other`` names beside the issuer's own; ``only`` is a subscription alone.
    """
    with database.read() as connection:
        run = imagined(connection, usage, issuer, span, at)
        mine = load_books(connection, issuer, run.catalogs)
    # who would pay more is told by amounts alone, and what both sides charge alike is charged once
    shared = Shared()
    both = {code: Book(book.catalog, in_words=False, shared=shared) for code, book in {**mine, **(books or {})}.items()}
    with bench(both, processes) as at_work, no_cycles():
        ahead: list[_Chunk[Compared]] = []
        sides = (as_it_is, other)
        for chunk in _chunks(database, usage, issuer, run, span, sides, both, at_work, compared, scope, only):
            ahead.append(chunk)
            if len(ahead) > 1:
                yield from _differences(ahead.pop(0), progress)
        for chunk in ahead:
            yield from _differences(chunk, progress)


def charges(
    database: Database,
    usage: UsageStore | None,
    issuer: Account,
    span: NamedSpan,
    *,
    at: int,
    scope: Account | None = None,
    progress: Callable[[int], None] = lambda _count: None,
) -> Iterator[Charge]:
    """What each account that gets invoices (at or below ``scope``) pays for a span as everything is now, account by account."""
    with database.read() as connection:
        run = imagined(connection, usage, issuer, span, at)
        books = load_books(connection, issuer, run.catalogs)
    with bench(books, 1) as at_work:
        for chunk in _chunks(database, usage, issuer, run, span, (as_it_is,), books, at_work, charged, scope, None):
            for (recipient, currency), asked in zip(chunk.keys, chunk.results(), strict=True):
                problem, total = (asked.reason, 0) if isinstance(asked, Parked) else ("", asked)
                yield Charge(account=chunk.people[recipient], currency=currency, total_minor=total, problem=problem)
            progress(len(chunk.keys))


class _Chunk(NamedTuple, Generic[R]):
    people: dict[int, Account]
    keys: list[tuple[int, str]]
    results: Callable[[], list[R]]


def _chunks(
    database: Database,
    usage: UsageStore | None,
    issuer: Account,
    run: Run,
    span: NamedSpan,
    sides: Sequence[Other],
    books: Mapping[str, Book],
    at_work: Bench,
    make: Make[R],
    scope: Account | None,
    only: str | None,
) -> Iterator[_Chunk[R]]:
    after = 0
    while True:
        with database.read() as connection:
            recipients = subscriptions.recipients(connection, issuer.seq, scope=scope, after_seq=after, limit=CHUNK)
            if not recipients:
                return
            found = subscriptions.of_recipients(connection, issuer.seq, recipients)
            if only is not None:
                found = [each for each in found if each.subscription.id == only]
            people = accounts.by_seqs(connection, {seq for each in found for seq in (each.account_seq, each.recipient_seq)})
            by_key = _sides(connection, issuer, run, span, sides, books, found, people)
        after = recipients[-1]
        cases = [case for of_key in by_key.values() for case in of_key]
        works = worked_out(usage, issuer, cases, people, books, run.as_of_seq)
        yield _Chunk(people, list(by_key), at_work.submit(works, make))


def _sides(
    connection: Connection,
    issuer: Account,
    run: Run,
    span: NamedSpan,
    sides: Sequence[Other],
    books: Mapping[str, Book],
    found: Sequence[Stored],
    people: Mapping[int, Account],
) -> dict[tuple[int, str], tuple[Case, ...]]:
    """By recipient and currency, the case of each side."""
    held = held_by(connection, issuer, run, sorted({each.recipient_seq for each in found}))
    groups: dict[tuple[int, str], list[Stored]] = {}
    for each in found:
        if each.subscription.recorded_at <= run.at:
            currency = books[each.catalog].currency(plan_at(each.subscription, run.at))
            groups.setdefault((each.recipient_seq, currency), []).append(each)
    result = {}
    for (recipient, currency), members in sorted(groups.items()):

        def case(
            parts: Sequence[tuple[Stored, Subscription, str]], recipient: int = recipient, currency: str = currency
        ) -> Case:
            zone = people[recipient].time_zone
            return Case(
                recipient=recipient,
                currency=currency,
                parts=tuple(_charged(each, subscription, catalog, run, span) for each, subscription, catalog in parts),
                period=span.period(zone),
                date=local_date(run.at, issuer.time_zone),
                at=span.end(zone) - 1,
                country=people[recipient].profile.country,
                held=tuple(held[recipient]),
            )

        result[recipient, currency] = tuple(case([(each, *side(each)) for each in members]) for side in sides)
    return result


def _charged(each: Stored, subscription: Subscription, catalog: str, run: Run, span: NamedSpan) -> Charged:
    """A subscription for the whole span, by what is known now: nothing of it is a difference to what was known before."""
    period = span.period(subscription.zone)
    step = Step(Mark(period.start, run.at), Mark(period.end, run.at))
    return Charged(seq=each.seq, subscription=subscription, catalog=catalog, step=step)


def _differences(chunk: _Chunk[Compared], progress: Callable[[int], None]) -> Iterator[Difference]:
    for (recipient, currency), found in zip(chunk.keys, chunk.results(), strict=True):
        yield Difference(
            account=chunk.people[recipient],
            currency=currency,
            old_minor=found.old_minor,
            new_minor=found.new_minor,
            lines=found.lines(),
            problem=found.problem,
        )
    progress(len(chunk.keys))


def _moved(subscription: Subscription, new: Shelf) -> Subscription:
    """A subscription whose plans and add-ons are those of the same code that another catalog offers."""

    def reference(kind: str, old: PlanRef) -> PlanRef:
        return PlanRef(old.code, new.offers.get(kind, {}).get(old.code, old.version))

    changes = [
        msgspec.structs.replace(each, plan=reference("plan", each.plan))
        if isinstance(each, ChangePlan)
        else msgspec.structs.replace(each, add_on=reference("add_on", each.add_on))
        if isinstance(each, AddAddOn)
        else each
        for each in subscription.changes
    ]
    return msgspec.structs.replace(subscription, plan=reference("plan", subscription.plan), changes=tuple(changes))


def find(connection: Connection, id: str) -> Stored:
    """The subscription of a plan change that is to be looked at. Raises :class:`NotFound`."""
    found = subscriptions.by_id(connection, id)
    if found is None:
        raise NotFound("no such subscription; `billsmith subscriptions list` shows them all", code="subscription.unknown")
    return found
