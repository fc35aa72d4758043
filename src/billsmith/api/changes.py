"""``/v1/changes``: the change log, as far as it is about the caller's account and those below it."""

from __future__ import annotations

import msgspec

from billsmith.accounts.authorisation import Principal, Scope
from billsmith.accounts.model import Account
from billsmith.api import cursors
from billsmith.api.operations import Operation, QueryParameter, bound_to, limit_of, list_parameters
from billsmith.api.values import Id, Instant
from billsmith.storage import change_log
from billsmith.storage.change_kinds import KINDS, check_filter, expand
from billsmith.storage.change_log import Entry
from billsmith.storage.database import Connection
from billsmith.storage.upgrade import cursor_key
from billsmith.units.errors import Invalid
from billsmith.units.ids import parse_id
from billsmith.units.instants import format_instant
from billsmith.wire.face import Call


class ChangeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change: what happened to what, when, and what was true then. ``subject`` is the id or code of what changed.

    ``actor`` is who did it; null where that is another account's affair. ``digest`` seals the row to the one before it.
    """

    id: Id
    at: Instant
    kind: str
    account_id: Id
    subject: str
    actor: str | None
    facts: msgspec.Raw
    digest: str


class ChangePage(msgspec.Struct, frozen=True, kw_only=True):
    """Changes, oldest first, and the cursor of the next page (null: this is the last)."""

    items: list[ChangeEntry]
    next_cursor: str | None


def list_changes(call: Call) -> ChangePage:
    """``GET /v1/changes``."""
    parameters, limit, own = call.parameters, limit_of(call.parameters), call.principal.account
    kinds = check_filter((parameters.text("kind") or "").split(",")) if "kind" in parameters else ()
    with call.services.database.read() as connection:
        secret = cursor_key(connection)
        after = parameters.text("after")
        cursor = parameters.text("cursor")
        seen = cursors.read(secret, bound_to(call), cursor) if cursor is not None else after
        found = change_log.page(
            connection,
            own,
            after_seq=0 if seen is None else _seq(connection, own, seen),
            kinds=expand(kinds) if kinds else (),
            subject=parameters.text("subject"),
            limit=limit + 1,
        )
        items = views(connection, call.principal, found[:limit])
    more = len(found) > limit
    return ChangePage(items=items, next_cursor=cursors.write(secret, bound_to(call), items[-1].id) if more else None)


def _seq(connection: Connection, own: Account, id: str) -> int:
    canonical = parse_id(id)
    found = None if canonical is None else change_log.by_id(connection, canonical, own)
    if found is None:
        raise Invalid("no such change at or below this account", code="change.unknown", where="after")
    return found.seq


def views(connection: Connection, principal: Principal, entries: list[Entry]) -> list[ChangeEntry]:
    """Changes as a caller may see them."""
    shown = change_log.whose_actor_is_shown(connection, principal.account, entries)
    return [
        ChangeEntry(
            id=each.id,
            at=format_instant(each.at),
            kind=each.kind,
            account_id=each.account_id,
            subject=each.subject,
            actor=each.actor if each.id in shown else None,
            facts=msgspec.Raw(each.facts.encode()),
            digest=each.digest.hex(),
        )
        for each in entries
    ]


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/changes",
        id="listChanges",
        tag="changes",
        summary="List what changed, and who did it",
        description="Oldest first. To follow the log, ask for what came `after` the last change that was seen.",
        scope=Scope.CHANGES_READ,
        query=(
            *list_parameters(),
            QueryParameter(
                name="after",
                description="The id of the last change that was seen.",
                schema={"type": "string", "format": "uuid"},
            ),
            QueryParameter(
                name="kind",
                description="Only of these kinds; `invoice.*` is all of an area.",
                schema={"type": "array", "items": {"type": "string", "examples": ["invoice.issued"]}, "maxItems": len(KINDS)},
                many=True,
            ),
            QueryParameter(
                name="subject",
                description="Only about this: an id, or a code.",
                schema={"type": "string", "minLength": 1, "maxLength": 160},
            ),
        ),
        answer=ChangePage,
        read=list_changes,
    ),
)
