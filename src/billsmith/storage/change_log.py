"""Reading the change log: as an account may see it, as those who follow it need it, and whole, to be checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, and_, func, select

from billsmith.accounts.model import Account
from billsmith.storage import accounts, changes, credentials, schema
from billsmith.storage.accounts import path_range, stands_below
from billsmith.storage.database import Database
from billsmith.storage.schema import account as account_table
from billsmith.storage.schema_changes import change as table

#: Rows of everybody's that are looked through for a page before the accounts' own rows are asked for.
_LOOK_THROUGH = 10_000
_BY_CREDENTIAL = "credential:"


class Entry(NamedTuple):
    """A row of the log. ``seq`` never leaves the store but on the command line; ``path`` is its account's."""

    seq: int
    id: str
    at: int
    kind: str
    account_id: str
    path: str
    issuer_seq: int | None
    subject: str
    actor: str
    facts: str
    digest: bytes


def by_id(connection: Connection, id: str, within: Account | None) -> Entry | None:
    """The row with that id, of an account at or below ``within`` (``None``: of any)."""
    row = connection.execute(_columns.where(table.c.id == id, *_within(within))).first()
    return _entry(row) if row else None


def by_seqs(connection: Connection, seqs: Iterable[int]) -> dict[int, Entry]:
    """Rows by their numbers."""
    rows = connection.execute(_columns.where(table.c.seq.in_(sorted(set(seqs)))))
    return {row.seq: _entry(row) for row in rows}


def after(connection: Connection, seq: int, limit: int) -> list[Entry]:
    """Everybody's rows after one, in order: for those who follow the log."""
    return [_entry(row) for row in connection.execute(_columns.where(table.c.seq > seq).order_by(table.c.seq).limit(limit))]


def page(
    connection: Connection,
    within: Account | None,
    *,
    after_seq: int = 0,
    kinds: Sequence[str] = (),
    subject: str | None = None,
    limit: int,
) -> list[Entry]:
    """Rows of accounts at or below ``within`` (``None``: of all), oldest first, those after one.

    A busy account's rows are found by looking through everybody's; the few of a quiet one by its accounts' own.
    """
    query = _columns.order_by(table.c.seq).limit(limit)
    if kinds:
        query = query.where(table.c.kind.in_(kinds))
    if subject is not None:
        query = query.where(table.c.subject == subject)
    if within is None:
        return [_entry(row) for row in connection.execute(query.where(table.c.seq > after_seq))]
    until = after_seq + _LOOK_THROUGH
    near = query.where(table.c.seq > after_seq, table.c.seq <= until, *_within(within))
    found = [_entry(row) for row in connection.execute(near)]
    if len(found) < limit:
        far = query.where(table.c.seq > until, stands_below(table.c.account_seq, within)).limit(limit - len(found))
        found += [_entry(row) for row in connection.execute(far)]
    return found


def newest(connection: Connection, within: Account | None, limit: int) -> list[Entry]:
    """The last rows of accounts at or below ``within``, the newest first."""
    query = _columns.where(*_within(within)).order_by(table.c.seq.desc()).limit(limit)
    return [_entry(row) for row in connection.execute(query)]


def last_before(connection: Connection, at: int) -> int:
    """The number of the row before the first one of that instant or a later one; of the last where there is none."""
    first = connection.execute(select(func.min(table.c.seq)).where(table.c.at >= at)).scalar_one()
    return changes.head(connection)[0] if first is None else int(first) - 1


def whose_actor_is_shown(connection: Connection, viewer: Account, entries: Sequence[Entry]) -> set[str]:
    """The ids of the rows whose actor ``viewer`` may know: the affair is its own or of an account below it, and so is the
    credential that was used (decision 0056)."""
    issuers = accounts.by_seqs(connection, {each.issuer_seq for each in entries if each.issuer_seq is not None})
    ids = {each.actor.removeprefix(_BY_CREDENTIAL) for each in entries if each.actor.startswith(_BY_CREDENTIAL)}
    reached = credentials.known_below(connection, viewer, ids)
    return {
        each.id
        for each in entries
        if (each.issuer_seq is None or issuers[each.issuer_seq].is_at_or_below(viewer))
        and (not each.actor.startswith(_BY_CREDENTIAL) or each.actor.removeprefix(_BY_CREDENTIAL) in reached)
    }


def check(database: Database, tell: Callable[[str, str], None]) -> int:
    """Whether each row is sealed to the one before, and each invoice has the row of its making. Gives how many rows are good.

    ``tell`` is told the first broken link and no later one: what follows it hangs on it.
    """
    seq, digest, made = 0, changes.BEGINNING, 0
    while True:
        with database.read() as connection:
            batch = after(connection, seq, _STEP)
            if not batch:
                break
            for each in batch:
                problem = _broken(each, seq, digest)
                if problem:
                    tell(f"change row {each.seq}", problem)
                    return seq
                seq, digest = each.seq, each.digest
                made += each.kind in MAKING
    with database.read() as connection:
        there = int(connection.execute(select(func.count()).select_from(schema.invoice)).scalar_one())
        more = [each.kind for each in after(connection, seq, 100_000) if each.kind in MAKING]
    if there != made + len(more):
        tell("change log", f"it tells of {made + len(more)} invoices, there are {there}")
    return seq


#: The kinds of rows that tell of a new invoice or note.
MAKING = frozenset(
    {
        "invoice.issued",
        "credit_note.issued",
        "debit_note.issued",
        "invoice.imported",
        "credit_note.imported",
        "debit_note.imported",
    }
)
_STEP = 2000


def _broken(entry: Entry, before: int, digest: bytes) -> str | None:
    if entry.seq != before + 1:
        return f"the row before it has the number {before}: rows are missing"
    own = changes.seal(digest, entry.seq, entry.at, entry.kind, entry.account_id, entry.subject, entry.actor, entry.facts)
    if own != entry.digest or entry.id != changes.id_of(entry.at, own):
        return "it or the row before it was changed: its digest is another"
    return None


def facts_of(entry: Entry) -> Mapping[str, Any]:
    """A row's facts."""
    found: Mapping[str, Any] = msgspec.json.decode(entry.facts)
    return found


_columns = select(table, account_table.c.id.label("account_id"), account_table.c.path).join_from(
    table, account_table, table.c.account_seq == account_table.c.seq
)


def _within(account: Account | None) -> tuple[Any, ...]:
    if account is None:
        return ()
    start, end = path_range(account.path)
    return (and_(account_table.c.path >= start, account_table.c.path < end),)


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        seq=row.seq,
        id=row.id,
        at=row.at,
        kind=row.kind,
        account_id=row.account_id,
        path=row.path,
        issuer_seq=row.issuer_seq,
        subject=row.subject,
        actor=row.actor,
        facts=row.facts,
        digest=bytes(row.digest),
    )
