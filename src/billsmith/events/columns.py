"""Events side by side: a list for each field, so that work on many of them costs little for each."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import overload

import numpy as np
from numpy.typing import NDArray

from billsmith.events.event import Event
from billsmith.events.limits import LARGEST, MAX_DIGITS, SCALE

_SCALE = Decimal(SCALE)
_LARGEST = int(LARGEST) * SCALE
#: A product that isn't exact, or far beyond the largest value, is an error before anything makes a whole number of it.
_SCALING = Context(prec=MAX_DIGITS, Emax=MAX_DIGITS, traps=[Inexact, Overflow, InvalidOperation])


class EventColumns(Sequence[Event]):
    """Events by their fields, all of one length. ``whole`` is each value times :data:`SCALE`. An event is made when asked for.

    >>> one = Event(owner="o", source="s", id="1", type="t", account="a", time=5, value=Decimal("1.5"))
    >>> columns = EventColumns.of([one])
    >>> columns.whole, columns[0] == one
    ([1500000000000], True)
    """

    __slots__ = ("account", "dimensions", "id", "owner", "source", "time", "type", "value", "whole")

    def __init__(
        self,
        *,
        owner: Sequence[str],
        source: Sequence[str],
        id: Sequence[str],
        type: Sequence[str],
        account: Sequence[str],
        time: NDArray[np.int64],
        value: Sequence[Decimal | int],
        whole: Sequence[int],
        dimensions: Sequence[dict[str, str]],
    ) -> None:
        self.owner, self.source, self.id, self.type, self.account = owner, source, id, type, account
        self.time, self.value, self.whole, self.dimensions = time, value, whole, dimensions

    @classmethod
    def of(cls, events: Sequence[Event]) -> EventColumns:
        """The columns of events that are within the limits."""
        if isinstance(events, EventColumns):
            return events
        values = [event.value for event in events]
        return cls(
            owner=[event.owner for event in events],
            source=[event.source for event in events],
            id=[event.id for event in events],
            type=[event.type for event in events],
            account=[event.account for event in events],
            time=np.array([event.time for event in events], np.int64),
            value=values,
            whole=whole_of(values),
            dimensions=[event.dimensions for event in events],
        )

    def __len__(self) -> int:
        return len(self.id)

    @overload
    def __getitem__(self, place: int) -> Event: ...
    @overload
    def __getitem__(self, place: slice) -> list[Event]: ...
    def __getitem__(self, place: int | slice) -> Event | list[Event]:
        if isinstance(place, slice):
            return [self._event(each) for each in range(*place.indices(len(self)))]
        return self._event(place)

    def __iter__(self) -> Iterator[Event]:
        return map(self._event, range(len(self)))

    def _event(self, place: int) -> Event:
        return Event(
            owner=self.owner[place],
            source=self.source[place],
            id=self.id[place],
            type=self.type[place],
            account=self.account[place],
            time=int(self.time[place]),
            value=Decimal(self.value[place]),
            dimensions=self.dimensions[place],
        )


def whole_of(values: Sequence[Decimal | int]) -> list[int]:
    """Values times :data:`SCALE`. Raises :class:`ArithmeticError` where one is finer than an event's may be, or beyond 1e24.

    >>> whole_of([Decimal("-1.50"), 2])
    [-1500000000000, 2000000000000]
    """
    multiply = _SCALING.multiply
    exact = [multiply(value, _SCALE) for value in values]
    whole = list(map(int, exact))
    if not all(map(operator.eq, exact, whole)) or max(whole, default=0) > _LARGEST or min(whole, default=0) < -_LARGEST:
        raise OverflowError("a value that no event may have")
    return whole
