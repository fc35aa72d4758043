"""A body that holds nothing but good events of our plain form, in one typed pass; the decoder checks the limits on texts.

Times and values are read a column at a time. Whatever this can't say yes to is read anew by ``reading``, which explains. Both
give the same events; a test holds them together.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from billsmith.events.columns import EventColumns, whole_of
from billsmith.events.event import DEFAULT_SOURCE
from billsmith.events.limits import (
    EARLIEST,
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
from billsmith.events.times import parse_instants
from billsmith.units.errors import Invalid
from billsmith.units.instants import parse_instant
from billsmith.units.rounding import parse_decimal


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


#: Bodies are read one after the other: threads at it together get no more done, and each of their many short steps over arrays
#: hands the interpreter to another, while the batches that are done are waited for (decision 0224).
_turn = threading.Lock()
_many = msgspec.json.Decoder(list[_Quick], float_hook=Decimal)


def quickly(body: bytes, owner: str) -> EventColumns | None:
    """The events of an array, or ``None`` where it needs a closer look. A number is read from its text, by way of no float.

    >>> quickly(b'[{"id": "1", "type": "t", "account": "a", "time": 0, "value": 0.10}]', "o")[0].value
    Decimal('0.10')
    """
    if b"\\u0000" in body:  # no text may hold NUL, and JSON has no other way to write it
        return None
    try:
        with _turn:
            return _columns(_many.decode(body), owner)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ArithmeticError, Invalid):
        return None


def _columns(sent: Sequence[_Quick], owner: str) -> EventColumns:
    values = _values([one.value for one in sent])
    return EventColumns(
        owner=[owner] * len(sent),
        source=[one.source for one in sent],
        id=[one.id for one in sent],
        type=[one.type for one in sent],
        account=[one.account for one in sent],
        time=_times([one.time for one in sent]),
        value=values,
        whole=whole_of(values),
        dimensions=[one.dimensions for one in sent],
    )


def _times(given: Sequence[Any]) -> NDArray[np.int64]:
    kinds = set(map(type, given))
    if kinds == {str}:
        times = parse_instants(given)
    elif kinds <= {int}:
        times = np.array(given, np.int64)
    else:
        times = np.array([one if isinstance(one, int) else parse_instant(one) for one in given], np.int64)
    if ((times < EARLIEST) | (times >= LATEST)).any():
        raise OverflowError
    return times


def _values(given: Sequence[Any]) -> Sequence[Decimal | int]:
    return given if set(map(type, given)) <= {Decimal, int} else [_value(one) for one in given]


def _value(given: Any) -> Decimal | int:
    if isinstance(given, str):
        return parse_decimal(given, max_digits=MAX_DIGITS, max_places=MAX_PLACES)
    if type(given) in (Decimal, int):
        number: Decimal | int = given
        return number
    raise OverflowError
