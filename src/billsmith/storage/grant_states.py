"""What became of a grant by an instant: never stored, but replayed from what is kept of it (decision 0125)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from billsmith.ledger.wallets import Grant, Recur, Use, WalletState, recurrences, replay
from billsmith.storage.agreements import Movement
from billsmith.units.currency import from_minor
from billsmith.units.rounding import ZERO


def balance_of(grant: Grant, moves: Sequence[Movement], currency: str, at: int) -> Decimal:
    """What is left of a grant at an instant."""
    return state_of(grant, moves, currency, at).balances.get(grant.id, ZERO)


def state_of(grant: Grant, moves: Sequence[Movement], currency: str, at: int) -> WalletState:
    """What became of a grant by an instant."""
    what = next(iter(sorted(grant.scope)), "")
    burns = [
        Use(at=min(move.at, at), amount=from_minor(move.amount_minor, currency), what=what)
        for move in moves
        if move.what == "burn"
    ]
    events: list[Use | Recur] = [*recurrences([grant], at), *burns]
    return replay([grant], events, until=at)


def as_voided(grant: Grant, moves: Sequence[Movement]) -> Grant:
    """A grant that knows when it was taken back, if it was."""
    voids = [move.at for move in moves if move.what == "void"]
    return msgspec.structs.replace(grant, voided_at=min(voids)) if voids else grant
