"""An event as it is shown, and what events are chosen by."""

from __future__ import annotations

from typing import Annotated

import msgspec

from billsmith.accounts.model import Account
from billsmith.api.meters import EventType, Name, Number, Values
from billsmith.api.values import CLEAN, AccountName, Id, Instant, Span, read_period
from billsmith.events.event import Event
from billsmith.storage import meters
from billsmith.storage.database import Connection
from billsmith.units.errors import Invalid
from billsmith.units.instants import format_instant
from billsmith.units.rounding import plain
from billsmith.usage.store import Selection
from billsmith.workflows.meters import MAX_CODE, MAX_GROUPS

Source = Annotated[str, msgspec.Meta(min_length=1, max_length=256, extra_json_schema=CLEAN)]
EventId = Annotated[str, msgspec.Meta(min_length=1, max_length=256, extra_json_schema=CLEAN)]
Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=256, extra_json_schema=CLEAN)]
Dimension = Annotated[str, msgspec.Meta(max_length=1024, extra_json_schema=CLEAN)]


class EventContents(msgspec.Struct, frozen=True, kw_only=True):
    """What an event says, and who sent it. ``account`` is what the sender called whom it bills."""

    sender_id: Id
    source: str
    id: str
    type: str
    account: str
    time: Instant
    value: Number
    dimensions: dict[str, str]


class EventFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events in a period that meet every given condition. ``reference`` is what the sender called the account.

    ``meter`` stands for its type and filter; ``where`` keeps events whose dimension is one of the values, ``unless`` drops
    them.
    """

    period: Span
    account: AccountName | None = None
    reference: Reference | None = None
    type: EventType | None = None
    meter: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    source: Source | None = None
    where: dict[Name, Values] = {}
    unless: dict[Name, Values] = {}


def contents(event: Event) -> EventContents:
    """What an event says, as it is shown."""
    return EventContents(
        sender_id=event.owner,
        source=event.source,
        id=event.id,
        type=event.type,
        account=event.account,
        time=format_instant(event.time),
        value=plain(event.value),
        dimensions=event.dimensions,
    )


def selection_of(connection: Connection, sent: EventFilter, caller: Account, account: Account | None) -> Selection:
    """What a filter selects; ``account`` is the one that it names. Raises :class:`Invalid`."""
    for name, conditions in (("where", sent.where), ("unless", sent.unless)):
        if len(conditions) > MAX_GROUPS:
            raise Invalid(f"a filter has at most {MAX_GROUPS} dimensions", code="usage.filter", where=f"filter.{name}")
    selection = Selection(
        source=sent.source or "",
        type=sent.type or "",
        reference=sent.reference or "",
        accounts=None if account is None else (account.id,),
        period=read_period(sent.period, "filter.period"),
        where={name: tuple(values) for name, values in sent.where.items()},
        unless={name: tuple(values) for name, values in sent.unless.items()},
    )
    return selection if sent.meter is None else counted_by(connection, caller, sent.meter, selection, "filter.meter")


def counted_by(connection: Connection, caller: Account, code: str, selection: Selection, where: str) -> Selection:
    """Those of a selection that a meter counts. Raises :class:`Invalid`."""
    found = meters.find(connection, caller, code) if len(code) <= MAX_CODE else None
    if found is None:
        raise Invalid("there is no such meter", code="meter.unknown", where=where)
    meter = found.meter
    if selection.type not in ("", meter.event_type) or set(meter.where) & set(selection.where):
        raise Invalid(
            "the type, and each dimension of the meter's filter, are given by the meter already",
            code="usage.filter",
            where=where,
        )
    return msgspec.structs.replace(
        selection,
        type=meter.event_type,
        where={**meter.where, **selection.where},
        unless={**meter.unless, **selection.unless},
    )
