"""A batch made ready in its caller's thread: hashes and columns, so that the one writer has little left to do."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from billsmith.events.event import Event
from billsmith.usage.duckdb.columns import Columns, bodies, columns_of, identities
from billsmith.usage.duckdb.hashing import Hashes, Hashing, Words
from billsmith.usage.store import Item, Name, Replace


class Prepared(msgspec.Struct, frozen=True):
    """The items of a batch and what tells them apart.

    ``bodies`` has 64 bits of each event's body, and 0 for corrections. ``columns`` and ``named`` (the place in ``names`` of
    whom an event bills) are of the batch's events alone, in their order.
    """

    items: Sequence[Item]
    identities: Hashes
    bodies: Words
    columns: Columns
    names: list[Name]
    named: NDArray[np.intp]


def prepare(items: Sequence[Item], hashing: Hashing) -> Prepared:
    """Hash every item, and spell every event as its row."""
    events = [item for item in items if isinstance(item, Event)]
    columns = columns_of(events)
    said = bodies(hashing, [event.account for event in events], columns)
    if len(events) == len(items):
        who = identities(hashing, [event.owner for event in events], columns)
    else:
        who = hashing.identities([_identity(item) for item in items])
        every = np.zeros(len(items), np.uint64)
        every[[isinstance(item, Event) for item in items]] = said
        said = every
    names: dict[Name, int] = {}
    named = [names.setdefault((event.owner, event.account), len(names)) for event in events]
    return Prepared(items, who, said, columns, list(names), np.array(named, np.intp))


def _identity(item: Item) -> str:
    named = item.event if isinstance(item, Replace) else item
    return f"{named.owner}\0{named.source}\0{named.id}"
