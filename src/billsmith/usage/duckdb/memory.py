"""One setting for the memory of a store, and who gets what of it."""

from __future__ import annotations

from typing import NamedTuple

#: Unless told otherwise, and what is needed at least; bytes.
MEMORY = 2 * 1024**3
LEAST = 512 * 1024**2

#: Bytes of an identity that is in no file yet (the hash table may be three quarters empty), and of a row in a merge.
_RECENT = 256
_MERGED = 128


class Shares(NamedTuple):
    """Bytes for DuckDB and for batches that wait; identities that gather before they are written, and that a merge holds.

    What is left, three eighths, is for the program itself, for batches as their senders hold them, and for what DuckDB takes
    beyond its limit.
    """

    duckdb: int
    waiting: int
    recent: int
    merged: int


def shares(memory: int) -> Shares:
    """How a store divides the memory that it may take; at least :data:`LEAST` is divided.

    >>> shares(1024**3)
    Shares(duckdb=469762048, waiting=67108864, recent=262144, merged=524288)
    """
    memory = max(memory, LEAST)
    return Shares(7 * memory // 16, memory // 16, memory // 16 // _RECENT, memory // 16 // _MERGED)
