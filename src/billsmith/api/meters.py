"""``/v1/meters``: what is counted, and ``/v1/usage``: what was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from billsmith.accounts.authorisation import Scope
from billsmith.accounts.model import Account
from billsmith.api.lookups import account_of_field
from billsmith.api.operations import Made, Operation, QueryParameter
from billsmith.api.values import CLEAN, Id, Instant, ShortText, instant_text, read_instant
from billsmith.metering.meter import Aggregation, Meter
from billsmith.storage import accounts, meters
from billsmith.storage.database import Connection
from billsmith.storage.meters import Metered
from billsmith.storage.patience import may_take_long
from billsmith.units.calendar import Interval, Unit, calendar_schedule
from billsmith.units.errors import Invalid, TooLarge
from billsmith.units.instants import format_instant, zone
from billsmith.units.periods import Period
from billsmith.units.rounding import Rounding, plain
from billsmith.wire.face import Call
from billsmith.wire.json import RawDecimal, exact
from billsmith.workflows import ask_usage
from billsmith.workflows import meters as workflow
from billsmith.workflows.ask_usage import MAX_TOP, Question
from billsmith.workflows.meters import MAX_CODE

#: Accounts that one question may be about, and meters.
MAX_ACCOUNTS = 20_000
MAX_METERS = 50

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
    percentile: RawDecimal | None = None
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


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a meter counted for an account from ``start`` up to ``end``, of one group.

    ``value`` is null in a filled window of what does not add up. ``rounded``: no decimal holds it, so twelve places are shown.
    """

    meter: str
    account_id: Id
    start: Instant
    end: Instant
    dimensions: dict[str, str]
    value: Number | None
    events: int
    rounded: bool


class ParkedView(msgspec.Struct, frozen=True, kw_only=True):
    """An account whose usage a meter can't count, and why."""

    meter: str
    account_id: Id
    code: str
    message: str


class UsageView(msgspec.Struct, frozen=True, kw_only=True):
    """The answer; ask with its ``seq`` as ``as_of_seq`` for the same again, whatever came since."""

    rows: list[UsageRow]
    parked: list[ParkedView]
    zone: str
    seq: int


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
        percentile=None if body.percentile is None else exact(body.percentile, "percentile"),
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


def query_meter(call: Call) -> UsageView:
    """``GET /v1/meters/{meter}/query``."""
    version = call.parameters.integer("version", None, low=1, high=2**31 - 1)
    with call.services.database.read() as connection:
        found = workflow.get(connection, call.principal.account, call.path_values["meter"], version)
        about = _about(connection, call)
    return _answer(call, [found], about)


def query_usage(call: Call) -> UsageView:
    """``GET /v1/usage``: several meters at once, or all of them."""
    text = call.parameters.text("meters")
    with call.services.database.read() as connection:
        if text is None:
            found = meters.newest(connection, call.principal.account)
        else:
            found = [_named(connection, call.principal.account, code) for code in dict.fromkeys(text.split(","))]
        about = _about(connection, call)
    if len(found) > MAX_METERS:
        raise TooLarge(
            f"{len(found)} meters; at most {MAX_METERS} in one question", code="usage.too_many_meters", where="meters"
        )
    return _answer(call, found, about)


def _named(connection: Connection, account: Account, code: str) -> Metered:
    found = meters.find(connection, account, code) if len(code) <= MAX_CODE else None
    if found is None:
        raise Invalid("one of the meters is not there", code="meter.unknown", where="meters")
    return found


def _about(connection: Connection, call: Call) -> list[Account]:
    """The accounts that a question is about: the one named, else all at or below the caller's."""
    name = call.parameters.text("account")
    if name is not None:
        return [account_of_field(connection, call.principal, name, "account")]
    found = accounts.below(connection, call.principal.account, limit=MAX_ACCOUNTS + 1)
    if len(found) > MAX_ACCOUNTS:
        raise TooLarge(f"more than {MAX_ACCOUNTS} accounts; name one", code="usage.too_many_accounts", where="account")
    return found


def _answer(call: Call, found: Sequence[Metered], about: Sequence[Account]) -> UsageView:
    may_take_long()
    chosen = about[0] if len(about) == 1 else call.principal.account
    question = read_question(call, chosen.time_zone)
    store = call.services.current_usage
    answer = ask_usage.ask(store, found, [each.id for each in about], question)
    return UsageView(
        rows=[
            UsageRow(
                meter=row.meter,
                account_id=row.account,
                start=format_instant(row.start),
                end=format_instant(row.end),
                dimensions=row.dimensions,
                value=None if row.value is None else plain(row.value),
                events=row.events,
                rounded=row.rounded,
            )
            for row in answer.rows
            if row.events or row.value or question.fill or len(about) == 1
        ],
        parked=[
            ParkedView(meter=each.meter, account_id=each.account, code=each.code, message=each.message)
            for each in answer.parked
        ],
        zone=question.zone,
        seq=answer.seq,
    )


