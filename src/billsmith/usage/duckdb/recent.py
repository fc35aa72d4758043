"""Identities that are in no run yet: a hash table made of arrays, so that a batch is looked up and put in at once.

Open addressing, one slot after the other, from the first bits of a hash on. Nothing is ever removed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from billsmith.usage.hashing import Hashes, Words
from billsmith.usage.singly import ABSENT

#: Slots for an identity, at least; more are made beyond it.
_SPARSE = 2

Places = NDArray[np.intp]


class Recent:
    """A table that takes ``room`` identities before it grows."""

    def __init__(self, room: int) -> None:
        self._make(room)

    def _make(self, room: int) -> None:
        bits = max(4, (2 * _SPARSE * room - 1).bit_length())
        self._shift = np.uint64(64 - bits)
        self._last = (1 << bits) - 1
        self._hashes: Hashes = np.zeros((2, 1 << bits), np.uint64)
        self._bodies: Words = np.full(1 << bits, ABSENT, np.uint64)
        self._claims: Places = np.zeros(1 << bits, np.intp)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, hashes: Hashes, into: Words) -> None:
        """Write the entries of the hashes that are there into their places."""
        if not self._count:
            return
        open_, slots = np.arange(hashes.shape[1]), self._slots(hashes)
        while len(open_):
            entries, same = self._bodies[slots], self._same(slots, hashes, open_)
            used = entries != ABSENT
            hit = used & same
            into[open_[hit]] = entries[hit]
            on = used & ~same
            open_, slots = open_[on], (slots[on] + 1) & self._last

    def add(self, hashes: Hashes, bodies: Words) -> None:
        """Add or change identities, no two of them the same."""
        if (self._count + hashes.shape[1]) * _SPARSE > self._last:
            known = self.all()
            self._make(2 * (self._count + hashes.shape[1]))
            self.add(*known)
        open_, slots = np.arange(hashes.shape[1]), self._slots(hashes)
        while len(open_):
            free = self._bodies[slots] == ABSENT
            self._claims[slots[free]] = open_[free]  # of several that want one slot, the last gets it
            won = free & (self._claims[slots] == open_)
            put = won | (~free & self._same(slots, hashes, open_))
            self._hashes[:, slots[won]] = hashes[:, open_[won]]
            self._bodies[slots[put]] = bodies[open_[put]]
            self._count += int(won.sum())
            open_, slots = open_[~put], (slots[~put] + ~free[~put]) & self._last

    def all(self) -> tuple[Hashes, Words]:
        """Everything, in no order."""
        used = self._bodies != ABSENT
        return self._hashes[:, used], self._bodies[used]

    def _slots(self, hashes: Hashes) -> Places:
        slots: Places = (hashes[0] >> self._shift).astype(np.intp)
        return slots

    def _same(self, slots: Places, hashes: Hashes, which: Places) -> NDArray[np.bool_]:
        first, second = self._hashes
        same: NDArray[np.bool_] = (first[slots] == hashes[0, which]) & (second[slots] == hashes[1, which])
        return same
