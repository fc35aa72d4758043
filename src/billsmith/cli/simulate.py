"""``billsmith simulate``: who would pay more, before anybody does."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.accounts.model import Account
from billsmith.catalog import parse
from billsmith.catalog.versions import shelf_of
from billsmith.cli.billing import Issuer, issuer_of, moment, usage_store
from billsmith.cli.common import PLAIN, Common, opened
from billsmith.cli.output import Listing, Record
from billsmith.cli.progress import progress
from billsmith.invoicing.billing import Book
from billsmith.storage import accounts
from billsmith.storage.database import Connection
from billsmith.subscriptions.subscription import ChangePlan
from billsmith.units.currency import from_minor
from billsmith.units.errors import Invalid
from billsmith.units.ids import parse_id
from billsmith.units.spans import parse_span
from billsmith.workflows import simulate as workflow
from billsmith.workflows.billing_work import cores
from billsmith.workflows.catalogs import check_plan, read_text, same_currency
from billsmith.workflows.clock import system_clock
from billsmith.workflows.simulate import Difference, Other

#: Accounts whose invoices move most that a summary shows.
MOVERS = 20


def simulate(
    *,
    period: Annotated[str, Parameter(help="The span that is billed twice: 2026-10, 2026-Q3 or 2026.")],
    catalog: Annotated[Path | None, Parameter(help="The other price book, in YAML or JSON.")] = None,
    plan_change: Annotated[
        tuple[str, str, str] | None, Parameter(help="SUBSCRIPTION PLAN AT: one subscription on another plan from AT on.")
    ] = None,
    by: Annotated[Literal["summary", "account", "line"], Parameter(help="How finely it is shown.")] = "summary",
    account: Annotated[str | None, Parameter(help="Only invoices to this account and those below it.")] = None,
    processes: Annotated[int | None, Parameter(help="How many processes rate (one a core).")] = None,
    issuer: Issuer = None,
    common: Common = PLAIN,
) -> None:
    """Bill a past or present span twice, as it is and under other prices or another plan, and show the difference.

    Writes nothing. Usage, subscriptions and agreements are as they are known now; taxes are included, wallets are left out.

    Example: billsmith simulate --catalog new-prices.yaml --period 2026-Q3 --by account --csv
    """
    if (catalog is None) == (plan_change is None):
        raise Invalid("give --catalog or --plan-change", code="usage.simulate")
    span, now = parse_span(period), system_clock()
    text = None if catalog is None else read_text(catalog.read_bytes(), catalog.name)
    with opened(common) as database, usage_store(common, database) as usage:
        only: str | None = None
        with database.read() as connection:
            scope = accounts.get(connection, account) if account is not None else None
            if text is not None and catalog is not None:
                by_whom = issuer_of(connection, issuer)
                books, other = workflow.other_catalog(shelf_of(parse(text, catalog.name)))
            else:
                assert plan_change is not None
                by_whom, books, other, only = _plan_change(connection, plan_change, now)
        with progress("accounts") as advance:
            found = workflow.simulate(
                database,
                usage,
                by_whom,
                span,
                other,
                at=now,
                books=books,
                scope=scope,
                only=only,
                processes=1 if only else cores() if processes is None else max(processes, 1),
                progress=advance,
            )
            common.show(_answer(found, by))


def _plan_change(connection: Connection, asked: tuple[str, str, str], now: int) -> tuple[Account, dict[str, Book], Other, str]:
    id, code, at = asked
    found = workflow.find(connection, parse_id(id) or "")
    issuer = accounts.by_seq(connection, found.issuer_seq)
    plan = check_plan(connection, issuer, found.catalog, code, None)
    same_currency(connection, issuer, found.catalog, found.subscription.plan, plan)
    change = ChangePlan(at=moment(at, found.subscription.zone, "plan_change"), recorded_at=now, plan=plan)
    return issuer, {}, workflow.other_plan(change, found.subscription.id), found.subscription.id


def _answer(found: Iterator[Difference], by: str) -> Listing | Record:
    if by == "account":
        return Listing(
            rows=map(_account, found),
            columns=("account", "name", "currency", "old", "new", "change", "problem"),
            id_field="account",
            empty="nobody is billed in this period",
        )
    if by == "line":
        return Listing(
            rows=(row for each in found for row in _lines(each)),
            columns=("name", "component", "description", "currency", "old", "new", "change"),
            id_field="account",
            empty="nobody is billed in this period",
        )
    return Record(row=summary(found), id_field="accounts", tables=("totals", "movers", "problems"))


def summary(found: Iterable[Difference]) -> dict[str, Any]:
    """Totals gained and lost by currency, and the accounts whose invoices move most."""
    totals: dict[str, list[int]] = {}
    movers: list[tuple[int, int, Difference]] = []
    problems = []
    count = 0
    for count, each in enumerate(found, 1):
        entry = totals.setdefault(each.currency, [0, 0, 0, 0])
        entry[0] += each.old_minor
        entry[1] += each.new_minor
        entry[2] += max(each.change_minor, 0)
        entry[3] += min(each.change_minor, 0)
        if each.change_minor:
            heapq.heappush(movers, (abs(each.change_minor), -count, each))
            if len(movers) > MOVERS:
                heapq.heappop(movers)
        if each.problem:
            problems.append({"account": each.account.id, "name": each.account.name, "problem": each.problem})
    return {
        "accounts": count,
        "totals": [
            {
                "currency": currency,
                "old": from_minor(old, currency),
                "new": from_minor(new, currency),
                "gained": from_minor(gained, currency),
                "lost": from_minor(lost, currency),
            }
            for currency, (old, new, gained, lost) in sorted(totals.items())
        ],
        "movers": [_account(each) for _, _, each in sorted(movers, key=lambda mover: mover[:2], reverse=True)],
        "problems": problems,
    }


def _account(each: Difference) -> dict[str, Any]:
    return {
        "account": each.account.id,
        "name": each.account.name,
        "currency": each.currency,
        "old": from_minor(each.old_minor, each.currency),
        "new": from_minor(each.new_minor, each.currency),
        "change": from_minor(each.change_minor, each.currency),
        "problem": each.problem,
    }


def _lines(each: Difference) -> Iterator[dict[str, Any]]:
    for line in each.lines:
        yield {
            "account": each.account.id,
            "name": each.account.name,
            "subscription": line.subscription,
            "component": line.component,
            "description": line.description,
            "kind": line.kind,
            "currency": each.currency,
            "old": from_minor(line.old_minor, each.currency),
            "new": from_minor(line.new_minor, each.currency),
            "change": from_minor(line.new_minor - line.old_minor, each.currency),
        }
