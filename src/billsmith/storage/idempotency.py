"""The answers to writes that carried an Idempotency-Key: kept with the effect in one transaction, thirty days at least."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, text

from billsmith.storage.credentials import seq_of
from billsmith.storage.schema import idempotent_answer as table
from billsmith.units.instants import DAY

#: How long an answer is kept at least (P11).
KEPT = 30 * DAY
#: Old answers forgotten at each new one: more than one, so that they grow fewer; few, so that no write waits for it.
_FORGOTTEN_AT_ONCE = 16


class KeptAnswer(NamedTuple):
    """What a write answered, and to which request."""

    request_hash: str
    status: int
    body: bytes


def try_lock(connection: Connection, credential_id: str, key: str) -> bool:
    """Whether no other transaction works under this key right now. The lock ends with the transaction.

    On SQLite the write lock has let in nobody else already.
    """
    if connection.dialect.name != "postgresql":
        return True
    digest = blake2b(f"{credential_id} {key}".encode(), digest_size=8, person=b"billsmith-idem").digest()
    # Two numbers of 32 bits: a space of its own beside the locks of one number of 64.
    high, low = (int.from_bytes(part, "big", signed=True) for part in (digest[:4], digest[4:]))
    query = text("SELECT pg_try_advisory_xact_lock(CAST(:high AS integer), CAST(:low AS integer))")
    return bool(connection.execute(query, {"high": high, "low": low}).scalar_one())


def find(connection: Connection, credential_id: str, key: str) -> KeptAnswer | None:
    """The answer kept under a credential's key."""
    row = connection.execute(
        select(table.c.request_hash, table.c.status, table.c.body).where(
            table.c.credential_seq == seq_of(connection, credential_id), table.c.key == key
        )
    ).first()
    return KeptAnswer(row.request_hash, row.status, bytes(row.body)) if row else None


def keep(connection: Connection, credential_id: str, key: str, answer: KeptAnswer, now: int) -> None:
    """Keep an answer, and forget a few that are older than :data:`KEPT`."""
    connection.execute(
        insert(table).values(credential_seq=seq_of(connection, credential_id), key=key, created_at=now, **answer._asdict())
    )
    old = (
        select(table.c.credential_seq, table.c.key)
        .where(table.c.created_at < now - KEPT)
        .order_by(table.c.created_at)
        .limit(_FORGOTTEN_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    for row in connection.execute(old).all():
        connection.execute(delete(table).where(table.c.credential_seq == row.credential_seq, table.c.key == row.key))
