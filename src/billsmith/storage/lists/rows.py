"""List rows by their numbers, as values: the last step of every page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import Connection

from billsmith.storage.account_ids import AccountIds
from billsmith.storage.direct import Direct
from billsmith.storage.invoices import LISTED, Stored, stored
from billsmith.storage.reads import read_by

_NAMES = [column.name for column in LISTED]
_ISSUER = _NAMES.index("issuer_seq")
_RECIPIENT = _NAMES.index("recipient_seq")


def by_seqs(connection: Connection, seqs: Sequence[int]) -> list[Stored]:
    """The invoices with these numbers, in this order, without their documents."""
    database = read_by(connection)
    names = database.account_ids if database else AccountIds()
    direct = Direct(connection)
    which = direct.one_of("seq", seqs)
    rows = {row[0]: row for row in direct.rows(_select(direct.is_sqlite) + which.sql, which.parameters)}
    ids = names.of(direct, {row[index] for row in rows.values() for index in (_ISSUER, _RECIPIENT)})
    ordered = [rows[seq] for seq in seqs]
    return [stored((*row, ids[row[_ISSUER]], ids[row[_RECIPIENT]])) for row in ordered]


@lru_cache(maxsize=2)
def _select(is_sqlite: bool) -> str:
    # The driver of PostgreSQL makes an object of each UUID; text is what we want.
    columns = ["CAST(id AS text)" if name == "id" and not is_sqlite else name for name in _NAMES]
    return f"SELECT {', '.join(columns)} FROM invoice WHERE "
