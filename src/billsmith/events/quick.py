"""A body that holds nothing but good events of our plain form, in one typed pass; the decoder checks the limits on texts.

Whatever it can't say yes to is read anew by ``reading``, which explains. Both give the same events; a test holds them together.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from billsmith.events.event import Event
from billsmith.events.limits import (
    EARLIEST,
    LARGEST,
    LATEST,
    MAX_DIGITS,
    MAX_DIMENSIONS,
    MAX_ID,
    MAX_NAME,
    MAX_PLACES,
    MAX_REFERENCE,
    MAX_SOURCE,
    MAX_TEXT,
    MAX_TYPE,
)
from billsmith.units.errors import Invalid
from billsmith.units.instants import parse_instant
from billsmith.units.rounding import parse_decimal

#: The source of events whose sender gives none.
DEFAULT_SOURCE = "api"
_LEAST = -LARGEST


class _Quick(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
    type: Annotated[str, Meta(min_length=1, max_length=MAX_TYPE)]
    account: Annotated[str, Meta(min_length=1, max_length=MAX_REFERENCE)]
    time: str | int
    value: Any = 1
    source: Annotated[str, Meta(min_length=1, max_length=MAX_SOURCE)] = DEFAULT_SOURCE
    dimensions: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=MAX_NAME)], Annotated[str, Meta(max_length=MAX_TEXT)]],
        Meta(max_length=MAX_DIMENSIONS),
    ] = {}


_many = msgspec.json.Decoder(list[_Quick], float_hook=Decimal)


def quickly(body: bytes, owner: str) -> list[Event] | None:
    """The events of an array, or ``None`` where it needs a closer look. A number is read from its text, by way of no float.

    >>> quickly(b'[{"id": "1", "type": "t", "account": "a", "time": 0, "value": 0.10}]', "o")[0].value
    Decimal('0.10')
    """
    if b"\\u0000" in body:  # no text may hold NUL, and JSON has no other way to write it
        return None
    try:
        return [
            Event(
                owner=owner,
                source=sent.source,
                id=sent.id,
                type=sent.type,
                account=sent.account,
                time=_time(sent.time),
                value=_value(sent.value),
                dimensions=sent.dimensions,
            )
            for sent in _many.decode(body)
        ]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, InvalidOperation, Invalid, OverflowError):
        return None


def _time(given: str | int) -> int:
    time = given if isinstance(given, int) else parse_instant(given)
    if EARLIEST <= time < LATEST:
        return time
    raise OverflowError


def _value(given: Any) -> Decimal:
    kind = type(given)
    if kind is Decimal:
        value: Decimal = given
        if value.as_tuple().exponent < -MAX_PLACES:  # type: ignore[operator]  # JSON has no NaN
            raise OverflowError
    elif kind is int:
        value = Decimal(given)
    elif kind is str:
        value = parse_decimal(given, max_digits=MAX_DIGITS, max_places=MAX_PLACES)
    else:
        raise OverflowError
    if _LEAST <= value <= LARGEST:
        return value
    raise OverflowError
