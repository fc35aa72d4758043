"""``/v1/events/void``, ``/v1/events/replace`` and ``/v1/events/corrections``: usage that was sent wrong."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from billsmith.accounts.authorisation import Scope, may_reach
from billsmith.accounts.model import Account
from billsmith.api import cursors
from billsmith.api.event_shapes import (
    Dimension,
    EventContents,
    EventFilter,
    EventId,
    Reference,
    Source,
    contents,
    selection_of,
)
from billsmith.api.lookups import account_of_field
from billsmith.api.meters import EventType, Name, Number
from billsmith.api.operations import Made, Operation, bound_to, limit_of, list_parameters
from billsmith.api.states import State, shown
from billsmith.api.values import AccountName, Id, Instant, Text, instant_text
from billsmith.events.change import Change
from billsmith.events.event import DEFAULT_SOURCE, Event
from billsmith.storage import accounts, corrections
from billsmith.storage.corrections import Correction, Summary
from billsmith.storage.database import Connection
from billsmith.storage.patience import may_take_long
from billsmith.storage.upgrade import cursor_key
from billsmith.units.errors import Invalid, NotFound
from billsmith.units.ids import parse_id
from billsmith.units.instants import format_instant, parse_instant
from billsmith.units.rounding import plain
from billsmith.wire.face import Call
from billsmith.wire.json import RawDecimal, exact
from billsmith.workflows import corrections as workflow
from billsmith.workflows.corrections import MAX_MATCHED, MAX_NAMED, Corrected, Kind, LeftAlone, What, what_of
from billsmith.workflows.new_ids import new_id


class EventName(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event by its name: with the sender, this is its identity."""

    id: EventId
    source: Source = DEFAULT_SOURCE


class EventBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event as it should have been sent, whole. ``time`` is RFC 3339, with up to nine digits of a second."""

    id: EventId
    source: Source = DEFAULT_SOURCE
    type: EventType
    account: Reference
    time: Instant
    value: RawDecimal | UnsetType = UNSET
    dimensions: dict[Name, Dimension] = {}


class EventChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is changed of the events that a filter has. Dimensions are set by name; null takes one away."""

    account: Reference | None = None
    type: EventType | None = None
    value: RawDecimal | UnsetType = UNSET
    dimensions: Annotated[dict[Name, Dimension | None], msgspec.Meta(max_length=32)] = {}


Expected = Annotated[int, msgspec.Meta(ge=0, le=MAX_MATCHED)]


class VoidBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events to take back: named, or by a filter. Unless it is a dry run, ``expected`` says how many that one counted.

    ``sender`` is the account that sent them, the caller's unless given.
    """

    sender: AccountName | None = None
    events: Annotated[list[EventName], msgspec.Meta(max_length=MAX_NAMED)] = []
    filter: EventFilter | None = None
    dry_run: bool = False
    expected: Expected | None = None
    reason: Text = ""


class ReplaceBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events to replace: each given as it should have been, or a change to all that a filter has. Else as for voiding."""

    sender: AccountName | None = None
    events: Annotated[list[EventBody], msgspec.Meta(max_length=MAX_NAMED)] = []
    filter: EventFilter | None = None
    change: EventChange | None = None
    dry_run: bool = False
    expected: Expected | None = None
    reason: Text = ""


