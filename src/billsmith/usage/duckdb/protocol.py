"""What processes of one data folder say to each other: frames of a length (four bytes, big-endian) and MessagePack.

A call is one frame: the method's name and its arguments. The answer is frames of a kind and a payload: parts of a long
answer, then its end; or an error. Numbers travel as their text.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import msgspec

from billsmith.events.event import Event
from billsmith.metering.meter import Meter
from billsmith.metering.quantity import Quantity
from billsmith.units import errors
from billsmith.units.errors import BillsmithError, Busy, Unavailable
from billsmith.units.exact import Exact
from billsmith.units.periods import Period
from billsmith.usage.store import (
    Binding,
    Entry,
    Health,
    Item,
    Kept,
    Measured,
    Name,
    Place,
    Query,
    Receipt,
    Replace,
    Selection,
    Unknown,
    Void,
)

#: Bytes of one frame: a full batch of large events fits.
MAX_FRAME = 512 * 1024 * 1024


class Kind(IntEnum):
    """What a frame of an answer is."""

    PART = 0
    END = 1
    ERROR = 2


class Call(msgspec.Struct, array_like=True):
    """A method and its arguments, still encoded."""

    method: str
    arguments: msgspec.Raw


class Frame(msgspec.Struct, array_like=True):
    """A piece of an answer, still encoded."""

    kind: Kind
    payload: msgspec.Raw = msgspec.Raw(b"\xc0")


class Fault(msgspec.Struct, array_like=True):
    """An error, to be raised anew on the other side."""

    type: str
    message: str
    code: str
    where: str | None = None
    retry_after: int = 1


class Items(msgspec.Struct, array_like=True):
    """A batch: what each item is, and the items by kind."""

    kinds: str
    events: list[Event] = []
    voids: list[Void] = []
    replaces: list[Replace] = []


class WireQuantity(msgspec.Struct, array_like=True):
    """A quantity whose numbers are text."""

    value: str
    events: int
    dimensions: dict[str, str]
    start: int | None
    full: str | None
    amount: str | None


class WireMeasured(msgspec.Struct, array_like=True):
    """An answer whose numbers are text."""

    meter: int
    account: str
    period: Period
    quantities: list[WireQuantity]
    error: str
    message: str


class Events(msgspec.Struct, array_like=True):
    """The arguments of ``events``."""

    selection: Selection
    after: Place | None
    limit: int


class Names(msgspec.Struct, array_like=True):
    """The arguments of ``waiting``."""

    names: list[Name] | None
    limit: int


class Types(msgspec.Struct, array_like=True):
    """The arguments of ``unknown``."""

    types: list[str]
    owners: list[str] | None
    limit: int


#: The type of each method's arguments, and of its answer (of a part of it, for ``measure``).
METHODS: dict[str, tuple[Any, Any]] = {
    "ingest": (Items, Receipt),
    "bind": (list[Binding], None),
    "keep": (list[Meter], None),
    "measure": (Query, list[WireMeasured]),
    "sheets": (Query, dict[str, bytes]),
    "events": (Events, tuple[Kept, ...]),
    "count": (Selection, int),
    "history": (tuple[str, str, str], tuple[Entry, ...]),
    "histories": (tuple[str, list[tuple[str, str]]], tuple[Entry, ...]),
    "waiting": (Names, tuple[Name, ...]),
    "unknown": (Types, tuple[Unknown, ...]),
    "watermark": (None, int),
    "health": (None, Health),
    "backup": (str, None),
    "faults": (None, list[str]),
}

encode = msgspec.msgpack.Encoder().encode
decode_call = msgspec.msgpack.Decoder(Call).decode
decode_frame = msgspec.msgpack.Decoder(Frame).decode
decode_fault = msgspec.msgpack.Decoder(Fault).decode
ARGUMENTS = {method: msgspec.msgpack.Decoder(types[0]).decode for method, types in METHODS.items()}
ANSWERS = {method: msgspec.msgpack.Decoder(types[1]).decode for method, types in METHODS.items()}


def send(to: socket.socket, data: bytes) -> None:
    """Send one frame."""
    to.sendall(len(data).to_bytes(4, "big") + data)


def receive(source: socket.socket) -> bytes:
    """One frame. Raises :class:`ConnectionError` where the other side is gone, or says what it can't."""
    length = int.from_bytes(_exactly(source, 4), "big")
    if length > MAX_FRAME:
        raise ConnectionError(f"a frame of {length} bytes; at most {MAX_FRAME} are read")
    return _exactly(source, length)


def _exactly(source: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    view, got = memoryview(data), 0
    while got < length:
        count = source.recv_into(view[got:])
        if not count:
            raise ConnectionError("the other side hung up")
        got += count
    return bytes(data)


def pack_items(items: Sequence[Item]) -> Items:
    """A batch for the wire."""
    packed = Items("".join("v" if isinstance(item, Void) else "r" if isinstance(item, Replace) else "e" for item in items))
    packed.events = [item for item in items if isinstance(item, Event)]
    packed.voids = [item for item in items if isinstance(item, Void)]
    packed.replaces = [item for item in items if isinstance(item, Replace)]
    return packed


def unpack_items(packed: Items) -> list[Item]:
    """The batch, in its order."""
    sources: dict[str, Any] = {"e": iter(packed.events), "v": iter(packed.voids), "r": iter(packed.replaces)}
    return [next(sources[kind]) for kind in packed.kinds]


def pack_measured(one: Measured) -> WireMeasured:
    """An answer for the wire."""
    quantities = [
        WireQuantity(str(q.value), q.events, q.dimensions, q.start, _text(q.full), _text(q.amount)) for q in one.quantities
    ]
    return WireMeasured(one.meter, one.account, one.period, quantities, one.error, one.message)


def unpack_measured(one: WireMeasured) -> Measured:
    """The answer."""
    quantities = tuple(
        Quantity(_number(q.value), q.events, q.dimensions, q.start, _maybe(q.full), _maybe(q.amount)) for q in one.quantities
    )
    return Measured(
        meter=one.meter,
        account=one.account,
        period=one.period,
        quantities=quantities,
        error=one.error,
        message=one.message,
    )


def _text(value: Exact | None) -> str | None:
    return None if value is None else str(value)


def _number(text: str) -> Exact:
    return Fraction(text) if "/" in text else Decimal(text)


def _maybe(text: str | None) -> Exact | None:
    return None if text is None else _number(text)


def fault_of(error: Exception) -> Fault:
    """An error for the wire; one that is none of ours as :class:`Unavailable`."""
    if isinstance(error, BillsmithError):
        retry = error.retry_after if isinstance(error, Busy) else 1
        return Fault(type(error).__name__, error.message, error.code, error.where, retry)
    return Fault("Unavailable", f"the store failed: {type(error).__name__}: {error}"[:500], "usage.failed")


def error_of(fault: Fault) -> BillsmithError:
    """The error, to be raised."""
    kind = getattr(errors, fault.type, Unavailable)
    more = {"retry_after": fault.retry_after} if kind is Busy else {}
    made: BillsmithError = kind(fault.message, code=fault.code, where=fault.where, **more)
    return made
