"""From bytes to events: one typed pass where all is well, and a slow one that explains where something is not.

Both give the same events; a test holds them together. Numbers are read from their text, never by way of a float.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from billsmith.events.cloudevents import event_of_cloud, is_json
from billsmith.events.event import Event
from billsmith.events.limits import (
    EARLIEST,
    LARGEST,
    LATEST,
    MAX_DIMENSIONS,
    MAX_ID,
    MAX_NAME,
    MAX_PLACES,
    MAX_REFERENCE,
    MAX_SOURCE,
    MAX_TEXT,
    MAX_TYPE,
)
from billsmith.events.reading import DEFAULT_SOURCE, Number, event_of, text_of, value_of
from billsmith.events.times import instant_of
from billsmith.units.errors import Invalid, TooLarge
from billsmith.units.values import Value

#: Events of one body.
MAX_EVENTS = 10_000
#: Commas of one body: an event has 41 at most (texts aside), so that no body is taken apart into millions of pieces.
_MAX_COMMAS = 50 * MAX_EVENTS
_LEAST = -LARGEST


class Form(Enum):
    """How a body says its events."""

    JSON = "one object, or an array"
    LINES = "an object a line"
    CLOUD = "one CloudEvent"
    CLOUD_BATCH = "an array of CloudEvents"


class Refused(Value, frozen=True, kw_only=True):
    """The event at ``index`` of the body can't be taken: a stable ``code``, the ``path`` within it, and words."""

    index: int
    code: str
    path: str
    message: str


class Decoded(msgspec.Struct, frozen=True):
    """The events of a body, the place of each in it, and those that were refused."""

    events: list[Event]
    places: list[int]
    refused: list[Refused]


_Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
_Source = Annotated[str, Meta(min_length=1, max_length=MAX_SOURCE)]
_Type = Annotated[str, Meta(min_length=1, max_length=MAX_TYPE)]
_Account = Annotated[str, Meta(min_length=1, max_length=MAX_REFERENCE)]
_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
_Text = Annotated[str, Meta(max_length=MAX_TEXT)]


class _Plain(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: _Id
    type: _Type
    account: _Account
    time: str
    source: _Source = DEFAULT_SOURCE
    value: Any = 1
    dimensions: Annotated[dict[_Name, _Text], Meta(max_length=MAX_DIMENSIONS)] = {}


class _Cloud(msgspec.Struct, gc=False):
    specversion: Literal["1.0"]
    id: _Id
    source: _Source
    type: _Type
    subject: _Account
    time: str
    data: Annotated[dict[_Name, Any], Meta(max_length=MAX_DIMENSIONS)] = {}
    datacontenttype: Literal["application/json"] = "application/json"
    data_base64: UnsetType = UNSET


_plain_one = msgspec.json.Decoder(_Plain, float_hook=Decimal)
_plain_many = msgspec.json.Decoder(list[_Plain], float_hook=Decimal)
_cloud_one = msgspec.json.Decoder(_Cloud, float_hook=Decimal)
_cloud_many = msgspec.json.Decoder(list[_Cloud], float_hook=Decimal)
_any = msgspec.json.Decoder(Any, float_hook=Number)
_raws = msgspec.json.Decoder(list[msgspec.Raw])


class _Unusual(Exception):
    """The quick pass can't say what this is."""


def decode(body: bytes, form: Form, owner: str) -> Decoded:
    """The events of a body, sent by ``owner``. Of a key that stands twice the last counts.

    Raises :class:`Invalid` where it is not JSON at all, :class:`TooLarge` for more than :data:`MAX_EVENTS`.

    >>> body = b'{"id": "1", "type": "call", "account": "acme", "time": "2026-10-31T12:00:00Z", "value": 0.10}'
    >>> decode(body, Form.JSON, "o").events[0].value
    Decimal('0.10')
    """
    if body.count(b",") > _MAX_COMMAS:
        raise _too_many()
    try:
        events = _quickly(body, form, owner)
    except (msgspec.DecodeError, InvalidOperation, Invalid, _Unusual, RecursionError, UnicodeDecodeError):
        return _carefully(body, form, owner)
    if len(events) > MAX_EVENTS:
        raise _too_many()
    return Decoded(events, list(range(len(events))), [])


def decode_binary(headers: Mapping[str, str], body: bytes, owner: str) -> Decoded:
    """The one event of a CloudEvent in binary mode: its attributes are the headers ``ce-…``, its data is the body.

    >>> headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t", "ce-subject": "acme"}
    >>> decode_binary(headers | {"ce-time": "2026-10-31T12:00:00Z"}, b'{"value": 2}', "o").events[0].value
    Decimal('2')
    """
    sent: dict[str, Any] = {
        name[3:]: _header_text(value) for name, value in headers.items() if name.startswith("ce-") and name != "ce-data"
    }
    if body.strip():
        if is_json(headers.get("content-type", "application/json")):
            sent["data"] = _loose(body)
        else:
            sent["datacontenttype"] = headers["content-type"]
    return _read([sent], event_of_cloud, owner)


def _header_text(value: str) -> str:
    """A header's text: bytes beyond ASCII come percent-encoded (CloudEvents' HTTP binding, 3.1.3.2)."""
    try:
        raw = re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes([int(found[1], 16)]), value.encode("latin-1"))
        return raw.decode()
    except UnicodeError:
        return value


