"""A batch made ready in its caller's thread: hashes and columns, so that the one writer has little left to do."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from billsmith.events.columns import EventColumns
from billsmith.events.event import Event
from billsmith.usage.duckdb.columns import Columns, bodies, columns_of, dims_of, identities
from billsmith.usage.hashing import Hashes, Hashing, Words
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


#: Bytes of an item that waits, beside its dimensions: the event as it came, and as it will be written.
_ITEM = 1_024


class Batch:
    """A batch as it came. ``dims`` are its events' dimensions as stored; ``weight`` is the bytes it takes, about."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        replaced: Sequence[dict[str, str]] = ()
        if isinstance(items, EventColumns):
            self.events = items
        else:
            self.events = EventColumns.of([item for item in items if isinstance(item, Event)])
            replaced = [item.event.dimensions for item in items if isinstance(item, Replace)]
        self.dims = dims_of(self.events.dimensions)
        self.weight = _ITEM * len(items) + 2 * (len(self.dims) + len(dims_of(replaced)))


def prepare(batch: Batch, hashing: Hashing) -> Prepared:
    """Hash every item, and spell every event as its row."""
    items, events = batch.items, batch.events
    columns = columns_of(events, batch.dims)
    owners, references = events.owner, events.account
    said = bodies(hashing, references, columns)
    if len(events) == len(items):
        who = identities(hashing, owners, columns)
    else:
        who = hashing.identities([_identity(item) for item in items])
        every = np.zeros(len(items), np.uint64)
        every[[isinstance(item, Event) for item in items]] = said
        said = every
    places: dict[Name, int] = {}
    named = [places.setdefault(name, len(places)) for name in zip(owners, references, strict=True)]
    return Prepared(items, who, said, columns, list(places), np.array(named, np.intp))


def _identity(item: Item) -> str:
    named = item.event if isinstance(item, Replace) else item
    return f"{named.owner}\0{named.source}\0{named.id}"
