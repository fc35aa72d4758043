"""Prepaid and granted credit: which grant pays for what, and what is left.

A wallet's grants are burnt in one order: priority (the lowest number first), then the one that expires first, then the oldest,
then by id. A grant is alive in ``[effective_at, expires_at)`` until it is voided, and pays only for what its scope names.
Balances are never stored: they are what :func:`replay` makes of the grants and of everything that happened to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import IntEnum

import msgspec

from billsmith.units.calendar import Schedule
from billsmith.units.errors import Invalid
from billsmith.units.rounding import EXACT, ZERO

_FOREVER = 2**63


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Credit given or bought. ``amount`` is exact, in the wallet's currency or unit.

    ``scope`` names the meters or fees that it may pay for (empty: all). ``recurrence`` fills it up again at every boundary of
    a schedule, carrying over at most ``rollover`` of what was left. ``paid`` says whether money was received for it.
    """

    id: str
    amount: Decimal
    priority: int = 0
    effective_at: int = 0
    expires_at: int | None = None
    voided_at: int | None = None
    scope: frozenset[str] = frozenset()
    recurrence: Schedule | None = None
    rollover: Decimal = ZERO
    paid: bool = True

    def __post_init__(self) -> None:
        for name in ("amount", "rollover"):
            value = getattr(self, name)
            if not isinstance(value, Decimal) or not value.is_finite() or value < 0:
                raise Invalid(
                    f"grant {self.id}: {name} is {value!r}; it is a decimal, zero or more", code="wallet.amount", where=name
                )

    @property
    def ends_at(self) -> int:
        """When the grant expires or is voided, whichever comes first; a far future where neither is known."""
        ends = [end for end in (self.expires_at, self.voided_at) if end is not None]
        return min(ends, default=_FOREVER)

    def alive(self, at: int) -> bool:
        """Whether the grant can pay at an instant."""
        return self.effective_at <= at < self.ends_at

    def pays_for(self, what: str) -> bool:
        """Whether the grant's scope has it."""
        return not self.scope or what in self.scope


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be paid from the wallet. ``what`` is the meter or fee, ``reference`` the document."""

    at: int
    amount: Decimal
    what: str = ""
    reference: str = ""


class Recur(msgspec.Struct, frozen=True, kw_only=True):
    """A grant is filled up again at an instant."""

    at: int
    grant: str


class Burn(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the burn trace: a use took ``amount`` from a grant and left ``balance``."""

    at: int
    grant: str
    amount: Decimal
    balance: Decimal
    what: str = ""
    reference: str = ""


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """What a grant lost unused when it expired, was voided or was filled up again."""

    at: int
    grant: str
    amount: Decimal


