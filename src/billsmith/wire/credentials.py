"""Reading credentials from headers: Bearer, Basic. What can't be read is simply no credential."""

from __future__ import annotations

import base64
import binascii


def bearer(header: str | None) -> str | None:
    """The token of ``Bearer …``.

    >>> bearer("Bearer abc"), bearer("Basic abc")
    ('abc', None)
    """
    if not header:
        return None
    scheme, _, token = header.partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token else None


def basic(header: str | None, *, bare: bool = False) -> tuple[str, str] | None:
    """User and password of ``Basic …``; with ``bare`` the base64 may stand alone.

    >>> basic("Basic dXNlcjpzZWNyZXQ=")
    ('user', 'secret')
    """
    if not header:
        return None
    scheme, _, rest = header.strip().partition(" ")
    encoded = rest.strip() if scheme.lower() == "basic" else header.strip() if bare and not rest else ""
    if not encoded:
        return None
    try:
        text = base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    user, colon, password = text.partition(":")
    return (user, password) if colon else None
