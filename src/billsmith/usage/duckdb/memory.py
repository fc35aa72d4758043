"""One setting for the memory of a store, and who gets what of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from billsmith.events.event import Event
from billsmith.usage.store import Item, Replace, Void

#: Unless told otherwise, and what is needed at least; bytes.
MEMORY = 2 * 1024**3
LEAST = 256 * 1024**2

#: Bytes of an identity that is in no file yet (the hash table may be three quarters empty), and of a row in a merge.
_RECENT = 256
_MERGED = 128
#: Bytes of an item that waits, beside the texts of its dimensions: the event as it came, and as it will be written.
_ITEM = 1_024


class Shares(NamedTuple):
    """Bytes for DuckDB and for batches that wait; identities that gather before they are written, and that a merge holds.

    What is left, five sixteenths, is for the program itself, for batches as their senders hold them, and for what DuckDB takes
    beyond its limit.
    """

    duckdb: int
    waiting: int
    recent: int
    merged: int


def shares(memory: int) -> Shares:
    """How a store divides the memory that it may take; at least :data:`LEAST` is divided.

    >>> shares(1024**3)
    Shares(duckdb=536870912, waiting=67108864, recent=262144, merged=524288)
    """
    memory = max(memory, LEAST)
    return Shares(memory // 2, memory // 16, memory // 16 // _RECENT, memory // 16 // _MERGED)


def weight(items: Sequence[Item]) -> int:
    """Bytes that a batch takes while it waits, about.

    >>> weight([Void(owner="o", source="s", id="1")] * 10)
    10240
    """
    events: list[Event] = [item.event if isinstance(item, Replace) else item for item in items if not isinstance(item, Void)]
    texts = chain.from_iterable([event.dimensions.values() for event in events])
    names = chain.from_iterable([event.dimensions for event in events])
    return _ITEM * len(items) + sum(map(len, texts)) + sum(map(len, names))
