"""Rows of the table, as text for COPY, and the events that they are."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from billsmith.events.event import Event
from billsmith.units.rounding import trimmed
from billsmith.usage.prepare import Columns

#: Columns of a row of ``e`` and its subject ``s``, as :func:`event_of` reads them.
EVENT = "s.owner, e.source, e.id, e.type, s.reference, e.time, e.value, e.dims"

#: What :func:`line` writes.
COPY = "(batch, place, sign, subject, time, value, type, source, id, dims)"

_json = msgspec.json.Encoder(order="sorted")
#: Those between columns; any other has to be escaped.
_TABS = 5
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def columns_of(event: Event) -> Columns:
    """The end of an event's line, which is the same wherever it goes, and the event. Its value is trimmed."""
    value = f"{event.value:f}" if event.value else "0"
    if "." in value:
        value = value.rstrip("0").rstrip(".")
    dims = _json.encode(event.dimensions).decode() if event.dimensions else "{}"
    end = f"{event.time}\t{value}\t{event.type}\t{event.source}\t{event.id}\t{dims}"
    if "\\" in end or "\n" in end or "\r" in end or end.count("\t") != _TABS:
        texts = (text.translate(_ESCAPES) for text in (event.type, event.source, event.id, dims))
        end = "\t".join((str(event.time), value, *texts))
    return end, event


def spell(event: Event) -> tuple[Columns, bytes]:
    """An event's columns, and its body: the end of its line, which says all but the account, and the account."""
    columns = columns_of(event)
    return columns, f"{columns[0]}\t{event.account}".encode()


def line(batch: int, place: int, sign: int, subject: int, end: str) -> str:
    """A row for COPY.

    >>> line(7, 1, -1, 2, columns_of(Event(owner="o", source="s", id="i", type="t", account="a", time=5))[0])
    '7\\t1\\t-1\\t2\\t5\\t1\\tt\\ts\\ti\\t{}\\n'
    """
    return f"{batch}\t{place}\t{sign}\t{subject}\t{end}\n"


def event_of(columns: Sequence[Any]) -> Event:
    """The event of a row's columns (:data:`EVENT`)."""
    owner, source, id, type, reference, time, value, dims = columns
    return Event(
        owner=owner, source=source, id=id, type=type, account=reference, time=time, value=_value(value), dimensions=dims
    )


def _value(value: Decimal) -> Decimal:
    return trimmed(value) if value else Decimal(0)
