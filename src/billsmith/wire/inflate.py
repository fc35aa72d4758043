"""Compressed bodies: inflated piece by piece, never beyond a cap."""

from __future__ import annotations

import io
import secrets
import zlib
from collections.abc import Callable, Iterator

import zstandard

from billsmith.units.errors import Invalid, TooLarge

_PIECE = 64 * 1024
#: The longest window that a zstd frame may ask for: that of level 19. Its memory is taken before anything is inflated.
_WINDOW = 8 * 1024 * 1024
_MAGIC = b"\x28\xb5\x2f\xfd"
_LAST = secrets.token_bytes(16)
_LAST_FRAME = zstandard.ZstdCompressor(write_checksum=True).compress(_LAST)


def inflate(body: bytes, coding: str, limit: int, take: Callable[[int], None] = lambda _count: None) -> bytes:
    """The body that a ``Content-Encoding`` hides, of at most ``limit`` bytes; ``take`` is told of each piece beforehand.

    Raises :class:`TooLarge` as soon as there is more, :class:`Invalid` for a body that is no such thing.

    >>> import gzip
    >>> inflate(gzip.compress(b"abc"), "gzip", 3)
    b'abc'
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding in ("gzip", "x-gzip"):
        pieces = _gzip(body)
    elif coding == "zstd":
        pieces = _zstd(body)
    else:
        raise Invalid(
            f"{coding[:40]!r} is not read; send the body as it is, or in gzip or zstd",
            code="input.content_encoding",
            where="Content-Encoding",
        )
    found, size = [], 0
    try:
        for piece in pieces:
            size += len(piece)
            if size > limit:
                raise TooLarge(f"the body has more than {limit} bytes when inflated", code="input.body_too_large")
            take(len(piece))
            found.append(piece)
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise Invalid(f"the body is not {coding}: {error}"[:300], code="input.not_inflated", where="Content-Encoding") from None
    return b"".join(found)


def _gzip(body: bytes) -> Iterator[bytes]:
    rest = body
    while rest:
        inflating = zlib.decompressobj(wbits=31)  # gzip alone
        while not inflating.eof:
            piece = inflating.decompress(rest, _PIECE)
            rest = inflating.unconsumed_tail or inflating.unused_data
            yield piece
            if not (piece or rest or inflating.eof):
                raise EOFError("it ends too soon")


def _zstd(body: bytes) -> Iterator[bytes]:
    """The library doesn't tell a frame that ends too soon: so one of ours comes last, which is read only where theirs ended."""
    if not body.startswith(_MAGIC):
        raise zstandard.ZstdError("it has no frame")
    reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(
        io.BytesIO(body + _LAST_FRAME), read_size=_PIECE, read_across_frames=True
    )
    kept = b""
    while piece := reader.read(_PIECE):
        kept += piece
        yield kept[: -len(_LAST)]
        kept = kept[-len(_LAST) :]
    if kept != _LAST:
        raise EOFError("it ends too soon")