def _too_many() -> TooLarge:
    return TooLarge(f"more than {MAX_EVENTS} events in one body. Send them in several", code="input.too_many_items")


# ── the quick pass ──


def _quickly(body: bytes, form: Form, owner: str) -> list[Event]:
    if b"\\u0000" in body:
        raise _Unusual
    if form is Form.LINES:
        return [_event(sent, owner) for sent in _plain_one.decode_lines(body)]
    if form is Form.JSON:
        one = body.lstrip()[:1] == b"{"
        return [_event(sent, owner) for sent in ([_plain_one.decode(body)] if one else _plain_many.decode(body))]
    found = [_cloud_one.decode(body)] if form is Form.CLOUD else _cloud_many.decode(body)
    return [_event_of_cloud(sent, owner) for sent in found]


def _event(sent: _Plain, owner: str) -> Event:
    return Event(
        owner=owner,
        source=sent.source,
        id=sent.id,
        type=sent.type,
        account=sent.account,
        time=_time(sent.time),
        value=_value(sent.value),
        dimensions=sent.dimensions,
    )


def _event_of_cloud(sent: _Cloud, owner: str) -> Event:
    data = sent.data
    value = data.pop("value", 1)
    if "dimensions" in data:
        raise _Unusual
    dimensions: dict[str, str] = {}
    for name, given in data.items():
        text = given if type(given) is str else text_of(given, name)
        if text is None or len(text) > MAX_TEXT:
            raise _Unusual
        dimensions[name] = text
    return Event(
        owner=owner,
        source=sent.source,
        id=sent.id,
        type=sent.type,
        account=sent.subject,
        time=_time(sent.time),
        value=_value(value),
        dimensions=dimensions,
    )


def _time(text: str) -> int:
    time = instant_of(text)
    if EARLIEST <= time < LATEST:
        return time
    raise _Unusual


def _value(given: Any) -> Decimal:
    kind = type(given)
    if kind is int:
        value = Decimal(given)
    elif kind is Decimal:
        value = given
        if value.as_tuple().exponent < -MAX_PLACES:
            raise _Unusual
    else:
        value = value_of(given)
    if _LEAST <= value <= LARGEST:
        return value
    raise _Unusual


# ── the slow pass ──


def _carefully(body: bytes, form: Form, owner: str) -> Decoded:
    read = event_of if form in (Form.JSON, Form.LINES) else event_of_cloud
    if form is Form.LINES:
        lines = [line for line in body.split(b"\n") if line.strip()]
        return _read(lines, lambda line, owner: read(_loose(line), owner), owner)
    if form is Form.CLOUD or (form is Form.JSON and body.lstrip()[:1] == b"{"):
        one = _loose(body)
        if not isinstance(one, dict):
            raise Invalid(f"the body is not {form.value}, an object", code="input.not_json")
        return _read([one], read, owner)
    try:
        found = _raws.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(f"the body is not {form.value}, in JSON and UTF-8: {error}"[:300], code="input.not_json") from None
    return _read(found, lambda raw, owner: read(_loose(raw), owner), owner)


def _loose(text: bytes | msgspec.Raw) -> Any:
    """JSON of any form, its numbers as their text. Raises :class:`Invalid`."""
    try:
        return _any.decode(text)
    except msgspec.ValidationError:
        raise Invalid("a whole number has too many digits", code="number.too_long") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Invalid(f"it is not JSON in UTF-8: {error}"[:300], code="input.not_json") from None


def _read(found: Iterable[Any], read: Callable[[Any, str], Event], owner: str) -> Decoded:
    events: list[Event] = []
    places: list[int] = []
    refused: list[Refused] = []
    for index, sent in enumerate(found):
        if index >= MAX_EVENTS:
            raise _too_many()
        try:
            events.append(read(sent, owner))
            places.append(index)
        except Invalid as error:
            refused.append(Refused(index=index, code=error.code, path=error.where or "", message=error.message))
    return Decoded(events, places, refused)
