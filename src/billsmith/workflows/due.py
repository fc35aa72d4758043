"""What should stand on an invoice and does not: the other half of promise P4, over the same key.

Every span of usage that ever fell due must stand on a live document, by its own mark; fees are what a run at this instant would
bill. So a period that a run missed, one whose document was voided, and one whose record was lost all show. A span is looked for
as it was known to the step that billed it: what was learnt later of a period that was billed is a note's to say (0405).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from billsmith.accounts.model import Account
from billsmith.invoicing.billing import Book
from billsmith.invoicing.cases import Charged, LineMark, spans_of_usage, usage_mark
from billsmith.storage import accounts, catalogs, issuers, runs, subscriptions
from billsmith.storage.database import Connection, Database
from billsmith.storage.subscriptions import Billed, Stored
from billsmith.subscriptions.learnt import Mark, Step, as_learnt
from billsmith.subscriptions.spans import UsageSpan, fees_to_bill
from billsmith.units.periods import Period
from billsmith.workflows.billing_cases import load_books


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A period of a subscription with something due that no live document bills; ``components`` names it."""

    account: Account
    subscription: str
    period: Period
    components: tuple[str, ...]


def due(database: Database, issuer: Account, *, at: int, known_at: int, scope: Account | None = None) -> Iterator[Due]:
    """Every period due at an instant, by what is known at another, and unbilled: by subscription, each by time.

    One that is over, but in the issuer's grace, is not due.
    """
    after = 0
    with database.read() as connection:
        at -= issuers.how(connection, issuer.seq).grace
    while True:
        with database.read() as connection:
            versions = {each.code: each.version for each in catalogs.newest(connection, issuer)}
            books = load_books(connection, issuer, versions)
            batch = subscriptions.page(connection, issuer=issuer, within=scope, after_seq=after)
            billed = subscriptions.billed(connection, [found.seq for found in batch])
            people = accounts.by_seqs(connection, {found.account_seq for found in batch})
            found = [
                (each, _unbilled(connection, each, books[each.catalog], billed[each.seq], Mark(at, known_at)))
                for each in batch
                if each.subscription.recorded_at <= known_at
            ]
        for each, periods in found:
            for period, components in sorted(periods.items()):
                yield Due(
                    account=people[each.account_seq],
                    subscription=each.subscription.id,
                    period=period,
                    components=tuple(components),
                )
        if not batch:
            return
        after = batch[-1].seq


def _unbilled(connection: Connection, found: Stored, book: Book, billed: list[Billed], now: Mark) -> dict[Period, list[str]]:
    """The components that are due and unbilled, by their period."""
    periods: dict[Period, list[str]] = {}
    used: list[tuple[UsageSpan, LineMark]] = []
    before: Mark | None = None
    for each in billed:
        if each.is_open:
            _fees(periods, found, book, Step(before, each.mark))
        used += _used(found, book, Step(before, each.mark))
        before = each.mark
    if before is None or before.until < now.until:
        _fees(periods, found, book, Step(before, now))
        used += _used(found, book, Step(before, now))
    live = runs.known_lines(connection, [mark for _, mark in used]) if used else set()
    for span, mark in used:
        if mark not in live:
            periods.setdefault(span.whole, []).append(span.charge.key)
    return periods


def _used(found: Stored, book: Book, step: Step) -> Iterator[tuple[UsageSpan, LineMark]]:
    part = Charged(seq=found.seq, subscription=found.subscription, catalog=found.catalog, step=step)
    return ((span, usage_mark(part, span)) for span in spans_of_usage(part, book))


def _fees(periods: dict[Period, list[str]], found: Stored, book: Book, step: Step) -> None:
    seen = as_learnt(found.subscription, step)
    if seen is not None:
        since = step.since.until if step.since else None
        for span in fees_to_bill(seen, book.catalog, since, step.until.until):
            periods.setdefault(span.whole, []).append(span.fee.code)
