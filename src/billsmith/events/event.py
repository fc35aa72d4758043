"""One usage fact, and what makes two of them the same."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from msgspec import field

from billsmith.units.errors import Conflict
from billsmith.units.values import Value

#: The source of events whose sender gives none.
DEFAULT_SOURCE = "api"


class Event(Value, frozen=True, kw_only=True):
    """Something was used: by whom, when, how much.

    ``owner`` is the account whose credential sent it, and with ``source`` and ``id`` its identity, for ever. ``account`` is
    the one it is billed to, ``time`` its instant in nanoseconds UTC, ``value`` its exact number. ``dimensions`` are texts;
    one that a meter counts with is a number in its text.
    """

    owner: str
    source: str
    id: str
    type: str
    account: str
    time: int
    value: Decimal = Decimal(1)
    dimensions: dict[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, str, str]:
        """Two events with the same identity are the same fact."""
        return self.owner, self.source, self.id


def in_order(events: Iterable[Event]) -> list[Event]:
    """The events by time, equal times by source and id, each once: arrival and repetition leave no trace.

    Raises :class:`Conflict` where two events have the same identity but differ.

    >>> first = Event(owner="a", source="s", id="1", type="call", account="a", time=5)
    >>> later = Event(owner="a", source="s", id="0", type="call", account="a", time=6)
    >>> [event.id for event in in_order([later, first, later])]
    ['1', '0']
    """
    found: dict[tuple[str, str, str], Event] = {}
    for event in events:
        known = found.setdefault(event.identity, event)
        if known != event:
            raise Conflict(
                f"two events are {event.source}/{event.id} but differ. Send the correction as a replacement",
                code="event.conflict",
            )
    return sorted(found.values(), key=_place)


def _place(event: Event) -> tuple[int, str, str, str]:
    return event.time, event.source, event.id, event.owner
