"""``/v1/meters``: what is counted."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from billsmith.accounts.authorisation import Scope
from billsmith.api.operations import Made, Operation, QueryParameter
from billsmith.api.values import CLEAN, Instant, ShortText, instant_text, read_instant
from billsmith.metering.meter import Aggregation, Meter
from billsmith.storage import meters
from billsmith.storage.database import Connection
from billsmith.storage.meters import Metered
from billsmith.units.instants import format_instant
from billsmith.units.rounding import Rounding, plain
from billsmith.wire.face import Call
from billsmith.wire.json import RawDecimal, exact
from billsmith.workflows import meters as workflow
from billsmith.workflows.meters import MAX_CODE

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CODE, pattern="^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128, extra_json_schema=CLEAN)]
EventType = Annotated[str, msgspec.Meta(min_length=1, max_length=256, extra_json_schema=CLEAN)]
Value = Annotated[str, msgspec.Meta(max_length=256, extra_json_schema=CLEAN)]
Values = Annotated[list[Value], msgspec.Meta(max_length=100)]
#: A number as it was counted: a decimal in text, so that no reader takes it for a float.
Number = Annotated[str, msgspec.Meta(extra_json_schema={"pattern": "^-?[0-9]+([.][0-9]+)?$"})]


class MeterPut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A meter: events of ``event_type`` that pass the filter, aggregated, for each combination of ``group_by``.

    The same ``code`` again with other contents is its next version. ``counts_from`` leaves out events before an instant;
    without it those that came before the meter count too.
    """

    code: Code
    event_type: EventType
    aggregation: Aggregation = Aggregation.SUM
    field: Name = "value"
    where: dict[Name, Values] = {}
    unless: dict[Name, Values] = {}
    group_by: Annotated[list[Name], msgspec.Meta(max_length=8)] = []
    unit: ShortText = ""
    expression: Annotated[str, msgspec.Meta(max_length=1000, extra_json_schema=CLEAN)] = ""
    percentile: RawDecimal | UnsetType = UNSET
    rounding: Rounding | None = None
    places: Annotated[int, msgspec.Meta(ge=0, le=12)] = 0
    counts_from: Instant | None = None


class MeterView(msgspec.Struct, frozen=True, kw_only=True):
    """A meter's version as it counts."""

    code: str
    version: int
    event_type: str
    aggregation: Aggregation
    field: str
    where: dict[str, list[str]]
    unless: dict[str, list[str]]
    group_by: list[str]
    unit: str
    expression: str
    percentile: Number | None
    rounding: Rounding | None
    places: int
    counts_from: Instant | None
    created_at: Instant


class MeterList(msgspec.Struct, frozen=True, kw_only=True):
    """The newest version of each meter of the caller's account."""

    items: list[MeterView]


def list_meters(call: Call) -> MeterList:
    """``GET /v1/meters``."""
    with call.services.database.read() as connection:
        found = meters.newest(connection, call.principal.account)
    return MeterList(items=[view(each) for each in found])


def get_meter(call: Call) -> MeterView:
    """``GET /v1/meters/{meter}``."""
    version = call.parameters.integer("version", None, low=1, high=2**31 - 1)
    with call.services.database.read() as connection:
        return view(workflow.get(connection, call.principal.account, call.path_values["meter"], version))


def put_meter(connection: Connection, call: Call, body: MeterPut) -> Made:
    """``POST /v1/meters``."""
    meter = Meter(
        code=body.code,
        event_type=body.event_type,
        aggregation=body.aggregation,
        field=body.field,
        where={name: tuple(values) for name, values in body.where.items()},
        unless={name: tuple(values) for name, values in body.unless.items()},
        group_by=tuple(body.group_by),
        unit=body.unit,
        expression=body.expression,
        percentile=None if isinstance(body.percentile, UnsetType) else exact(body.percentile, "percentile"),
        rounding=body.rounding,
        places=body.places,
    )
    found, _ = workflow.put(
        connection,
        call.principal.account,
        meter,
        counts_from=read_instant(body.counts_from, "counts_from"),
        now=call.services.clock(),
        actor=call.principal.actor,
    )
    return Made(view(found), f"/v1/meters/{found.meter.code}")


def view(found: Metered) -> MeterView:
    """A meter's version as it is shown."""
    meter = found.meter
    return MeterView(
        code=meter.code,
        version=meter.version,
        event_type=meter.event_type,
        aggregation=meter.aggregation,
        field=meter.field,
        where={name: list(values) for name, values in meter.where.items()},
        unless={name: list(values) for name, values in meter.unless.items()},
        group_by=list(meter.group_by),
        unit=meter.unit,
        expression=meter.expression,
        percentile=None if meter.percentile is None else plain(meter.percentile),
        rounding=meter.rounding,
        places=meter.places,
        counts_from=instant_text(found.counts_from),
        created_at=format_instant(found.created_at),
    )


VERSION = QueryParameter(
    name="version", description="A version (the newest).", schema={"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
)
OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/meters",
        id="listMeters",
        tag="usage",
        summary="List meters",
        scope=Scope.USAGE_READ,
        answer=MeterList,
        read=list_meters,
    ),
    Operation(
        method="POST",
        path="/v1/meters",
        id="putMeter",
        tag="usage",
        summary="Make a meter, or its next version",
        description="A version never changes. The same contents again change nothing.",
        scope=Scope.USAGE_WRITE,
        body=MeterPut,
        example={"code": "api-calls", "event_type": "api.call", "aggregation": "count", "group_by": ["region"]},
        status=201,
        answer=MeterView,
        write=put_meter,
    ),
    Operation(
        method="GET",
        path="/v1/meters/{meter}",
        id="getMeter",
        tag="usage",
        summary="Read a meter",
        scope=Scope.USAGE_READ,
        query=(VERSION,),
        answer=MeterView,
        read=get_meter,
    ),
)
