"""Events side by side: an array for each column of the table, so that work on many costs little for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from billsmith.events.event import Event
from billsmith.usage.duckdb.splitting import split
from billsmith.usage.hashing import Hashes, Hashing, Words

Texts = NDArray[np.object_]
Numbers = NDArray[np.int64]

_encode_lines = msgspec.json.Encoder(order="sorted").encode_lines


class Columns(NamedTuple):
    """What the table has of an event beside its seq and its subject. ``dims``: JSON, sorted. high and low: see ``limbs``."""

    type: Texts
    source: Texts
    id: Texts
    time: Numbers
    high: Numbers
    low: Numbers
    dims: Texts

    def take(self, which: NDArray[Any]) -> Columns:
        """Some of the events, by a mask or their places."""
        return Columns(*(column[which] for column in self))


def dims_of(events: Sequence[Event]) -> bytes:
    """The dimensions of events as the table has them, a line each."""
    return _encode_lines([event.dimensions for event in events])


def columns_of(events: Sequence[Event], dims: bytes | None = None) -> Columns:
    """The columns of some events; ``dims`` if these are known already.

    >>> from decimal import Decimal
    >>> event = Event(owner="o", source="s", id="1", type="t", account="a", time=5, value=Decimal("1.5"))
    >>> [column.tolist() for column in columns_of([event])]
    [['t'], ['s'], ['1'], [5], [0], [1500000000000], ['{}']]
    """
    high, low = split([event.value for event in events])
    lines = (dims_of(events) if dims is None else dims).decode().split("\n")
    return Columns(
        texts([event.type for event in events]),
        texts([event.source for event in events]),
        texts([event.id for event in events]),
        np.array([event.time for event in events], np.int64),
        high,
        low,
        texts(lines[: len(events)]),
    )


def join(parts: Iterable[Columns]) -> Columns:
    """All of several."""
    return Columns(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def texts(given: Sequence[Any]) -> Texts:
    """A column of objects."""
    column = np.empty(len(given), object)
    column[:] = given
    return column


def identities(hashing: Hashing, owners: Iterable[str], columns: Columns) -> Hashes:
    """The hashes of rows' identities."""
    sources, ids = columns.source.tolist(), columns.id.tolist()
    return hashing.identities([f"{owner}\0{source}\0{id}" for owner, source, id in zip(owners, sources, ids, strict=True)])


def bodies(hashing: Hashing, references: Iterable[str], columns: Columns) -> Words:
    """What tells bodies apart: the account that each names, and its columns but for source and id."""
    types, dims = columns.type.tolist(), columns.dims.tolist()
    said = [f"{type}\0{to}\0{dims}" for type, to, dims in zip(types, references, dims, strict=True)]
    return hashing.bodies(said, np.stack((columns.time, columns.high, columns.low)))
