"""A document as it is kept: MessagePack with named keys, compressed (decision 0004)."""

from __future__ import annotations

import threading

import msgspec
import zstandard

from billsmith.invoicing.chain import content_digest
from billsmith.invoicing.model import Content

_encode = msgspec.msgpack.Encoder().encode
_contents = msgspec.msgpack.Decoder(Content)


class _Tools(threading.local):
    """One of each a thread: making them costs more than most documents, and two threads can't share one."""

    def __init__(self) -> None:
        # With a checksum of four bytes: a flipped bit in a document is an error, not another amount.
        self.compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
        self.decompressor = zstandard.ZstdDecompressor()


_tools = _Tools()


def pack_content(content: Content) -> bytes:
    """A document's content as it is kept."""
    return _tools.compressor.compress(_encode(content))


def packed_and_sealed(content: Content) -> tuple[bytes, bytes]:
    """The same, and the digest by which the chain knows it."""
    encoded = _encode(content)
    return _tools.compressor.compress(encoded), content_digest(encoded)


def unpack_content(body: bytes) -> Content:
    """The inverse of :func:`pack_content`."""
    return _contents.decode(unpacked(body))


def unpacked(body: bytes) -> bytes:
    """The MessagePack of a document that is kept."""
    raw: bytes = _tools.decompressor.decompress(body)
    return raw
