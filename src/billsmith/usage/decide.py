"""What becomes of each item of a group of batches: the rows to write, and a receipt for each batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from billsmith.events.canonical import canonical
from billsmith.events.event import Event
from billsmith.usage.prepare import ABSENT, CORRECTED, Columns, Prepared
from billsmith.usage.store import Clash, Entry, Item, Receipt, Rejection, Replace, Void

Identity = tuple[str, str, str]
#: seq, sign, undoes, subject, then the store's columns.
Row = tuple[Any, ...]


class _State(msgspec.Struct):
    """What is known of an identity: its first body, its last one, whether that is in force, and the row that put it there."""

    first: Event
    last: Event
    live: bool
    row: int


class Decided(msgspec.Struct):
    """What a group changes: rows, new names, and the identities' entries in the index."""

    rows: list[Row] = []
    names: dict[tuple[str, str], int] = {}
    index: dict[bytes, int] = {}
    receipts: list[Receipt] = []


def decide(
    group: Sequence[Prepared],
    known: Sequence[int],
    *,
    seq: int,
    next_subject: int,
    subject: Callable[[str, str], int | None],
    columns_of: Callable[[Event], Columns],
    history: Callable[[Iterable[Identity]], dict[Identity, list[Entry]]],
) -> Decided:
    """Go through the items of a group in their order. ``known`` is what the index says of each; ``seq`` the table's highest.

    An item that is new, or the first body again, and alone in the group with its identity, needs nothing but the index. For
    the others ``history`` reads the rows of their identities.
    """
    decision = _Decision(seq, next_subject, subject, columns_of)
    identities = [identity for batch in group for identity in batch.identities]
    repeated = _repeated(identities)
    decision.learn(_to_look_up(group, known, repeated), history)
    at = 0
    for batch in group:
        duplicates: list[int] = []
        conflicts: list[Clash] = []
        rejected: list[Rejection] = []
        for index, (item, identity, body) in enumerate(zip(batch.items, batch.identities, batch.bodies, strict=True)):
            entry = known[at]
            at += 1
            outcome: str | Clash | Rejection
            if body and identity not in repeated and entry == ABSENT:
                assert isinstance(item, Event)
                decision.put(item, batch.columns[index])
                decision.result.index[identity] = body
                continue
            if body and identity not in repeated and entry == body:
                outcome = "duplicate"
            else:
                outcome = decision.take(index, item, identity, body)
            if outcome == "duplicate":
                duplicates.append(index)
            elif isinstance(outcome, Clash):
                conflicts.append(outcome)
            elif isinstance(outcome, Rejection):
                rejected.append(outcome)
        decision.result.receipts.append(
            Receipt(
                accepted=len(batch.items) - len(duplicates) - len(conflicts) - len(rejected),
                seq=decision.seq,
                duplicates=tuple(duplicates),
                conflicts=tuple(conflicts),
                rejected=tuple(rejected),
            )
        )
    return decision.result


def _repeated(identities: list[bytes]) -> set[bytes]:
    if len(set(identities)) == len(identities):
        return set()
    return {identity for identity, times in Counter(identities).items() if times > 1}


def _identity_of(item: Item) -> Identity:
    named = item.event if isinstance(item, Replace) else item
    return named.owner, named.source, named.id


def _to_look_up(group: Sequence[Prepared], known: Sequence[int], repeated: set[bytes]) -> set[Identity]:
    """The identities that are in the table, and of which the index doesn't say enough."""
    wanted, at = set(), 0
    for batch in group:
        for item, identity, body in zip(batch.items, batch.identities, batch.bodies, strict=True):
            if known[at] != ABSENT and (known[at] != body or not body or identity in repeated):
                wanted.add(_identity_of(item))
            at += 1
    return wanted


class _Decision:
    def __init__(
        self,
        seq: int,
        next_subject: int,
        subject: Callable[[str, str], int | None],
        columns_of: Callable[[Event], Columns],
    ) -> None:
        self.seq = seq
        self.result = Decided()
        self._next_subject = next_subject
        self._subject, self._columns_of = subject, columns_of
        self._states: dict[Identity, _State] = {}

    def learn(self, identities: set[Identity], history: Callable[[Iterable[Identity]], dict[Identity, list[Entry]]]) -> None:
        if identities:
            for identity, entries in history(identities).items():
                last = entries[-1]
                self._states[identity] = _State(entries[0].event, last.event, last.sign > 0, last.seq)

    def put(self, event: Event, columns: Columns, sign: int = 1, undoes: int = 0) -> None:
        """A row more."""
        self.seq += 1
        number = self._number(event.owner, event.account)
        self.result.rows.append((self.seq, sign, undoes, number, *columns))

    def _number(self, owner: str, reference: str) -> int:
        number = self._subject(owner, reference) or self.result.names.get((owner, reference))
        if number is None:
            number = self._next_subject + len(self.result.names)
            self.result.names[owner, reference] = number
        return number

    def take(self, index: int, item: Item, identity: bytes, body: int) -> str | Clash | Rejection:
        """An item whose identity is known already, in the table or from this group, or which corrects one."""
        state = self._states.get(_identity_of(item))
        if isinstance(item, Event):
            return self._event(index, canonical(item), state, identity, body)
        if state is None:
            return Rejection(
                index,
                "event.unknown",
                "there is no event of this owner with that source and id to correct. Send it first, or mend the id",
                "id",
            )
        if isinstance(item, Void):
            return self._void(state, identity)
        return self._replace(state, canonical(item.event), identity)

    def _event(self, index: int, sent: Event, state: _State | None, identity: bytes, body: int) -> str | Clash:
        if state is not None:
            return "duplicate" if sent in (state.first, state.last) else Clash(index, sent, state.last)
        self.put(sent, self._columns_of(sent))
        self._states[sent.identity] = _State(sent, sent, True, self.seq)
        self.result.index[identity] = body
        return "accepted"

    def _void(self, state: _State, identity: bytes) -> str:
        if not state.live:
            return "duplicate"
        self._take_back(state, identity)
        return "accepted"

    def _replace(self, state: _State, sent: Event, identity: bytes) -> str:
        if state.live:
            if state.last == sent:
                return "duplicate"
            self._take_back(state, identity)
        self.put(sent, self._columns_of(sent))
        state.last, state.live, state.row = sent, True, self.seq
        self.result.index[identity] = CORRECTED
        return "accepted"

    def _take_back(self, state: _State, identity: bytes) -> None:
        self.put(state.last, self._columns_of(state.last), sign=-1, undoes=state.row)
        state.live = False
        self.result.index[identity] = CORRECTED
