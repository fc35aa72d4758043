"""Usage that nobody is billed for yet: the account that it names is not known, or no meter around it counts its type.

It is kept, and counted when the account or the meter appears. What a caller sees is what accounts at or below its own sent;
which types are counted is told by the meters of its branch and of those above, so that nobody learns of another's.
"""

from __future__ import annotations

from collections.abc import Sequence

from billsmith.accounts.model import Account
from billsmith.storage import catalogs, meters
from billsmith.storage.database import Connection
from billsmith.usage.store import Unknown, UsageStore

#: Rows of an answer.
MAX_ROWS = 1_000


def counted_types(connection: Connection, account: Account) -> set[str]:
    """The types that meters count, those of catalogs too, of an account, those above it and those below."""
    return meters.types_around(connection, account) | catalogs.types_around(connection, account)


def unknown(store: UsageStore, types: set[str], senders: Sequence[str], limit: int) -> tuple[list[Unknown], bool]:
    """What these accounts sent and nobody is billed for, and whether there is more."""
    found = store.unknown(types, owners=senders, limit=limit + 1)
    return list(found[:limit]), len(found) > limit
