"""``billsmith simulate``: who would pay more, before anybody does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

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
from billsmith.units.errors import Invalid
from billsmith.units.ids import parse_id
from billsmith.units.spans import parse_span
from billsmith.workflows import simulate as workflow
from billsmith.workflows.billing_work import cores
from billsmith.workflows.catalogs import check_plan, read_text, same_currency
from billsmith.workflows.clock import system_clock
from billsmith.workflows.simulate import Difference, Other
from billsmith.workflows.simulate_report import account_row, line_rows, summary


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
            rows=map(account_row, found),
            columns=("account", "name", "currency", "old", "new", "change", "problem"),
            id_field="account",
            empty="nobody is billed in this period",
        )
    if by == "line":
        return Listing(
            rows=(row for each in found for row in line_rows(each)),
            columns=("name", "component", "description", "currency", "old", "new", "change"),
            id_field="account",
            empty="nobody is billed in this period",
        )
    return Record(row=summary(found), id_field="accounts", tables=("totals", "movers", "problems"))
