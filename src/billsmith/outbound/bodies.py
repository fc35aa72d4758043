"""A body within its caps: bytes as they came, and as they are once inflated."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from billsmith.units.errors import Invalid, TooLarge

# The window of zlib's own format, of gzip's, and of either, as zlib counts them.
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def read(chunks: Iterable[bytes], encoding: str, *, max_wire: int, max_body: int) -> bytes:
    """The whole body. ``encoding`` is the Content-Encoding: none, gzip or deflate, once.

    Raises :class:`TooLarge` as soon as a cap is passed, :class:`Invalid` for what can't be inflated.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return _whole(chunks, min(max_wire, max_body))
    if encoding not in _WINDOWS:
        raise Invalid(f"the answer is encoded as {encoding[:40]!a}, which nobody asked for", code="outbound.encoding")
    return _inflated(chunks, _WINDOWS[encoding], max_wire, max_body)


def _whole(chunks: Iterable[bytes], most: int) -> bytes:
    body = bytearray()
    for chunk in chunks:
        if len(body) + len(chunk) > most:
            raise _too_large(most)
        body += chunk
    return bytes(body)


def _inflated(chunks: Iterable[bytes], window: int, max_wire: int, max_body: int) -> bytes:
    body, came, inflater = bytearray(), 0, zlib.decompressobj(window)
    for chunk in chunks:
        came += len(chunk)
        if came > max_wire:
            raise _too_large(max_wire)
        if inflater.eof:
            raise Invalid("the answer goes on after its compressed part has ended", code="outbound.compressed")
        try:
            # One byte more than there may be tells that there are more, without inflating them.
            body += inflater.decompress(chunk, max_body + 1 - len(body))
        except zlib.error as error:
            raise Invalid(f"the answer can't be decompressed: {error}", code="outbound.compressed") from None
        if len(body) > max_body:
            raise _too_large(max_body)
    if not inflater.eof or inflater.unused_data:
        raise Invalid("the answer's compressed part is cut off, or more follows it", code="outbound.compressed")
    return bytes(body)


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"the answer has more than {most:,} bytes; ask for smaller pages", code="outbound.too_large")
