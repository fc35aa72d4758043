"""Ids: read in every usual spelling, written in one, and derived alike on every machine."""

from __future__ import annotations

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billsmith.units.ids import ZERO_ID, derived_id, format_id, id_bytes, parse_id, random_id_of

COUNTING = "00010203-0405-0607-0809-0a0b0c0d0e0f"


@pytest.mark.parametrize(("text", "id"), [
    (COUNTING, COUNTING),
    ("EDE9F834-70B3-476C-83D9-736F9F8C7DAE", "ede9f834-70b3-476c-83d9-736f9f8c7dae"),
    ("ede9f83470b3476c83d9736f9f8c7dae", "ede9f834-70b3-476c-83d9-736f9f8c7dae"),
    (ZERO_ID, ZERO_ID),
    ("", None),
    (COUNTING[:-1], None),
    (COUNTING + "0", None),
    (COUNTING + "\n", None),
    ("{" + COUNTING + "}", None),
    ("urn:uuid:" + COUNTING, None),
    ("g" + COUNTING[1:], None),
    ("٠" + COUNTING[1:], None),
    (COUNTING.replace("-", "_"), None),
])  # fmt: skip
def test_an_id_is_read(text: str, id: str | None) -> None:
    assert parse_id(text) == id


@given(st.binary(min_size=16, max_size=16))
def test_bytes_and_text_are_inverse(raw: bytes) -> None:
    text = format_id(raw)
    assert id_bytes(text) == raw
    assert parse_id(text.upper()) == text
    assert [len(part) for part in text.split("-")] == [8, 4, 4, 4, 12]


def test_each_byte_has_its_place() -> None:
    assert format_id(bytes(range(16))) == COUNTING
    assert id_bytes(COUNTING) == bytes(range(16))


@pytest.mark.parametrize(("raw", "id"), [
    (bytes(16), "00000000-0000-4000-8000-000000000000"),
    (b"\xff" * 16, "ffffffff-ffff-4fff-bfff-ffffffffffff"),
    (bytes(range(16)), "00010203-0405-4607-8809-0a0b0c0d0e0f"),
])  # fmt: skip
def test_a_random_id_is_marked_version_4(raw: bytes, id: str) -> None:
    assert random_id_of(raw) == id


def marked_8(raw: bytes) -> str:
    """The digest's hex digits with a version and a variant put in, read as text."""
    digits = raw.hex()
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


@given(st.lists(st.text()))
def test_a_derived_id_is_the_digest_of_keys_and_lengths(keys: list[str]) -> None:
    raw = b"".join(len(key.encode()).to_bytes(8, "big") + key.encode() for key in keys)
    assert derived_id(*keys) == marked_8(blake2b(raw, digest_size=16, person=b"billsmith-id").digest())


@pytest.mark.parametrize(("keys", "id"), [
    (("acronis", "a"), "14c466c0-e218-87d0-8af8-86f03ffc5969"),
    ((), "8a8e54b2-b332-88fc-9630-d4fb86505b74"),
    (("", ""), "d8c83ce3-424e-8808-8512-4f8381561d1e"),
    (("é", "\ud800"), "6333a8e9-04f3-8271-9c43-14a605be8100"),  # half of a surrogate pair, as JSON may hold it
])  # fmt: skip
def test_derived_ids_never_change(keys: tuple[str, ...], id: str) -> None:
    """Stored rows carry them: another digest would count everything twice."""
    assert derived_id(*keys) == id


def test_where_a_key_ends_matters() -> None:
    assert (
        len({derived_id("ab", "c"), derived_id("a", "bc"), derived_id("abc"), derived_id("c", "ab"), derived_id("abc", "")})
        == 5
    )
