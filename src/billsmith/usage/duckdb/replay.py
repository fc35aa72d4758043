"""The index, from the table: what rows say of their identities."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray

from billsmith.usage.duckdb.columns import Columns, bodies, identities
from billsmith.usage.duckdb.index import IdentityIndex
from billsmith.usage.hashing import Hashes, Hashing, Words
from billsmith.usage.singly import ABSENT, CORRECTED
from billsmith.usage.store import Name

#: Rows read at a time.
CHUNK = 10_000


class Hashed(NamedTuple):
    """Some rows: the hash of each one's identity, 64 bits of its body, its sign."""

    identities: Hashes
    bodies: Words
    signs: NDArray[np.int8]


def hashed(connection: duckdb.DuckDBPyConnection, low: int, high: int, hashing: Hashing, name: Callable[[int], Name]) -> Hashed:
    """The rows after the seq ``low`` up to ``high``; ``name`` tells owner and reference of a subject."""
    wanted = ", ".join(("subject", "sign", *Columns._fields))
    found = connection.execute(f"SELECT {wanted} FROM events WHERE seq > {low} AND seq <= {high}").fetchnumpy()
    names = [name(subject) for subject in found["subject"].tolist()]
    columns = Columns(*(found[field] for field in Columns._fields))
    return Hashed(
        identities(hashing, (owner for owner, _ in names), columns),
        bodies(hashing, (reference for _, reference in names), columns),
        found["sign"],
    )


def replay(
    index: IdentityIndex, connection: duckdb.DuckDBPyConnection, upto: int, hashing: Hashing, name: Callable[[int], Name]
) -> None:
    """Put into the index what the table has beyond it, up to a seq."""
    for low in range(index.seq, upto, CHUNK):
        high = min(low + CHUNK, upto)
        _put(index, hashed(connection, low, high, hashing, name), high)
    index.seq = upto


def _put(index: IdentityIndex, rows: Hashed, seq: int) -> None:
    """An identity that has another row already, here or in the index, was corrected; and one whose row takes a body back."""
    order = np.lexsort((rows.identities[1], rows.identities[0]))
    hashes, entries, signs = rows.identities[:, order], rows.bodies[order], rows.signs[order]
    starts = np.flatnonzero(np.r_[True, (hashes[:, 1:] != hashes[:, :-1]).any(axis=0)][: len(order)])
    times = np.diff(np.r_[starts, len(order)])
    hashes, entries, signs = hashes[:, starts], entries[starts], signs[starts]
    known = index.find(hashes)
    once = (times == 1) & (signs > 0) & ((known == ABSENT) | (known == entries))
    index.add(hashes, np.where(once, entries, np.uint64(CORRECTED)), seq)
