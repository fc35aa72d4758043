"""A batch made ready in its caller's thread: hashes and columns, so that the one writer has little left to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from billsmith.events.canonical import body_hash, identity_hash
from billsmith.events.event import Event
from billsmith.usage.duckdb.index import fingerprint
from billsmith.usage.duckdb.limbs import LIMB, scaled
from billsmith.usage.store import Item, Replace

_json = msgspec.json.Encoder(order="sorted")


class Prepared(msgspec.Struct, frozen=True):
    """The items of a batch, the hash of each one's identity, the fingerprint of each event's body (0 for corrections)."""

    items: Sequence[Item]
    identities: list[bytes]
    bodies: list[int]
    columns: list[tuple[Any, ...]]


def prepare(items: Sequence[Item], key: bytes) -> Prepared:
    """Hash every item, and spell every event as its row."""
    identities, bodies, columns = [], [], []
    for item in items:
        named = item.event if isinstance(item, Replace) else item
        identities.append(identity_hash(named.owner, named.source, named.id, key))
        if isinstance(item, Event):
            bodies.append(fingerprint(body_hash(item, key)))
            columns.append(columns_of(item))
        else:
            bodies.append(0)
            columns.append(())
    return Prepared(items, identities, bodies, columns)


def columns_of(event: Event) -> tuple[Any, ...]:
    """type, source, id, time, high, low, dims."""
    high, low = divmod(scaled(event.value), LIMB)
    dims = _json.encode(event.dimensions).decode() if event.dimensions else "{}"
    return event.type, event.source, event.id, event.time, high, low, dims
