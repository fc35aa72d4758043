"""``/v1/usage`` and ``/v1/meters/{meter}/query``: what was counted."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from billsmith.accounts.authorisation import Scope
from billsmith.accounts.model import Account
from billsmith.api.lookups import account_of_field
from billsmith.api.meters import VERSION, Number
from billsmith.api.operations import Operation, QueryParameter
from billsmith.api.states import AS_OF_SEQ, State, asked, shown
from billsmith.api.values import Id, Instant, read_instant
from billsmith.storage import meters
from billsmith.storage.database import Connection
from billsmith.storage.meters import Metered
from billsmith.storage.patience import may_take_long
from billsmith.units.calendar import Interval, Unit, calendar_schedule
from billsmith.units.errors import Invalid, TooLarge
from billsmith.units.instants import format_instant, zone
from billsmith.units.periods import Period
from billsmith.units.rounding import plain
from billsmith.wire.face import Call
from billsmith.workflows import meters as workflow
from billsmith.workflows.ask_usage import MAX_TOP, Question, accounts_below, ask
from billsmith.workflows.meters import MAX_CODE, MAX_GROUPS, Counting, filter_of

#: Meters that one question may be about.
MAX_METERS = 50


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
    seq: State


def query_meter(call: Call) -> UsageView:
    """``GET /v1/meters/{meter}/query``."""
    version = call.parameters.integer("version", None, low=1, high=2**31 - 1)
    with call.services.database.read() as connection:
        found = workflow.get(connection, call.principal.account, call.path_values["meter"], version)
        counted = workflow.in_force(connection, found) if version is None else workflow.alone(found)
        about = _about(connection, call)
    return _answer(call, [counted], about)


def query_usage(call: Call) -> UsageView:
    """``GET /v1/usage``: several meters at once, or all of them."""
    text = call.parameters.text("meters")
    with call.services.database.read() as connection:
        if text is None:
            found = meters.newest(connection, call.principal.account)
        else:
            found = [_named(connection, call.principal.account, code) for code in dict.fromkeys(text.split(","))]
        if len(found) > MAX_METERS:
            raise TooLarge(
                f"{len(found)} meters; at most {MAX_METERS} in one question", code="usage.too_many_meters", where="meters"
            )
        counted = [workflow.in_force(connection, each) for each in found]
        about = _about(connection, call)
    return _answer(call, counted, about)


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
    return accounts_below(connection, call.principal.account)


def _answer(call: Call, found: Sequence[Counting], about: Sequence[Account]) -> UsageView:
    may_take_long()
    chosen = about[0] if len(about) == 1 else call.principal.account
    question = read_question(call, chosen.time_zone)
    store = call.services.current_usage
    answer = ask(store, found, [each.id for each in about], question)
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
        ],
        parked=[
            ParkedView(meter=each.meter, account_id=each.account, code=each.code, message=each.message)
            for each in answer.parked
        ],
        zone=question.zone,
        seq=call.parameters.text(AS_OF_SEQ.name) or shown(call, answer.seq),
    )


def read_question(call: Call, time_zone: str) -> Question:
    """The parameters that every question takes. Raises :class:`Invalid`."""
    named = call.parameters.text("zone")
    if named is not None:
        zone(named)
    groups = call.parameters.text("group_by")
    return Question(
        period=read_span(call, named or time_zone),
        by=call.parameters.text("by") or "total",
        zone=named or time_zone,
        where=read_filter(call),
        group_by=None if groups is None else _groups(groups),
        top=call.parameters.integer("top", None, low=1, high=MAX_TOP),
        fill=bool(call.parameters.boolean("fill", False)),
        as_of_seq=asked(call),
    )


def read_span(call: Call, time_zone: str) -> Period:
    """The period that the parameters name: up to now unless said otherwise, from the start of its last month on."""
    start, end = (read_instant(call.parameters.text(name), name) for name in ("from", "to"))
    if end is None:
        end = call.services.clock()
    if start is None:
        start = calendar_schedule(Interval(Unit.MONTH), time_zone).containing(end - 1).start
    return Period(start, end)


def read_filter(call: Call) -> dict[str, tuple[str, ...]]:
    """The dimensions that the parameters ask for. Raises :class:`Invalid`."""
    text = call.parameters.text("filter")
    return {} if text is None else filter_of(text.split(","), "filter")


def _groups(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    if len(names) > MAX_GROUPS or not all(names):
        raise Invalid(
            f"group_by names 1 to {MAX_GROUPS} dimensions, separated by commas",
            code="usage.group_by",
            where="group_by",
        )
    return names


FROM = QueryParameter(
    name="from",
    description="The first instant (the month's in which the period ends).",
    schema={"type": "string", "format": "date-time"},
)
TO = QueryParameter(
    name="to", description="The end, which the period doesn't hold (now).", schema={"type": "string", "format": "date-time"}
)
ACCOUNT = QueryParameter(
    name="account",
    description="One account at or below the caller's (all of them).",
    schema={"type": "string", "minLength": 1, "maxLength": 128},
)
FILTER = QueryParameter(
    name="filter",
    description="Such as `region=eu,region=us,plan=pro`.",
    schema={"type": "string", "minLength": 1, "maxLength": 1000},
)
_QUESTION = (
    FROM,
    TO,
    ACCOUNT,
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
    FILTER,
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
    AS_OF_SEQ,
)

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/meters/{meter}/query",
        id="queryMeter",
        tag="usage",
        summary="Ask what a meter counted",
        description="Of the caller's account and those below it; exact at every instant.",
        scope=Scope.USAGE_READ,
        query=(*_QUESTION, VERSION),
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
