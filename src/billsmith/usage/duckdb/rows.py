"""Rows of the table, and the events that they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import duckdb
import msgspec
import numpy as np

from billsmith.events.canonical import body_of
from billsmith.events.event import Event
from billsmith.usage.decide import Row
from billsmith.usage.limbs import LIMB, number, scaled
from billsmith.usage.prepare import Columns

#: What an event is made of, as ``event_of`` reads it.
EVENT = "subject, type, source, id, time, high, low, dims"

_json = msgspec.json.Encoder(order="sorted")
_dimensions = msgspec.json.Decoder(dict[str, str])
_COLUMNS = ("seq", "sign", "undoes", "subject", "type", "source", "id", "time", "high", "low", "dims")
_TYPES = (np.int64, np.int8, np.int64, np.int32, object, object, object, np.int64, np.int64, np.int64, object)


def append(connection: duckdb.DuckDBPyConnection, rows: Sequence[Row]) -> None:
    """Put rows into the table, within the transaction that is open."""
    data = {}
    for name, kind, column in zip(_COLUMNS, _TYPES, zip(*rows, strict=True), strict=True):
        data[name] = np.empty(len(rows), kind)
        data[name][:] = column
    connection.register("new_rows", data)
    try:
        connection.execute("INSERT INTO events SELECT * FROM new_rows")
    finally:
        connection.unregister("new_rows")


def event_of(columns: Sequence[Any], name: Callable[[int], tuple[str, str]]) -> Event:
    """The event of a row's columns (:data:`EVENT`)."""
    subject, type, source, id, time, high, low, dims = columns
    owner, reference = name(subject)
    return Event(
        owner=owner,
        source=source,
        id=id,
        type=type,
        account=reference,
        time=time,
        value=number(high * LIMB + low),
        dimensions=_dimensions.decode(dims),
    )


def spell(event: Event) -> tuple[Columns, bytes]:
    """An event's columns, and its body."""
    return columns_of(event), body_of(event)


def columns_of(event: Event) -> Columns:
    """type, source, id, time, high, low, dims."""
    high, low = divmod(scaled(event.value), LIMB)
    dims = _json.encode(event.dimensions).decode() if event.dimensions else "{}"
    return event.type, event.source, event.id, event.time, high, low, dims
