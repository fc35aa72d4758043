"""``/v1/simulations``: what other prices, or another plan, would have come to. Nothing of billing is written."""

from __future__ import annotations

from typing import Any

import msgspec

from billsmith.accounts.authorisation import Scope, may_reach
from billsmith.api.catalogs import Source
from billsmith.api.lookups import account_of_field
from billsmith.api.operations import Made, Operation
from billsmith.api.subscriptions import Code
from billsmith.api.values import AccountName, Amount, CurrencyCode, Id, Instant, PeriodName, read_instant
from billsmith.storage import accounts, simulations
from billsmith.storage.database import Connection
from billsmith.storage.simulations import Simulation
from billsmith.units.errors import NotFound
from billsmith.units.ids import parse_id
from billsmith.units.instants import format_instant
from billsmith.wire.face import Call
from billsmith.workflows import asked_simulations as workflow
from billsmith.workflows.new_ids import new_id


class PlanChangeAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A subscription on another plan from an instant on."""

    subscription: Id
    plan: Code
    at: Instant


class SimulationCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A past or present ``period`` billed twice: as it is, and under another catalog (its ``source``) or a ``plan_change``.

    The issuer is the caller's account unless named; ``account`` narrows it to invoices to that account and those below it;
    ``lines``: each account's difference line by line.
    """

    period: PeriodName
    source: Source | None = None
    plan_change: PlanChangeAsked | None = None
    issuer: AccountName | None = None
    account: AccountName | None = None
    lines: bool = False


class TotalView(msgspec.Struct, frozen=True, kw_only=True):
    """All invoices in a currency, taxes included; ``gained`` and ``lost`` are the sums of what rises and what falls."""

    currency: CurrencyCode
    old: Amount
    new: Amount
    gained: Amount
    lost: Amount


class LineView(msgspec.Struct, frozen=True, kw_only=True):
    """A line of both sides, by what it is for; zero where one side lacks it."""

    account: Id
    name: str
    subscription: str
    component: str
    description: str
    kind: str
    currency: CurrencyCode
    old: Amount
    new: Amount
    change: Amount


class DifferenceView(msgspec.Struct, frozen=True, kw_only=True):
    """What an account would pay. ``problem`` says why a side can't be billed."""

    account: Id
    name: str
    currency: CurrencyCode
    old: Amount
    new: Amount
    change: Amount
    problem: str
    lines: list[LineView] = []


class ProblemView(msgspec.Struct, frozen=True, kw_only=True):
    """An account that can't be billed on a side."""

    account: Id
    name: str
    problem: str


class ResultView(msgspec.Struct, frozen=True, kw_only=True):
    """Totals, the twenty accounts whose invoices move most, and the first 1,000 whose invoices differ."""

    accounts: int
    totals: list[TotalView]
    movers: list[DifferenceView]
    problems: list[ProblemView]
    differences: list[DifferenceView]


class SimulationView(msgspec.Struct, frozen=True, kw_only=True):
    """A simulation: ``waiting`` to be made, ``done`` with a ``result``, or ``failed`` with ``code`` and ``reason``."""

    id: Id
    issuer_id: Id
    period: str
    state: str
    at: Instant
    result: ResultView | None
    code: str | None
    reason: str | None


_results = msgspec.json.Decoder(ResultView)


def create_simulation(connection: Connection, call: Call, body: SimulationCreate) -> Made:
    """``POST /v1/simulations``."""
    issuer = account_of_field(connection, call.principal, body.issuer, "issuer")
    account = None if body.account is None else account_of_field(connection, call.principal, body.account, "account")
    change, id = body.plan_change, new_id()
    request = workflow.Request(
        period=body.period,
        catalog=body.source,
        plan_change=None if change is None else _plan_change(change),
        account=None if account is None else account.id,
        lines=body.lines,
    )
    asked = workflow.ask(connection, issuer, request, id=id, now=call.services.clock(), actor=call.principal.actor)
    return Made(_view(asked, issuer.id), f"/v1/simulations/{id}")


def follow_simulation(call: Call, _body: SimulationCreate, answered: bytes) -> SimulationView:
    """Once it is kept, a job makes it: at once, where this server runs the jobs."""
    call.services.wake("simulations")
    return msgspec.json.decode(answered, type=SimulationView)


def get_simulation(call: Call) -> SimulationView:
    """``GET /v1/simulations/{simulation}``."""
    id = parse_id(call.path_values["simulation"])
    with call.services.database.read() as connection:
        found = simulations.by_id(connection, id) if id is not None else None
        issuer = accounts.by_seq(connection, found.issuer_seq) if found is not None else None
    if found is None or issuer is None or not may_reach(call.principal, issuer):
        raise NotFound("no such simulation, or not one that this account may see", code="simulation.unknown")
    return _view(found, issuer.id)


def _plan_change(asked: PlanChangeAsked) -> workflow.PlanChange:
    at = read_instant(asked.at, "plan_change.at")
    assert at is not None
    return workflow.PlanChange(subscription=parse_id(asked.subscription) or "", plan=asked.plan, at=at)


def _view(found: Simulation, issuer_id: str) -> SimulationView:
    fields: dict[str, Any] = {"code": found.code, "reason": found.reason}
    return SimulationView(
        id=found.id,
        issuer_id=issuer_id,
        period=workflow.read(found).period,
        state=found.state,
        at=format_instant(found.at),
        result=None if found.result is None else _results.decode(found.result),
        **fields,
    )


_EXAMPLE = """code: acme
currency: EUR
plans:
  - {code: starter, fees: [{code: base, name: Base fee, price: {model: flat, amount: 59.00}}]}
"""

OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/simulations",
        id="createSimulation",
        tag="runs",
        summary="Ask what other prices, or another plan, would come to",
        description="It is kept at once, `waiting`; a job makes it. Usage, subscriptions and agreements are as they are known "
        "now; taxes are included, wallets are left out. Nothing of billing is written.",
        scope=Scope.BILLING_READ,
        body=SimulationCreate,
        example={
            "period": "2020-01",
            "source": _EXAMPLE,
        },
        status=202,
        answer=SimulationView,
        write=create_simulation,
        follow=follow_simulation,
    ),
    Operation(
        method="GET",
        path="/v1/simulations/{simulation}",
        id="getSimulation",
        tag="runs",
        summary="Get a simulation and what it came to",
        scope=Scope.BILLING_READ,
        answer=SimulationView,
        read=get_simulation,
    ),
)
