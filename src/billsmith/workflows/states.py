"""States of usage as callers see them: ``seq`` in an answer, ``as_of_seq`` in a question.

The store's own sequence counts everybody's events, so its numbers, their differences and even whether it moved would tell a
tenant of others (P16). What leaves is the number sealed for the caller's account, another text each time (decision 0236).
"""

from __future__ import annotations

import base64
import binascii
import secrets
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from billsmith.storage.database import Database
from billsmith.storage.upgrade import cursor_key
from billsmith.units.errors import Invalid

#: Characters of a state.
LENGTH = 48
_NONCE = 12
_BYTES = 8
_PURPOSE = b"state of usage"


class States:
    """Seals and opens states with a key that derives from the installation's own secret. One for a process."""

    def __init__(self) -> None:
        self._cipher: AESGCM | None = None

    def write(self, database: Database, account: str, seq: int) -> str:
        """A state for an account to see."""
        return self.seal(database, account, seq.to_bytes(_BYTES, "big"))

    def read(self, database: Database, account: str, text: str, where: str) -> int:
        """The number of a state. Raises :class:`Invalid` unless it was written for just this account."""
        number = self.open(database, account, text)
        if number is None:
            raise Invalid(
                "it is not the seq of an answer to this account; take it from one, or leave it out for the state of now",
                code="usage.state",
                where=where,
            )
        return int.from_bytes(number, "big")

    def seal(self, database: Database, bound_to: str, content: bytes) -> str:
        """What a cursor holds, opaque."""
        nonce = secrets.token_bytes(_NONCE)
        return base64.urlsafe_b64encode(nonce + self._of(database).encrypt(nonce, content, bound_to.encode())).decode()

    def open(self, database: Database, bound_to: str, text: str) -> bytes | None:
        """What was sealed for the same use; ``None`` for anything else."""
        try:
            raw = base64.b64decode(text.encode(), altchars=b"-_", validate=True)
            return self._of(database).decrypt(raw[:_NONCE], raw[_NONCE:], bound_to.encode())
        except (binascii.Error, ValueError, InvalidTag):
            return None

    def _of(self, database: Database) -> AESGCM:
        if self._cipher is None:
            with database.read() as connection:
                self._cipher = AESGCM(sha256(_PURPOSE + cursor_key(connection)).digest())
        return self._cipher
