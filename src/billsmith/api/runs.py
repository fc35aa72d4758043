"""``/v1/runs``: billing runs, and what they did; ``/v1/invoices/{invoice}/explain``: how an invoice's lines came about."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from billsmith.accounts.authorisation import Scope, may_reach
from billsmith.api import cursors
from billsmith.api.catalogs import ISSUER
from billsmith.api.lookups import account_of_field, invoice_of_path
from billsmith.api.operations import Made, Operation, QueryParameter, bound_to, limit_of, list_parameters
from billsmith.api.states import State, shown
from billsmith.api.values import AccountName, Amount, Id, Instant, PeriodName, amount, decimal_text, read_instant
from billsmith.storage import accounts, runs
from billsmith.storage.database import Connection
from billsmith.storage.patience import may_take_long
from billsmith.storage.runs import Run
from billsmith.storage.upgrade import cursor_key
from billsmith.units.errors import NotFound
from billsmith.units.ids import parse_id
from billsmith.units.instants import format_instant
from billsmith.units.rounding import plain
from billsmith.units.spans import parse_span
from billsmith.usage.store import UsageStore
from billsmith.wire.face import Call
from billsmith.workflows import asked_runs
from billsmith.workflows.explain import Explained, explain

#: Parked accounts that a run's answer tells of; `parked` counts all of them.
MOST_PARKED = 200
MOST_EVENTS = 1000


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run: ``waiting`` to begin, ``running`` or ``done``; its counts move as it goes.

    ``kind`` is ``bill``, ``rerate``, or ``cycle``: the server's own, for those whose billing period ends on a day.
    ``batch`` stands on its documents; ``at`` is its present, ``usage_as_of_seq`` the state of usage that it saw."""

    id: Id
    issuer_id: Id
    batch: str
    kind: str
    period: str
    state: str
    at: Instant
    usage_as_of_seq: State
    billed: int
    parked: int
    nothing_to_bill: int


class ParkedView(msgspec.Struct, frozen=True, kw_only=True):
    """An account that could not be billed, and why."""

    account_id: Id
    code: str
    reason: str


class RunDetail(RunView, frozen=True, kw_only=True):
    """A run with the accounts that it parked, the first 200 of them."""

    parked_accounts: list[ParkedView]


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of an issuer, oldest first, and the cursor of the next page (null: this is the last)."""

    items: list[RunView]
    next_cursor: str | None


class CountedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was counted."""

    time: Instant
    source: str
    id: str
    value: Annotated[str, msgspec.Meta(description="An exact decimal.")]
    dimensions: dict[str, str]


class ExplainedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line, counted from 0: the sentences of its trace, what was measured, and the first of the events that were counted."""

    line: int
    description: str
    amount: Amount
    quantity: str | None
    unit: str
    trace: list[str]
    corrects: str
    meter: str
    aggregation: str
    measured: list[str]
    usage_as_of_seq: State | None
    event_count: int | None
    events: list[CountedEvent]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of an invoice, explained."""

    items: list[ExplainedLine]


class RunCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be run: everything due by the end of a ``period``, or (``rerate``) what was billed for it, rated anew.

    The issuer is the caller's account unless named; ``account`` narrows it to invoices to that account and those below it;
    ``at`` is its present (now).
    """

    period: PeriodName
    kind: Literal["bill", "rerate"] = "bill"
    issuer: AccountName | None = None
    account: AccountName | None = None
    at: Instant | None = None


def create_run(connection: Connection, call: Call, body: RunCreate) -> Made:
    """``POST /v1/runs``."""
    issuer = account_of_field(connection, call.principal, body.issuer, "issuer")
    scope = None if body.account is None else account_of_field(connection, call.principal, body.account, "account")
    at = read_instant(body.at, "at")
    present = call.services.clock() if at is None else at
    span = parse_span(body.period)
    run = asked_runs.ask(connection, issuer, body.kind, span, at=present, actor=call.principal.actor, scope=scope)
    return Made(view(call, run, issuer.id), f"/v1/runs/{run.id}")


def follow_run(call: Call, _body: RunCreate, answered: bytes) -> RunView:
    """Once it is kept, a job begins it: at once, where this server runs the jobs."""
    call.services.wake("runs")
    return msgspec.json.decode(answered, type=RunView)


def list_runs(call: Call) -> RunPage:
    """``GET /v1/runs``."""
    limit, cursor = limit_of(call.parameters), call.parameters.text("cursor")
    with call.services.database.read() as connection:
        issuer = account_of_field(connection, call.principal, call.parameters.text("issuer"), "issuer")
        secret = cursor_key(connection)
        after = None if cursor is None else runs.by_id(connection, cursors.read(secret, bound_to(call), cursor))
        found = runs.page(connection, issuer, after=after.number if after else 0, limit=limit + 1)
    more = len(found) > limit
    return RunPage(
        items=[view(call, each, issuer.id) for each in found[:limit]],
        next_cursor=cursors.write(secret, bound_to(call), found[limit - 1].id) if more else None,
    )


def get_run(call: Call) -> RunDetail:
    """``GET /v1/runs/{run}``."""
    with call.services.database.read() as connection:
        run, issuer_id = _of_path(connection, call)
        parked = runs.parked(connection, run, limit=MOST_PARKED)
        people = accounts.by_seqs(connection, {item.recipient_seq for item in parked})
    return RunDetail(
        **msgspec.structs.asdict(view(call, run, issuer_id)),
        parked_accounts=[
            ParkedView(account_id=people[item.recipient_seq].id, code=item.code or "", reason=item.reason or "")
            for item in parked
        ],
    )


def explain_invoice(call: Call) -> Explanation:
    """``GET /v1/invoices/{invoice}/explain``."""
    may_take_long()  # it opens the usage store and reads events
    line = call.parameters.integer("line", None, low=0, high=100_000)
    events = call.parameters.integer("events", 5, low=0, high=MOST_EVENTS)
    with call.services.database.read() as connection:
        found, _issuer = invoice_of_path(connection, call.principal, call.path_values["invoice"])
        explained = explain(connection, _usage(call), found, line, events=events or 0)
    return Explanation(items=[_line(call, each, found.invoice.currency) for each in explained])


def view(call: Call, run: Run, issuer_id: str) -> RunView:
    """A run as it is shown."""
    return RunView(
        id=run.id,
        issuer_id=issuer_id,
        batch=run.batch,
        kind=run.kind,
        period=run.period,
        state=run.state,
        at=format_instant(run.at),
        usage_as_of_seq=shown(call, run.as_of_seq),
        billed=run.billed,
        parked=run.parked,
        nothing_to_bill=run.nothing,
    )


def _of_path(connection: Connection, call: Call) -> tuple[Run, str]:
    id = parse_id(call.path_values["run"])
    found = runs.by_id(connection, id) if id is not None else None
    issuer = accounts.by_seq(connection, found.issuer_seq) if found is not None else None
    if found is None or issuer is None or not may_reach(call.principal, issuer):
        raise NotFound("no such run, or not one that this account may see", code="run.unknown")
    return found, issuer.id


def _usage(call: Call) -> UsageStore | None:
    """The usage store; ``None`` where there is none, so that a line is explained without its events."""
    usage = call.services.usage_or_none
    return None if usage is None else usage.catch_up()


def _line(call: Call, each: Explained, currency: str) -> ExplainedLine:
    line = each.line
    return ExplainedLine(
        line=each.place,
        description=line.description,
        amount=amount(line.amount_minor, currency),
        quantity=decimal_text(line.quantity),
        unit=line.unit,
        trace=list(line.trace),
        corrects=line.corrects,
        meter=each.meter,
        aggregation=each.aggregation,
        measured=list(each.measured),
        usage_as_of_seq=None if each.as_of_seq is None else shown(call, each.as_of_seq),
        event_count=each.event_count,
        events=[
            CountedEvent(
                time=format_instant(event.time),
                source=event.source,
                id=event.id,
                value=plain(event.value),
                dimensions=event.dimensions,
            )
            for event in each.events
        ],
    )


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/runs",
        id="createRun",
        tag="runs",
        summary="Ask for a billing run",
        description="It is kept at once, `waiting`; a job begins it, and its counts move as it goes, until it is `done`. A "
        "server that ends meanwhile leaves the rest to the next one. What is billed already is not billed again.",
        scope=Scope.BILLING_WRITE,
        body=RunCreate,
        example={"period": "2020-01"},
        status=202,
        answer=RunView,
        write=create_run,
        follow=follow_run,
    ),
    Operation(
        method="GET",
        path="/v1/runs",
        id="listRuns",
        tag="runs",
        summary="List billing runs",
        scope=Scope.BILLING_READ,
        query=(*list_parameters(), ISSUER),
        answer=RunPage,
        read=list_runs,
    ),
    Operation(
        method="GET",
        path="/v1/runs/{run}",
        id="getRun",
        tag="runs",
        summary="Get a run with the accounts that it parked",
        scope=Scope.BILLING_READ,
        answer=RunDetail,
        read=get_run,
    ),
    Operation(
        method="GET",
        path="/v1/invoices/{invoice}/explain",
        id="explainInvoice",
        tag="invoices",
        summary="Explain an invoice's lines, down to the events",
        scope=Scope.INVOICES_READ,
        query=(
            QueryParameter(
                name="line",
                description="Only this line, counted from 0.",
                schema={"type": "integer", "minimum": 0, "maximum": 100_000},
            ),
            QueryParameter(
                name="events",
                description="How many of the counted events are told of each line.",
                schema={"type": "integer", "minimum": 0, "maximum": MOST_EVENTS, "default": 5},
            ),
        ),
        answer=Explanation,
        read=explain_invoice,
    ),
)
