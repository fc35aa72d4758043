"""What walks of a vendor's list met, in the database: walks, records, differences, problems."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Table, and_, delete, exists, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from billsmith.storage import changes, schema
from billsmith.storage.changes import Change
from billsmith.storage.schema_sync import sync_account as accounts_made
from billsmith.storage.schema_sync import sync_difference as differences_table
from billsmith.storage.schema_sync import sync_problem as problems_table
from billsmith.storage.schema_sync import sync_record as records
from billsmith.storage.schema_sync import sync_walk as walks
from billsmith.storage.sync_connections import VendorConnection

#: Problems kept of one connection; all of them are counted.
MAX_PROBLEMS = 10_000


class WalkState(StrEnum):
    """How a walk stands, or ended."""

    RUNNING = "running"
    COMPLETE = "complete"
    """It saw the whole list and understood all of it."""
    PARTIAL = "partial"
    """It ended, but not all of the list was seen or understood."""
    FAILED = "failed"
    """The vendor, the network or the store stopped it."""


class Counts(msgspec.Struct, kw_only=True):
    """What a walk did so far."""

    added: int = 0
    moved: int = 0
    unchanged: int = 0
    set_aside: int = 0
    unreadable: int = 0
    accounts_made: int = 0
    disappeared: int = 0

    @property
    def seen(self) -> int:
        """Records looked at."""
        return self.added + self.moved + self.unchanged + self.set_aside


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """One pass over a vendor's list."""

    seq: int
    id: str
    connection_seq: int
    state: WalkState
    code: str
    reason: str
    since: dt.date | None
    started_at: int
    ended_at: int | None
    mark: str | None
    resumed: int
    stated_total: int | None
    counts: Counts


class Record(NamedTuple):
    """An invoice at the vendor as the last walks left it."""

    hash: bytes
    invoice_seq: int | None
    disappeared: bool


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What a walk found changed at the vendor."""

    walk_seq: int
    vendor_key: str
    what: str
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A record that did not come in. ``place`` is its key at the vendor or, where that can't be read, where it stood."""

    place: str
    vendor_key: str | None
    path: str
    code: str
    message: str
    first_walk: int = 0
    last_walk: int = 0


_COUNTS = tuple(Counts.__struct_fields__)


def start_walk(connection: Connection, of: VendorConnection, *, id: str, since: dt.date | None, now: int) -> Walk:
    """A new walk, running."""
    connection.execute(
        insert(walks).values(
            id=id,
            connection_seq=of.seq,
            state=WalkState.RUNNING.value,
            code="",
            reason="",
            since=None if since is None else since.toordinal(),
            started_at=now,
            resumed=0,
            **dict.fromkeys(_COUNTS, 0),
        )
    )
    found = connection.execute(select(walks).where(walks.c.id == id)).one()
    return _walk(found)


def running_walk(connection: Connection, of: VendorConnection) -> Walk | None:
    """The walk of a connection that has not ended, if there is one."""
    query = select(walks).where(walks.c.connection_seq == of.seq, walks.c.state == WalkState.RUNNING.value)
    row = connection.execute(query.order_by(walks.c.seq.desc()).limit(1)).first()
    return None if row is None else _walk(row)


def last_walks(connection: Connection, of: VendorConnection, *, limit: int = 20, before: int | None = None) -> list[Walk]:
    """Walks of a connection, the newest first, those before a seq."""
    query = select(walks).where(walks.c.connection_seq == of.seq)
    if before is not None:
        query = query.where(walks.c.seq < before)
    return [_walk(row) for row in connection.execute(query.order_by(walks.c.seq.desc()).limit(limit))]


def walk_by_id(connection: Connection, of: VendorConnection, id: str) -> Walk | None:
    """A walk of a connection by its id."""
    row = connection.execute(select(walks).where(walks.c.id == id, walks.c.connection_seq == of.seq)).first()
    return None if row is None else _walk(row)


def walk_of(connection: Connection, seq: int) -> Walk:
    """A walk by the store's number."""
    return _walk(connection.execute(select(walks).where(walks.c.seq == seq)).one())


def go_on(connection: Connection, walk: Walk) -> Walk:
    """Mark an interrupted walk as resumed once more."""
    connection.execute(update(walks).where(walks.c.seq == walk.seq).values(resumed=walks.c.resumed + 1))
    return msgspec.structs.replace(walk, resumed=walk.resumed + 1)


def save_progress(connection: Connection, walk: Walk, *, counts: Counts, mark: str | None, stated_total: int | None) -> None:
    """How far a walk has come, in the transaction of what it wrote."""
    connection.execute(
        update(walks)
        .where(walks.c.seq == walk.seq)
        .values(mark=mark, stated_total=stated_total, **msgspec.structs.asdict(counts))
    )


