"""Usage that was sent wrong: events are taken back or replaced, by name or by filter, as a recorded operation.

Nobody corrects without having looked: an operation names how many events it expects, and is refused where there are others by
now. It is recorded first, and carried out afterwards, chunk by chunk, as of one state of the usage store; each item holds only
for that state, so that whatever is sent again changes nothing twice. Whoever comes next finishes what a killed process left
(decision 0237). What was billed already is a matter of the next re-rating.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec

from billsmith.accounts.model import Account
from billsmith.events.canonical import canonical
from billsmith.events.change import Change
from billsmith.events.event import Event
from billsmith.events.limits import check
from billsmith.storage import accounts, corrections
from billsmith.storage.corrections import OPEN, REFUSED, Correction
from billsmith.storage.database import Connection, Database
from billsmith.units.errors import Conflict, Invalid, InvalidEvent, TooLarge
from billsmith.units.instants import MINUTE
from billsmith.units.values import Value
from billsmith.usage.store import Item, Place, Replace, Selection, UsageStore, Void
from billsmith.workflows.ingest import Ingest

#: Events that one operation may name, and that it may change.
MAX_NAMED = 1_000
MAX_MATCHED = 1_000_000
#: Events of one chunk.
CHUNK = 5_000
#: After how long somebody else finishes what is open still. Sooner is no fault: it would be done twice, and changed once.
PATIENCE = 10 * MINUTE
#: Events of a sample.
SAMPLE = 10


class Kind(StrEnum):
    """What is done to events."""

    VOID = "void"
    REPLACE = "replace"


class Name(Value, frozen=True, kw_only=True):
    """An event of the sender."""

    source: str
    id: str


class What(Value, frozen=True, kw_only=True):
    """Which events are corrected: those named, those whose right contents are given, or those selected (and changed)."""

    names: tuple[Name, ...] = ()
    events: tuple[Event, ...] = ()
    selection: Selection | None = None
    change: Change = Change()


class Corrected(msgspec.Struct, frozen=True):
    """An event as it is in force, and as it will be; ``None``: there is none."""

    event: Event | None
    becomes: Event | None


class LeftAlone(msgspec.Struct, frozen=True):
    """An event that stays as it is, because changed it would be beyond a limit; which, and how."""

    event: Event
    code: str
    reason: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a correction would do: to how many events, to which first, as of which state.

    ``missing`` are not there at all; ``left_alone`` are the first of those that can't be changed so.
    """

    matched: int
    sample: tuple[Corrected, ...]
    missing: tuple[Name, ...]
    left_alone: tuple[LeftAlone, ...]
    as_of_seq: int


Step = Callable[[str], None]

_whats = msgspec.json.Decoder(What)
_places = msgspec.json.Decoder(Place)


def checked(kind: Kind, what: What) -> What:
    """A correction that can be. Raises :class:`Invalid`, :class:`TooLarge`."""
    named = what.names if kind is Kind.VOID else what.events
    if (what.selection is None) == (not named):
        raise Invalid("name events, or give a filter; one of the two", code="correction.which", where="events")
    if len(named) > MAX_NAMED:
        raise TooLarge(
            f"{len(named)} events are named; at most {MAX_NAMED}. Give a filter, or send several",
            code="correction.too_many_named",
            where="events",
        )
    names = {(each.source, each.id) for each in named}
    if len(names) < len(named):
        raise Invalid("an event is named twice; name it once", code="correction.named_twice", where="events")
    if kind is Kind.REPLACE and what.selection is not None and not what.change:
        raise Invalid("say what is to be changed of the events", code="correction.no_change", where="change")
    for place, event in enumerate(what.events):
        _check(event, f"events[{place}]")
    if what.selection is not None:
        _check(what.change.of(_ANY), "change")
    return what


_ANY = Event(owner="o", source="s", id="i", type="t", account="a", time=0)


def _check(event: Event, where: str) -> None:
    try:
        check(event)
    except InvalidEvent as error:
        raise InvalidEvent(error.message, code=error.code, where=f"{where}.{error.where}") from None


def plan(store: UsageStore, sender: Account, kind: Kind, what: What) -> Plan:
    """What a correction would do now. It changes nothing. Raises :class:`TooLarge` for more events than one may change."""
    chosen = _Chosen(store, sender, kind, what, store.watermark())
    first, _ = chosen.chunk(None, SAMPLE)
    return Plan(
        matched=chosen.count(),
        sample=tuple(first[:SAMPLE]),
        missing=chosen.missing(),
        left_alone=chosen.left_alone(),
        as_of_seq=chosen.seq,
    )


