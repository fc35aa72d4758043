"""Whose billing period ends on a day: what the clock bills between the ends of months (decision 0407).

A day counts where the subscription is. Its end bills a subscription whose billing period ended on it. The last days of months
are left out: the month's own run bills whatever is due by then, also what those owe in advance that began in it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence

from billsmith.accounts.model import Account
from billsmith.invoicing.billing import Book
from billsmith.invoicing.cases import Books
from billsmith.storage import subscriptions
from billsmith.storage.database import Connection
from billsmith.storage.subscriptions import Billed, Stored
from billsmith.subscriptions.learnt import Mark, Step, as_learnt
from billsmith.subscriptions.spans import billing_periods, fees_to_bill, usage_spans
from billsmith.subscriptions.subscription import Subscription
from billsmith.units.calendar import billing_day
from billsmith.units.instants import start_of_day
from billsmith.units.periods import Period

#: The kind of run, and what the batch of its documents says.
CYCLE = "cycle"

_DAY = dt.timedelta(days=1)


def days_due(
    connection: Connection, issuer: Account, books: Books, *, now: Mark, first: dt.date, parked: Collection[int]
) -> set[dt.date]:
    """The days from ``first`` on, over by ``now``, whose ends bill a subscription of an issuer that was not billed since.

    ``parked`` are recipients that are left out.
    """
    return {
        day
        for each, since in _every(connection, issuer)
        if each.recipient_seq not in parked
        for day in _days(each, books[each.catalog], since, now, first)
    }


def recipients_due(connection: Connection, issuer: Account, books: Books, day: dt.date, known_at: int) -> list[int]:
    """The recipients, in order, with a subscription that the end of a day bills."""
    everybody = _every(connection, issuer)
    return sorted({each.recipient_seq for each, since in everybody if is_billed_by(each, books, since, day, known_at)})


def is_billed_by(found: Stored, books: Books, since: Mark | None, day: dt.date, known_at: int) -> bool:
    """Whether the end of a day bills a subscription that is billed up to ``since``."""
    end = start_of_day(day + _DAY, found.subscription.zone)
    return day in _days(found, books[found.catalog], since, Mark(end, known_at), day)


def last_mark(billed: Sequence[Billed]) -> Mark | None:
    """How far a subscription is billed."""
    return billed[-1].mark if billed else None


def _every(connection: Connection, issuer: Account) -> Iterator[tuple[Stored, Mark | None]]:
    """Every subscription, and how far it is billed."""
    after = 0
    while batch := subscriptions.page(connection, issuer=issuer, after_seq=after):
        marks = subscriptions.marks(connection, [each.seq for each in batch])
        yield from ((each, marks.get(each.seq)) for each in batch)
        after = batch[-1].seq


def _days(found: Stored, book: Book, since: Mark | None, now: Mark, first: dt.date) -> Iterator[dt.date]:
    """The days from ``first`` on, over by ``now``, whose ends bill a subscription."""
    zone = found.subscription.zone
    for day in _candidates(found.subscription, book, since, now):
        end = start_of_day(day + _DAY, zone)
        if day < first or (day + _DAY).day == 1 or end > now.until or (since is not None and end <= since.until):
            continue
        if _is_due(found.subscription, book, Step(since, Mark(end, now.known_at))):
            yield day


def _candidates(subscription: Subscription, book: Book, since: Mark | None, now: Mark) -> set[dt.date]:
    """The days on which a billing period of a subscription ended after it was billed last."""
    seen = as_learnt(subscription, Step(since, now))
    start = subscription.starts_at if since is None else since.until
    if seen is None or start >= now.until:
        return set()
    ends = [part.end for _, part in billing_periods(seen, book.catalog, Period(start, now.until))]
    return {billing_day(end - 1, seen.zone) for end in ends if end <= now.until}


def _is_due(subscription: Subscription, book: Book, step: Step) -> bool:
    """Whether a step has anything to bill."""
    seen = as_learnt(subscription, step)
    since, until = step.since.until if step.since else None, step.until.until
    return seen is not None and bool(
        fees_to_bill(seen, book.catalog, since, until) or usage_spans(seen, book.catalog, since, until)
    )