def end_walk(
    connection: Connection,
    of: VendorConnection,
    walk: Walk,
    *,
    state: WalkState,
    counts: Counts,
    now: int,
    actor: str,
    code: str = "",
    reason: str = "",
) -> None:
    """A walk's end, and why it ended so."""
    connection.execute(
        update(walks)
        .where(walks.c.seq == walk.seq)
        .values(state=state.value, code=code, reason=reason, ended_at=now, mark=None, **msgspec.structs.asdict(counts))
    )
    facts = {"connection": of.id, "state": state.value, "added": counts.added, "moved": counts.moved, "code": code}
    changes.note(connection, Change("pull.ended", of.account_seq, walk.id, now, actor, facts))


def known_records(connection: Connection, of: VendorConnection, keys: Sequence[str]) -> dict[str, Record]:
    """What is known of records, by their keys at the vendor."""
    rows = connection.execute(
        select(records.c.vendor_key, records.c.hash, records.c.invoice_seq, records.c.disappeared_walk).where(
            records.c.connection_seq == of.seq, records.c.vendor_key.in_(keys)
        )
    )
    return {row.vendor_key: Record(bytes(row.hash), row.invoice_seq, row.disappeared_walk is not None) for row in rows}


def seen_in(connection: Connection, of: VendorConnection, walk: Walk, keys: Sequence[str]) -> set[str]:
    """Which of these keys the walk has met already."""
    query = select(records.c.vendor_key).where(
        records.c.connection_seq == of.seq, records.c.vendor_key.in_(keys), records.c.last_walk == walk.seq
    )
    return set(connection.execute(query).scalars())


def see_again(connection: Connection, of: VendorConnection, walk: Walk, keys: Sequence[str]) -> None:
    """These records are still at the vendor, and say what they said."""
    if keys:
        connection.execute(
            update(records)
            .where(records.c.connection_seq == of.seq, records.c.vendor_key.in_(keys))
            .values(last_walk=walk.seq, disappeared_walk=None)
        )


def keep_records(
    connection: Connection, of: VendorConnection, walk: Walk, rows: Mapping[str, tuple[bytes, int | None]]
) -> None:
    """What records say now, and which invoices of ours they are."""
    if not rows:
        return
    upsert = _insert(connection, records)
    upsert = upsert.on_conflict_do_update(
        index_elements=[records.c.connection_seq, records.c.vendor_key],
        set_={
            "hash": upsert.excluded.hash,
            "last_walk": upsert.excluded.last_walk,
            "disappeared_walk": None,
            # A record that once came in and now can't stays tied to its invoice.
            "invoice_seq": func.coalesce(upsert.excluded.invoice_seq, records.c.invoice_seq),
        },
    )
    connection.execute(
        upsert,
        [
            {
                "connection_seq": of.seq,
                "vendor_key": vendor_key,
                "hash": hash,
                "first_walk": walk.seq,
                "last_walk": walk.seq,
                "disappeared_walk": None,
                "invoice_seq": invoice_seq,
            }
            for vendor_key, (hash, invoice_seq) in sorted(rows.items())
        ],
    )


def count_seen(connection: Connection, of: VendorConnection, walk: Walk) -> int:
    """How many different records a walk has met: those kept, and those set aside that were never kept."""
    met = select(func.count()).select_from(records)
    kept = connection.execute(met.where(records.c.connection_seq == of.seq, records.c.last_walk == walk.seq)).scalar_one()
    known = exists().where(
        records.c.connection_seq == of.seq, records.c.vendor_key == problems_table.c.place, records.c.last_walk == walk.seq
    )
    aside = select(func.count()).select_from(problems_table)
    aside = aside.where(problems_table.c.connection_seq == of.seq, problems_table.c.last_walk == walk.seq, ~known)
    return int(kept + connection.execute(aside).scalar_one())


def note_disappeared(connection: Connection, of: VendorConnection, walk: Walk) -> int:
    """Mark what a complete walk no longer met; gives how many. Our invoices stay as they are."""
    gone = and_(records.c.connection_seq == of.seq, records.c.last_walk < walk.seq, records.c.disappeared_walk.is_(None))
    connection.execute(
        insert(differences_table).from_select(
            ["walk_seq", "connection_seq", "vendor_key", "what", "detail"],
            select(
                literal(walk.seq), records.c.connection_seq, records.c.vendor_key, literal("disappeared"), literal("")
            ).where(gone),
        )
    )
    return int(connection.execute(update(records).where(gone).values(disappeared_walk=walk.seq)).rowcount)


def note_differences(connection: Connection, of: VendorConnection, found: Iterable[Difference]) -> None:
    """Keep what a walk found changed; the same again changes nothing."""
    rows = [{"connection_seq": of.seq, **msgspec.structs.asdict(each)} for each in found]
    if rows:
        connection.execute(_insert(connection, differences_table).on_conflict_do_nothing(), rows)


def differences(connection: Connection, of: VendorConnection, walk_seq: int) -> Iterator[Difference]:
    """What one walk found changed, by key."""
    query = select(differences_table).where(
        differences_table.c.walk_seq == walk_seq, differences_table.c.connection_seq == of.seq
    )
    for row in connection.execute(query.order_by(differences_table.c.vendor_key, differences_table.c.what)):
        yield Difference(walk_seq=row.walk_seq, vendor_key=row.vendor_key, what=row.what, detail=row.detail)