class WalletState(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of each grant that has begun, what no grant paid, and how it came about."""

    balances: dict[str, Decimal]
    overage: Decimal
    burns: tuple[Burn, ...]
    losses: tuple[Loss, ...]


def burn_order(grant: Grant) -> tuple[int, int, int, str]:
    """The key by which grants are burnt: priority, expiry, age, id."""
    return (grant.priority, grant.expires_at if grant.expires_at is not None else _FOREVER, grant.effective_at, grant.id)


def take(grants: Iterable[Grant], balances: Mapping[str, Decimal], use: Use) -> tuple[list[tuple[str, Decimal]], Decimal]:
    """Which grants pay for a use, in the order of burning, and what is left unpaid. Changes nothing.

    >>> first, second = Grant(id="a", amount=Decimal(5), priority=2), Grant(id="b", amount=Decimal(5), priority=1)
    >>> take([first, second], {"a": Decimal(5), "b": Decimal(5)}, Use(at=0, amount=Decimal(7)))
    ([('b', Decimal('5')), ('a', Decimal('2'))], Decimal('0'))
    """
    taken = []
    rest = use.amount
    for grant in sorted(grants, key=burn_order):
        balance = balances.get(grant.id, ZERO)
        if rest > 0 and balance > 0 and grant.alive(use.at) and grant.pays_for(use.what):
            amount = min(balance, rest)
            taken.append((grant.id, amount))
            rest = EXACT.subtract(rest, amount)
    return taken, rest


def recurrences(grants: Iterable[Grant], until: int) -> list[Recur]:
    """Every filling up that the grants' schedules ask for after they begin and up to an instant."""
    return [
        Recur(at=period.start, grant=grant.id)
        for grant in grants
        if grant.recurrence is not None
        for period in grant.recurrence.between(grant.effective_at, min(until + 1, grant.ends_at))
        if period.start > grant.effective_at
    ]


def replay(
    grants: Sequence[Grant], events: Iterable[Use | Recur], *, until: int = _FOREVER, overage_carries: bool = False
) -> WalletState:
    """What the grants hold after the events up to and including ``until``, in the order of time.

    At one instant grants end first, then they begin or are filled up, then uses are paid, in the order given. With
    ``overage_carries`` what no grant paid is paid by the next grant that begins or is filled up.

    Raises :class:`Invalid` where two grants have one id or an event names none of them.

    >>> grant = Grant(id="g", amount=Decimal(100))
    >>> state = replay([grant], [Use(at=1, amount=Decimal(120))])
    >>> state.balances["g"], state.overage
    (Decimal('0'), Decimal('20'))
    """
    run = _Replay(grants, overage_carries)
    moments: list[tuple[int, _Order, int, Grant | Use | Recur]] = []
    for index, grant in enumerate(grants):
        moments.append((grant.effective_at, _Order.BEGIN, index, grant))
        if grant.ends_at < _FOREVER:
            moments.append((grant.ends_at, _Order.END, index, grant))
    for index, event in enumerate(events):
        moments.append((event.at, _Order.RECUR if isinstance(event, Recur) else _Order.USE, index, event))
    for at, order, _, subject in sorted(moments, key=lambda moment: moment[:3]):
        if at <= until:
            run.step(at, order, subject)
    overage = sum(run.unpaid.values(), ZERO)
    return WalletState(balances=run.balances, overage=overage, burns=tuple(run.burns), losses=tuple(run.losses))


class _Order(IntEnum):
    """What comes first at one instant."""

    END = 0
    BEGIN = 1
    RECUR = 2
    USE = 3


class _Replay:
    """The state of a replay while it runs."""

    def __init__(self, grants: Sequence[Grant], overage_carries: bool) -> None:
        self.grants = {grant.id: grant for grant in grants}
        if len(self.grants) < len(grants):
            raise Invalid("two grants of a wallet have the same id", code="wallet.duplicate_grant", where="grants")
        self.overage_carries = overage_carries
        self.balances: dict[str, Decimal] = {}
        self.unpaid: dict[str, Decimal] = {}
        self.burns: list[Burn] = []
        self.losses: list[Loss] = []

    def step(self, at: int, order: _Order, subject: Grant | Use | Recur) -> None:
        if isinstance(subject, Use):
            self.unpaid[subject.what] = EXACT.add(self.unpaid.get(subject.what, ZERO), self.pay(subject))
            return
        grant = subject if isinstance(subject, Grant) else self.known(subject)
        if order is _Order.END:
            self.lose(at, grant.id, self.balances.get(grant.id, ZERO))
        elif grant.alive(at):
            self.fill(at, grant, again=order is _Order.RECUR)
            self.carry(at)

    def known(self, recur: Recur) -> Grant:
        try:
            return self.grants[recur.grant]
        except KeyError:
            raise Invalid(f"no grant {recur.grant!r} to fill up", code="wallet.unknown_grant", where="grant") from None

    def fill(self, at: int, grant: Grant, *, again: bool) -> None:
        left = self.balances.get(grant.id, ZERO)
        kept = min(left, grant.rollover)
        if again:
            self.lose(at, grant.id, EXACT.subtract(left, kept))
        self.balances[grant.id] = EXACT.add(grant.amount, kept)

    def lose(self, at: int, grant: str, amount: Decimal) -> None:
        if amount:
            self.losses.append(Loss(at=at, grant=grant, amount=amount))
        if grant in self.balances:
            self.balances[grant] = EXACT.subtract(self.balances[grant], amount)

    def carry(self, at: int) -> None:
        if self.overage_carries:
            for what, amount in self.unpaid.items():
                self.unpaid[what] = self.pay(Use(at=at, amount=amount, what=what, reference="overage"))

    def pay(self, use: Use) -> Decimal:
        taken, rest = take(self.grants.values(), self.balances, use)
        for grant, amount in taken:
            self.balances[grant] = EXACT.subtract(self.balances[grant], amount)
            self.burns.append(
                Burn(
                    at=use.at,
                    grant=grant,
                    amount=amount,
                    balance=self.balances[grant],
                    what=use.what,
                    reference=use.reference,
                )
            )
        return rest
