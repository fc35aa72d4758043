"""A batch made ready in its caller's thread: hashes and lines, so that the one writing thread has little left to do."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from billsmith.events.event import Event
from billsmith.usage.hashing import Hashing
from billsmith.usage.postgres.packed import HASH_BYTES
from billsmith.usage.postgres.rows import dims_of, spell
from billsmith.usage.singly import identity_of
from billsmith.usage.store import Item, Replace

#: Bytes of an item that waits, beside its dimensions: the event as it came, and as it will be written.
_ITEM = 1_024


class Prepared(msgspec.Struct, frozen=True):
    """The items of a batch: the hash of each one's identity; of each event 64 bits of its body, and the end of its line.

    Of a correction both are nothing.
    """

    items: Sequence[Item]
    identities: list[bytes]
    bodies: list[int]
    ends: list[str]


class Batch:
    """A batch as it came. ``dims`` are its events' dimensions as stored; ``weight`` is the bytes that it takes, about."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items = list(items)  # columns make an event anew each time
        self.events = [item for item in items if isinstance(item, Event)]
        self.dims = dims_of(self.events)
        replaced = dims_of([item.event for item in items if isinstance(item, Replace)])
        self.weight = _ITEM * len(items) + 2 * (sum(map(len, self.dims)) + sum(map(len, replaced)))


def prepare(batch: Batch, hashing: Hashing) -> Prepared:
    """Hash every item, and spell every event."""
    items, events = batch.items, batch.events
    ends, whats = spell(events, batch.dims)
    bodies: list[int] = []
    if events:
        texts = [f"{what}\t{event.account}" for event, what in zip(events, whats, strict=True)]
        bodies = hashing.bodies(texts).tolist()
    if len(events) == len(items):
        identities = _hashes(hashing, [f"{event.owner}\0{event.source}\0{event.id}" for event in events])
        return Prepared(items, identities, bodies, ends)
    by_event = zip(ends, bodies, strict=True)
    pairs = [next(by_event) if isinstance(item, Event) else ("", 0) for item in items]
    identities = hashes(hashing, [identity_of(item) for item in items])
    return Prepared(items, identities, [body for _, body in pairs], [end for end, _ in pairs])


def hashes(hashing: Hashing, identities: Sequence[tuple[str, str, str]]) -> list[bytes]:
    """The hashes of identities: owner, source, id.

    >>> [len(hash) for hash in hashes(Hashing(b"secret"), [("o", "s", "1")])]
    [16]
    """
    return _hashes(hashing, ["\0".join(identity) for identity in identities])


def _hashes(hashing: Hashing, texts: Sequence[str]) -> list[bytes]:
    if not texts:
        return []
    all: list[bytes] = hashing.identities(texts).astype(">u8").T.copy().view(f"V{HASH_BYTES}").ravel().tolist()
    return all
