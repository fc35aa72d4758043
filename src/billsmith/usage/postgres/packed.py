"""Columns of a statement as PostgreSQL's binary arrays: hashes and numbers that neither side has to spell or read."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from psycopg import pq
from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper

#: Bytes of an identity's hash.
HASH_BYTES = 16

# ndim 1, no nulls, the items' type, how many, the first one's number
_HEAD = struct.Struct(">iiIii")


class _Packed(Dumper):
    """Goes to the server as it is."""

    format = pq.Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        """The bytes themselves."""
        return obj


class Uuids(bytes):
    """Hashes, as ``uuid[]``."""


class Bigs(bytes):
    """Numbers of 64 bits, as ``bigint[]``."""


class Ints(bytes):
    """Numbers of 32 bits, as ``integer[]``."""


class _Uuids(_Packed):
    oid = 2951


class _Bigs(_Packed):
    oid = 1016


class _Ints(_Packed):
    oid = 1007


def register(context: AdaptContext) -> None:
    """Teach a connection the columns of this file."""
    for column, dumper in ((Uuids, _Uuids), (Bigs, _Bigs), (Ints, _Ints)):
        context.adapters.register_dumper(column, dumper)


def uuids(hashes: Iterable[bytes]) -> Uuids:
    """Hashes of :data:`HASH_BYTES` each.

    >>> uuids([b"\\1" * 16])[20:24].hex()
    '00000010'
    """
    return Uuids(_array(2950, f"V{HASH_BYTES}", np.frombuffer(b"".join(hashes), f"V{HASH_BYTES}")))


def bigs(numbers: Sequence[int]) -> Bigs:
    """Numbers from −2⁶³ to 2⁶³ − 1.

    >>> bigs([7, -1])[20:].hex(" ", 4)
    '00000008 00000000 00000007 00000008 ffffffff ffffffff'
    """
    return Bigs(_array(20, ">i8", numbers))


def wrapped(numbers: Sequence[int]) -> Bigs:
    """Numbers from 0 to 2⁶⁴ − 1, the upper half of them as negative ones: PostgreSQL has no unsigned numbers.

    >>> wrapped([2**64 - 1]) == bigs([-1])
    True
    """
    return Bigs(_array(20, ">i8", np.array(numbers, np.uint64).view(np.int64)))


def ints(numbers: Sequence[int]) -> Ints:
    """Numbers from −2³¹ to 2³¹ − 1.

    >>> ints([7])[20:].hex(" ", 4)
    '00000004 00000007'
    """
    return Ints(_array(23, ">i4", numbers))


def _array(oid: int, form: str, items: ArrayLike) -> bytes:
    column = np.asarray(items, form)
    packed = np.empty(len(column), [("size", ">i4"), ("item", form)])
    packed["size"], packed["item"] = column.itemsize, column
    return _HEAD.pack(1, 0, oid, len(column), 1) + packed.tobytes()
