"""What becomes of each item of a group of batches: the rows to write, and a receipt for each batch.

An event that is new, or the body that is known again, needs nothing but what the identities say; the others go one by one, in
their order, by the rows of their identities (``singly``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from billsmith.events.event import Event
from billsmith.usage.postgres.prepare import Prepared
from billsmith.usage.postgres.rows import end_of
from billsmith.usage.singly import CORRECTED, History, Identity, Outcome, Singly, identity_of
from billsmith.usage.store import Clash, Name, Receipt, Rejection

#: A row to be: its ``seq``, how it counts, whom it bills, the end of its line.
Row = tuple[int, int, int, str]


class Run(NamedTuple):
    """Rows of new events that follow each other: the first one's ``seq``, whom each bills, the ends of their lines."""

    first: int
    subjects: Sequence[int]
    ends: Sequence[str]


class Amendment(NamedTuple):
    """A row of an identity that was corrected: its ``seq``, the event, whom it bills, the ``seq`` that it takes back or 0."""

    seq: int
    event: Event
    subject: int
    undoes: int


class Decided(msgspec.Struct):
    """What a group changes: ``runs`` of new events, other ``rows``; how many rows, and how many events more are in force."""

    count: int = 0
    live: int = 0
    runs: list[Run] = []
    rows: list[Row] = []
    amended: list[Amendment] = []
    receipts: list[Receipt] = []


def decide(
    group: Sequence[Prepared],
    known: Mapping[bytes, int],
    *,
    seq: int,
    subjects: Sequence[int],
    subject: Callable[[Name], int],
    history: History,
) -> Decided:
    """Go through a group. ``known`` is what is known of its identities that were there before, ``seq`` the last before it.

    ``subjects`` are those of its events, in their order, ``subject`` gives that of any name; ``history`` reads the rows of
    identities.
    """
    repeated = _repeated([hash for batch in group for hash in batch.identities])
    decided, others, fresh, after = Decided(), Singly(), 0, 0
    others.learn(_to_look_up(group, known, repeated), history)
    for batch in group:
        duplicates: list[int] = []
        conflicts: list[Clash] = []
        rejected: list[Rejection] = []
        start = 0
        for index in (*_to_look_at(batch, known, repeated), len(batch.items)):
            # all from the one before up to here are new
            count = index - start
            if count:
                first = seq + fresh + len(others.rows) + 1
                decided.runs.append(Run(first, subjects[after : after + count], batch.ends[start:index]))
            fresh, after, start = fresh + count, after + count, index + 1
            if index == len(batch.items):
                break
            body = batch.bodies[index]
            after += body != 0
            if body and known.get(batch.identities[index]) == body and batch.identities[index] not in repeated:
                duplicates.append(index)
                continue
            before = len(others.rows)
            others.at(0, seq + fresh)
            outcome = others.take(index, batch.items[index], body)
            for at, sign, _, event in others.rows[before:]:
                decided.rows.append((at, sign, subject((event.owner, event.account)), end_of(event)))
            if isinstance(outcome, Clash):
                conflicts.append(outcome)
            elif isinstance(outcome, Rejection):
                rejected.append(outcome)
            elif outcome is Outcome.DUPLICATE:
                duplicates.append(index)
        decided.receipts.append(
            Receipt(
                accepted=len(batch.items) - len(duplicates) - len(conflicts) - len(rejected),
                seq=seq + fresh + len(others.rows),
                duplicates=tuple(duplicates),
                conflicts=tuple(conflicts),
                rejected=tuple(rejected),
            )
        )
    decided.count = fresh + len(others.rows)
    decided.live = fresh + sum(sign for _, sign, _, _ in decided.rows)
    amended = {identity for identity, (_, entry) in others.entries.items() if entry == CORRECTED}
    decided.amended += (
        Amendment(at, event, subject((event.owner, event.account)), undoes)
        for at, _, undoes, event in others.rows
        if event.identity in amended
    )
    return decided


def _repeated(hashes: Sequence[bytes]) -> set[bytes]:
    if len(set(hashes)) == len(hashes):
        return set()
    return {hash for hash, times in Counter(hashes).items() if times > 1}


def _to_look_at(batch: Prepared, known: Mapping[bytes, int], repeated: set[bytes]) -> list[int]:
    """The places of those that are not plainly new."""
    odd = known.keys() | repeated
    if all(batch.bodies) and odd.isdisjoint(batch.identities):
        return []
    pairs = zip(batch.identities, batch.bodies, strict=True)
    return [place for place, (hash, body) in enumerate(pairs) if not body or hash in odd]


def _to_look_up(group: Sequence[Prepared], known: Mapping[bytes, int], repeated: set[bytes]) -> set[Identity]:
    """The identities that were there, and of which ``known`` doesn't say enough."""
    return {
        identity_of(item)
        for batch in group
        for item, hash, body in zip(batch.items, batch.identities, batch.bodies, strict=True)
        if hash in known and (not body or known[hash] != body or hash in repeated)
    }
