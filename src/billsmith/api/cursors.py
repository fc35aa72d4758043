"""Cursors: where a list goes on. Opaque, signed, and good only for the caller's account, the list and its filters.

A cursor names the last item of a page by its public id, so that it tells nothing of the store; the signature covers all that
it is bound to. Items are never deleted, so a cursor never runs out.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence

from billsmith.units.errors import Invalid
from billsmith.units.ids import format_id, id_bytes

_MAC_BYTES = 16


def write(secret: bytes, bound_to: Sequence[str], id: str) -> str:
    """The cursor after the item with that id.

    >>> cursor = write(b"secret", ["invoices"], "ede9f834-70b3-476c-83d9-736f9f8c7dae")
    >>> read(b"secret", ["invoices"], cursor)
    'ede9f834-70b3-476c-83d9-736f9f8c7dae'
    """
    raw = id_bytes(id)
    return _text(raw + _mac(secret, bound_to, raw))


def read(secret: bytes, bound_to: Sequence[str], cursor: str) -> str:
    """The id in a cursor. Raises :class:`Invalid` unless it was written for just this list."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    id, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    if len(id) != 16 or _text(raw) != cursor or not hmac.compare_digest(mac, _mac(secret, bound_to, id)):
        raise Invalid(
            "the cursor is not one of this list with these filters; start again without it", code="input.cursor", where="cursor"
        )
    return format_id(id)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _mac(secret: bytes, bound_to: Sequence[str], raw: bytes) -> bytes:
    signed = hmac.new(secret, raw, "sha256")
    for part in bound_to:
        encoded = part.encode("utf-8")
        signed.update(len(encoded).to_bytes(4, "big") + encoded)
    return signed.digest()[:_MAC_BYTES]
