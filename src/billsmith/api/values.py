"""What all resources spell alike: ids, text, dates, instants, periods, amounts."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from billsmith.accounts.model import is_clean_text
from billsmith.invoicing.model import Period
from billsmith.units.currency import EXPONENTS, currency_exponent, from_minor
from billsmith.units.errors import Invalid, InvalidTime
from billsmith.units.instants import format_instant, parse_date, parse_instant
from billsmith.units.rounding import plain

#: Dates and instants that a caller may send: years in which nanoseconds fit 64 bits, and a century more than any contract.
FIRST_DAY = dt.date(1970, 1, 1)
LAST_DAY = dt.date(2199, 12, 31)
_FIRST = 0
_END = parse_instant("2200-01-01T00:00:00Z")

#: What :func:`check_text` lets pass, in the document's words.
CLEAN = {"pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"}
CLEAN_LINES = {"pattern": "^[^\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f]*$"}

Id = Annotated[str, msgspec.Meta(extra_json_schema={"format": "uuid"})]
Instant = Annotated[str, msgspec.Meta(max_length=40, extra_json_schema={"format": "date-time"})]
#: An amount as we write it: a decimal in text, so that no reader takes it for a float.
Amount = Annotated[str, msgspec.Meta(extra_json_schema={"pattern": "^-?[0-9]+([.][0-9]+)?$", "examples": ["18.90"]})]
CurrencyCode = Annotated[str, msgspec.Meta(extra_json_schema={"enum": sorted(EXPONENTS), "examples": ["EUR"]})]
#: A UUID or an external id at or below the caller's account.
AccountName = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=128,
        description="A UUID, or an external id at or below the caller's account.",
        extra_json_schema=CLEAN,
    ),
]
ShortText = Annotated[str, msgspec.Meta(max_length=64, extra_json_schema=CLEAN)]
Text = Annotated[str, msgspec.Meta(max_length=200, extra_json_schema=CLEAN)]
LongText = Annotated[str, msgspec.Meta(max_length=2000, extra_json_schema=CLEAN_LINES)]

#: A span of the calendar by its name.
PeriodName = Annotated[
    str,
    msgspec.Meta(
        pattern="^[0-9]{4}(-Q[1-4]|-[0-9]{2}(-[0-9]{2})?)?$",
        max_length=10,
        description="Such as 2026-10, 2026-Q4, 2026 or 2026-10-31.",
    ),
]

#: Fields that people write in lines.
_WITH_LINES = frozenset({"notes", "description", "source"})


class Span(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A span of time: ``start`` is in it, ``end`` is not."""

    start: Instant
    end: Instant


def amount(minor: int, currency: str) -> str:
    """Minor units as text.

    >>> amount(1890, "EUR")
    '18.90'
    """
    return plain(from_minor(minor, currency))


def decimal_text(value: Decimal | None) -> str | None:
    """An exact decimal as text."""
    return None if value is None else plain(value)


def span(period: Period) -> Span:
    """A period as it is written."""
    return Span(start=format_instant(period.start), end=format_instant(period.end))


def instant_text(instant: int | None) -> str | None:
    """An instant as it is written."""
    return None if instant is None else format_instant(instant)


def read_instant(text: str | None, where: str) -> int | None:
    """An instant as it was sent, between 1970 and 2199. Raises :class:`InvalidTime`."""
    if text is None:
        return None
    instant = parse_instant(text, where=where)
    if not _FIRST <= instant < _END:
        raise InvalidTime(f"{text} is not between the years 1970 and 2199", code="time.out_of_range", where=where)
    return instant


def read_period(sent: Span | None, where: str) -> Period | None:
    """A period as it was sent. Raises :class:`InvalidTime`."""
    if sent is None:
        return None
    start, end = read_instant(sent.start, f"{where}.start"), read_instant(sent.end, f"{where}.end")
    assert start is not None
    assert end is not None
    if end <= start:
        raise InvalidTime("the period ends before it starts", code="time.period", where=where)
    return Period(start, end)


def check_day(day: dt.date | None, where: str) -> dt.date | None:
    """A date between 1970 and 2199. Raises :class:`InvalidTime`."""
    if day is not None and not FIRST_DAY <= day <= LAST_DAY:
        raise InvalidTime(f"{day} is not between the years 1970 and 2199", code="time.out_of_range", where=where)
    return day


def read_date(text: str, where: str) -> dt.date:
    """A date of a query, any year. Raises :class:`InvalidTime`."""
    return parse_date(text, where=where)


def check_places(value: Decimal, currency: str, where: str) -> Decimal:
    """An amount that the currency can express. Raises :class:`Invalid`.

    >>> check_places(Decimal("18.90"), "EUR", "amount")
    Decimal('18.90')
    """
    exponent = value.normalize().as_tuple().exponent
    places = currency_exponent(currency)
    if isinstance(exponent, int) and -exponent > places:
        raise Invalid(f"{currency} has {places} places after the point", code="payment.places", where=where)
    return value


def check_text(value: Any, where: str = "") -> None:
    """Refuse control characters and half surrogates in any text of a body. Raises :class:`Invalid` with the place."""
    if isinstance(value, str):
        inspected = value.replace("\n", "") if where.rpartition(".")[2] in _WITH_LINES else value
        if not is_clean_text(inspected):
            raise Invalid("a control character, or half of a surrogate pair", code="input.control_character", where=where)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            check_text(getattr(value, name), f"{where}.{name}" if where else name)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check_text(item, f"{where}[{index}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            check_text(name, where)
            check_text(item, f"{where}.{name}")
