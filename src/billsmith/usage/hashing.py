"""Hashes of many events at once: 128 bits by which an identity is known again, 64 by which a body is.

Each 32 bits of a hash are the upper half of ``k₀ + k₁·w₁ + k₂·w₂ + …`` modulo 2⁶⁴, where w are a text's bytes, four at a time,
and k come from the store's secret. Two texts that differ agree in them for one secret in 2³², whatever the texts are (Lemire
and Kaser, "Strongly universal string hashing is fast"): as strong as a slower hash for those who don't know the secret, and
nobody sees a hash. A last step that loses nothing spreads hashes of texts that are alike.

No text holds NUL (``events.limits``), so NUL parts texts, and NULs at the end change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b, shake_256

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
#: Two rows of 64 bits, a column a hash.
Hashes = NDArray[np.uint64]

#: Bytes of a text beyond which a cryptographic hash of it stands for it; numbers beside it; texts hashed at a time.
LONG = 256
NUMBERS = 3
_CHUNK = 8_192

_KEYS = 1 + 2 * NUMBERS + LONG // 4
_HALF = np.uint64(32)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


class Hashing:
    """The hashes of a store whose secret is ``key``."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        words = np.frombuffer(shake_256(b"billsmith-usage" + key).digest(8 * 6 * _KEYS), "<u8")
        self._keys: Words = words.astype(np.uint64).reshape(_KEYS, 6)

    def identities(self, texts: Sequence[str]) -> Hashes:
        """128 bits of each text.

        >>> first, second = Hashing(b"secret").identities(["o\\0ab\\0c", "o\\0a\\0bc"]).T.tolist()
        >>> first == second
        False
        """
        return self._hashes(texts, None, slice(4))

    def bodies(self, texts: Sequence[str], numbers: NDArray[np.int64] | None = None) -> Words:
        """64 bits of each text and the :data:`NUMBERS` numbers in its column, if any; none is 0 or 1."""
        found: Words = self._hashes(texts, numbers, slice(4, 6))[0] | np.uint64(2)
        return found

    def _hashes(self, texts: Sequence[str], numbers: NDArray[np.int64] | None, lanes: slice) -> Words:
        keys = self._keys[:, lanes]
        found: Words = np.empty((keys.shape[1] // 2, len(texts)), np.uint64)
        for start in range(0, len(texts), _CHUNK):
            part = slice(start, start + _CHUNK)
            words = self._words(texts[part]).astype(np.uint64)
            halves = keys[0] + words @ keys[1 + 2 * NUMBERS :][: words.shape[1]]
            if numbers is not None:
                halves += np.ascontiguousarray(numbers[:, part].T).view(np.uint32).astype(np.uint64) @ keys[1 : 1 + 2 * NUMBERS]
            found[:, part] = _spread((halves[:, 0::2] >> _HALF << _HALF) | (halves[:, 1::2] >> _HALF)).T
        return found

    def _words(self, texts: Sequence[str]) -> NDArray[np.uint32]:
        """The texts' bytes, four in a word, a text a row."""
        short: Sequence[str | bytes] = texts
        if max(map(len, texts)) > LONG or not all(map(str.isascii, texts)):
            short = [self._short(text.encode()) for text in texts]
        spelled = np.array(short, "S")
        columns = -(-spelled.itemsize // 4)
        return spelled.astype(f"S{4 * columns}").view("<u4").reshape(len(texts), columns)

    def _short(self, text: bytes) -> bytes:
        if len(text) <= LONG:
            return text
        return b"\1" + blake2b(text, digest_size=32, key=self._key[:64]).hexdigest().encode()


def _spread(words: Words) -> Words:
    """Another order of all 64-bit words, in which neighbours lie far apart."""
    words = (words ^ (words >> np.uint64(30))) * _MIX[0]
    words = (words ^ (words >> np.uint64(27))) * _MIX[1]
    return words ^ (words >> np.uint64(31))
