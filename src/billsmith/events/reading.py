"""Bytes → events: our plain form and CloudEvents 1.0, each event read exactly or rejected with its reason and place.

The common body is read in one typed pass; a body that fails it is read again event by event, so that one wrong event keeps no
other out. Numbers are decimals from their text; a key that stands twice in an object counts as it stands last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from enum import StrEnum

import msgspec

from billsmith.events.event import DEFAULT_SOURCE, Event
from billsmith.events.limits import check
from billsmith.units.errors import BillsmithError, Invalid, InvalidEvent, TooLarge
from billsmith.units.instants import parse_instant
from billsmith.units.rounding import parse_decimal

#: Events in one body.
MAX_EVENTS = 50_000
_ONE = msgspec.Raw(b"1")
#: Levels of a body that is counted; what is deeper counts as if it stood in the array itself.
MAX_DEPTH = 32
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_GROUP = re.compile(rb"[\[{],*+[\]}]")
_NO_MARKS = bytes(set(range(256)) - set(b"[]{},"))
#: Characters of a number, as it is written.
MAX_NUMBER = 64


class Form(StrEnum):
    """How a body holds events."""

    JSON = "json"
    """One event or an array of them, in our form or as CloudEvents."""
    LINES = "lines"
    """One of them a line."""


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """The event at ``index`` of a body can't be kept: a stable ``code``, words, and the path to the fault."""

    index: int
    code: str
    message: str
    path: str = ""
    id: str = ""


class Reading(msgspec.Struct, frozen=True):
    """What a body held: events with the places at which they stood, and those that can't be kept."""

    events: Sequence[Event]
    places: Sequence[int]
    rejected: list[Rejected]


class PlainEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event as our own form has it. ``time`` is RFC 3339 with up to nine digits of a second, or nanoseconds UTC."""

    id: str
    type: str
    account: str
    time: str | int
    value: msgspec.Raw = _ONE
    source: str = DEFAULT_SOURCE
    dimensions: dict[str, str] = {}


_event = msgspec.json.Decoder(PlainEvent)
_raw = msgspec.json.Decoder(list[msgspec.Raw])
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_letters = msgspec.json.Decoder(str)


def read(body: bytes, form: Form, owner: str) -> Reading:
    """The events of a body, sent by ``owner``.

    Raises :class:`Invalid` where the body as a whole can't be read, :class:`TooLarge` for more than :data:`MAX_EVENTS`.

    >>> body = b'{"id": "1", "type": "call", "account": "acme", "time": "2026-10-31T12:00:00Z", "value": 2.50}'
    >>> read(body, Form.JSON, "o").events[0].value
    Decimal('2.50')
    """
    if form is Form.JSON:
        start = body.lstrip()[:1]
        if start == b"{":
            return _one_by_one([body], owner)
        events = _quickly(body, owner)
        return _one_by_one(_split(body), owner) if events is None else _whole(events)
    lines = [line for line in body.split(b"\n") if line and not line.isspace()]
    _count(lines)
    events = _quickly(b"[" + b",".join(lines) + b"]", owner)
    # As many events as lines: a line that holds two, with a comma between them, is none.
    return _one_by_one(lines, owner) if events is None or len(events) != len(lines) else _whole(events)


def read_binary(headers: Mapping[str, str], body: bytes, owner: str) -> Reading:
    """The CloudEvent whose attributes came as ``ce-…`` headers and whose data is the body (its binary mode over HTTP)."""
    attributes = {name: msgspec.Raw(msgspec.json.encode(text)) for name, text in headers.items()}
    if body.strip():
        attributes["data"] = msgspec.Raw(body)
    return _gathered([(0, lambda: _cloud_event(attributes, owner))])


def _quickly(body: bytes, owner: str) -> Sequence[Event] | None:
    from billsmith.events.quick import quickly  # numpy takes a tenth of a second to load

    return quickly(body, owner)


def _whole(events: Sequence[Event]) -> Reading:
    _count(events)
    return Reading(events, range(len(events)), [])


def _split(body: bytes) -> list[bytes]:
    if body.count(b",") >= MAX_EVENTS:  # before millions of pieces are made
        _count(range(_items(body)))
    try:
        parts = _raw.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _not_json(error) from None
    return [bytes(part) for part in parts]


def _items(body: bytes) -> int:
    """How many items an array has, at most: the commas that stand in nothing deeper."""
    inner = _TEXT.sub(b"", body).translate(None, _NO_MARKS).strip()[1:-1]
    for _ in range(MAX_DEPTH):
        inner, found = _GROUP.subn(b"", inner)
        if not found:
            break
    return inner.count(b",") + 1


def _not_json(error: Exception) -> Invalid:
    return Invalid(f"the body is no JSON of events: {str(error)[:200]}", code="input.not_json")


def _count(parts: Sequence[object]) -> None:
    if len(parts) > MAX_EVENTS:
        raise TooLarge(
            f"{len(parts)} events; at most {MAX_EVENTS} in one request. Send the rest in others", code="event.too_many"
        )


def _one_by_one(parts: Sequence[bytes], owner: str) -> Reading:
    _count(parts)
    return _gathered([(place, lambda part=part: _lenient(part, owner)) for place, part in enumerate(parts)])  # type: ignore[misc]


def _gathered(makers: Sequence[tuple[int, Callable[[], Event]]]) -> Reading:
    events: list[Event] = []
    places: list[int] = []
    rejected: list[Rejected] = []
    for place, make in makers:
        try:
            event = make()
        except BillsmithError as error:
            rejected.append(_rejected(place, error, ""))
        else:
            events.append(event)
            places.append(place)
    return Reading(events, places, rejected)


def _rejected(place: int, error: BillsmithError, id: str) -> Rejected:
    return Rejected(index=place, code=error.code, message=error.message, path=error.where or "", id=id[:256])


def _made(plain: PlainEvent, owner: str) -> Event:
    time = plain.time
    event = Event(
        owner=owner,
        source=plain.source,
        id=plain.id,
        type=plain.type,
        account=plain.account,
        time=time if type(time) is int else parse_instant(time, where="time"),  # type: ignore[arg-type] # it is a text then
        value=_number(plain.value, "value"),
        dimensions=plain.dimensions,
    )
    check(event)
    return event


def _lenient(part: bytes, owner: str) -> Event:
    """One event in either form; what is wrong with it is said of the one field."""
    try:
        return _made(_event.decode(part), owner)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        fault = error
    try:
        fields = _fields.decode(part)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise InvalidEvent(f"it is no JSON object: {str(fault)[:200]}", code="event.not_an_object") from None
    if "specversion" in fields:
        return _cloud_event(fields, owner)
    if "dimensions" in fields:
        dimensions = msgspec.json.encode(_dimensions(fields["dimensions"], "dimensions"))
        part = msgspec.json.encode({**fields, "dimensions": msgspec.Raw(dimensions)})
        try:
            return _made(_event.decode(part), owner)
        except msgspec.DecodeError as error:
            fault = error
    message, _, place = str(fault).partition(" - at `")
    raise InvalidEvent(message, code="event.malformed", where=place.rstrip("`").removeprefix("$.").strip("$") or None)


def _cloud_event(fields: Mapping[str, msgspec.Raw], owner: str) -> Event:
    """CloudEvents' ``subject`` is the account; ``data`` holds the value, and dimensions beside it or in ``dimensions``.

    Extension attributes say nothing of usage and aren't kept (decision 0231).
    """
    if _text_of(fields, "specversion") != "1.0":
        raise InvalidEvent("only CloudEvents 1.0 are read", code="event.cloudevents_version", where="specversion")
    content = _text_of(fields, "datacontenttype") or "application/json"
    kind = content.partition(";")[0].strip().lower()
    if "data_base64" in fields or not (kind == "application/json" or kind.endswith("+json")):
        raise InvalidEvent("the data is not JSON. Send a JSON object", code="event.data_not_json", where="data")
    data = _data(fields.get("data"))
    value = data.pop("value", None)
    nested = data.pop("dimensions", None)
    dimensions = {name: _scalar(raw, f"data.{name}") for name, raw in data.items()}
    if nested is not None:
        dimensions |= _dimensions(nested, "data.dimensions")
    subject = _text_of(fields, "subject")
    if not subject:
        raise InvalidEvent("a CloudEvent names whom it bills in its subject", code="event.no_subject", where="subject")
    event = Event(
        owner=owner,
        source=_text_of(fields, "source"),
        id=_text_of(fields, "id"),
        type=_text_of(fields, "type"),
        account=subject,
        time=parse_instant(_text_of(fields, "time"), where="time"),
        value=_number(_ONE if value is None else value, "data.value"),
        dimensions=dimensions,
    )
    check(event)
    return event


def _text_of(fields: Mapping[str, msgspec.Raw], name: str) -> str:
    raw = fields.get(name)
    if raw is None:
        return ""
    try:
        return _letters.decode(raw)
    except msgspec.DecodeError:
        raise InvalidEvent("it is not a text", code="event.malformed", where=name) from None


def _data(raw: msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    if raw is None:
        return {}
    try:
        return _fields.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise InvalidEvent("the data is not a JSON object", code="event.data_not_json", where="data") from None


def _dimensions(raw: msgspec.Raw, where: str) -> dict[str, str]:
    try:
        fields = _fields.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise InvalidEvent("dimensions are an object of texts", code="event.malformed", where=where) from None
    return {name: _scalar(each, f"{where}.{name}") for name, each in fields.items()}


def _scalar(raw: msgspec.Raw, where: str) -> str:
    """A text as it is; a number, true or false by its own letters."""
    text = bytes(raw).strip()
    if text[:1] == b'"':
        return _letters.decode(text)
    if text[:1] in (b"{", b"[") or text == b"null":
        raise InvalidEvent("a dimension is a text, a number, true or false", code="event.malformed", where=where[:80])
    return text.decode()


def _number(raw: msgspec.Raw, where: str) -> Decimal:
    """A number, or a text of one, by its own digits. JSON's grammar has passed it already where it is no text."""
    text = bytes(raw)
    if len(text) > MAX_NUMBER:
        raise InvalidEvent(
            f"a number of {len(text)} characters; at most {MAX_NUMBER}", code="event.value_too_fine", where=where
        )
    if text[:1] == b'"':
        return parse_decimal(_letters.decode(text), where=where)
    if text[:1] not in b"-0123456789":
        raise InvalidEvent("it is not a number", code="event.malformed", where=where)
    try:
        return Decimal(text.decode())
    except InvalidOperation:  # an exponent that no decimal has
        raise InvalidEvent("it is beyond 1e24, or too fine", code="event.value_out_of_range", where=where) from None
