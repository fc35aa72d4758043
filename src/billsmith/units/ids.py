"""Ids: 128 bits, written as a UUID in lower case. The core never draws one; the caller brings it, or derives it from keys."""

from __future__ import annotations

import re
from hashlib import blake2b

_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.ASCII | re.IGNORECASE)

ZERO_ID = "00000000-0000-0000-0000-000000000000"


def parse_id(text: str) -> str | None:
    """The canonical form of a UUID, or ``None`` when the text isn't one. Braces and ``urn:`` are not read.

    >>> parse_id("EDE9F834-70B3-476C-83D9-736F9F8C7DAE")
    'ede9f834-70b3-476c-83d9-736f9f8c7dae'
    """
    if not _UUID.fullmatch(text):
        return None
    return format_id(bytes.fromhex(text.replace("-", "")))


def format_id(raw: bytes) -> str:
    """Sixteen bytes as a UUID's text."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def id_bytes(text: str) -> bytes:
    """A canonical UUID's sixteen bytes."""
    return bytes.fromhex(text.replace("-", ""))


def random_id_of(raw: bytes) -> str:
    """An id of sixteen random bytes, marked as a version 4 UUID, RFC 9562.

    >>> random_id_of(bytes(16))
    '00000000-0000-4000-8000-000000000000'
    """
    marked = bytearray(raw)
    marked[6] = (marked[6] & 0x0F) | 0x40
    marked[8] = (marked[8] & 0x3F) | 0x80
    return format_id(bytes(marked))


def derived_id(*keys: str) -> str:
    """An id made of keys, the same on every machine and in every run; marked as a version 8 (custom) UUID, RFC 9562.

    >>> derived_id("acronis", "a") == derived_id("acronis", "a") != derived_id("acroni", "sa")
    True
    """
    digest = blake2b(digest_size=16, person=b"billsmith-id")
    for key in keys:
        raw = key.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    raw_id = bytearray(digest.digest())
    raw_id[6] = (raw_id[6] & 0x0F) | 0x80
    raw_id[8] = (raw_id[8] & 0x3F) | 0x80
    return format_id(bytes(raw_id))
