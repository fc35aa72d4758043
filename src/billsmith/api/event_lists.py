"""``GET /v1/events``: single events, page by page; ``GET /v1/events/history``: what became of one."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from billsmith.accounts.authorisation import Scope
from billsmith.api.event_shapes import EventContents, contents, counted_by
from billsmith.api.lookups import account_of_field
from billsmith.api.operations import Operation, QueryParameter, bound_to, limit_of, list_parameters
from billsmith.api.states import AS_OF_SEQ, State, asked, shown
from billsmith.api.usage import ACCOUNT, FILTER, FROM, TO, read_filter, read_span
from billsmith.api.values import Id
from billsmith.events.event import DEFAULT_SOURCE
from billsmith.storage.database import Connection
from billsmith.storage.patience import may_take_long
from billsmith.units.errors import Invalid
from billsmith.usage.store import Entry, Kept, Place, Selection
from billsmith.wire.face import Call
from billsmith.workflows.ask_usage import accounts_below, check_period

#: Characters of a cursor: it holds the source and the id of an event.
MAX_CURSOR = 4096


class EventView(EventContents, frozen=True, kw_only=True):
    """An event in force. ``account_id`` is whom it bills (null: nobody yet)."""

    account_id: Id | None


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events by their time, source and id, all as of one state ``seq``, and the cursor of the next page (null: the last)."""

    items: list[EventView]
    next_cursor: str | None
    seq: State


class Became(StrEnum):
    """What a row of a history says of its contents."""

    IN_FORCE = "in force"
    TAKEN_BACK = "taken back"


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """Contents of an event that came into force, or were taken back, with the state of usage after that."""

    became: Became
    event: EventContents
    seq: State


class History(msgspec.Struct, frozen=True, kw_only=True):
    """All that became of an event, oldest first; nothing where the sender never sent it."""

    items: list[EntryView]


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a list goes on, and in which state of usage."""

    seq: int
    place: Place


_cursors = msgspec.msgpack.Decoder(_Cursor)


def list_events(call: Call) -> EventPage:
    """``GET /v1/events``."""
    may_take_long()
    limit = limit_of(call.parameters)
    with call.services.database.read() as connection:
        selection = _selection(connection, call)
    cursor = _read_cursor(call)
    as_of, store = asked(call), call.services.current_usage
    seq = cursor.seq if cursor else store.watermark() if as_of is None else as_of
    found = store.events(
        msgspec.structs.replace(selection, as_of_seq=seq), after=cursor.place if cursor else None, limit=limit + 1
    )
    more = len(found) > limit
    return EventPage(
        items=[_view(each) for each in found[:limit]],
        next_cursor=_write_cursor(call, seq, found[limit - 1]) if more else None,
        seq=shown(call, seq),
    )


def get_history(call: Call) -> History:
    """``GET /v1/events/history``."""
    may_take_long()
    id = call.parameters.text("id") or ""
    with call.services.database.read() as connection:
        sender = account_of_field(connection, call.principal, call.parameters.text("sender"), "sender")
    found = call.services.current_usage.history(sender.id, call.parameters.text("source") or DEFAULT_SOURCE, id)
    return History(items=[_entry(call, each) for each in found])


def _selection(connection: Connection, call: Call) -> Selection:
    """What the parameters select, of what the caller may see: what bills its branch, or what an account of it sent."""
    parameters = call.parameters
    account, sender = parameters.text("account"), parameters.text("sender")
    named = None if account is None else account_of_field(connection, call.principal, account, "account")
    sent_by = None if sender is None else account_of_field(connection, call.principal, sender, "sender")
    if named is not None:
        accounts: tuple[str, ...] | None = (named.id,)
    elif sent_by is not None:
        accounts = None
    else:
        accounts = tuple(each.id for each in accounts_below(connection, call.principal.account))
    period = read_span(call, (named or call.principal.account).time_zone)
    check_period(period)
    selection = Selection(
        owner="" if sent_by is None else sent_by.id,
        source=parameters.text("source") or "",
        type=parameters.text("type") or "",
        reference=parameters.text("reference") or "",
        accounts=accounts,
        period=period,
        where=read_filter(call),
    )
    meter = parameters.text("meter")
    return selection if meter is None else counted_by(connection, call.principal.account, meter, selection, "meter")


def _read_cursor(call: Call) -> _Cursor | None:
    text = call.parameters.text("cursor", MAX_CURSOR)
    if text is None:
        return None
    content = call.services.states.open(call.services.database, _bound_to(call), text)
    if content is None:
        raise Invalid(
            "the cursor is not one of this list with these filters; start again without it", code="input.cursor", where="cursor"
        )
    return _cursors.decode(content)


def _write_cursor(call: Call, seq: int, last: Kept) -> str:
    event = last.event
    content = msgspec.msgpack.encode(_Cursor(seq, (event.time, event.source, event.id, event.owner)))
    return call.services.states.seal(call.services.database, _bound_to(call), content)


def _bound_to(call: Call) -> str:
    return msgspec.json.encode(bound_to(call)).decode()


def _view(kept: Kept) -> EventView:
    return EventView(**msgspec.structs.asdict(contents(kept.event)), account_id=kept.account)


def _entry(call: Call, entry: Entry) -> EntryView:
    became = Became.IN_FORCE if entry.sign > 0 else Became.TAKEN_BACK
    return EntryView(became=became, event=contents(entry.event), seq=shown(call, entry.seq))


def _text(name: str, description: str, most: int = 256) -> QueryParameter:
    return QueryParameter(name=name, description=description, schema={"type": "string", "minLength": 1, "maxLength": most})


_SENDER = _text("sender", "The account that sent them, at or below the caller's; then also those that bill nobody yet.", 128)
_LIMIT, _ = list_parameters()

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/events",
        id="listEvents",
        tag="usage",
        summary="List events",
        description=(
            "Events in force that bill the caller's account or one below it, or that `sender` sent; by time, source and id. "
            "All pages are of the state of the first: events that come meanwhile move nothing."
        ),
        scope=Scope.USAGE_READ,
        query=(
            FROM,
            TO,
            ACCOUNT,
            _SENDER,
            _text("type", "Only events of this type."),
            _text("meter", "Only events that this meter counts.", 64),
            _text("source", "Only events of this source."),
            _text("reference", "Only events that call their account so."),
            FILTER,
            AS_OF_SEQ,
            _LIMIT,
            _text("cursor", "The `next_cursor` of the page before, with the same filters.", MAX_CURSOR),
        ),
        answer=EventPage,
        read=list_events,
    ),
    Operation(
        method="GET",
        path="/v1/events/history",
        id="getEventHistory",
        tag="usage",
        summary="Get all that became of an event",
        scope=Scope.USAGE_READ,
        query=(
            msgspec.structs.replace(_text("id", "The event's id."), required=True),
            _text("source", f"Its source ({DEFAULT_SOURCE})."),
            _text("sender", "The account that sent it, at or below the caller's (the caller's).", 128),
        ),
        answer=History,
        read=get_history,
    ),
)
