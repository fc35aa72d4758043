"""Events on their way in: kept durably by the usage store, and the accounts that they name found.

An account that is known when its event comes is bound to the name that the sender uses for it, for ever. One that is not yet
known stays unbound: its events are kept and visible as unknown, and are bound when the account is there (:class:`Waiting`).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from billsmith.accounts.model import Account
from billsmith.events.canonical import difference
from billsmith.events.columns import EventColumns
from billsmith.events.event import Event
from billsmith.events.reading import Reading, Rejected
from billsmith.storage import accounts
from billsmith.storage.database import Connection, Database
from billsmith.storage.direct import Direct
from billsmith.usage.store import Binding, UsageStore

#: Names remembered as bound, and as unknown; where more would be, all are forgotten and looked up again.
_MOST_NAMES = 200_000
#: Waiting names that are looked at one by one; where there are more, the accounts' own names are asked for.
_FEW = 2_000


class Differing(msgspec.Struct, frozen=True):
    """One field of two bodies."""

    field: str
    stored: str
    sent: str


class ConflictView(msgspec.Struct, frozen=True, kw_only=True):
    """The event at ``index`` has an identity that is known with another body. It was not applied: correct it instead."""

    index: int
    source: str
    id: str
    differences: list[Differing]


class IngestReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a body's events, durably. ``seq`` is the store's highest after it: ask with it for this state."""

    accepted: int
    duplicates: int
    conflicts: list[ConflictView]
    rejected: list[Rejected]
    seq: int


class Ingest:
    """The way in, for all threads of a process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bound: set[tuple[str, str]] = set()
        self._unknown = _LookedUp(-1, set())
        self._lock = threading.Lock()

    def keep(self, store: UsageStore, owner: Account, reading: Reading) -> IngestReport:
        """Keep the events of a body; comes back when they are durable.

        Raises :class:`Busy` where too much is waiting already and :class:`Unavailable` where the store can't write.
        """
        events, places = reading.events, reading.places
        if not events:
            return IngestReport(accepted=0, duplicates=0, conflicts=[], rejected=reading.rejected, seq=store.watermark())
        with self.naming(store, owner, _named(events)):
            receipt = store.ingest(events)
        conflicts = [
            ConflictView(
                index=places[clash.index],
                source=clash.sent.source,
                id=clash.sent.id,
                differences=[Differing(name, *texts) for name, texts in difference(clash.stored, clash.sent).items()],
            )
            for clash in receipt.conflicts
        ]
        late = [
            Rejected(index=places[each.index], code=each.code, message=each.message, path=each.where, id=events[each.index].id)
            for each in receipt.rejected
        ]
        return IngestReport(
            accepted=receipt.accepted,
            duplicates=len(receipt.duplicates),
            conflicts=conflicts,
            rejected=sorted([*reading.rejected, *late], key=lambda each: each.index) if late else reading.rejected,
            seq=receipt.seq,
        )

    @contextmanager
    def naming(self, store: UsageStore, owner: Account, references: Collection[str]) -> Iterator[None]:
        """Around a write of events that an owner sent: whom they name is bound, as far as there is such an account."""
        looked_up = self._bind(store, owner, {(owner.id, reference) for reference in references})
        yield
        if looked_up is not None and looked_up.unknown:
            self._look_again(store, owner, looked_up)

    def _bind(self, store: UsageStore, owner: Account, named: set[tuple[str, str]]) -> _LookedUp | None:
        new = named - self._bound
        if not new:
            return None
        with self._database.read() as connection:
            version = accounts.accounts_version(Direct(connection))
            before = self._unknown
            asked = new - before.unknown if before.version == version else new
            found = bindings(connection, owner, {reference for _, reference in asked}) if asked else []
        if found:
            store.bind(found)
        known = {(each.owner, each.reference) for each in found}
        self._remember(known, _LookedUp(version, asked - known))
        return _LookedUp(version, new - known)

    def _remember(self, known: set[tuple[str, str]], looked_up: _LookedUp) -> None:
        with self._lock:
            if len(self._bound) + len(known) > _MOST_NAMES:
                self._bound.clear()
            self._bound |= known
            before = self._unknown
            if before.version != looked_up.version or len(before.unknown) + len(looked_up.unknown) > _MOST_NAMES:
                self._unknown = looked_up
            elif looked_up.unknown:
                self._unknown = _LookedUp(before.version, before.unknown | looked_up.unknown)

    def _look_again(self, store: UsageStore, owner: Account, before: _LookedUp) -> None:
        """An account made while its first event was on its way: whoever binds waiting names may have just missed it."""
        with self._database.read() as connection:
            unchanged = accounts.accounts_version(Direct(connection)) == before.version
        if not unchanged:
            self._bind(store, owner, before.unknown)


def _named(events: Sequence[Event]) -> set[str]:
    return set(events.account) if isinstance(events, EventColumns) else {event.account for event in events}


class _LookedUp(NamedTuple):
    """Names that led to no account, at one version of the accounts."""

    version: int
    unknown: set[tuple[str, str]]


def bindings(connection: Connection, owner: Account, references: Collection[str]) -> list[Binding]:
    """Which of these names lead to an account at or below their sender's; a name that several accounts share leads nowhere."""
    return [Binding(owner.id, reference, id) for reference, id in accounts.ids_of(connection, references, owner).items()]


class Waiting:
    """Binds the names of events that came before their accounts: whenever accounts have changed since it last looked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen = -1

    def bind(self, store: UsageStore) -> int:
        """Bind what can be bound by now; how many names. Done before usage is shown or billed."""
        with self._database.read() as connection:
            version = accounts.accounts_version(Direct(connection))
            if version == self._seen:
                return 0
            waiting = store.waiting(limit=_FEW + 1)
            if len(waiting) > _FEW:  # one sender's unknown names must not keep another's from being found: ask by account
                names = _names(connection)
                waiting = tuple(
                    name for start in range(0, len(names), _FEW) for name in store.waiting(names[start : start + _FEW])
                )
            found = _bindings_of(connection, waiting)
        if found:
            store.bind(found)
        self._seen = version
        return len(found)


def _names(connection: Connection) -> list[tuple[str, str]]:
    """Every name by which an account could be called by those above it and itself."""
    ids: dict[int, str] = {}
    names: list[tuple[str, str]] = []
    for account in accounts.every_below(connection, None):  # one above another comes first
        ids[account.seq] = account.id
        names += [(ids[seq], name) for seq in accounts.ancestors(account.path) for name in {account.id, account.external_id}]
    return names


def _bindings_of(connection: Connection, waiting: Iterable[tuple[str, str]]) -> list[Binding]:
    by_owner: dict[str, list[str]] = {}
    for owner, reference in waiting:
        by_owner.setdefault(owner, []).append(reference)
    found: list[Binding] = []
    for id, references in by_owner.items():
        account = accounts.by_id(connection, id)
        if account is not None:
            found += bindings(connection, account, references)
    return found
