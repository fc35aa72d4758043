"""A batch made ready in its caller's thread: hashes and lines, so that the one writing thread has little left to do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import msgspec

from billsmith.events.event import Event
from billsmith.usage.hashing import Hashing
from billsmith.usage.postgres.rows import spell
from billsmith.usage.singly import identity_of
from billsmith.usage.store import Item, Replace, Void

#: Bytes of an identity's hash.
HASH_BYTES = 16
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


def prepare(items: Sequence[Item], hashing: Hashing) -> Prepared:
    """Hash every item, and spell every event."""
    spelled = [spell(item) for item in items if isinstance(item, Event)]
    ends = [end for end, _ in spelled]
    bodies: list[int] = hashing.bodies([body for _, body in spelled]).tolist() if spelled else []
    if len(spelled) < len(items):
        by_event = zip(ends, bodies, strict=True)
        pairs = [next(by_event) if isinstance(item, Event) else ("", 0) for item in items]
        ends, bodies = [end for end, _ in pairs], [body for _, body in pairs]
    return Prepared(items, hashes(hashing, [identity_of(item) for item in items]), bodies, ends)


def weight(items: Sequence[Item]) -> int:
    """Bytes that a batch takes while it waits, about.

    >>> weight([Void(owner="o", source="s", id="1")] * 10)
    10240
    """
    events: list[Event] = [item.event if isinstance(item, Replace) else item for item in items if not isinstance(item, Void)]
    texts = chain.from_iterable([(*event.dimensions, *event.dimensions.values()) for event in events])
    return _ITEM * len(items) + 2 * sum(map(len, texts))


def hashes(hashing: Hashing, identities: Sequence[tuple[str, str, str]]) -> list[bytes]:
    """The hashes of identities: owner, source, id.

    >>> [len(hash) for hash in hashes(Hashing(b"secret"), [("o", "s", "1")])]
    [16]
    """
    if not identities:
        return []
    all = hashing.identities(["\0".join(identity) for identity in identities]).astype(">u8").T.tobytes()
    return [all[start : start + HASH_BYTES] for start in range(0, len(all), HASH_BYTES)]
