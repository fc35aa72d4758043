"""What the clock does to grants, in the ledger: filled up again, or expired with something left.

Balances are replayed, never stored (decision 0125), and a run may use a grant for a period that ended before it expired. So
what should be booked by now is compared with what is, and the difference is booked: a loss that was booked at the expiry is
taken back by as much as a later invoice of that period used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from billsmith.invoicing.bookings import book_grant, book_loss
from billsmith.ledger import chart
from billsmith.ledger.postings import Transaction
from billsmith.ledger.wallets import Grant, Loss, recurrences
from billsmith.storage import agreements, ledger
from billsmith.storage.agreements import StoredGrant
from billsmith.storage.database import Connection, Database
from billsmith.storage.grant_states import as_voided, state_of
from billsmith.storage.ledger import Subject
from billsmith.units.currency import from_minor, to_minor
from billsmith.units.ids import derived_id

#: Grants that are looked at together.
CHUNK = 200


def book_due(database: Database, now: int) -> int:
    """Book what the clock did to every grant that is due to be looked at; how many grants there were."""
    booked = 0
    while True:
        with database.read() as connection:
            due = agreements.due_grants(connection, now, limit=CHUNK)
        for id in due:
            with database.write() as connection:
                stored = agreements.lock_grant(connection, id)
                book(connection, stored, now)
        booked += len(due)
        if len(due) < CHUNK:
            return booked


def book(connection: Connection, stored: StoredGrant, now: int) -> None:
    """Book what the clock did to a grant up to now, and note when it does something next. The caller holds it locked."""
    moves = agreements.movements(connection, [stored.account_seq])[stored.account_seq]
    own = [move for move in moves if move.grant_id == stored.grant.id]
    grant = as_voided(stored.grant, own)
    state = state_of(grant, own, stored.currency, now)
    lost = sum(to_minor(loss.amount, stored.currency) for loss in state.losses)
    filled = sum(1 for again in recurrences([grant], now) if grant.alive(again.at))
    booked = _booked(entry.transaction for entry in ledger.entries(connection, Subject.GRANT, stored.seq))
    new = [book_grant(grant, now, stored.currency, times=times) for times in range(booked.times + 1, filled + 2)]
    if lost != booked.lost:
        difference = from_minor(lost - booked.lost, stored.currency)
        loss = book_loss(grant, Loss(at=now, grant=grant.id, amount=difference), stored.currency)
        place = str(booked.transactions + len(new))
        new.append(msgspec.structs.replace(loss, id=derived_id("loss", grant.id, place)))
    ledger.append_next(connection, Subject.GRANT, stored.seq, new)
    agreements.look_again(connection, stored, next_at(grant, now))


def next_at(grant: Grant, now: int) -> int | None:
    """When the clock does something to a grant next; ``None``: nothing any more."""
    ends = [] if grant.ends_at <= now or grant.ends_at >= 2**63 - 1 else [grant.ends_at]
    if grant.recurrence is not None and grant.ends_at > now:
        again = grant.recurrence.containing(max(now, grant.effective_at)).end
        ends += [again] if again < grant.ends_at else []
    return min(ends, default=None)


class _Booked(NamedTuple):
    """How often a grant was booked as given, what of it as lost, and in how many transactions."""

    times: int
    lost: int
    transactions: int


def _booked(transactions: Iterable[Transaction]) -> _Booked:
    times = lost = count = 0
    for each in transactions:
        count += 1
        wallet = sum(posting.amount_minor for posting in each.postings if posting.account == chart.wallet(each.reference))
        if each.what == f"grant {each.reference}":
            times += 1
        else:
            lost += wallet
    return _Booked(times, lost, count)
