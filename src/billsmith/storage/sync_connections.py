"""Connections to vendors in the database: made, found, leased to one run at a time, removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from billsmith.accounts.model import Account
from billsmith.storage import changes
from billsmith.storage import schema_sync as schema
from billsmith.storage.accounts import rows_below
from billsmith.storage.changes import Change
from billsmith.storage.schema_sync import sync_connection as table
from billsmith.units.errors import Busy, Conflict, Invalid, NotFound
from billsmith.units.ids import parse_id
from billsmith.units.instants import MINUTE, SECOND

#: How long a run that says nothing keeps others out.
LEASE = 5 * MINUTE

_options = msgspec.json.Decoder(dict[str, Any])


class VendorConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's list that is pulled into one account of ours.

    ``options`` are the vendor's own (its address, the client's id, …); ``secret_from`` says where the secret is read from
    (``env:NAME``, ``file:PATH``, ``keyring:NAME``), and is empty where it is ``sealed`` in the store.
    """

    seq: int
    id: str
    name: str
    vendor: str
    account_seq: int
    options: Mapping[str, Any]
    secret_from: str
    sealed: bytes | None
    every_minutes: int | None
    due_at: int | None
    created_at: int
    watermark_walk: int | None
    lease_holder: str | None
    lease_until: int | None


