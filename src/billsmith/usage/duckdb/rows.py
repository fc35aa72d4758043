"""Rows of the table, and the events that they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import duckdb
import msgspec
import numpy as np
from numpy.typing import NDArray

from billsmith.events.event import Event
from billsmith.usage.duckdb.columns import Columns, Numbers, join
from billsmith.usage.limbs import LIMB, number

#: What an event is made of, as ``event_of`` reads it.
EVENT = "subject, type, source, id, time, high, low, dims"

_dimensions = msgspec.json.Decoder(dict[str, str])


class Rows(msgspec.Struct, frozen=True):
    """Rows to be. ``sign``, ``undoes``: see ``file``."""

    seq: Numbers
    sign: NDArray[np.int8]
    undoes: Numbers
    subject: NDArray[np.int32]
    columns: Columns

    @staticmethod
    def join(one: Rows, other: Rows) -> Rows:
        """All of both."""
        return Rows(
            seq=np.concatenate((one.seq, other.seq)),
            sign=np.concatenate((one.sign, other.sign)),
            undoes=np.concatenate((one.undoes, other.undoes)),
            subject=np.concatenate((one.subject, other.subject)),
            columns=join((one.columns, other.columns)),
        )


def append(connection: duckdb.DuckDBPyConnection, rows: Rows) -> None:
    """Put rows into the table, within the transaction that is open."""
    # DuckDB finds the name among this function's own; a view of them would cost as much as the append of a small batch
    new_rows = {"seq": rows.seq, "sign": rows.sign, "undoes": rows.undoes, "subject": rows.subject, **rows.columns._asdict()}
    connection.execute("INSERT INTO events SELECT * FROM new_rows")
    del new_rows


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
