"""Hashes of many events at once: a text's hash is its own whatever stands beside it, and no change goes unseen."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billsmith.usage import hashing
from billsmith.usage.hashing import LONG, Hashing

HASHING = Hashing(b"secret")
TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80), min_size=1, max_size=8
)
ALIKE = [
    "",
    "a",
    "b",
    "aa",
    "a\0a",
    "ab",
    "ba",
    "é",
    "e",
    "ключ",
    "\U0001f600",
    "1" * LONG,
    "1" * (LONG + 1),
    "é" * LONG,
    "é" * LONG + "e",
]


@given(TEXTS)
def test_a_hash_is_the_same_alone_and_in_company(texts: list[str]) -> None:
    together = HASHING.identities([*texts, "x" * 200]).T.tolist()[:-1]
    assert together == [HASHING.identities([text]).T.tolist()[0] for text in texts]
    assert len({tuple(one) for one in together}) == len(set(texts))


def test_texts_that_are_alike_have_other_hashes() -> None:
    found = HASHING.identities(ALIKE)
    assert len({tuple(one) for one in found.T.tolist()}) == len(ALIKE)
    assert not (found == Hashing(b"another").identities(ALIKE)).any()


def test_a_body_that_differs_in_one_number_has_another_hash() -> None:
    numbers = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0), (2**32, 0, 0), (0, 2**32, 0), (0, 0, 10**18 - 1)]
    found = HASHING.bodies(["t"] * len(numbers), np.array(numbers).T)
    assert len(set(found.tolist())) == len(numbers)
    assert not ({0, 1} & set(found.tolist()))


@pytest.mark.parametrize("chunk", [1, 7, 8_192])
def test_chunks_leave_no_trace(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    texts = [f"o\0s\0{number}" for number in range(50)]
    numbers = np.arange(150).reshape(3, 50)
    wanted = HASHING.identities(texts), HASHING.bodies(texts, numbers)
    monkeypatch.setattr(hashing, "_CHUNK", chunk)
    assert (HASHING.identities(texts) == wanted[0]).all()
    assert (HASHING.bodies(texts, numbers) == wanted[1]).all()


def test_ids_that_count_up_spread_evenly() -> None:
    """The first bits decide where a hash stands: as many stand in each part as by chance, within six deviations."""
    first, second = HASHING.identities([f"o\0s\0{number}" for number in range(64_000)])
    for words in (first >> np.uint64(58), first & np.uint64(63), second & np.uint64(63)):
        counts = np.bincount(words.astype(int), minlength=64)
        assert abs(counts - 1000).max() < 6 * 1000**0.5


def test_the_value_is_checked_by_plain_numbers() -> None:
    """One hash, worked out with Python's whole numbers."""
    keys = [int(key) for key in HASHING._keys[:, 0]], [int(key) for key in HASHING._keys[:, 1]]
    text = b"o\0s\0id"
    words = [int.from_bytes(text[start : start + 4].ljust(4, b"\0"), "little") for start in range(0, len(text), 4)]
    upper = [(lane[0] + sum(k * w for k, w in zip(lane[7:], words, strict=False))) % 2**64 >> 32 for lane in keys]
    word = upper[0] << 32 | upper[1]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        word = (word ^ word >> shift) * factor % 2**64
    assert int(HASHING.identities([text.decode()])[0, 0]) == word ^ word >> 31


def test_all_pairs_of_short_texts_differ() -> None:
    texts = ["".join(pair) for pair in combinations("abcdefghijklmnopqrstuvwxyz0123456789", 2)]
    assert len({tuple(one) for one in HASHING.identities(texts).T.tolist()}) == len(texts)
