"""A batch made ready in its caller's thread: hashes and columns, so that the one writer has little left to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from billsmith.events.canonical import hash_of, identity_hash
from billsmith.events.event import Event
from billsmith.usage.store import Item, Replace

#: What a store notes of an identity whose rows say more than one body.
CORRECTED = 0
#: What is known of an identity that isn't there. No body has it (see :func:`fingerprint`).
ABSENT = 1

#: Columns of an event's row that its body gives, as the store spells them.
Columns = tuple[Any, ...]


class Prepared(msgspec.Struct, frozen=True):
    """The items of a batch, the hash of each one's identity, the fingerprint of each event's body (0 for corrections)."""

    items: Sequence[Item]
    identities: list[bytes]
    bodies: list[int]
    columns: list[Columns]


def fingerprint(body_hash: bytes) -> int:
    """64 bits of a body's hash, never one of the two marks."""
    return int.from_bytes(body_hash[:8], "little") | 2


def prepare(items: Sequence[Item], key: bytes, spell: Callable[[Event], tuple[Columns, bytes]]) -> Prepared:
    """Hash every item, and spell every event: as its row, and as bytes that are equal exactly where two bodies are the same."""
    identities, bodies, columns = [], [], []
    for item in items:
        named = item.event if isinstance(item, Replace) else item
        identities.append(identity_hash(named.owner, named.source, named.id, key))
        if isinstance(item, Event):
            row, body = spell(item)
            bodies.append(fingerprint(hash_of(body, key)))
            columns.append(row)
        else:
            bodies.append(0)
            columns.append(())
    return Prepared(items, identities, bodies, columns)
