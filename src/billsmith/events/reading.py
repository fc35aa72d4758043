"""What somebody sent as one event, read field by field: whatever is wrong is told with its place.

Numbers come as their text (:class:`Number`) or as what JSON made of it (``int``, ``Decimal``); no float gets here.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from billsmith.events.event import Event
from billsmith.events.limits import MAX_DIGITS, MAX_PLACES, MAX_TEXT, check
from billsmith.events.times import instant_of
from billsmith.units.errors import InvalidEvent, InvalidTime
from billsmith.units.rounding import parse_decimal, plain

#: The source of an event that names none.
DEFAULT_SOURCE = "default"
_FIELDS = ("id", "source", "type", "account", "time", "value", "dimensions")
_REQUIRED = ("id", "type", "account", "time")


class Number(str):
    """The text of a number that JSON wrote with a point or an exponent."""

    __slots__ = ()


def event_of(sent: Any, owner: str) -> Event:
    """The event that an object in our plain form says. Raises :class:`Invalid` with the place in ``where``.

    >>> event_of({"id": "1", "type": "call", "account": "acme", "time": "2026-10-31T12:00:00Z", "value": 2}, "o").value
    Decimal('2')
    """
    if not isinstance(sent, dict):
        raise InvalidEvent("it is not an object with id, type, account and time", code="event.not_an_object")
    for name in sent:
        if name not in _FIELDS:
            raise InvalidEvent(
                f"{name[:40]!r} is no field of an event; there are {', '.join(_FIELDS)}. What you count by is a dimension",
                code="event.unknown_field",
                where=name[:40],
            )
    for name in _REQUIRED:
        if sent.get(name) is None:
            raise InvalidEvent("it is missing", code="event.field_missing", where=name)
    event = Event(
        owner=owner,
        source=DEFAULT_SOURCE if sent.get("source") is None else _text(sent["source"], "source"),
        id=_text(sent["id"], "id"),
        type=_text(sent["type"], "type"),
        account=_text(sent["account"], "account"),
        time=_time(sent["time"]),
        value=value_of(sent.get("value", 1)),
        dimensions=_dimensions(sent.get("dimensions")),
    )
    check(event)
    return event


def value_of(given: Any) -> Decimal:
    """An event's value from a number or from text, exactly. Raises :class:`Invalid`.

    >>> value_of("0.10"), value_of(3)
    (Decimal('0.10'), Decimal('3'))
    """
    if type(given) in (int, Decimal) or isinstance(given, str):
        return parse_decimal(str(given), max_digits=MAX_DIGITS, max_places=MAX_PLACES, where="value")
    raise InvalidEvent("it is not a number such as 12.5", code="event.value_not_a_number", where="value")


def text_of(given: Any, where: str) -> str | None:
    """A dimension's text: of a number its digits, of a truth ``true`` or ``false``; ``None`` for null.

    >>> text_of(Number("1.50"), "n"), text_of(Number("1e3"), "n"), text_of(True, "n")
    ('1.50', '1000', 'true')
    """
    if given is None or type(given) is str:
        return given
    if type(given) is bool:
        return "true" if given else "false"
    if type(given) is int:
        return str(given)
    if type(given) in (Number, Decimal):
        return _digits(given, where)
    raise InvalidEvent(
        "it is a list or an object; a dimension is text, a number or a truth", code="event.dimension_nested", where=where
    )


def _digits(given: Number | Decimal, where: str) -> str:
    try:
        number: Decimal | None = Decimal(given)
    except InvalidOperation:
        number = None
    # Written out, an exponent of a few characters could fill the memory.
    if number is None or not -MAX_TEXT < number.adjusted() < MAX_TEXT:
        raise InvalidEvent(f"the number has more than {MAX_TEXT} digits", code="event.text_too_long", where=where)
    return plain(number)


def _text(given: Any, where: str) -> str:
    if type(given) is str:
        return given
    raise InvalidEvent("it is not text", code="event.not_text", where=where)


def _time(given: Any) -> int:
    if type(given) is not str:
        raise InvalidEvent(
            "it is not text such as 2026-10-31T12:00:00.5Z (a bare number could be seconds or milliseconds)",
            code="event.not_text",
            where="time",
        )
    try:
        return instant_of(given)
    except InvalidTime as error:
        raise InvalidTime(error.message, code=error.code, where="time") from None


def _dimensions(given: Any) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidEvent("it is not an object of names and texts", code="event.dimensions_not_an_object", where="dimensions")
    texts = {name: text_of(value, f"dimensions.{name[:40]}") for name, value in given.items()}
    return {name: text for name, text in texts.items() if text is not None}
