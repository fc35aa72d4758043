"""The one interface of every usage store, and the values that go in and out of it.

A store keeps events for ever and counts them. It never changes a row: a correction is a row of its own that reverses the one
in force. Each row has a ``seq``; once S is readable no row at or below S appears later, and every question can be asked
``as_of_seq`` a state in the past. What a store answers equals :func:`billsmith.metering.measure.measure`, to the last digit.

Whom an event bills is the *reference* that its sender gave (``Event.account``: a UUID or an external id), seen from the
event's owner. A store binds ``(owner, reference)`` to an account's id once (:meth:`UsageStore.bind`); until then its events
are kept, visible as unknown, and counted for nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import msgspec
from msgspec import field

from billsmith.events.event import Event
from billsmith.metering.measure import Grain
from billsmith.metering.meter import Aggregation, Meter
from billsmith.metering.quantity import Quantity
from billsmith.units.errors import Invalid, TooLarge
from billsmith.units.instants import DAY, HOUR, MINUTE
from billsmith.units.periods import Period
from billsmith.units.values import Value

#: Most items of one call of ``ingest``, most rows of one page of ``events``.
MAX_BATCH = 100_000
MAX_PAGE = 10_000

#: Most windows that a query may have, all its periods together.
MAX_WINDOWS = 100_000
_LENGTHS = {Grain.DAY: DAY, Grain.HOUR: HOUR, Grain.MINUTE: MINUTE}


class Void(Value, frozen=True, kw_only=True, tag=True):
    """Takes back the event of an identity. Of one that is void already it is a duplicate.

    With ``as_of_seq`` it corrects what was in force in that state and nothing later: where a row of the identity came after
    it, this too is a duplicate. So a correction that is sent again can't undo the one that followed it.
    """

    owner: str
    source: str
    id: str
    as_of_seq: int | None = None


class Replace(Value, frozen=True, kw_only=True, tag=True):
    """Puts another body in the place of the one in force. The body in force again is a duplicate; a void event lives again.

    ``as_of_seq`` as of :class:`Void`.
    """

    event: Event
    as_of_seq: int | None = None


#: What a batch is made of. The items of one batch take effect in their order.
Item = Event | Void | Replace


class Clash(msgspec.Struct, frozen=True):
    """The item at ``index`` of the batch has an identity that is known with another body. It was not applied."""

    index: int
    sent: Event
    stored: Event


class Rejection(msgspec.Struct, frozen=True):
    """The item at ``index`` can't be kept, and why: ``code`` is stable (``event.unknown`` for a correction of nothing)."""

    index: int
    code: str
    message: str
    where: str = ""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch, durably: items that no list names were accepted. ``seq`` is the store's highest after it."""

    accepted: int
    seq: int
    duplicates: tuple[int, ...] = ()
    conflicts: tuple[Clash, ...] = ()
    rejected: tuple[Rejection, ...] = ()


class Binding(msgspec.Struct, frozen=True):
    """The reference that an owner's events give, and the id of the account that it names."""

    owner: str
    reference: str
    account: str


#: A sender's id, and the reference by which it calls an account.
Name = tuple[str, str]


