"""Drafts in the database: kept apart from what is issued, so that no list, face or count finds one."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from billsmith.storage import changes
from billsmith.storage.changes import Change
from billsmith.storage.schema_drafts import invoice_draft as table


class Draft(NamedTuple):
    """A draft as it is kept; the accounts by the store's numbers."""

    seq: int
    id: str
    issuer_seq: int
    recipient_seq: int
    body: str
    issue_at: int | None
    created_at: int
    updated_at: int
    updated_by: str


def add(connection: Connection, draft: Draft) -> Draft:
    """Keep a new draft; the store gives it its number."""
    values = {name: value for name, value in draft._asdict().items() if name != "seq"}
    made = _draft(connection.execute(insert(table).values(values).returning(table)).one())
    changes.note(connection, _noted("draft.kept", made))
    return made


def change(connection: Connection, draft: Draft) -> None:
    """Keep what a draft says now; the caller holds it locked."""
    values = {name: value for name, value in draft._asdict().items() if name not in ("seq", "id", "created_at")}
    connection.execute(update(table).where(table.c.seq == draft.seq).values(values))
    changes.note(connection, _noted("draft.changed", draft))


def remove(connection: Connection, draft: Draft) -> None:
    """Forget a draft that becomes a document; the caller holds it locked."""
    connection.execute(delete(table).where(table.c.seq == draft.seq))


def drop(connection: Connection, draft: Draft, *, now: int, actor: str) -> None:
    """Drop a draft; the caller holds it locked."""
    remove(connection, draft)
    changes.note(connection, _noted("draft.dropped", draft._replace(updated_at=now, updated_by=actor)))


def by_id(connection: Connection, id: str, *, lock: bool = False) -> Draft | None:
    """The draft with that id, whose-ever it is. Only for callers that check that."""
    query = select(table).where(table.c.id == id)
    row = connection.execute(query.with_for_update() if lock and connection.dialect.name == "postgresql" else query).first()
    return _draft(row) if row else None


def page(connection: Connection, issuer_seq: int, *, after: int = 0, limit: int = 100) -> list[Draft]:
    """The drafts of an issuer, oldest first, those after one."""
    query = select(table).where(table.c.issuer_seq == issuer_seq, table.c.seq > after).order_by(table.c.seq).limit(limit)
    return [_draft(row) for row in connection.execute(query)]


def to_issue(connection: Connection, now: int, *, limit: int = 100) -> list[Draft]:
    """The drafts whose time has come, the longest waiting first."""
    query = select(table).where(table.c.issue_at.is_not(None), table.c.issue_at <= now)
    return [_draft(row) for row in connection.execute(query.order_by(table.c.issue_at, table.c.seq).limit(limit))]


def _noted(kind: str, draft: Draft) -> Change:
    """A draft is its issuer's affair alone, so its rows are the issuer's."""
    return Change(kind, draft.issuer_seq, draft.id, draft.updated_at, draft.updated_by, {})


def _draft(row: Any) -> Draft:
    return Draft(*row)
