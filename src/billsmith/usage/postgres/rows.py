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


def spell(events: Sequence[Event], dims: Sequence[str]) -> tuple[list[str], list[str]]:
    """The ends of events' lines, which are the same wherever they go; and what each says of its own: time, value, type, dims.

    >>> event = Event(owner="o", source="s", id="1", type="t", account="a", time=5, dimensions={"b": "", "a": "x"})
    >>> for (text,) in spell([event], dims_of([event])):
    ...     print(text.replace("\\t", "|"))
    s|1|5|1|t|{"a":"x","b":""}
    5|1|t|{"a":"x","b":""}
    """
    values = [_spelled(event.value) for event in events]
    pairs = zip(events, values, dims, strict=True)
    whats = [f"{event.time}\t{value}\t{event.type}\t{own}" for event, value, own in pairs]
    ends = [f"{event.source}\t{event.id}\t{what}" for event, what in zip(events, whats, strict=True)]
    if _plain(ends):
        return ends, whats
    # the same texts with escapes: of one that needs none nothing changes, so that equal bodies stay equal
    texts = [
        [text.translate(_ESCAPES) for text in (event.source, event.id, event.type, own)]
        for event, own in zip(events, dims, strict=True)
    ]
    whats = [
        f"{event.time}\t{value}\t{type}\t{own}" for event, value, (_, _, type, own) in zip(events, values, texts, strict=True)
    ]
    return [f"{source}\t{id}\t{what}" for (source, id, _, _), what in zip(texts, whats, strict=True)], whats


def _plain(ends: Sequence[str]) -> bool:
    """Whether no text of these lines holds what has to be escaped."""
    all = "\n".join(ends)
    return (
        "\\" not in all
        and "\r" not in all
        and all.count("\n") == max(len(ends) - 1, 0)
        and all.count("\t") == _TABS * len(ends)
    )


def _spelled(value: Decimal) -> str:
    """A number without an exponent or zeros at the end of its fraction."""
    text = str(value)
    if text[-1] != "0" and "E" not in text:
        return text
    text = f"{value:f}" if value else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


def end_of(event: Event) -> str:
    """The end of an event's line."""
    return spell([event], dims_of([event]))[0][0]


def line(batch: int, place: int, sign: int, subject: int, end: str) -> str:
    """A row for COPY.

    >>> line(7, 1, -1, 2, end_of(Event(owner="o", source="s", id="i", type="t", account="a", time=5)))
    '7\\t1\\t-1\\t2\\ts\\ti\\t5\\t1\\tt\\t{}\\n'
    """
    return f"{batch}\t{place}\t{sign}\t{subject}\t{end}\n"


def lines(batch: int, first: int, subjects: Sequence[int], ends: Sequence[str]) -> str:
    """Rows for COPY that come into force, from the place ``first`` on."""
    rows = enumerate(zip(subjects, ends, strict=True), first)
    return "".join([f"{batch}\t{place}\t1\t{subject}\t{end}\n" for place, (subject, end) in rows])


def event_of(columns: Sequence[Any]) -> Event:
    """The event of a row's columns (:data:`EVENT`)."""
    owner, source, id, type, reference, time, value, dims = columns
    return Event(
        owner=owner, source=source, id=id, type=type, account=reference, time=time, value=_value(value), dimensions=dims
    )


def _value(value: Decimal) -> Decimal:
    return trimmed(value) if value else Decimal(0)
