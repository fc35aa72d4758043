"""``GET /v1/usage/unknown``: usage that nobody is billed for yet."""

from __future__ import annotations

import msgspec

from billsmith.accounts.authorisation import Scope
from billsmith.api.lookups import account_of_field
from billsmith.api.operations import Operation, QueryParameter
from billsmith.api.values import Id, Instant
from billsmith.storage.patience import may_take_long
from billsmith.units.instants import format_instant
from billsmith.usage.store import Unknown
from billsmith.wire.face import Call
from billsmith.workflows.ask_usage import accounts_below
from billsmith.workflows.unknown_usage import MAX_ROWS, counted_types, unknown


class SampleName(msgspec.Struct, frozen=True, kw_only=True):
    """The first of some events."""

    source: str
    id: str


class UnknownView(msgspec.Struct, frozen=True, kw_only=True):
    """Events in force of one sender, name and type, from the first to the last.

    ``account_id`` is null where no account at or below the sender's is called so; ``has_meter`` is false where no meter around
    the caller counts the type.
    """

    sender_id: Id
    account: str
    account_id: Id | None
    type: str
    has_meter: bool
    events: int
    first: Instant
    last: Instant
    sample: SampleName


class UnknownList(msgspec.Struct, frozen=True, kw_only=True):
    """Usage that nobody is billed for yet; ``complete`` is false where there is more than ``limit``."""

    items: list[UnknownView]
    complete: bool


def list_unknown(call: Call) -> UnknownList:
    """``GET /v1/usage/unknown``."""
    may_take_long()
    limit = call.parameters.integer("limit", 200, low=1, high=MAX_ROWS) or 200
    named = call.parameters.text("sender")
    with call.services.database.read() as connection:
        if named is None:
            senders = [each.id for each in accounts_below(connection, call.principal.account)]
        else:
            senders = [account_of_field(connection, call.principal, named, "sender").id]
        types = counted_types(connection, call.principal.account)
    found, more = unknown(call.services.current_usage, types, senders, limit)
    return UnknownList(items=[_view(each, types) for each in found], complete=not more)


def _view(each: Unknown, types: set[str]) -> UnknownView:
    return UnknownView(
        sender_id=each.owner,
        account=each.reference,
        account_id=each.account,
        type=each.type,
        has_meter=each.type in types,
        events=each.events,
        first=format_instant(each.first),
        last=format_instant(each.last),
        sample=SampleName(source=each.source, id=each.id),
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/usage/unknown",
        id="listUnknownUsage",
        tag="usage",
        summary="List usage that nobody is billed for yet",
        description=(
            "What accounts at or below the caller's sent, where the account is not known or no meter counts the type. It is "
            "kept, and counted and billed when the account or the meter appears."
        ),
        scope=Scope.USAGE_READ,
        query=(
            QueryParameter(
                name="sender",
                description="Only what this account sent.",
                schema={"type": "string", "minLength": 1, "maxLength": 128},
            ),
            QueryParameter(
                name="limit",
                description="How many at most.",
                schema={"type": "integer", "minimum": 1, "maximum": MAX_ROWS, "default": 200},
            ),
        ),
        answer=UnknownList,
        read=list_unknown,
    ),
)
