"""Compressed bodies: whole or refused, and never beyond the cap."""

from __future__ import annotations

import gzip
import random
import tracemalloc

import pytest
import zstandard

from billsmith.units.errors import Invalid, TooLarge
from billsmith.wire.inflate import inflate

BODIES = [b"", b"a", b"abc" * 100_000, random.Random(1).randbytes(300_000)]


def packed(coding: str, body: bytes) -> bytes:
    return gzip.compress(body, 1) if coding == "gzip" else zstandard.compress(body)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("body", BODIES, ids=len)
def test_what_was_packed_comes_out_and_what_is_cut_short_does_not(coding: str, body: bytes) -> None:
    whole = packed(coding, body)
    assert inflate(whole, coding, len(body)) == body
    assert inflate(whole + packed(coding, b"more"), coding, len(body) + 4) == body + b"more"
    for length in {1, 3, 4, 5, len(whole) // 2, len(whole) - 5, len(whole) - 1}:
        if 0 < length < len(whole):
            with pytest.raises(Invalid):
                inflate(whole[:length], coding, 10**6)
    with pytest.raises(Invalid):
        inflate(whole + b"junk", coding, 10**6)
    if body:
        with pytest.raises(TooLarge):
            inflate(whole, coding, len(body) - 1)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_bomb_stops_within_a_megabyte_of_the_cap(coding: str) -> None:
    bomb, cap = packed(coding, b"\0" * 200_000_000), 1_000_000
    tracemalloc.start()
    with pytest.raises(TooLarge):
        inflate(bomb, coding, cap)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < cap + 2 * len(bomb) + 1_000_000


def test_control_without_a_cap_the_bomb_goes_off() -> None:
    assert len(inflate(packed("gzip", b"\0" * 20_000_000), "gzip", 10**9)) == 20_000_000


def test_a_window_that_would_fill_the_memory_is_refused() -> None:
    packing = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=27)).compressobj()
    with pytest.raises(Invalid):
        inflate(packing.compress(b"x" * 100) + packing.flush(), "zstd", 1_000)
