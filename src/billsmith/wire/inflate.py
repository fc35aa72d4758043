"""Compressed request bodies, inflated up to a cap and not a byte further (P17)."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable

import zstandard

from billsmith.units.errors import Invalid, TooLarge

#: Inflated at a time; so much may be held beyond the cap before it is refused.
_PIECE = 256 * 1024
_LAST = secrets.token_bytes(16)
_LAST_FRAME = zstandard.ZstdCompressor(write_checksum=True).compress(_LAST)


def inflate(body: bytes, encoding: str, most: int, take: Callable[[int], None] = lambda _count: None) -> bytes:
    """A body as it was before its ``Content-Encoding``; one encoding at most. ``take`` is told of each piece.

    Raises :class:`Invalid` for an encoding that isn't read or a body that isn't of it, :class:`TooLarge` beyond ``most`` bytes.

    >>> import gzip
    >>> inflate(gzip.compress(b"calls"), "gzip", 5), inflate(b"calls", "", 5)
    (b'calls', b'calls')
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name in ("gzip", "x-gzip"):
        return _gzip(body, most, take)
    if name == "zstd":
        return _zstd(body, most, take)
    raise Invalid(
        f"a body in {name[:40]!r} is not read here; send it in gzip, in zstd or as it is",
        code="input.content_encoding",
        where="Content-Encoding",
    )


def _gzip(body: bytes, most: int, take: Callable[[int], None]) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while body:
        member = zlib.decompressobj(wbits=31)
        rest = body
        while not member.eof:
            try:
                piece = member.decompress(rest, _PIECE)
            except zlib.error as error:
                raise _broken("gzip", error) from None
            size += len(piece)
            _check(size, most)
            take(len(piece))
            pieces.append(piece)
            rest = member.unconsumed_tail
            if not rest and not piece and not member.eof:
                raise _broken("gzip", "it ends too early")
        body = member.unused_data
    return b"".join(pieces)


def _zstd(body: bytes, most: int, take: Callable[[int], None]) -> bytes:
    """The library says nothing of a frame that ends too early: so one of ours comes last, which is read only after theirs."""
    pieces: list[bytes] = []
    size = -len(_LAST)
    try:
        with zstandard.ZstdDecompressor(max_window_size=8 * 1024 * 1024).stream_reader(
            body + _LAST_FRAME, read_across_frames=True
        ) as reader:
            while piece := reader.read(_PIECE):
                size += len(piece)
                _check(size, most)
                take(len(piece))
                pieces.append(piece)
    except zstandard.ZstdError as error:
        raise _broken("zstd", error) from None
    inflated = b"".join(pieces)
    if not inflated.endswith(_LAST):
        raise _broken("zstd", "it ends too early")
    return inflated[: -len(_LAST)]


def _check(size: int, most: int) -> None:
    if size > most:
        raise TooLarge(f"the body inflates to more than {most} bytes; send it in parts", code="input.body_too_large")


def _broken(name: str, error: object) -> Invalid:
    return Invalid(f"the body is not {name}: {error}", code="input.not_compressed", where="Content-Encoding")
