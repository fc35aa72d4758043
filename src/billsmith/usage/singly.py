"""Items of a group that have to be looked at one by one: identities that are known already, or stand twice, and corrections."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto

import msgspec

from billsmith.events.canonical import canonical
from billsmith.events.event import Event
from billsmith.usage.store import Clash, Entry, Item, Rejection, Replace, Void

#: What is known of an identity that was corrected: ask for its rows. And of one that isn't there. No body has either (see
#: ``hashing``).
CORRECTED, ABSENT = 0, 1

Identity = tuple[str, str, str]
History = Callable[[Iterable[Identity]], dict[Identity, list[Entry]]]


def identity_of(item: Item) -> Identity:
    """Whom an item is about."""
    named = item.event if isinstance(item, Replace) else item
    return named.owner, named.source, named.id


class _State(msgspec.Struct):
    """What is known of an identity: its first body, its last one, whether that is in force, and its newest row."""

    first: Event
    last: Event
    live: bool
    row: int


class Outcome(Enum):
    """What became of an item that is neither a clash nor rejected."""

    ACCEPTED = auto()
    DUPLICATE = auto()


class Singly:
    """The items that have to be looked at one by one."""

    def __init__(self) -> None:
        #: seq, sign, the row that it takes back, and the event.
        self.rows: list[tuple[int, int, int, Event]] = []
        #: The items that made the rows; of each identity the item that changed it last, and what is to be known of it now.
        self.places: list[int] = []
        self.entries: dict[Identity, tuple[int, int]] = {}
        self._states: dict[Identity, _State] = {}
        self._place = self._seq = 0

    def learn(self, identities: set[Identity], history: History) -> None:
        """Read what the table has of some."""
        if identities:
            for identity, entries in history(identities).items():
                last = entries[-1]
                self._states[identity] = _State(entries[0].event, last.event, last.sign > 0, last.seq)

    def at(self, place: int, seq: int) -> None:
        """The place of the next item; ``seq`` is the last of the fresh events before it."""
        self._place, self._seq = place, seq

    def take(self, index: int, item: Item, body: int) -> Outcome | Clash | Rejection:
        """An item whose identity is known already, in the table or from this group, or which corrects one."""
        state = self._states.get(identity_of(item))
        if isinstance(item, Event):
            return self._event(index, canonical(item), state, body)
        if state is None:
            return Rejection(
                index,
                "event.unknown",
                "there is no event of this owner with that source and id to correct. Send it first, or mend the id",
                "id",
            )
        if item.as_of_seq is not None and state.row > item.as_of_seq:
            return Outcome.DUPLICATE
        if isinstance(item, Void):
            return self._void(state)
        return self._replace(state, canonical(item.event))

    def _event(self, index: int, sent: Event, state: _State | None, body: int) -> Outcome | Clash:
        if state is not None:
            return Outcome.DUPLICATE if sent in (state.first, state.last) else Clash(index, sent, state.last)
        self._put(sent, body)
        self._states[sent.identity] = _State(sent, sent, True, self._last)
        return Outcome.ACCEPTED

    def _void(self, state: _State) -> Outcome:
        if not state.live:
            return Outcome.DUPLICATE
        self._take_back(state)
        return Outcome.ACCEPTED

    def _replace(self, state: _State, sent: Event) -> Outcome:
        if state.live:
            if state.last == sent:
                return Outcome.DUPLICATE
            self._take_back(state)
        self._put(sent, CORRECTED)
        state.last, state.live, state.row = sent, True, self._last
        return Outcome.ACCEPTED

    def _take_back(self, state: _State) -> None:
        self._put(state.last, CORRECTED, sign=-1, undoes=state.row)
        state.live, state.row = False, self._last

    def _put(self, event: Event, entry: int, sign: int = 1, undoes: int = 0) -> None:
        """A row more, and what is to be known of its identity from now on."""
        self.rows.append((self._seq + len(self.rows) + 1, sign, undoes, event))
        self.places.append(self._place)
        self.entries[event.identity] = (self._place, entry)

    @property
    def _last(self) -> int:
        return self.rows[-1][0]
