"""Events side by side: an array for each column of the table, so that work on many costs little for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from billsmith.events.columns import EventColumns
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


def dims_of(dimensions: Sequence[dict[str, str]]) -> bytes:
    """Dimensions as the table has them, a line each."""
    return _encode_lines(dimensions)


def columns_of(events: EventColumns, dims: bytes) -> Columns:
    """The table's columns of some events; ``dims`` are their dimensions as it has them.

    >>> from decimal import Decimal
    >>> from billsmith.events.event import Event
    >>> event = Event(owner="o", source="s", id="1", type="t", account="a", time=5, value=Decimal("1.5"))
    >>> [column.tolist() for column in columns_of(EventColumns.of([event]), b"{}")]
    [['t'], ['s'], ['1'], [5], [0], [1500000000000], ['{}']]
    """
    high, low = split(events.whole)
    lines = dims.decode().split("\n")[: len(events)]
    return Columns(texts(events.type), texts(events.source), texts(events.id), events.time, high, low, texts(lines))


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
