"""Catalogs in the database: every version of every part, and each text as it was applied. Nothing is ever changed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, or_, select
from sqlalchemy.exc import IntegrityError

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.accounts.model import Account
from billsmith.catalog.catalog import Catalog
from billsmith.catalog.reading import read_as
from billsmith.catalog.versions import KINDS, Comparison, Part, Shelf, shelf
from billsmith.catalog.writing import digest, text_of
from billsmith.metering.meter import Meter
from billsmith.storage import changes
from billsmith.storage.accounts import ancestors, stands_below
from billsmith.storage.changes import Change
from billsmith.storage.schema_billing import catalog_part as part_table
from billsmith.storage.schema_billing import catalog_version as table
from billsmith.units.errors import Busy, NotFound

_numbers = msgspec.json.Decoder(dict[str, int])
_offers = msgspec.json.Decoder(dict[str, dict[str, int]])

#: Parts of catalogs that a process remembers.
_MOST_READ = 4_096


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """A catalog version as it was applied. ``offers``: by kind and code, the version of each part that is offered."""

    code: str
    version: int
    currency: str
    hash: str
    source: str
    offers: dict[str, dict[str, int]]
    applied_at: int
    applied_by: str


def find(connection: Connection, issuer: Account, code: str, version: int | None = None) -> Applied | None:
    """A catalog version of an issuer; the newest unless one is named."""
    query = select(table).where(table.c.issuer_seq == issuer.seq, table.c.code == code).order_by(table.c.version.desc())
    row = connection.execute(query if version is None else query.where(table.c.version == version)).first()
    return _applied(row) if row else None


def get(connection: Connection, issuer: Account, code: str, version: int | None = None) -> Applied:
    """As :func:`find`, but raises :class:`NotFound`."""
    found = find(connection, issuer, code, version)
    if found is None:
        raise NotFound(
            "the issuer has no such catalog; `billsmith catalog apply FILE --issuer ISSUER` makes one",
            code="catalog.unknown",
        )
    return found


def newest(connection: Connection, issuer: Account) -> list[Applied]:
    """The newest version of each catalog of an issuer, by code."""
    rows = connection.execute(select(table).where(table.c.issuer_seq == issuer.seq).order_by(table.c.code, table.c.version))
    return list({row.code: _applied(row) for row in rows}.values())


def versions(connection: Connection, issuer: Account, code: str) -> list[Applied]:
    """Every version of a catalog, oldest first."""
    query = select(table).where(table.c.issuer_seq == issuer.seq, table.c.code == code)
    return [_applied(row) for row in connection.execute(query.order_by(table.c.version))]


def parts(connection: Connection, issuer: Account, code: str) -> list[Part]:
    """Every version of every part of a catalog, in the order in which they came."""
    query = select(part_table).where(part_table.c.issuer_seq == issuer.seq, part_table.c.catalog == code)
    return [_part(row) for row in connection.execute(query.order_by(part_table.c.seq))]


def types_around(connection: Connection, account: Account) -> set[str]:
    """The event types that meters of catalogs count: of an account, of those above it, of those below it."""
    query = select(part_table).where(
        part_table.c.kind == "meter",
        or_(part_table.c.issuer_seq.in_(ancestors(account.path)), stands_below(part_table.c.issuer_seq, account)),
    )
    return {_part(row).value.event_type for row in connection.execute(query)}


def load(connection: Connection, issuer: Account, code: str, version: int | None = None) -> Shelf:
    """A catalog as billing reads it: every part, with what a version offers (the newest unless one is named).

    Parts that came later are there too: an agreement that was changed with effect before may name them, and a document of that
    time is rated anew and explained by it. Raises :class:`NotFound`.
    """
    applied = get(connection, issuer, code, version)
    return shelf(code, applied.version, applied.currency, parts(connection, issuer, code), applied.offers)


def meters(connection: Connection) -> list[Meter]:
    """Every version of every meter of every catalog: what may be billed by, and so what the usage store keeps counted."""
    query = select(part_table).where(part_table.c.kind == "meter").order_by(part_table.c.seq)
    return [_part(row).value for row in connection.execute(query)]


def latest_part(connection: Connection) -> int:
    """A number that grows with every new version of anything in any catalog."""
    return int(connection.execute(select(func.coalesce(func.max(part_table.c.seq), 0))).scalar_one())


def add(
    connection: Connection,
    issuer: Account,
    catalog: Catalog,
    found: Comparison,
    source: str,
    *,
    version: int,
    now: int,
    actor: str,
) -> None:
    """Keep a catalog version with its new parts. Raises :class:`Busy` where another writer just took the version."""
    try:
        connection.execute(
            insert(table).values(
                issuer_seq=issuer.seq,
                code=catalog.code,
                version=version,
                currency=catalog.currency,
                hash=digest(source),
                source=source,
                offers=msgspec.json.encode(found.offers).decode(),
                applied_at=now,
                applied_by=actor,
            )
        )
    except IntegrityError as error:
        raise Busy("another catalog was applied just now; try again", code="catalog.at_work") from error
    if found.new_parts:
        connection.execute(insert(part_table), [_row(issuer, catalog.code, part) for part in found.new_parts])
    facts = {"version": version, "new_parts": len(found.new_parts)}
    changes.note(connection, Change("catalog.applied", issuer.seq, catalog.code, now, actor, facts))


def _row(issuer: Account, code: str, part: Part) -> dict[str, Any]:
    return {
        "issuer_seq": issuer.seq,
        "catalog": code,
        "kind": part.kind,
        "code": part.code,
        "version": part.version,
        "since": part.since,
        "digest": part.digest,
        "meters": msgspec.json.encode(part.meters).decode(),
        "body": text_of(part.value),
    }


def _part(row: Any) -> Part:
    return Part(
        kind=row.kind,
        code=row.code,
        version=row.version,
        since=row.since,
        digest=row.digest,
        meters=_numbers.decode(row.meters),
        value=_read(row.kind, row.body, f"{row.catalog}/{row.code}"),
    )


@lru_cache(maxsize=_MOST_READ)
def _read(kind: str, body: str, name: str) -> Any:
    """A part's value. A part never changes and takes milliseconds to read, so it is read once."""
    return read_as(KINDS[kind], body, name)


def _applied(row: Any) -> Applied:
    return Applied(
        code=row.code,
        version=row.version,
        currency=row.currency,
        hash=row.hash,
        source=row.source,
        offers=_offers.decode(row.offers),
        applied_at=row.applied_at,
        applied_by=row.applied_by,
    )