def record(
    connection: Connection,
    sender: Account,
    kind: Kind,
    what: What,
    *,
    expected: int,
    reason: str,
    id: str,
    now: int,
    actor: str,
) -> Correction:
    """Note what is to be done; :func:`carry_out` does it. Raises :class:`TooLarge`."""
    if expected > MAX_MATCHED:
        raise _too_many(expected)
    return corrections.add(
        connection,
        sender,
        id=id,
        kind=kind,
        what=msgspec.json.encode(what).decode(),
        reason=reason,
        expected=expected,
        now=now,
        actor=actor,
    )


def _too_many(count: int) -> TooLarge:
    return TooLarge(
        f"{count} events; at most {MAX_MATCHED} in one correction. Give a shorter time, or more conditions",
        code="correction.too_many",
        where="filter",
    )


def what_of(correction: Correction) -> What:
    """Which events a recorded correction is about."""
    return _whats.decode(correction.what)


def left_alone(store: UsageStore, sender: Account, correction: Correction) -> tuple[LeftAlone, ...]:
    """The first events that a correction left as they were, because changed they would have been beyond a limit."""
    if correction.as_of_seq is None or correction.matched == correction.changed:
        return ()
    return _Chosen(store, sender, Kind(correction.kind), what_of(correction), correction.as_of_seq).left_alone()


def carry_out(
    database: Database,
    ingest: Ingest,
    store: UsageStore,
    id: str,
    *,
    now: int,
    step: Step = lambda _name: None,
    progress: Callable[[int], None] = lambda _count: None,
) -> Correction:
    """Do what was noted, and first what was noted before it for the same sender. Done already: nothing.

    Raises :class:`Conflict` where it was refused: another number of events was found than was expected.
    """
    done = _to_its_end(database, ingest, store, id, now, step, progress)
    if done.state == REFUSED:
        raise Conflict(
            f"{done.matched} events are to be corrected by now, not {done.expected}; nothing was changed. Look again with a "
            "dry run",
            code="correction.other_count",
            where="expected",
        )
    return done


def left(connection: Connection, now: int) -> Correction | None:
    """The first correction that somebody began to ask for a while ago and that is not at its end: its process was killed."""
    return corrections.oldest_open(connection, before=now - PATIENCE)


def finish_left(database: Database, store: UsageStore, now: int) -> int:
    """Bring what was left to its end; how many corrections."""
    count = 0
    while True:
        with database.read() as connection:
            found = left(connection, now)
        if found is None:
            return count
        _to_its_end(database, Ingest(database), store, found.id, now, lambda _name: None, lambda _count: None)
        count += 1


def _to_its_end(
    database: Database,
    ingest: Ingest,
    store: UsageStore,
    id: str,
    now: int,
    step: Step,
    progress: Callable[[int], None],
) -> Correction:
    wanted = _read(database, id)
    with database.read() as connection:
        sender = accounts.by_seq(connection, wanted.sender_seq)
    worker = _Worker(database, ingest, store, sender, now, step, progress)
    while True:
        with database.read() as connection:
            due = corrections.first_open(connection, sender.seq, wanted.seq)
        if due is None:
            break
        worker.go_on(due)
    return _read(database, id)


def _read(database: Database, id: str) -> Correction:
    with database.read() as connection:
        found = corrections.by_id(connection, id)
    assert found is not None, "it was recorded"
    return found


