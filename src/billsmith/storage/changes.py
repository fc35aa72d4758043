"""Writing the change log: who did what to what the store holds, in the order of the commits, each row sealed to the one before.

A change is noted where it is made and written as the last thing of its transaction, all of a transaction at once
(:meth:`billsmith.storage.database.Database.write`): so no change is without its row, no row without its change, and whoever
follows the log by its row number misses none. Row numbers have no gaps.

The digest of a row is the SHA-256 of these lines, joined by line feeds::

    digest of the row before, in hexadecimal (sixty-four zeros before the first row)
    row number
    instant, in nanoseconds since 1970 UTC
    kind
    account, its UUID
    subject
    actor
    facts, the JSON text as it is kept
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, text

from billsmith.storage.change_kinds import KINDS
from billsmith.storage.direct import Direct
from billsmith.units.ids import format_id, id_bytes

#: The option of a connection that holds what its transaction has noted.
PENDING = "billsmith_changes"
#: What the first row is sealed to.
BEGINNING = bytes(32)

_LOCK = 0x6368616E6765  # "change": on PostgreSQL, one transaction at a time gives row numbers, until its end
_MILLISECOND = 1_000_000


class Change(NamedTuple):
    """Something that is about to be true.

    ``kind`` is such as ``invoice.issued``; ``account`` the store's number of whose it is; ``subject`` the public id of what
    changed; ``facts`` what JSON can hold, amounts as text, and nothing secret; ``issuer`` the account whose affair it is who
    did it, where that is another.
    """

    kind: str
    account: int
    subject: str
    at: int
    actor: str
    facts: Any
    issuer: int | None = None


def note(connection: Connection, *changes: Change) -> None:
    """Note changes: they are written as the transaction ends, in the order in which they were noted."""
    pending: list[Change] | None = connection.get_execution_options().get(PENDING)
    assert pending is not None, "a change is made within Database.write()"
    pending.extend(changes)


def write(connection: Connection, pending: Sequence[Change]) -> None:
    """Write what a transaction noted. Nothing else may follow in it but the commit."""
    if not pending:
        return
    direct = Direct(connection)
    if not direct.is_sqlite:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    ids = _account_ids(direct, {change.account for change in pending})
    seq, digest = head(connection)
    rows = []
    for change in pending:
        assert change.kind in KINDS, change.kind
        seq += 1
        facts = msgspec.json.encode(change.facts).decode()
        digest = seal(digest, seq, change.at, change.kind, ids[change.account], change.subject, change.actor, facts)
        id = id_of(change.at, digest)
        rows.append(
            (
                seq,
                id_bytes(id) if direct.is_sqlite else id,
                change.at,
                change.kind,
                change.account,
                change.issuer,
                change.subject,
                change.actor,
                facts,
                digest,
            )
        )
    direct.many(_INSERT, rows)


_INSERT = (
    "INSERT INTO change (seq, id, at, kind, account_seq, issuer_seq, subject, actor, facts, digest)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _account_ids(direct: Direct, seqs: Iterable[int]) -> dict[int, str]:
    which = direct.one_of("seq", seqs)
    rows = direct.rows(f"SELECT seq, id FROM account WHERE {which.sql}", which.parameters)
    return {seq: format_id(id) if isinstance(id, bytes) else str(id) for seq, id in rows}


def seal(before: bytes, seq: int, at: int, kind: str, account_id: str, subject: str, actor: str, facts: str) -> bytes:
    """The digest of a row after the one with the digest ``before`` (the module says of what).

    >>> seal(BEGINNING, 1, 0, "account.created", "ede9f834-70b3-476c-83d9-736f9f8c7dae", "x", "clock", "{}").hex()[:16]
    'fbb715c218e5333c'
    """
    lines = (before.hex(), str(seq), str(at), kind, account_id, subject, actor, facts)
    return sha256("\n".join(lines).encode()).digest()


def id_of(at: int, digest: bytes) -> str:
    """The id of a row: its instant in milliseconds and its digest, marked as a version 8 (custom) UUID, RFC 9562.

    So ids grow with the time, which keeps their index small to write, and no two stores share one.
    """
    raw = bytearray(max(0, at // _MILLISECOND).to_bytes(6, "big") + digest[:10])
    raw[6] = (raw[6] & 0x0F) | 0x80
    raw[8] = (raw[8] & 0x3F) | 0x80
    return format_id(bytes(raw))


def head(connection: Connection) -> tuple[int, bytes]:
    """The number and the digest of the last row; zero and :data:`BEGINNING` before the first."""
    row = Direct(connection).row("SELECT seq, digest FROM change ORDER BY seq DESC LIMIT 1")
    return (0, BEGINNING) if row is None else (int(row[0]), bytes(row[1]))