def read_question(call: Call, time_zone: str) -> Question:
    """The parameters that every question takes. Raises :class:`Invalid`."""
    named = call.parameters.text("zone")
    if named is not None:
        zone(named)
    start, end = (read_instant(call.parameters.text(name), name) for name in ("from", "to"))
    if end is None:
        end = call.services.clock()
    if start is None:
        start = calendar_schedule(Interval(Unit.MONTH), named or time_zone).containing(end - 1).start
    groups = call.parameters.text("group_by")
    return Question(
        period=Period(start, end),
        by=call.parameters.text("by") or "total",
        zone=named or time_zone,
        where=read_filter(call.parameters.text("filter")),
        group_by=None if groups is None else _groups(groups),
        top=call.parameters.integer("top", None, low=1, high=MAX_TOP),
        fill=bool(call.parameters.boolean("fill", False)),
        as_of_seq=call.parameters.integer("as_of_seq", None, low=0, high=2**62),
    )


def _groups(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    if len(names) > workflow.MAX_GROUPS or not all(names):
        raise Invalid(
            f"group_by names 1 to {workflow.MAX_GROUPS} dimensions, separated by commas",
            code="usage.group_by",
            where="group_by",
        )
    return names


def read_filter(text: str | None) -> dict[str, tuple[str, ...]]:
    """``region=eu,region=us,plan=pro`` as a filter: a value of each dimension that is named. Raises :class:`Invalid`.

    >>> read_filter("region=eu,region=us,plan=pro")
    {'region': ('eu', 'us'), 'plan': ('pro',)}
    """
    found: dict[str, tuple[str, ...]] = {}
    for part in text.split(",") if text else ():
        name, equals, value = part.partition("=")
        if not name or not equals:
            raise Invalid("a filter is such as region=eu,plan=pro", code="usage.filter", where="filter")
        found[name] = (*found.get(name, ()), value)
    if len(found) > workflow.MAX_GROUPS:
        raise Invalid(f"a filter has at most {workflow.MAX_GROUPS} dimensions", code="usage.filter", where="filter")
    return found


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


_VERSION = QueryParameter(
    name="version", description="A version (the newest).", schema={"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
)
_SEQ = {"type": "integer", "minimum": 0, "maximum": 2**62}
_QUESTION = (
    QueryParameter(
        name="from",
        description="The first instant (the month's in which the period ends).",
        schema={"type": "string", "format": "date-time"},
    ),
    QueryParameter(
        name="to", description="The end, which the period doesn't hold (now).", schema={"type": "string", "format": "date-time"}
    ),
    QueryParameter(
        name="account",
        description="One account at or below the caller's (all of them).",
        schema={"type": "string", "minLength": 1, "maxLength": 128},
    ),
    QueryParameter(
        name="by",
        description="The windows: `total`, or such as `hour`, `6 hours`, `day`, `month`, counted from the period's start.",
        schema={"type": "string", "pattern": "^(total|[0-9]{0,4} ?(hour|day|week|month|quarter|year)s?)$", "default": "total"},
    ),
    QueryParameter(
        name="zone",
        description="The zone of days and months (the account's).",
        schema={"type": "string", "minLength": 1, "maxLength": 64},
    ),
    QueryParameter(
        name="filter",
        description="Such as `region=eu,region=us,plan=pro`.",
        schema={"type": "string", "minLength": 1, "maxLength": 1000},
    ),
    QueryParameter(
        name="group_by",
        description="Dimensions in place of the meter's own groups, separated by commas.",
        schema={"type": "string", "minLength": 1, "maxLength": 1000},
    ),
    QueryParameter(
        name="top",
        description="Only the accounts and groups with the most over the whole period.",
        schema={"type": "integer", "minimum": 1, "maximum": MAX_TOP},
    ),
    QueryParameter(
        name="fill", description="Also the windows in which nothing was counted.", schema={"type": "boolean", "default": False}
    ),
    QueryParameter(name="as_of_seq", description="The state after this `seq` (now).", schema=_SEQ),
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
        query=(_VERSION,),
        answer=MeterView,
        read=get_meter,
    ),
    Operation(
        method="GET",
        path="/v1/meters/{meter}/query",
        id="queryMeter",
        tag="usage",
        summary="Ask what a meter counted",
        description="Of the caller's account and those below it; exact at every instant.",
        scope=Scope.USAGE_READ,
        query=(*_QUESTION, _VERSION),
        answer=UsageView,
        read=query_meter,
    ),
    Operation(
        method="GET",
        path="/v1/usage",
        id="queryUsage",
        tag="usage",
        summary="Ask what several meters counted",
        scope=Scope.USAGE_READ,
        query=(
            QueryParameter(
                name="meters",
                description="Codes, separated by commas (all of the caller's).",
                schema={"type": "string", "minLength": 1, "maxLength": 1000},
            ),
            *_QUESTION,
        ),
        answer=UsageView,
        read=query_usage,
    ),
)
