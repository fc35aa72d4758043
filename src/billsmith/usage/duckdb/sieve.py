"""Which hashes a run can't have: sixty-four bits for a few rows, of which each row sets four (a blocked Bloom filter).

A new identity is in none of the runs, and nearly always the sieve says so after one look at one word. The words go by the order
of the rows, so a run's sieve is made as its rows are written.
"""

from __future__ import annotations

import numpy as np

from billsmith.usage.hashing import Hashes, Words

#: Rows for a word: of the hashes that a run doesn't have, about one in sixty is looked for in vain.
_ROWS = 5
_BITS = (0, 6, 12, 18)
_HALF = np.uint64(32)


def words_for(rows: int) -> int:
    """Words of the sieve of so many rows."""
    return rows // _ROWS + 1


def marks(hashes: Hashes) -> Words:
    """The bits of each hash."""
    one, six = np.uint64(1), np.uint64(63)
    found: Words = np.zeros(hashes.shape[1], np.uint64)
    for shift in _BITS:
        found |= one << ((hashes[1] >> np.uint64(shift)) & six)
    return found


def put(sieve: Words, hashes: Hashes) -> None:
    """Mark hashes, sorted by their first words."""
    if not hashes.shape[1]:
        return
    places = _places(sieve, hashes)
    starts = np.flatnonzero(np.r_[True, places[1:] != places[:-1]])
    sieve[places[starts]] |= np.bitwise_or.reduceat(marks(hashes), starts)


def passes(sieve: Words, hashes: Hashes, marked: Words) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which hashes may be there; ``marked`` is their :func:`marks`."""
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = (sieve[_places(sieve, hashes)] & marked) == marked
    return found


def _places(sieve: Words, hashes: Hashes) -> Words:
    places: Words = ((hashes[0] >> _HALF) * np.uint64(len(sieve))) >> _HALF
    return places