def set_aside(connection: Connection, of: VendorConnection, walk: Walk, found: Sequence[Problem]) -> None:
    """Keep problems, :data:`MAX_PROBLEMS` at most; one for each place."""
    if not found:
        return
    kept = connection.execute(
        select(func.count()).select_from(problems_table).where(problems_table.c.connection_seq == of.seq)
    ).scalar_one()
    upsert = _insert(connection, problems_table)
    upsert = upsert.on_conflict_do_update(
        index_elements=[problems_table.c.connection_seq, problems_table.c.place],
        set_={name: upsert.excluded[name] for name in ("vendor_key", "path", "code", "message", "last_walk")},
    )
    room = max(MAX_PROBLEMS - kept, 0)
    if room < len(found):
        known = set(
            connection.execute(
                select(problems_table.c.place).where(
                    problems_table.c.connection_seq == of.seq, problems_table.c.place.in_([each.place for each in found])
                )
            ).scalars()
        )
        fresh = [each for each in found if each.place not in known][:room]
        found = [each for each in found if each.place in known] + fresh
    rows = {
        each.place: {
            **msgspec.structs.asdict(each),
            "connection_seq": of.seq,
            "first_walk": walk.seq,
            "last_walk": walk.seq,
        }
        for each in found
    }
    if rows:
        connection.execute(upsert, list(rows.values()))


def clear_problems(connection: Connection, of: VendorConnection, keys: Sequence[str]) -> None:
    """These records came in, or say nothing new: what was wrong with them no longer is."""
    if keys:
        connection.execute(
            delete(problems_table).where(problems_table.c.connection_seq == of.seq, problems_table.c.place.in_(keys))
        )


def clear_older_problems(connection: Connection, of: VendorConnection, walk: Walk) -> None:
    """A walk that saw the whole list met all problems that there still are."""
    connection.execute(
        delete(problems_table).where(problems_table.c.connection_seq == of.seq, problems_table.c.last_walk < walk.seq)
    )


def problems(connection: Connection, of: VendorConnection, *, after: str = "", limit: int = 500) -> list[Problem]:
    """Records set aside, by place, those after one."""
    query = select(problems_table).where(problems_table.c.connection_seq == of.seq, problems_table.c.place > after)
    return [_problem(row) for row in connection.execute(query.order_by(problems_table.c.place).limit(limit))]


def problems_without_record(connection: Connection, of: VendorConnection, *, limit: int) -> list[Problem]:
    """Records set aside of which nothing was ever kept, by place."""
    known = exists().where(records.c.connection_seq == of.seq, records.c.vendor_key == problems_table.c.place)
    query = select(problems_table).where(problems_table.c.connection_seq == of.seq, ~known)
    return [_problem(row) for row in connection.execute(query.order_by(problems_table.c.place).limit(limit))]


def problem_keys(connection: Connection, of: VendorConnection, keys: Sequence[str]) -> set[str]:
    """Which of these records are set aside."""
    query = select(problems_table.c.place).where(problems_table.c.connection_seq == of.seq, problems_table.c.place.in_(keys))
    return set(connection.execute(query).scalars())


def count_problems(connection: Connection, of: VendorConnection) -> int:
    """How many records are set aside."""
    query = select(func.count()).select_from(problems_table).where(problems_table.c.connection_seq == of.seq)
    return int(connection.execute(query).scalar_one())


def count_records(connection: Connection, of: VendorConnection) -> int:
    """How many records of a connection are known and still at the vendor."""
    query = select(func.count()).select_from(records)
    return int(
        connection.execute(query.where(records.c.connection_seq == of.seq, records.c.disappeared_walk.is_(None))).scalar_one()
    )


def note_accounts(connection: Connection, of: VendorConnection, account_ids: Sequence[str]) -> None:
    """Accounts that a pull made."""
    if not account_ids:
        return
    found = connection.execute(select(schema.account.c.seq).where(schema.account.c.id.in_(account_ids))).scalars()
    rows = [{"connection_seq": of.seq, "account_seq": seq} for seq in found]
    connection.execute(_insert(connection, accounts_made).on_conflict_do_nothing(), rows)


def _problem(row: Any) -> Problem:
    return Problem(
        place=row.place,
        vendor_key=row.vendor_key,
        path=row.path,
        code=row.code,
        message=row.message,
        first_walk=row.first_walk,
        last_walk=row.last_walk,
    )


def _walk(row: Any) -> Walk:
    return Walk(
        seq=row.seq,
        id=row.id,
        connection_seq=row.connection_seq,
        state=WalkState(row.state),
        code=row.code,
        reason=row.reason,
        since=None if row.since is None else dt.date.fromordinal(row.since),
        started_at=row.started_at,
        ended_at=row.ended_at,
        mark=row.mark,
        resumed=row.resumed,
        stated_total=row.stated_total,
        counts=Counts(**{name: getattr(row, name) for name in _COUNTS}),
    )


def _insert(connection: Connection, into: Table) -> Any:
    return sqlite_insert(into) if connection.dialect.name == "sqlite" else postgres_insert(into)
