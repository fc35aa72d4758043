"""Many instants read at once: the commonest form letter by letter for all of them, the others one by one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from billsmith.units.instants import SECOND, parse_instant

Instants = NDArray[np.int64]
_Flags = NDArray[np.bool_]
_Letters = NDArray[np.uint8]

#: ``2026-10-31T12:00:00Z`` and the same with nine digits more and their point.
_SHORTEST, _LONGEST = 20, 30
_MARKS = {4: "-", 7: "-", 10: "T", 13: ":", 16: ":"}
_DIGITS = [place for place in range(19) if place not in _MARKS]
#: The months of the years that are read here: their first days since 1970, and how long they are.
_YEARS = range(1970, 2101)
_FIRSTS = np.array(
    [dt.date(year, month, 1).toordinal() - dt.date(1970, 1, 1).toordinal() for year in _YEARS for month in range(1, 13)]
    + [dt.date(_YEARS.stop, 1, 1).toordinal() - dt.date(1970, 1, 1).toordinal()],
    np.int64,
)
_LENGTHS = np.diff(_FIRSTS)


def parse_instants(texts: Sequence[str]) -> Instants:
    """What :func:`billsmith.units.instants.parse_instant` makes of each text. Raises what it raises.

    >>> parse_instants(["1970-01-01T00:00:01Z", "1970-01-01T00:00:00.000000002Z", "1970-01-01T01:00:00+01:00"]).tolist()
    [1000000000, 2, 0]
    """
    try:
        found, good = _common(texts)
    except UnicodeEncodeError:
        return np.array([parse_instant(text) for text in texts], np.int64)
    for place in np.flatnonzero(~good).tolist():
        found[place] = parse_instant(texts[place])
    return found


def _common(texts: Sequence[str]) -> tuple[Instants, _Flags]:
    """The instants, and which of them are of the form that is read here; the others' numbers mean nothing."""
    lengths = np.array(list(map(len, texts)), np.int64)
    letters: _Letters = np.ascontiguousarray(np.array(texts, f"S{_LONGEST}").view(np.uint8).reshape(len(texts), _LONGEST).T)
    digits: _Letters = letters - np.uint8(ord("0"))
    good = (lengths >= _SHORTEST) & (lengths <= _LONGEST) & (digits[_DIGITS] <= 9).all(axis=0)
    for place, mark in _MARKS.items():
        good &= letters[place] == ord(mark)
    year, month, day = 100 * _two(digits, 0) + _two(digits, 2), _two(digits, 5), _two(digits, 8)
    hour, minute, second = _two(digits, 11), _two(digits, 14), _two(digits, 17)
    good &= (year >= _YEARS.start) & (year < _YEARS.stop) & (month >= 1) & (month <= 12)
    months = np.where(good, 12 * (year - _YEARS.start) + month - 1, 0)
    good &= (day >= 1) & (day <= _LENGTHS[months]) & (hour <= 23) & (minute <= 59) & (second <= 59)
    nanos = _fraction(letters, digits, lengths, good)
    seconds = ((_FIRSTS[months] + day - 1) * 24 + hour) * 3_600 + minute * 60 + second
    return seconds * SECOND + nanos, good


def _two(digits: _Letters, place: int) -> Instants:
    number: Instants = digits[place].astype(np.int64) * 10 + digits[place + 1]
    return number


def _fraction(letters: _Letters, digits: _Letters, lengths: Instants, good: _Flags) -> Instants:
    """Nanoseconds; ``good`` is false afterwards where what follows the seconds is of another form."""
    last = np.clip(lengths, 1, _LONGEST) - 1
    good &= letters[last, np.arange(len(last))] == ord("Z")
    found = np.zeros(len(last), np.int64)
    if (last != _SHORTEST - 1).any():
        good &= (last == _SHORTEST - 1) | ((letters[_SHORTEST - 1] == ord(".")) & (last > _SHORTEST))
        for place in range(_SHORTEST, _LONGEST - 1):
            within = place < last
            good &= ~within | (digits[place] <= 9)
            found = found * 10 + np.where(within, digits[place], 0)
    return found