class Query(Value, frozen=True, kw_only=True):
    """What to measure: each meter, for each account, over each period.

    ``accounts`` are ids; ``None`` stands for all that have an event or a level to count. Each period is measured for itself
    and cut by ``grain`` (days are those of ``zone``); windows of months or of n hours are periods of their own. To filter or
    group more finely, pass the meter with a narrower ``where`` or another ``group_by``. What was carried into a period (the
    level of a time-weighted sum, who was there for a prorated unique count) is what all events before it left.
    """

    meters: tuple[Meter, ...]
    periods: tuple[Period, ...]
    accounts: tuple[str, ...] | None = None
    grain: Grain = Grain.TOTAL
    zone: str = "UTC"
    as_of_seq: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.meters or not self.periods:
            raise Invalid("a query needs a meter and a period", code="usage.empty_query", where="meters")
        if self.grain not in _LENGTHS:
            return
        if any(meter.aggregation is Aggregation.UNIQUE_COUNT_PRORATED for meter in self.meters):
            raise Invalid(
                "a prorated unique count is of the whole period; it has no windows. Use unique_count, or the grain total",
                code="meter.prorated_windows",
                where="grain",
            )
        windows = sum(-(-max(period.length, 0) // _LENGTHS[self.grain]) for period in self.periods)
        if windows > MAX_WINDOWS:
            raise TooLarge(
                f"{windows} windows of a {self.grain}; at most {MAX_WINDOWS}. Ask for a shorter period, or a coarser grain",
                code="usage.too_many_windows",
                where="grain",
            )


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one meter (its place in the query) counted for one account in one period.

    Decimals are trimmed. Where an event can't be counted, ``error`` is the code and ``message`` says which and why: that
    account is parked, others are measured.
    """

    meter: int
    account: str
    period: Period
    quantities: tuple[Quantity, ...] = ()
    error: str = ""
    message: str = ""


class Selection(Value, frozen=True, kw_only=True):
    """Which raw events: those in force that meet every given condition. Empty texts and ``None`` don't restrict.

    ``where`` and ``unless`` are a meter's. ``reference`` is what the sender called the account; ``accounts`` are ids.
    """

    owner: str = ""
    source: str = ""
    type: str = ""
    reference: str = ""
    accounts: tuple[str, ...] | None = None
    period: Period | None = None
    where: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unless: dict[str, tuple[str, ...]] = field(default_factory=dict)
    as_of_seq: int | None = None


#: A place among raw events, which go by ``(time, source, id, owner)``: that of the last one seen.
Place = tuple[int, str, str, str]


class Kept(msgspec.Struct, frozen=True):
    """An event in the store: the row that put it there, and the account that it bills (``None``: unknown so far)."""

    seq: int
    event: Event
    account: str | None = None


class Entry(msgspec.Struct, frozen=True):
    """A row of one identity's history: ``sign`` is +1 for a body that came into force, −1 for one that was taken back."""

    seq: int
    sign: int
    event: Event


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """Events in force that nobody is billed for yet: the account is not known, or no meter counts the type.

    ``first`` and ``last`` are their times; ``source`` and ``id`` name the first by time, source and id.
    """

    owner: str
    reference: str
    account: str | None
    type: str
    events: int
    first: int = 0
    last: int = 0
    source: str = ""
    id: str = ""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How a store is. ``reason`` says why it takes no writes; ``notes`` what else an operator should know.

    ``waiting`` are batches that wait to be written, ``behind`` rows that are not yet counted ahead, which answers read
    themselves.
    """

    engine: str
    seq: int
    events: int
    bytes: int
    writable: bool = True
    reason: str = ""
    waiting: int = 0
    behind: int = 0
    notes: tuple[str, ...] = ()


class UsageStore(Protocol):
    """Where events are kept and counted. Every method may be called from any thread."""

    def ingest(self, items: Sequence[Item]) -> Receipt:
        """Keep a batch; comes back when it is durable. All that is not rejected or in conflict is in, or nothing is.

        Its events have passed :func:`billsmith.events.limits.check`. An event is a duplicate where its body is the one first
        sent under the identity (also after a correction, so that a sender may retry) or the one in force; else it clashes.

        Raises :class:`TooLarge` for more than :data:`MAX_BATCH` items, :class:`Busy` where too much is waiting already,
        :class:`Unavailable` where the store can't write (disk full); then nothing of the batch was kept.
        """

    def bind(self, bindings: Sequence[Binding]) -> None:
        """Say which account a reference names, durably. The first binding of a reference stands."""

    def waiting(self, names: Collection[Name] | None = None, *, limit: int = 1_000) -> tuple[Name, ...]:
        """Which of these names events gave and nobody is bound to yet; ``None``: the first ``limit`` of all such names."""

    def keep(self, meters: Collection[Meter]) -> None:
        """Name all meters that will be asked for, so that the store may count ahead of the question.

        Answers don't depend on it, only how soon they come. The last call stands, also after a restart.
        """

    def measure(self, query: Query) -> Iterator[Measured]:
        """Quantities by meter (as asked), account, period (as asked). Accounts named in the query all get an answer.

        Without ``accounts``, an account comes up for a meter and period where it has a counted event there, or a level or
        someone present at its start.
        """

    def events(self, selection: Selection, *, after: Place | None = None, limit: int = 1_000) -> tuple[Kept, ...]:
        """Raw events in force by :data:`Place`, those after one; fewer than ``limit`` means that there are no more."""

    def count(self, selection: Selection) -> int:
        """How many events a selection has."""

    def history(self, owner: str, source: str, id: str) -> tuple[Entry, ...]:
        """All rows of one identity, oldest first; none where it is unknown."""

    def histories(self, owner: str, names: Collection[tuple[str, str]]) -> tuple[Entry, ...]:
        """All rows of several identities of an owner, named by source and id; oldest first."""

    def unknown(
        self, types: Collection[str], *, owners: Collection[str] | None = None, limit: int = 1_000
    ) -> tuple[Unknown, ...]:
        """Events in force of unbound references, or of a type that is not among ``types`` (those that meters count).

        By owner, reference and type; of some owners alone unless ``None``.
        """

    def watermark(self) -> int:
        """The highest ``seq`` that can be read: nothing at or below it appears later. 0 while the store is empty."""

    def health(self) -> Health:
        """How the store is."""

    def close(self) -> None:
        """Let go of files, locks and connections; what was acknowledged is durable already."""
