"""Meters in the database: an account's, version by version. Nothing is ever changed."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, or_, select
from sqlalchemy.exc import IntegrityError

from billsmith.accounts.model import Account
from billsmith.metering.meter import Meter
from billsmith.storage import changes
from billsmith.storage.accounts import ancestors, stands_below
from billsmith.storage.changes import Change
from billsmith.storage.schema_usage import meter_version as table
from billsmith.units.errors import Busy

_meters = msgspec.json.Decoder(Meter)


class Metered(msgspec.Struct, frozen=True, kw_only=True):
    """A meter's version: whose it is, and from when events count (``None``: all)."""

    account_seq: int
    meter: Meter
    counts_from: int | None
    created_at: int
    actor: str


def find(connection: Connection, account: Account, code: str, version: int | None = None) -> Metered | None:
    """A meter by its code, the newest version unless one is named: the account's own, else of the nearest above it."""
    query = select(table).where(table.c.account_seq.in_(ancestors(account.path)), table.c.code == code)
    if version is not None:
        query = query.where(table.c.version == version)
    rows = [_metered(row) for row in connection.execute(query)]
    depth = {seq: place for place, seq in enumerate(ancestors(account.path))}
    return max(rows, key=lambda each: (depth[each.account_seq], each.meter.version), default=None)


def newest(connection: Connection, account: Account) -> list[Metered]:
    """The newest version of each of an account's own meters, by code."""
    rows = connection.execute(select(table).where(table.c.account_seq == account.seq).order_by(table.c.code, table.c.version))
    return list({row.code: _metered(row) for row in rows}.values())


def versions(connection: Connection, account_seq: int, code: str) -> list[Metered]:
    """All versions of a meter, the oldest first."""
    query = select(table).where(table.c.account_seq == account_seq, table.c.code == code).order_by(table.c.version)
    return [_metered(row) for row in connection.execute(query)]


def types_around(connection: Connection, account: Account) -> set[str]:
    """The event types that any version of a meter counts: of an account, of those above it, of those below it."""
    query = select(table.c.body).where(
        or_(table.c.account_seq.in_(ancestors(account.path)), stands_below(table.c.account_seq, account))
    )
    return {_meters.decode(row.body).event_type for row in connection.execute(query)}


def every(connection: Connection) -> list[Meter]:
    """The newest version of every meter of every account: what the usage store keeps counted."""
    newest_of = (
        select(table.c.account_seq, table.c.code, func.max(table.c.version).label("version"))
        .group_by(table.c.account_seq, table.c.code)
        .subquery()
    )
    query = select(table.c.body).join(
        newest_of,
        (table.c.account_seq == newest_of.c.account_seq)
        & (table.c.code == newest_of.c.code)
        & (table.c.version == newest_of.c.version),
    )
    return [_meters.decode(row.body) for row in connection.execute(query.order_by(table.c.seq))]


def latest(connection: Connection) -> int:
    """A number that grows with every new version of any meter."""
    return int(connection.execute(select(func.coalesce(func.max(table.c.seq), 0))).scalar_one())


def add(connection: Connection, account: Account, meter: Meter, *, counts_from: int | None, now: int, actor: str) -> Metered:
    """Add a version. Raises :class:`Busy` where another writer added it at the same time."""
    values = {
        "account_seq": account.seq,
        "code": meter.code,
        "version": meter.version,
        "body": msgspec.json.encode(meter).decode(),
        "counts_from": counts_from,
        "created_at": now,
        "actor": actor,
    }
    try:
        connection.execute(insert(table).values(values))
    except IntegrityError:
        raise Busy("another change of this meter came in between; try again", code="store.locked") from None
    changes.note(connection, Change("meter.defined", account.seq, meter.code, now, actor, {"version": meter.version}))
    return Metered(account_seq=account.seq, meter=meter, counts_from=counts_from, created_at=now, actor=actor)


def _metered(row: Any) -> Metered:
    return Metered(
        account_seq=row.account_seq,
        meter=_meters.decode(row.body),
        counts_from=row.counts_from,
        created_at=row.created_at,
        actor=row.actor,
    )
