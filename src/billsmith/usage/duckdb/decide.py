"""What becomes of each item of a group of batches: the rows to write, and a receipt for each batch.

An event that is new, or the first body again, needs nothing but the index, also where it stands in the group several times; all
of these are decided at once. The others go one by one, in their order, by the rows of their identities (``singly``).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from billsmith.events.columns import EventColumns
from billsmith.usage.duckdb.columns import columns_of, dims_of, join
from billsmith.usage.duckdb.prepare import Prepared
from billsmith.usage.duckdb.rows import Rows
from billsmith.usage.duckdb.subjects import Numbering
from billsmith.usage.hashing import Hashes, Words
from billsmith.usage.singly import ABSENT, History, Identity, Outcome, Singly, identity_of
from billsmith.usage.store import Clash, Name, Receipt, Rejection

Mask = NDArray[np.bool_]
Places = NDArray[np.intp]

_MIXED = -1


class Decided(msgspec.Struct, frozen=True):
    """What a group changes: rows, new names, and the identities' entries in the index."""

    rows: Rows
    names: dict[Name, int]
    hashes: Hashes
    entries: Words
    receipts: list[Receipt]


def decide(
    group: Sequence[Prepared],
    known: Words,
    *,
    seq: int,
    numbering: Numbering,
    history: History,
) -> Decided:
    """Go through a group. ``known`` is what the index says of each item, ``seq`` the table's highest.

    ``history`` reads the rows of identities.
    """
    hashes = np.concatenate([batch.identities for batch in group], axis=1)
    bodies = np.concatenate([batch.bodies for batch in group])
    leader = _leaders(hashes, bodies)
    alone = leader == np.arange(len(leader))
    fresh, again = alone & (known == ABSENT), alone & (known == bodies)
    follows = (leader != _MIXED) & ~alone
    again[follows] = (fresh | again)[leader[follows]]
    others = Singly()
    others.learn(_to_look_up(group, ~fresh & ~again & (known != ABSENT)), history)
    fresh_before = np.concatenate(([0], np.cumsum(fresh)))
    receipts, start = [], 0
    for batch in group:
        end = start + len(batch.items)
        conflicts: list[Clash] = []
        rejected: list[Rejection] = []
        for place in (start + np.flatnonzero(~fresh[start:end] & ~again[start:end])).tolist():
            others.at(place, seq + int(fresh_before[place]))
            outcome = others.take(place - start, batch.items[place - start], int(bodies[place]))
            if isinstance(outcome, Clash):
                conflicts.append(outcome)
            elif isinstance(outcome, Rejection):
                rejected.append(outcome)
            else:
                again[place] = outcome is Outcome.DUPLICATE
        duplicates = tuple(np.flatnonzero(again[start:end]).tolist())
        receipts.append(
            Receipt(
                accepted=len(batch.items) - len(duplicates) - len(conflicts) - len(rejected),
                seq=seq + int(fresh_before[end]) + len(others.rows),
                duplicates=duplicates,
                conflicts=tuple(conflicts),
                rejected=tuple(rejected),
            )
        )
        start = end
    return Decided(
        rows=Rows.join(_fresh_rows(group, fresh, seq, others.places, numbering), _other_rows(others, numbering)),
        names=numbering.new,
        hashes=np.concatenate((hashes[:, fresh], hashes[:, [place for place, _ in others.entries.values()]]), axis=1),
        entries=np.concatenate((bodies[fresh], np.array([entry for _, entry in others.entries.values()], np.uint64))),
        receipts=receipts,
    )


def _leaders(hashes: Hashes, bodies: Words) -> Places:
    """For each item, the first of the group with its identity; :data:`_MIXED` where bodies differ, or one corrects."""
    leader = np.where(bodies != 0, np.arange(len(bodies)), _MIXED)
    order = np.argsort(hashes[0])
    first = hashes[0, order]
    same = np.flatnonzero(first[1:] == first[:-1])
    if len(same):
        some = np.unique(np.concatenate((order[same], order[same + 1])))
        some = some[np.lexsort((hashes[1, some], hashes[0, some]))]  # stable: within an identity by place
        starts = np.flatnonzero(np.concatenate(([True], (hashes[:, some[1:]] != hashes[:, some[:-1]]).any(axis=0))))
        alike = np.minimum.reduceat(bodies[some], starts) == np.maximum.reduceat(bodies[some], starts)
        times = np.diff(np.append(starts, len(some)))
        leader[some] = np.where(np.repeat(alike, times) & (bodies[some] != 0), np.repeat(some[starts], times), _MIXED)
    return leader


def _to_look_up(group: Sequence[Prepared], which: Mask) -> set[Identity]:
    """The identities that are in the table, and of which the index doesn't say enough."""
    wanted, start = set(), 0
    for batch in group:
        end = start + len(batch.items)
        wanted |= {identity_of(batch.items[index]) for index in np.flatnonzero(which[start:end]).tolist()}
        start = end
    return wanted


def _fresh_rows(group: Sequence[Prepared], fresh: Mask, seq: int, others: list[int], numbering: Numbering) -> Rows:
    """The rows of events that are new; of the items at the places ``others`` rows stand between them."""
    columns, subjects, start = [], [], 0
    for batch in group:
        end = start + len(batch.items)
        of_events = fresh[start:end][batch.bodies != 0]
        columns.append(batch.columns.take(of_events))
        subjects.append(numbering.of(batch.names, batch.named[of_events]))
        start = end
    places = np.flatnonzero(fresh)
    seqs = seq + 1 + np.arange(len(places)) + np.searchsorted(others, places)
    return Rows(
        seq=seqs,
        sign=np.ones(len(places), np.int8),
        undoes=np.zeros(len(places), np.int64),
        subject=np.concatenate(subjects),
        columns=join(columns),
    )


def _other_rows(others: Singly, numbering: Numbering) -> Rows:
    seqs, signs, undone, events = zip(*others.rows, strict=True) if others.rows else ((), (), (), ())
    return Rows(
        seq=np.array(seqs, np.int64),
        sign=np.array(signs, np.int8),
        undoes=np.array(undone, np.int64),
        subject=np.array([numbering.number((event.owner, event.account)) for event in events], np.int32),
        columns=columns_of(EventColumns.of(events), dims_of([event.dimensions for event in events])),
    )
