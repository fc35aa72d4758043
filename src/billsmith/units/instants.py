"""Instants: whole nanoseconds since 1970-01-01T00:00:00Z, read from and written to text.

Bounds: what 64 bits hold, 1677-09-21 to 2262-04-11; an instant that comes in from outside beyond them is refused. An
instant is a plain ``int``; a *civil date* is a ``datetime.date``. The time zone database is the tzdata package's alone, so
that two machines give the same answer (design rule 7).
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from functools import lru_cache

from billsmith.units.errors import InvalidTime

zoneinfo.reset_tzpath(to=())

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

EARLIEST = -(2**63)
LATEST = 2**63 - 1

_EPOCH_TIME = dt.datetime(1970, 1, 1)  # noqa: DTZ001 (UTC, as what is subtracted from)
_ONE_DAY = dt.timedelta(days=1)
_EPOCH_ORDINAL = dt.date(1970, 1, 1).toordinal()
_INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(Z|z|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)


def parse_date(text: str, *, where: str | None = None) -> dt.date:
    """Read ``YYYY-MM-DD``. Raises :class:`InvalidTime`.

    >>> parse_date("2024-02-29")
    datetime.date(2024, 2, 29)
    """
    match = _DATE.fullmatch(text)
    if match:
        try:
            return dt.date(*map(int, match.groups()))
        except ValueError:
            pass
    raise InvalidTime(f"{text[:40]!r} is not a date such as 2026-10-31", code="time.not_a_date", where=where)


def parse_instant(text: str, *, zone_missing: str | None = None, where: str | None = None) -> int:
    """Read an RFC 3339 instant with up to nine fraction digits, as nanoseconds UTC.

    Text without an offset is an error unless ``zone_missing`` says in which zone to read it ("UTC" for the vendors' own
    zoneless fields). A leap second counts as the second before it.

    Raises :class:`InvalidTime`.

    >>> parse_instant("2024-10-10T07:55:09.3546699+00:00")
    1728546909354669900
    """
    quick = _quick(text)
    if quick is not None:
        return _within_bounds(quick, text, where)
    match = _INSTANT.fullmatch(text)
    if match is None or (match[8] is None and zone_missing is None):
        hint = "2026-10-31T12:00:00Z" if match is None else f"{text}Z (the offset is missing)"
        raise InvalidTime(f"{text[:40]!r} is not an instant such as {hint}", code="time.not_an_instant", where=where)
    return _within_bounds(_instant_of(match, text, zone_missing, where), text, where)


def _quick(text: str) -> int | None:
    """The commonest form, ``2026-10-31T12:00:00.123Z``, in a third of the time; ``None`` for all others, right or wrong."""
    fraction = text[19:-1]
    if len(text) < 20 or text[-1] != "Z" or text[10] != "T" or not text.isascii():
        return None
    if not (text[4] == text[7] == "-" and text[13] == text[16] == ":"):
        return None
    if fraction and not (fraction[0] == "." and fraction[1:].isdigit() and len(fraction) <= 10):
        return None
    try:
        since = dt.datetime.fromisoformat(text[:19]) - _EPOCH_TIME
    except ValueError:
        return None
    return (since.days * 86_400 + since.seconds) * SECOND + int(fraction[1:].ljust(9, "0") or 0)


def _within_bounds(instant: int, text: str, where: str | None = None) -> int:
    if not EARLIEST <= instant <= LATEST:
        raise InvalidTime(f"{text[:40]!r} is not between 1677-09-22 and 2262-04-10", code="time.out_of_range", where=where)
    return instant


def _instant_of(match: re.Match[str], text: str, zone_missing: str | None, where: str | None) -> int:
    year, month, day, hour, minute, second = (int(match[index]) for index in range(1, 7))
    try:
        ordinal = dt.date(year, month, day).toordinal()
    except ValueError:
        ordinal = 0
    if not ordinal or hour > 23 or minute > 59 or second > 60:
        raise InvalidTime(f"{text[:40]!r} is not a time of any calendar day", code="time.not_an_instant", where=where)
    seconds = (ordinal - _EPOCH_ORDINAL) * 86_400 + hour * 3_600 + minute * 60 + min(second, 59)
    fraction = int((match[7] or "0").ljust(9, "0"))
    offset = match[8]
    if offset is None:
        assert zone_missing is not None
        if zone_missing == "UTC":
            return seconds * SECOND + fraction
        local = dt.datetime(year, month, day, hour, minute, min(second, 59), tzinfo=zone(zone_missing))
        return _seconds(local) * SECOND + fraction
    if offset not in "Zz":
        hours, minutes = int(offset[1:3]), int(offset[4:6])
        if hours > 23 or minutes > 59:
            raise InvalidTime(f"{text[:40]!r} has an offset that can't be", code="time.not_an_instant", where=where)
        seconds -= (1 if offset[0] == "+" else -1) * (hours * 3_600 + minutes * 60)
    return seconds * SECOND + fraction


def format_instant(instant: int, *, digits: int | None = None, offset: str = "Z") -> str:
    """Write an instant in UTC with ``digits`` fraction digits (none given: as many as it needs; more are cut).

    >>> format_instant(1728546909354669900, digits=7, offset="+00:00")
    '2024-10-10T07:55:09.3546699+00:00'
    >>> format_instant(0)
    '1970-01-01T00:00:00Z'
    """
    seconds, nanos = divmod(instant, SECOND)
    days, clock = divmod(seconds, 86_400)
    try:
        day = dt.date.fromordinal(days + _EPOCH_ORDINAL)
    except (ValueError, OverflowError):
        raise InvalidTime(f"{instant} ns is outside the years 1 to 9999", code="time.out_of_range") from None
    text = f"{nanos:09d}"
    fraction = text.rstrip("0") if digits is None else text[:digits]
    point = f".{fraction}" if fraction else ""
    return f"{day.isoformat()}T{clock // 3600:02d}:{clock // 60 % 60:02d}:{clock % 60:02d}{point}{offset}"


@lru_cache(maxsize=1024)
def zone(name: str) -> zoneinfo.ZoneInfo:
    """An IANA time zone by its name, from the tzdata package. Raises :class:`InvalidTime`.

    >>> zone("Europe/Amsterdam").key
    'Europe/Amsterdam'
    """
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidTime(
            f"{name[:60]!r} is not an IANA time zone such as Europe/Amsterdam",
            code="time.unknown_zone",
            where="time_zone",
        ) from None


def _seconds(local: dt.datetime) -> int:
    delta = local - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return delta.days * 86_400 + delta.seconds


_EPOCH = dt.date(1970, 1, 1).toordinal()


def local_date(instant: int, zone_name: str) -> dt.date:
    """The civil date of an instant in a zone.

    >>> local_date(parse_instant("2024-12-31T23:30:00Z"), "Europe/Amsterdam")
    datetime.date(2025, 1, 1)
    """
    if zone_name == "UTC":
        return dt.date.fromordinal(_EPOCH + instant // DAY)
    moment = dt.datetime.fromtimestamp(instant // SECOND, tz=dt.UTC)
    return moment.astimezone(zone(zone_name)).date()


def start_of_day(day: dt.date, zone_name: str) -> int:
    """The first instant of a civil date in a zone. Where clocks jump over midnight it is the instant after the jump.

    >>> format_instant(start_of_day(dt.date(2024, 7, 1), "Europe/Amsterdam"))
    '2024-06-30T22:00:00Z'
    """
    return local_instant(day, 0, zone_name)


def day_of(instant: int, zone_name: str) -> dt.date:
    """The civil day in whose span, from its first instant to the next day's, an instant lies.

    Such spans tile all time. They are what the clocks show, but where clocks fall back over midnight: the date before, shown
    a second time, belongs to the day that began already.

    >>> str(local_date(parse_instant("2010-11-07T02:45:00Z"), "America/St_Johns"))
    '2010-11-06'
    >>> str(day_of(parse_instant("2010-11-07T02:45:00Z"), "America/St_Johns"))  # began at 02:30, clocks went back at 02:31
    '2010-11-07'
    """
    day = local_date(instant, zone_name)
    while instant >= start_of_day(day + _ONE_DAY, zone_name):
        day += _ONE_DAY
    return day


@lru_cache(maxsize=65_536)
def local_instant(day: dt.date, time: int, zone_name: str) -> int:
    """The first instant at which a zone's clocks read ``time`` (nanoseconds after midnight) of a civil date, or later.

    Where clocks jump over the reading it is the instant of the jump; where they show it twice, the first of the two. So a
    later reading never gives an earlier instant.

    >>> format_instant(local_instant(dt.date(2024, 3, 31), 2 * HOUR + 30 * MINUTE, "Europe/Amsterdam"))
    '2024-03-31T01:00:00Z'
    """
    seconds, nanos = divmod(time, SECOND)
    wanted = zone(zone_name)
    naive = dt.datetime(day.year, day.month, day.day) + dt.timedelta(seconds=seconds)  # noqa: DTZ001 (the zone comes below)
    first, second = (_seconds(naive.replace(tzinfo=wanted, fold=fold)) for fold in (0, 1))
    _within_bounds(first * SECOND, day.isoformat())
    if first > second:  # a gap: fold 0 reads the clock before the jump, fold 1 the one after
        return _first_instant_after_gap(second, first, naive, wanted) * SECOND
    return first * SECOND + nanos


def local_reading(instant: int, zone_name: str) -> tuple[dt.date, int]:
    """What a zone's clocks show at an instant: the civil date and the nanoseconds after midnight.

    >>> local_reading(parse_instant("2024-12-31T23:30:00Z"), "Europe/Amsterdam")
    (datetime.date(2025, 1, 1), 1800000000000)
    """
    seconds, nanos = divmod(instant, SECOND)
    moment = dt.datetime.fromtimestamp(seconds, tz=dt.UTC).astimezone(zone(zone_name))
    clock = moment.hour * 3_600 + moment.minute * 60 + moment.second
    return moment.date(), clock * SECOND + nanos


def _first_instant_after_gap(low: int, high: int, naive: dt.datetime, wanted: zoneinfo.ZoneInfo) -> int:
    while high - low > 1:
        middle = (low + high) // 2
        moment = dt.datetime.fromtimestamp(middle, tz=dt.UTC).astimezone(wanted)
        low, high = (low, middle) if moment.replace(tzinfo=None) >= naive else (middle, high)
    return high
