"""Events into the usage store: the references that they name are bound to accounts, then the batch is kept, durably.

Whom an event bills is bound at the first sight of its reference, to the account that the owner reaches by that name (at or
below it, as everywhere). A reference that names none yet is kept aside and looked up again as soon as any account changed;
once bound it stays, and all its earlier events count with it (decision 0203).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from billsmith.accounts.model import Account
from billsmith.storage import accounts
from billsmith.storage.database import Connection, Database
from billsmith.storage.direct import Direct
from billsmith.units.errors import Invalid
from billsmith.usage.store import Binding, Item, Receipt, Replace, UsageStore, Void

#: Names that a process remembers; where there would be more, all are looked up again.
_MOST = 1_000_000


class KnownNames:
    """The references that are bound, or that lead nowhere while no account changes. For all threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bound: set[tuple[str, str]] = set()
        self._unknown: set[tuple[str, str]] = set()
        self._version = -1

    def not_bound(self, owner: str, references: Iterable[str]) -> list[str]:
        """Those that were not seen bound."""
        return [name for name in references if (owner, name) not in self._bound]

    def to_look_up(self, version: int, owner: str, references: Iterable[str]) -> list[str]:
        """Those that may lead somewhere at a version of all accounts."""
        with self._lock:
            if version != self._version:
                self._version, self._unknown = version, set()
            return [name for name in references if (owner, name) not in self._unknown]

    def learn(self, version: int, owner: str, bound: Iterable[str], unknown: Iterable[str]) -> None:
        """What came of a look-up."""
        with self._lock:
            if len(self._bound) + len(self._unknown) >= _MOST:
                self._bound, self._unknown = set(), set()
            self._bound.update((owner, name) for name in bound)
            if version == self._version:
                self._unknown.update((owner, name) for name in unknown)


def ingest(database: Database, store: UsageStore, names: KnownNames, owner: Account, items: Sequence[Item]) -> Receipt:
    """Keep a batch that ``owner`` sent; what comes back is durable. Raises as :meth:`UsageStore.ingest` does."""
    bind(database, store, names, owner, _references(items))
    return store.ingest(items)


def _references(items: Sequence[Item]) -> set[str]:
    events = (item.event if isinstance(item, Replace) else item for item in items)
    return {event.account for event in events if not isinstance(event, Void)}


def bind(database: Database, store: UsageStore, names: KnownNames, owner: Account, references: Iterable[str]) -> None:
    """Bind the references that lead to an account now."""
    new = names.not_bound(owner.id, references)
    if not new:
        return
    with database.read() as connection:
        version = accounts.accounts_version(Direct(connection))
        found = {name: _account(connection, name, owner) for name in names.to_look_up(version, owner.id, new)}
    bindings = [Binding(owner.id, name, account.id) for name, account in found.items() if account is not None]
    if bindings:
        store.bind(bindings)
    bound = [each.reference for each in bindings]
    names.learn(version, owner.id, bound, found.keys() - set(bound))


def _account(connection: Connection, name: str, owner: Account) -> Account | None:
    try:
        return accounts.find(connection, name, owner)
    except Invalid:  # several of one depth have this name: which one is meant is not for us to guess
        return None
