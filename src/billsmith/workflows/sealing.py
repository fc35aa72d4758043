"""Secrets at rest: sealed with a key that is not in the store (AES-256-GCM), each bound to what it is for.

A sealed secret opens only for the context it was sealed for, so that nobody who can write to the store can hang it on another
connection, or send it to another address. The first key seals, all of them open: that is how a key is changed (decision 0312).
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from billsmith.units.errors import Invalid, Unavailable

KEY_BYTES = 32
_FORM = b"\x01"
_KEY_ID = 4
_NONCE = 12


class Sealer:
    """Seals and opens secrets with keys of 32 bytes; with none it can do neither and says how to mend that."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys = {sha256(key).digest()[:_KEY_ID]: AESGCM(key) for key in keys}
        self._first = next(iter(self._keys), None)

    def __repr__(self) -> str:
        return f"Sealer({len(self._keys)} keys)"

    def seal(self, secret: str, context: str) -> bytes:
        """A secret, readable only with one of the keys and for this context. Raises :class:`Unavailable` without a key."""
        if self._first is None:
            raise _no_key("a secret can't be stored")
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._keys[self._first].encrypt(nonce, secret.encode(), context.encode())
        return _FORM + self._first + nonce + sealed

    def open(self, sealed: bytes, context: str) -> str:
        """The inverse of :meth:`seal`. Raises :class:`Unavailable` without the key, :class:`Invalid` for another context."""
        form, key_id, nonce = sealed[:1], sealed[1 : 1 + _KEY_ID], sealed[1 + _KEY_ID : 1 + _KEY_ID + _NONCE]
        key = self._keys.get(key_id)
        if form != _FORM or key is None:
            raise _no_key("the secret was stored under a key that is not given")
        try:
            return key.decrypt(nonce, sealed[1 + _KEY_ID + _NONCE :], context.encode()).decode()
        except InvalidTag:
            raise Invalid(
                "the stored secret does not belong to this connection and address; remove the connection and add it anew",
                code="secret.context",
            ) from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether a secret is sealed with the first key."""
        return sealed[1 : 1 + _KEY_ID] == self._first


def new_key() -> str:
    """A key as :func:`read_keys` reads it."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def read_keys(text: str, where: str) -> list[bytes]:
    """Keys in base64, separated by commas. Raises :class:`Invalid`, which never tells what was read.

    >>> [len(key) for key in read_keys(new_key() + "," + new_key(), "BILLSMITH_SECRET_KEY")]
    [32, 32]
    """
    keys = []
    for part in text.replace(",", " ").split():
        try:
            key = base64.b64decode(part.replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise Invalid(
                f"a key is {KEY_BYTES} random bytes in base64; `billsmith sync new-key` makes one",
                code="secret.key",
                where=where,
            )
        keys.append(key)
    return keys


def _no_key(problem: str) -> Unavailable:
    return Unavailable(
        f"{problem}: set BILLSMITH_SECRET_KEY (or put the key into the keyring) to what `billsmith sync new-key` gives",
        code="secret.no_key",
    )