class _Chosen:
    """The events of a correction, in one state of the store."""

    def __init__(self, store: UsageStore, sender: Account, kind: Kind, what: What, seq: int) -> None:
        self.store, self.kind, self.what, self.seq = store, kind, what, seq
        self._owner = sender.id
        selection = what.selection
        self._selection = selection and msgspec.structs.replace(selection, owner=sender.id, as_of_seq=seq)

    def count(self) -> int:
        """How many events are to be corrected. Raises :class:`TooLarge`."""
        if self._selection is None:
            return len(self._named())
        found = self.store.count(self._selection)
        if found > MAX_MATCHED:
            raise _too_many(found)
        return found

    def chunk(self, after: Place | None, limit: int) -> tuple[list[Corrected], Place | None]:
        """Those after a place, and where the next begin; ``None``: these are the last."""
        if self._selection is None:
            return self._named(), None
        found = self.store.events(self._selection, after=after, limit=limit)
        chosen = [Corrected(kept.event, self._changed(kept.event)) for kept in found]
        if len(found) < limit:
            return chosen, None
        last = found[-1].event
        return chosen, (last.time, last.source, last.id, last.owner)

    def _changed(self, event: Event) -> Event | None:
        """What becomes of a selected event; one that would be beyond the limits stays as it is."""
        if self.kind is Kind.VOID:
            return None
        changed = self.what.change.of(event)
        return event if _beyond(changed) else changed

    def left_alone(self) -> tuple[LeftAlone, ...]:
        """The first of the selected events that can't be changed so: dimensions add up, and can be too many for some."""
        if self._selection is None or all(text is None for text in self.what.change.dimensions.values()):
            return ()
        found: list[LeftAlone] = []
        after: Place | None = None
        while len(found) < SAMPLE:
            page = self.store.events(self._selection, after=after, limit=CHUNK)
            for kept in page:
                fault = _beyond(self.what.change.of(kept.event))
                if fault is not None:
                    found.append(LeftAlone(kept.event, fault.code, fault.message))
            if len(page) < CHUNK:
                break
            last = page[-1].event
            after = (last.time, last.source, last.id, last.owner)
        return tuple(found[:SAMPLE])

    def missing(self) -> tuple[Name, ...]:
        """Events that are named and that the sender never sent."""
        known = self._known()
        return tuple(name for name in self._names() if (name.source, name.id) not in known)

    def _named(self) -> list[Corrected]:
        """Those that are named and not yet as they are to be."""
        known = self._known()
        if self.kind is Kind.VOID:
            found = [Corrected(known.get((name.source, name.id)), None) for name in self.what.names]
        else:
            sent = [canonical(event) for event in self.what.events]
            there = [event for event in sent if (event.source, event.id) in known]
            found = [Corrected(known[event.source, event.id], event) for event in there]
        return [each for each in found if each.event != each.becomes]

    def _names(self) -> tuple[Name, ...]:
        return self.what.names or tuple(Name(source=event.source, id=event.id) for event in self.what.events)

    def _known(self) -> dict[tuple[str, str], Event | None]:
        """The named events that were ever sent, as they are in force."""
        names = [(name.source, name.id) for name in self._names()]
        entries = self.store.histories(self._owner, names) if names else ()
        return {
            (entry.event.source, entry.event.id): entry.event if entry.sign > 0 else None
            for entry in entries
            if entry.seq <= self.seq
        }


def _beyond(event: Event) -> InvalidEvent | None:
    """The limit that an event is beyond, if it is beyond one."""
    try:
        check(event)
    except InvalidEvent as error:
        return error
    return None


class _Worker:
    """One process's work at the corrections of a sender. Others may do the same work at the same time."""

    def __init__(
        self,
        database: Database,
        ingest: Ingest,
        store: UsageStore,
        sender: Account,
        now: int,
        step: Step,
        progress: Callable[[int], None],
    ) -> None:
        self.database, self.ingest, self.store, self.sender, self.now = database, ingest, store, sender, now
        self.step, self.progress = step, progress

    def go_on(self, seen: Correction) -> None:
        """Bring a correction to its end, from where it is."""
        kind, what = Kind(seen.kind), what_of(seen)
        if seen.as_of_seq is None:
            seen = self._begun(seen, _Chosen(self.store, self.sender, kind, what, self.store.watermark()))
        while seen.state == OPEN:
            assert seen.as_of_seq is not None
            chosen = _Chosen(self.store, self.sender, kind, what, seen.as_of_seq)
            chunk, place = chosen.chunk(None if seen.place is None else _places.decode(seen.place), CHUNK)
            changed = self._apply(chunk, seen.as_of_seq)
            self.step("applied")
            with self.database.write() as connection:
                if place is None:
                    end = self.store.watermark()
                    corrections.finish(connection, seen, changed=changed, end_seq=end, now=self.now)
                else:
                    corrections.advance(connection, seen, changed=changed, place=msgspec.json.encode(place).decode())
            self.step("noted")
            self.progress(len(chunk))
            seen = _read(self.database, seen.id)

    def _begun(self, seen: Correction, chosen: _Chosen) -> Correction:
        """The correction with its state and count. All before it have ended, so only new events can come in between."""
        try:
            matched = chosen.count()
        except TooLarge:
            matched = MAX_MATCHED + 1
        self.step("counted")
        with self.database.write() as connection:
            if matched == seen.expected:
                corrections.begin(connection, seen, as_of_seq=chosen.seq, matched=matched)
            else:
                corrections.refuse(connection, seen, as_of_seq=chosen.seq, matched=matched, now=self.now)
        self.step("begun")
        return _read(self.database, seen.id)

    def _apply(self, chunk: Sequence[Corrected], seq: int) -> int:
        """Correct some events; how many. Done again it gives the same number and changes nothing."""
        items = [_item(each, seq) for each in chunk if each.becomes != each.event]
        if items:
            names = {item.event.account for item in items if isinstance(item, Replace)}
            with self.ingest.naming(self.store, self.sender, names):
                self.store.ingest(items)
        return len(items)


def _item(each: Corrected, seq: int) -> Item:
    if each.becomes is not None:
        return Replace(event=each.becomes, as_of_seq=seq)
    assert each.event is not None, "what is void already is not taken back"
    return Void(owner=each.event.owner, source=each.event.source, id=each.event.id, as_of_seq=seq)