class SampleView(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it is in force, and as it would be (null: not at all)."""

    event: EventContents | None
    becomes: EventContents | None


class FilterView(msgspec.Struct, frozen=True, kw_only=True):
    """The filter of a correction, with all that a meter stood for."""

    start: Instant
    end: Instant
    account_id: Id | None
    reference: str
    type: str
    source: str
    where: dict[str, list[str]]
    unless: dict[str, list[str]]


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """What a correction changes of the events of its filter."""

    account: str | None
    type: str | None
    value: Number | None
    dimensions: dict[str, str | None]


class CorrectionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A correction in short. ``matched`` events are to be corrected as of ``as_of_seq``; ``changed`` of them were.

    Those of a filter that say so already, or would be beyond a limit, are not changed. A dry run has no id.
    """

    id: Id | None
    kind: Kind
    state: str
    sender_id: Id
    reason: str
    expected: int | None
    matched: int | None
    changed: int
    as_of_seq: State | None
    seq: State | None
    created_at: Instant
    finished_at: Instant | None
    actor: str


class LeftAloneView(EventName, frozen=True, kw_only=True):
    """An event that is not changed, because it would be beyond a limit: which."""

    code: str
    reason: str


class CorrectionView(CorrectionSummary, frozen=True, kw_only=True):
    """A correction, made or tried, with what was asked. A dry run has a ``sample``, and those ``missing``: never sent.

    ``left_alone`` are the first of those that would be beyond a limit.
    """

    events: list[EventName]
    filter: FilterView | None
    change: ChangeView | None
    missing: list[EventName] = []
    sample: list[SampleView] = []
    left_alone: list[LeftAloneView] = []


class CorrectionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Corrections of what accounts at or below the caller's sent, the newest first, and the cursor of the next page."""

    items: list[CorrectionSummary]
    next_cursor: str | None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What a request for a correction left in the database; no id: it was a dry run."""

    id: str | None


_recorded = msgspec.json.Decoder(Recorded)


def void_events(connection: Connection, call: Call, body: VoidBody) -> Made:
    """``POST /v1/events/void``: note it; :func:`follow_void` does it."""
    return _record(connection, call, Kind.VOID, body, _voided(connection, call, body))


def replace_events(connection: Connection, call: Call, body: ReplaceBody) -> Made:
    """``POST /v1/events/replace``: note it; :func:`follow_replace` does it."""
    return _record(connection, call, Kind.REPLACE, body, _replaced(connection, call, body))


def follow_void(call: Call, body: VoidBody, recorded: bytes) -> CorrectionView:
    """Take the events back, or count them."""
    return _follow(call, Kind.VOID, body, recorded, _voided)


def follow_replace(call: Call, body: ReplaceBody, recorded: bytes) -> CorrectionView:
    """Replace the events, or count them."""
    return _follow(call, Kind.REPLACE, body, recorded, _replaced)


def list_corrections(call: Call) -> CorrectionPage:
    """``GET /v1/events/corrections``."""
    limit, cursor = limit_of(call.parameters), call.parameters.text("cursor")
    with call.services.database.read() as connection:
        secret = cursor_key(connection)
        last = None if cursor is None else corrections.by_id(connection, cursors.read(secret, bound_to(call), cursor))
        found = corrections.page(connection, call.principal.account, before=None if last is None else last.seq, limit=limit + 1)
        senders = accounts.by_seqs(connection, {each.sender_seq for each in found})
    more = len(found) > limit
    return CorrectionPage(
        items=[_summary(call, each, senders[each.sender_seq]) for each in found[:limit]],
        next_cursor=cursors.write(secret, bound_to(call), found[limit - 1].id) if more else None,
    )


def get_correction(call: Call) -> CorrectionView:
    """``GET /v1/events/corrections/{correction}``."""
    may_take_long()  # what was left alone is looked up in the usage store
    id = parse_id(call.path_values["correction"])
    with call.services.database.read() as connection:
        found = None if id is None else corrections.by_id(connection, id)
        sender = None if found is None else accounts.by_seq(connection, found.sender_seq)
    if found is None or sender is None or not may_reach(call.principal, sender):
        raise NotFound("no such correction, or not one that this account may see", code="correction.unknown")
    return _view(call, found, sender)


def _record(connection: Connection, call: Call, kind: Kind, body: VoidBody | ReplaceBody, what: What) -> Made:
    if body.dry_run:
        return Made(Recorded(id=None))
    if body.expected is None:
        raise Invalid(
            "say how many events are to be corrected, as the dry run counted them (dry_run: true)",
            code="correction.expected",
            where="expected",
        )
    made = workflow.record(
        connection,
        account_of_field(connection, call.principal, body.sender, "sender"),
        kind,
        what,
        expected=body.expected,
        reason=body.reason,
        id=new_id(),
        now=call.services.clock(),
        actor=call.principal.actor,
    )
    return Made(Recorded(id=made.id))


def _follow(call: Call, kind: Kind, body: Any, recorded: bytes, what_of_body: Any) -> CorrectionView:
    services, id = call.services, _recorded.decode(recorded).id
    if id is not None:
        done = workflow.carry_out(services.database, services.ingest, services.current_usage, id, now=services.clock())
        with services.database.read() as connection:
            sender = accounts.by_seq(connection, done.sender_seq)
        return _view(call, done, sender)
    with services.database.read() as connection:
        sender = account_of_field(connection, call.principal, body.sender, "sender")
        what: What = what_of_body(connection, call, body)
    plan = workflow.plan(services.current_usage, sender, kind, what)
    return CorrectionView(
        id=None,
        kind=kind,
        state="dry run",
        **_described(what),
        sender_id=sender.id,
        reason=body.reason,
        expected=body.expected,
        matched=plan.matched,
        changed=0,
        missing=[EventName(id=name.id, source=name.source) for name in plan.missing],
        sample=[_sample(each) for each in plan.sample],
        left_alone=[_left_alone(each) for each in plan.left_alone],
        as_of_seq=shown(call, plan.as_of_seq),
        seq=None,
        created_at=format_instant(services.clock()),
        finished_at=None,
        actor=call.principal.actor,
    )


def _voided(connection: Connection, call: Call, body: VoidBody) -> What:
    names = tuple(workflow.Name(source=each.source, id=each.id) for each in body.events)
    return workflow.checked(Kind.VOID, What(names=names, selection=_selection(connection, call, body.filter)))


def _replaced(connection: Connection, call: Call, body: ReplaceBody) -> What:
    sender = account_of_field(connection, call.principal, body.sender, "sender")
    events = tuple(_event(each, sender.id, f"events[{place}]") for place, each in enumerate(body.events))
    if body.change is not None and body.filter is None:
        raise Invalid("a change is for the events of a filter", code="correction.which", where="change")
    return workflow.checked(
        Kind.REPLACE,
        What(events=events, selection=_selection(connection, call, body.filter), change=_change(body.change)),
    )


def _selection(connection: Connection, call: Call, sent: EventFilter | None) -> Any:
    if sent is None:
        return None
    named = None if sent.account is None else account_of_field(connection, call.principal, sent.account, "filter.account")
    return selection_of(connection, sent, call.principal.account, named)


def _event(sent: EventBody, owner: str, where: str) -> Event:
    return Event(
        owner=owner,
        source=sent.source,
        id=sent.id,
        type=sent.type,
        account=sent.account,
        time=parse_instant(sent.time, where=f"{where}.time"),
        **({} if isinstance(sent.value, UnsetType) else {"value": exact(sent.value, f"{where}.value")}),
        dimensions=dict(sent.dimensions),
    )


def _change(sent: EventChange | None) -> Change:
    if sent is None:
        return Change()
    value = None if isinstance(sent.value, UnsetType) else exact(sent.value, "change.value")
    return Change(account=sent.account, type=sent.type, value=value, dimensions=dict(sent.dimensions))


def _view(call: Call, found: Correction, sender: Account) -> CorrectionView:
    return CorrectionView(
        **msgspec.structs.asdict(_summary(call, found, sender)),
        **_described(what_of(found)),
        left_alone=[_left_alone(each) for each in workflow.left_alone(call.services.usage, sender, found)],
    )


def _summary(call: Call, found: Summary, sender: Account) -> CorrectionSummary:
    return CorrectionSummary(
        id=found.id,
        kind=Kind(found.kind),
        state=found.state,
        sender_id=sender.id,
        reason=found.reason,
        expected=found.expected,
        matched=found.matched,
        changed=found.changed,
        as_of_seq=None if found.as_of_seq is None else shown(call, found.as_of_seq),
        seq=None if found.end_seq is None else shown(call, found.end_seq),
        created_at=format_instant(found.created_at),
        finished_at=instant_text(found.finished_at),
        actor=found.actor,
    )


def _described(what: What) -> dict[str, Any]:
    """What a correction is about, as it is shown."""
    named = what.names or what.events
    chosen, change = what.selection, what.change
    return {
        "events": [EventName(id=each.id, source=each.source) for each in named],
        "filter": None
        if chosen is None or chosen.period is None
        else FilterView(
            start=format_instant(chosen.period.start),
            end=format_instant(chosen.period.end),
            account_id=chosen.accounts[0] if chosen.accounts else None,
            reference=chosen.reference,
            type=chosen.type,
            source=chosen.source,
            where={name: list(values) for name, values in chosen.where.items()},
            unless={name: list(values) for name, values in chosen.unless.items()},
        ),
        "change": ChangeView(
            account=change.account,
            type=change.type,
            value=None if change.value is None else plain(change.value),
            dimensions=change.dimensions,
        )
        if change
        else None,
    }


def _sample(each: Corrected) -> SampleView:
    return SampleView(
        event=None if each.event is None else contents(each.event),
        becomes=None if each.becomes is None else contents(each.becomes),
    )


def _left_alone(each: LeftAlone) -> LeftAloneView:
    return LeftAloneView(id=each.event.id, source=each.event.source, code=each.code, reason=each.reason)


_HOW = (
    "Only events that accounts at or below the caller's sent. First a dry run: it counts the events, shows some and changes "
    "nothing. Then the same with that count as `expected`: it is recorded and done, or refused with 409 where it is another "
    "count by now. Repeat a request that had no answer with its Idempotency-Key: it goes on where it was. A re-rating bills "
    "the difference of what was billed already."
)
_PERIOD = {"start": "2026-10-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"}

OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/events/void",
        id="voidEvents",
        tag="usage",
        summary="Take events back",
        description=_HOW,
        scope=Scope.USAGE_WRITE,
        body=VoidBody,
        example={"filter": {"reference": "customer-1", "type": "api.call", "period": _PERIOD}, "dry_run": True},
        answer=CorrectionView,
        write=void_events,
        follow=follow_void,
    ),
    Operation(
        method="POST",
        path="/v1/events/replace",
        id="replaceEvents",
        tag="usage",
        summary="Replace events",
        description=_HOW,
        scope=Scope.USAGE_WRITE,
        body=ReplaceBody,
        example={
            "filter": {"reference": "customer-one", "period": _PERIOD},
            "change": {"account": "customer-1"},
            "dry_run": True,
        },
        answer=CorrectionView,
        write=replace_events,
        follow=follow_replace,
    ),
    Operation(
        method="GET",
        path="/v1/events/corrections",
        id="listCorrections",
        tag="usage",
        summary="List corrections of events",
        scope=Scope.USAGE_READ,
        query=list_parameters(),
        answer=CorrectionPage,
        read=list_corrections,
    ),
    Operation(
        method="GET",
        path="/v1/events/corrections/{correction}",
        id="getCorrection",
        tag="usage",
        summary="Get a correction of events",
        scope=Scope.USAGE_READ,
        answer=CorrectionView,
        read=get_correction,
    ),
)
