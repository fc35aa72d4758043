"""A batch made ready in its caller's thread: hashes and columns, so that the one writer has little left to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from billsmith.events.event import Event
from billsmith.usage.duckdb.columns import Columns, bodies, columns_of, identities
from billsmith.usage.duckdb.hashing import Hashes, Hashing, Words
from billsmith.usage.store import Item, Name, Replace, Void


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
    said = np.zeros(len(items), np.uint64)
    of_events = bodies(hashing, [event.account for event in events], columns)
    if len(events) == len(items):
        said[:] = of_events
    else:
        said[[isinstance(item, Event) for item in items]] = of_events
    names: dict[Name, int] = {}
    named = [names.setdefault((event.owner, event.account), len(names)) for event in events]
    return Prepared(items, identities(hashing, _identities(items)), said, columns, list(names), np.array(named, np.intp))


def _identities(items: Sequence[Item]) -> Iterable[tuple[str, str, str]]:
    named: Iterable[Event | Void] = [item.event if isinstance(item, Replace) else item for item in items]
    return [(each.owner, each.source, each.id) for each in named]
