"""``billsmith subscriptions``: who is on which plan, from when, and everything that changes."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from billsmith.cli.billing import Issuer, issuer_of, moment
from billsmith.cli.common import ACTOR, PLAIN, Common, opened
from billsmith.cli.output import Listing, Record
from billsmith.storage import accounts, subscriptions
from billsmith.storage.database import Connection, Database
from billsmith.storage.subscriptions import Stored
from billsmith.subscriptions.subscription import PlanRef
from billsmith.subscriptions.timeline import FOREVER, ends_at
from billsmith.units.errors import Invalid, NotFound
from billsmith.units.ids import parse_id
from billsmith.units.instants import format_instant, local_date, start_of_day
from billsmith.units.rounding import parse_decimal, plain
from billsmith.workflows import subscriptions as workflow
from billsmith.workflows.billing_cases import plan_at
from billsmith.workflows.clock import system_clock
from billsmith.workflows.new_ids import new_id
from billsmith.workflows.subscriptions import NewSubscription

app = App(name="subscriptions", help="Subscriptions: who is on which plan, from when; changes dated back and ahead.")

Which = Annotated[str, Parameter(help="The subscription, by its id.")]
At = Annotated[str | None, Parameter(help="From when it holds, an instant or a local day: past or to come (now).")]
Quantities = Annotated[list[str] | None, Parameter(help="Such as seats=5; may be given several times.", negative=())]


@app.command
def create(
    account: Annotated[str, Parameter(help="Whose usage is billed, by UUID or external id.")],
    plan: Annotated[str, Parameter(help="A plan of the issuer's catalog.")],
    *,
    start: Annotated[str | None, Parameter(help="When it begins, an instant or a local day (today).")] = None,
    version: Annotated[int | None, Parameter(help="A version of the plan (the one that is offered).")] = None,
    catalog: Annotated[str | None, Parameter(help="The catalog's code, where the issuer has several.")] = None,
    quantity: Quantities = None,
    recipient: Annotated[str | None, Parameter(help="Who gets the invoices (the account itself).")] = None,
    billing_day: Annotated[int, Parameter(help="The day of the month on which periods begin, 1 to 31.")] = 0,
    id: Annotated[str | None, Parameter(help="Its UUID; drawn when not given.")] = None,
    issuer: Issuer = None,
    common: Common = PLAIN,
) -> None:
    """Put an account on a plan.

    Example: billsmith subscriptions create acme starter --start 2026-10-01 --quantity seats=5
    """
    now = system_clock()
    with opened(common) as database, database.write() as connection:
        subscriber = accounts.get(connection, account)
        zone = subscriber.time_zone
        made = workflow.create(
            connection,
            issuer_of(connection, issuer, subscriber),
            subscriber,
            NewSubscription(
                plan=plan,
                version=version,
                catalog=catalog,
                starts_at=moment(start, zone, "start") if start else start_of_day(local_date(now, zone), zone),
                quantities=_quantities(quantity),
                recipient=accounts.get(connection, recipient) if recipient is not None else None,
                billing_day=billing_day,
            ),
            id=_canonical(id) if id is not None else new_id(),
            now=now,
            actor=ACTOR,
        )
        answer = _record(connection, made)
    common.show(answer)


@app.command(name="list")
def list_subscriptions(
    *,
    account: Annotated[str | None, Parameter(help="Only those of this account and below it.")] = None,
    common: Common = PLAIN,
) -> None:
    """List subscriptions, oldest first.

    Example: billsmith subscriptions list --account my-partner --csv
    """
    with opened(common) as database:
        common.show(
            Listing(
                rows=_rows(database, account),
                columns=("id", "account", "plan", "version", "starts_at", "ends_at", "quantities"),
                empty="no subscriptions yet; make one: billsmith subscriptions create ACCOUNT PLAN",
            )
        )


@app.command
def show(subscription: Which, *, common: Common = PLAIN) -> None:
    """Show a subscription with every change of it, and how far it is billed.

    Example: billsmith subscriptions show ede9f834-70b3-476c-83d9-736f9f8c7dae
    """
    with opened(common) as database, database.read() as connection:
        common.show(_record(connection, _find(connection, subscription)))


@app.command
def change(
    subscription: Which,
    *,
    at: At = None,
    plan: Annotated[str | None, Parameter(help="Another plan.")] = None,
    version: Annotated[int | None, Parameter(help="A version of that plan (the one that is offered).")] = None,
    quantity: Quantities = None,
    add: Annotated[list[str] | None, Parameter(help="An add-on that begins.", negative=())] = None,
    drop: Annotated[list[str] | None, Parameter(help="An add-on that ends.", negative=())] = None,
    pause: Annotated[bool, Parameter(negative=(), help="Fees stop; usage goes on.")] = False,
    resume: Annotated[bool, Parameter(negative=(), help="Fees go on.")] = False,
    end_trial: Annotated[bool, Parameter(negative=(), help="The trial ends.")] = False,
    common: Common = PLAIN,
) -> None:
    """Change a subscription from an instant on. What was billed already is set right on the next invoice.

    Example: billsmith subscriptions change ede9f834-70b3-476c-83d9-736f9f8c7dae --quantity seats=8 --at 2026-10-11
    """
    now = system_clock()
    with opened(common) as database, database.write() as connection:
        found = _find(connection, subscription)
        changes = workflow.changes_of(
            connection,
            found,
            at=moment(at, found.subscription.zone, "at") if at else now,
            now=now,
            plan=plan,
            version=version,
            quantities=_quantities(quantity),
            add=add or (),
            drop=drop or (),
            pause=pause,
            resume=resume,
            end_trial=end_trial,
        )
        answer = _record(connection, workflow.change(connection, found, changes, ACTOR))
    common.show(answer)


@app.command
def cancel(
    subscription: Which,
    *,
    at: At = None,
    day_counts: Annotated[bool, Parameter(negative=(), help="The day itself is still charged.")] = False,
    common: Common = PLAIN,
) -> None:
    """End a subscription. A later call with another instant takes this end back.

    Example: billsmith subscriptions cancel ede9f834-70b3-476c-83d9-736f9f8c7dae --at 2026-12-31 --day-counts
    """
    now = system_clock()
    with opened(common) as database, database.write() as connection:
        found = _find(connection, subscription)
        when = moment(at, found.subscription.zone, "at") if at else now
        answer = _record(connection, workflow.cancel(connection, found, at=when, now=now, actor=ACTOR, day_counts=day_counts))
    common.show(answer)


def _find(connection: Connection, id: str) -> Stored:
    canonical = parse_id(id)
    found = subscriptions.by_id(connection, canonical) if canonical else None
    if found is None:
        raise NotFound("no such subscription; `billsmith subscriptions list` shows them all", code="subscription.unknown")
    return found


def _canonical(id: str) -> str:
    canonical = parse_id(id)
    if canonical is None:
        raise Invalid(f"{id!r} is not a UUID; give one, or leave --id out", code="subscription.id", where="id")
    return canonical


def _quantities(given: list[str] | None) -> dict[str, Decimal]:
    result = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise Invalid(f"{pair!r} is not NAME=QUANTITY, such as seats=5", code="usage.quantity", where="quantity")
        result[name] = parse_decimal(value, where=f"quantity {name}")
    return result


def _rows(database: Database, account: str | None) -> Iterator[dict[str, Any]]:
    after = 0
    while True:
        with database.read() as connection:
            within = accounts.get(connection, account) if account is not None else None
            batch = subscriptions.page(connection, within=within, after_seq=after)
            names = accounts.external_ids(connection, {found.account_seq for found in batch})
        yield from (_row(found, names) for found in batch)
        if not batch:
            return
        after = batch[-1].seq


def _row(found: Stored, names: dict[int, str]) -> dict[str, Any]:
    subscription = found.subscription
    plan: PlanRef = plan_at(subscription, FOREVER)
    end = ends_at(subscription)
    return {
        "id": subscription.id,
        "account": names[found.account_seq],
        "catalog": found.catalog,
        "plan": plan.code,
        "version": plan.version,
        "starts_at": format_instant(subscription.starts_at),
        "ends_at": None if end == FOREVER else format_instant(end),
        "quantities": {name: plain(value) for name, value in subscription.quantities.items()},
        "recorded_at": format_instant(subscription.recorded_at),
    }


def _record(connection: Connection, found: Stored) -> Record:
    names = accounts.external_ids(connection, {found.account_seq, found.recipient_seq, found.issuer_seq})
    billed = subscriptions.billed(connection, [found.seq])[found.seq]
    changes = [
        {"at": format_instant(each.at), "recorded_at": format_instant(each.recorded_at), **_said(each)}
        for each in found.subscription.changes
    ]
    row = {
        **_row(found, names),
        "issuer": names[found.issuer_seq],
        "recipient": names[found.recipient_seq],
        "billed_until": format_instant(billed[-1].mark.until) if billed else None,
        "changes": changes,
    }
    return Record(row=row, tables=("changes",))


def _said(change: msgspec.Struct) -> dict[str, Any]:
    said = {}
    for name, value in msgspec.structs.asdict(change).items():
        if name not in ("at", "recorded_at"):
            said[name] = f"{value.code} version {value.version}" if isinstance(value, PlanRef) else value
    return {"change": str(change.__struct_config__.tag), **said}
