"""What an event may be at most, so that every store can hold it exactly and no request is without bounds."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from billsmith.events.event import Event
from billsmith.units.errors import InvalidEvent

#: A value has at most 38 digits, 12 of them after the point, and lies between −1e24 and 1e24.
MAX_DIGITS = 38
MAX_PLACES = 12
LARGEST = Decimal(10) ** 24
#: What a value is multiplied with to be whole.
SCALE = 10**MAX_PLACES

#: 1970-01-01 to the end of 2100, nanoseconds UTC; the end doesn't belong to it.
EARLIEST = 0
LATEST = 4_133_980_800_000_000_000

#: Characters of a value's text that is below 1e24 whatever its digits say.
_PLAIN_VALUE = 24

#: Characters.
MAX_ID = 256
MAX_SOURCE = 256
MAX_TYPE = 256
MAX_REFERENCE = 256
MAX_DIMENSIONS = 32
MAX_NAME = 128
MAX_TEXT = 1_024


def check(event: Event) -> None:
    """Raises :class:`InvalidEvent`, with the place in ``where``, for an event that a store can't hold.

    >>> check(Event(owner="o", source="s", id="", type="t", account="a", time=0))
    Traceback (most recent call last):
        ...
    billsmith.units.errors.InvalidEvent: id: it is empty. Give it 1 to 256 characters [event.text_missing]
    """
    if _is_plain(event):
        return
    for fault in _faults(event):
        raise fault


def _is_plain(event: Event) -> bool:
    """Whether an event is well within all limits, as nearly all are; the others are looked at one limit at a time."""
    for text in (event.source, event.id, event.type, event.account):
        if not (0 < len(text) <= MAX_ID and text.isascii() and "\0" not in text):
            return False
    dimensions = event.dimensions
    if len(dimensions) > MAX_DIMENSIONS:
        return False
    for name, text in dimensions.items():
        if not (0 < len(name) <= MAX_NAME and name.isascii() and len(text) <= MAX_TEXT and text.isascii()):
            return False
        if "\0" in name or "\0" in text:
            return False
    value = str(event.value)
    point = value.find(".")
    if len(value) > _PLAIN_VALUE or not value[-1].isdigit() or "E" in value or (point >= 0 and len(value) - point > MAX_PLACES):
        return False
    return EARLIEST <= event.time < LATEST


def _faults(event: Event) -> Iterator[InvalidEvent]:
    yield from _text(event.source, "source", MAX_SOURCE)
    yield from _text(event.id, "id", MAX_ID)
    yield from _text(event.type, "type", MAX_TYPE)
    yield from _text(event.account, "account", MAX_REFERENCE)
    if not EARLIEST <= event.time < LATEST:
        yield InvalidEvent("it is not within the years 1970 to 2100", code="event.time_out_of_range", where="time")
    yield from _value(event.value)
    if len(event.dimensions) > MAX_DIMENSIONS:
        yield InvalidEvent(
            f"{len(event.dimensions)} dimensions; at most {MAX_DIMENSIONS} are kept",
            code="event.too_many_dimensions",
            where="dimensions",
        )
    for name, text in event.dimensions.items():
        yield from _text(name, f"dimensions.{name[:40]}", MAX_NAME)
        yield from _text(text, f"dimensions.{name[:40]}", MAX_TEXT, least=0)


def _text(text: str, where: str, most: int, *, least: int = 1) -> Iterator[InvalidEvent]:
    if len(text) < least:
        yield InvalidEvent(f"it is empty. Give it 1 to {most} characters", code="event.text_missing", where=where)
    elif len(text) > most:
        yield InvalidEvent(f"{len(text)} characters; at most {most} are kept", code="event.text_too_long", where=where)
    elif "\0" in text or not _is_utf8(text):
        yield InvalidEvent(
            "it holds a character that no text has (NUL, or half of a pair)", code="event.text_unclean", where=where
        )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _value(value: Decimal) -> Iterator[InvalidEvent]:
    if not value.is_finite():
        yield InvalidEvent(f"{value} is not a finite number", code="event.value_not_finite", where="value")
    elif value.copy_abs() > LARGEST:
        yield InvalidEvent(f"{value:.6E} is beyond 1e24", code="event.value_out_of_range", where="value")
    elif _places(value) > MAX_PLACES:
        yield InvalidEvent(
            f"more than {MAX_PLACES} places after the point, or more than {MAX_DIGITS} digits: it could not be kept exactly",
            code="event.value_too_fine",
            where="value",
        )


def _places(value: Decimal) -> int:
    """Places after the point, zeros at the end left out. The digits are looked at, for no arithmetic is safe with that many."""
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    zeros = next((place for place, digit in enumerate(reversed(digits)) if digit), len(digits))
    return 0 if zeros == len(digits) else max(0, -exponent - zeros)