class NewConnection(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection is made of."""

    id: str
    name: str
    vendor: str
    options: Mapping[str, Any]
    secret_from: str = ""
    sealed: bytes | None = None
    every_minutes: int | None = None


def create(
    connection: Connection, account: Account, new: NewConnection, now: int, actor: str = "command line"
) -> VendorConnection:
    """Keep a new connection. Raises :class:`Conflict` when the name is taken."""
    taken = Conflict(f"there is a connection {new.name!r} already; take another name", code="sync.name_taken", where="name")
    if connection.execute(select(table.c.seq).where(table.c.account_seq == account.seq, table.c.name == new.name)).first():
        raise taken
    values = {
        "id": new.id,
        "name": new.name,
        "vendor": new.vendor,
        "account_seq": account.seq,
        "options": msgspec.json.encode(new.options, order="sorted").decode(),
        "secret_from": new.secret_from,
        "sealed": new.sealed,
        "every_minutes": new.every_minutes,
        "due_at": now if new.every_minutes else None,
        "created_at": now,
    }
    try:
        connection.execute(insert(table).values(values))
    except IntegrityError as error:
        raise taken from error
    facts = {"name": new.name, "vendor": new.vendor}
    changes.note(connection, Change("connection.created", account.seq, new.id, now, actor, facts))
    return get(connection, new.id)


def get(connection: Connection, name: str, within: Account | None = None) -> VendorConnection:
    """The connection of a name or id, of an account at or below ``within``. Raises :class:`NotFound`, :class:`Invalid` where
    several accounts have one of that name."""
    found = find(connection, name, within)
    if found is None:
        raise NotFound(f"no connection {name[:64]!r}; `billsmith sync list` shows them", code="sync.unknown")
    return found


def find(connection: Connection, name: str, within: Account | None = None) -> VendorConnection | None:
    """As :func:`get`, but ``None`` where there is none."""
    canonical = parse_id(name)
    wanted = table.c.name == name
    query = rows_below(table, within).where((table.c.id == canonical) | wanted if canonical else wanted)
    rows = connection.execute(query.order_by(table.c.seq).limit(2)).all()
    if len(rows) > 1:
        raise Invalid(f"several accounts have a connection {name!r}; name it by its id", code="sync.ambiguous")
    return _connection(rows[0]) if rows else None


def page(connection: Connection, within: Account, *, after: VendorConnection | None, limit: int) -> list[VendorConnection]:
    """Connections of accounts at or below ``within``, oldest first, those after one."""
    query = rows_below(table, within).order_by(table.c.seq).limit(limit)
    if after is not None:
        query = query.where(table.c.seq > after.seq)
    return [_connection(row) for row in connection.execute(query)]


def every(connection: Connection, within: Account | None = None) -> list[VendorConnection]:
    """All connections of accounts at or below ``within``, by name."""
    return [_connection(row) for row in connection.execute(rows_below(table, within).order_by(table.c.name))]


def due(connection: Connection, now: int) -> list[VendorConnection]:
    """Connections whose time has come, the longest waiting first."""
    query = select(table).where(table.c.due_at.is_not(None), table.c.due_at <= now).order_by(table.c.due_at, table.c.seq)
    return [_connection(row) for row in connection.execute(query)]


def set_due(connection: Connection, of: VendorConnection, at: int | None) -> None:
    """When the connection is to be pulled next; ``None``: when somebody asks for it."""
    connection.execute(update(table).where(table.c.seq == of.seq).values(due_at=at))


def ask(connection: Connection, of: VendorConnection, now: int, actor: str) -> None:
    """Somebody wants the connection to be pulled now."""
    set_due(connection, of, now)
    changes.note(connection, Change("connection.asked", of.account_seq, of.id, now, actor, {"name": of.name}))


def set_sealed(connection: Connection, of: VendorConnection, sealed: bytes) -> None:
    """Keep another secret, sealed."""
    connection.execute(update(table).where(table.c.seq == of.seq).values(sealed=sealed))


def set_secret(
    connection: Connection, of: VendorConnection, secret_from: str, sealed: bytes | None, now: int, actor: str
) -> None:
    """Keep another secret in the place of the one there, sealed or by where it is read from."""
    connection.execute(update(table).where(table.c.seq == of.seq).values(secret_from=secret_from, sealed=sealed))
    changes.note(connection, Change("connection.secret_renewed", of.account_seq, of.id, now, actor, {"name": of.name}))


def reseal(connection: Connection, of: VendorConnection, sealed: bytes, now: int, actor: str) -> None:
    """Keep the same secret, sealed with another key."""
    set_sealed(connection, of, sealed)
    changes.note(connection, Change("connection.rekeyed", of.account_seq, of.id, now, actor, {"name": of.name}))


def remove(connection: Connection, of: VendorConnection, now: int, actor: str) -> None:
    """Forget a connection, its secret and what its walks met. The invoices stay."""
    for each in (schema.sync_record, schema.sync_difference, schema.sync_problem, schema.sync_account, schema.sync_walk):
        connection.execute(delete(each).where(each.c.connection_seq == of.seq))
    connection.execute(delete(table).where(table.c.seq == of.seq))
    changes.note(connection, Change("connection.removed", of.account_seq, of.id, now, actor, {"name": of.name}))


def take_lease(connection: Connection, of: VendorConnection, holder: str, now: int, *, from_dead: str | None = None) -> None:
    """Make ``holder`` the only one who may write for a connection. ``from_dead`` is a holder known to be gone.

    Raises :class:`Busy` while another holds it.
    """
    free = (
        table.c.lease_holder.is_(None)
        | (table.c.lease_until <= now)
        | (table.c.lease_holder == holder)
        | (table.c.lease_holder == from_dead)
    )
    taken = connection.execute(
        update(table).where(table.c.seq == of.seq, free).values(lease_holder=holder, lease_until=now + LEASE)
    )
    if not taken.rowcount:
        seconds = -(-((of.lease_until or now) - now) // SECOND)
        raise Busy(
            f"another run of {of.name!r} is at work; try again when it has ended",
            code="sync.at_work",
            retry_after=max(1, int(seconds)),
        )


def keep_lease(connection: Connection, of: VendorConnection, holder: str, now: int) -> None:
    """Hold on to the lease in the transaction of a write. Raises :class:`Busy` where another run took it over."""
    kept = connection.execute(
        update(table).where(table.c.seq == of.seq, table.c.lease_holder == holder).values(lease_until=now + LEASE)
    )
    if not kept.rowcount:
        raise Busy(f"another run of {of.name!r} took over; this one stops", code="sync.lease_lost")


def drop_lease(connection: Connection, of: VendorConnection, holder: str) -> None:
    """Let others run."""
    connection.execute(
        update(table).where(table.c.seq == of.seq, table.c.lease_holder == holder).values(lease_holder=None, lease_until=None)
    )


def set_watermark(connection: Connection, of: VendorConnection, walk_seq: int) -> None:
    """The last walk that saw the whole list."""
    connection.execute(update(table).where(table.c.seq == of.seq).values(watermark_walk=walk_seq))


def _connection(row: Any) -> VendorConnection:
    return VendorConnection(
        seq=row.seq,
        id=row.id,
        name=row.name,
        vendor=row.vendor,
        account_seq=row.account_seq,
        options=_options.decode(row.options),
        secret_from=row.secret_from,
        sealed=None if row.sealed is None else bytes(row.sealed),
        every_minutes=row.every_minutes,
        due_at=row.due_at,
        created_at=row.created_at,
        watermark_walk=row.watermark_walk,
        lease_holder=row.lease_holder,
        lease_until=row.lease_until,
    )
