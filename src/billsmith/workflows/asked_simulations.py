"""Simulations that were asked for: kept when they are asked for, made by a job. Nothing is billed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from billsmith.accounts.model import Account
from billsmith.catalog import parse
from billsmith.catalog.versions import shelf_of
from billsmith.invoicing.billing import Book
from billsmith.storage import accounts, simulations, subscriptions
from billsmith.storage.database import Connection, Database
from billsmith.storage.simulations import Simulation
from billsmith.subscriptions.subscription import ChangePlan
from billsmith.units.errors import BillsmithError, Invalid, NotFound
from billsmith.units.spans import parse_span
from billsmith.usage.store import UsageStore
from billsmith.workflows.catalogs import check_plan, same_currency
from billsmith.workflows.simulate import Difference, Other, other_catalog, other_plan, simulate
from billsmith.workflows.simulate_report import account_row, line_rows, summary

#: Accounts that a result has one by one.
MOST_ACCOUNTS = 1000


class PlanChange(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription on another plan from an instant on."""

    subscription: str
    plan: str
    at: int


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is simulated: a span under another catalog's text, or with one subscription on another plan.

    ``account`` narrows it to invoices to it and those below it; ``lines``: each account's difference line by line.
    """

    period: str
    catalog: str | None = None
    plan_change: PlanChange | None = None
    account: str | None = None
    lines: bool = False


_requests = msgspec.json.Decoder(Request)


def ask(connection: Connection, issuer: Account, request: Request, *, id: str, now: int, actor: str) -> Simulation:
    """Keep a simulation that waits to be made. Raises :class:`Invalid` where a catalog is none, or there is no such plan."""
    if (request.catalog is None) == (request.plan_change is None):
        raise Invalid("give a catalog or a plan_change", code="simulation.one_kind", where="source")
    parse_span(request.period)
    _other(connection, issuer, request, now)
    kept = msgspec.json.encode(request).decode()
    return simulations.ask(connection, issuer, id, kept, now=now, actor=actor)


def make_waiting(database: Database, usage: UsageStore | None, *, processes: int = 1) -> int:
    """Make every simulation that waits; how many there were."""
    with database.read() as connection:
        found = simulations.waiting(connection)
    for each in found:
        try:
            result, failed = _made(database, usage, each, processes), None
        except BillsmithError as error:
            result, failed = None, error
        with database.write() as connection:
            if failed is None:
                simulations.end(connection, each, result=result)
            else:
                simulations.end(connection, each, code=failed.code, reason=failed.message)
    return len(found)


def read(of: Simulation) -> Request:
    """What was asked for."""
    return _requests.decode(of.request)


def _made(database: Database, usage: UsageStore | None, of: Simulation, processes: int) -> str:
    request = read(of)
    with database.read() as connection:
        issuer = accounts.by_seq(connection, of.issuer_seq)
        scope = None if request.account is None else accounts.get(connection, request.account)
        books, other, only = _other(connection, issuer, request, of.at)
    kept: list[dict[str, Any]] = []
    found = simulate(
        database,
        usage,
        issuer,
        parse_span(request.period),
        other,
        at=of.at,
        books=books,
        scope=scope,
        only=only,
        processes=1 if only else processes,
    )
    result = summary(_keeping(found, kept, request.lines))
    return msgspec.json.encode({**result, "differences": kept}).decode()


def _keeping(found: Iterator[Difference], kept: list[dict[str, Any]], lines: bool) -> Iterator[Difference]:
    """The same differences, those that are any kept on the way, up to a bound."""
    for each in found:
        if len(kept) < MOST_ACCOUNTS and (each.change_minor or each.problem):
            kept.append({**account_row(each), "lines": list(line_rows(each)) if lines else []})
        yield each


def _other(connection: Connection, issuer: Account, request: Request, now: int) -> tuple[dict[str, Book], Other, str | None]:
    if request.catalog is not None:
        return (*other_catalog(shelf_of(parse(request.catalog, "source"))), None)
    change = request.plan_change
    assert change is not None
    found = subscriptions.by_id(connection, change.subscription)
    if found is None or found.issuer_seq != issuer.seq:
        raise NotFound("no such subscription of this issuer", code="subscription.unknown", where="plan_change.subscription")
    plan = check_plan(connection, issuer, found.catalog, change.plan, None)
    same_currency(connection, issuer, found.catalog, found.subscription.plan, plan)
    other = other_plan(ChangePlan(at=change.at, recorded_at=now, plan=plan), found.subscription.id)
    return {}, other, found.subscription.id
