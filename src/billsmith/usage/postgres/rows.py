"""Rows of the table, as text for COPY, and the events that they are."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from billsmith.events.event import Event
from billsmith.units.rounding import trimmed

#: Columns of a row of ``e`` and its subject ``s``, as :func:`event_of` reads them.
EVENT = "s.owner, e.source, e.id, e.type, s.reference, e.time, e.value, e.dims"

#: What :func:`line` writes.
COPY = "(batch, place, sign, subject, source, id, time, value, type, dims)"

_json = msgspec.json.Encoder(order="sorted")
#: Those between columns; any other has to be escaped.
_TABS = 5
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def dims_of(events: Sequence[Event]) -> list[str]:
    """The dimensions of events, as the table has them."""
    return _json.encode_lines([event.dimensions for event in events]).decode().split("\n")[: len(events)]


def spell(event: Event, dims: str) -> tuple[str, str]:
    """The end of an event's line, which is the same wherever it goes, and a text for its body: equal where two bodies are.

    >>> event = Event(owner="o", source="s", id="1", type="t", account="a", time=5, dimensions={"b": "", "a": "x"})
    >>> for text in spell(event, *dims_of([event])):
    ...     print(text.replace("\\t", "|"))
    s|1|5|1|t|{"a":"x","b":""}
    5|1|t|{"a":"x","b":""}|a
    """
    value = f"{event.value:f}" if event.value else "0"
    if "." in value:
        value = value.rstrip("0").rstrip(".")
    what = f"{event.time}\t{value}\t{event.type}\t{dims}"
    end = f"{event.source}\t{event.id}\t{what}"
    if "\\" in end or "\n" in end or "\r" in end or end.count("\t") != _TABS:
        source, id, type, dims = (text.translate(_ESCAPES) for text in (event.source, event.id, event.type, dims))
        what = f"{event.time}\t{value}\t{type}\t{dims}"
        end = f"{source}\t{id}\t{what}"
    return end, f"{what}\t{event.account}"


def end_of(event: Event) -> str:
    """The end of an event's line."""
    return spell(event, *dims_of([event]))[0]


def line(batch: int, place: int, sign: int, subject: int, end: str) -> str:
    """A row for COPY.

    >>> line(7, 1, -1, 2, end_of(Event(owner="o", source="s", id="i", type="t", account="a", time=5)))
    '7\\t1\\t-1\\t2\\ts\\ti\\t5\\t1\\tt\\t{}\\n'
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
