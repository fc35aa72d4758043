"""``billsmith catalog``: what is offered. Look at a text, see what it would change, apply it, move customers to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.catalog import Catalog, parse
from billsmith.cli.billing import Issuer, issuer_of, moment, usage_store
from billsmith.cli.common import ACTOR, PLAIN, Common, opened
from billsmith.cli.output import Listing, Record, Row, note
from billsmith.storage import accounts, catalogs
from billsmith.subscriptions.subscription import PlanRef
from billsmith.units.instants import format_instant, parse_date
from billsmith.workflows import catalogs as workflow
from billsmith.workflows.catalogs import Migration, Planned, read_text, the_catalog
from billsmith.workflows.clock import system_clock
from billsmith.workflows.usage_upkeep import is_there

app = App(name="catalog", help="Price books: meters, prices, plans, coupons, taxes.")

File = Annotated[Path, Parameter(help="A catalog in YAML or JSON.")]


@app.command
def check(file: File, *, common: Common = PLAIN) -> None:
    """Read a catalog; say what is in it, or what is wrong, where, and how to mend it. Nothing is stored.

    Example: billsmith catalog check prices.yaml
    """
    common.show(Record(row=summary(parse(read_text(file.read_bytes(), file.name), file.name)), id_field="code"))


@app.command
def plan(file: File, *, issuer: Issuer = None, common: Common = PLAIN) -> None:
    """Show what applying a catalog would change, and how many subscriptions each change is about. Nothing is stored.

    Example: billsmith catalog plan prices.yaml --issuer my-company
    """
    text = read_text(file.read_bytes(), file.name)
    with opened(common) as database, database.read() as connection:
        planned = workflow.plan(connection, issuer_of(connection, issuer), text, file.name)
    common.show(_changes(planned))


@app.command
def apply(file: File, *, issuer: Issuer = None, common: Common = PLAIN) -> None:
    """Apply a catalog: what differs becomes a new version. Nothing that stands is edited, and who has an old version keeps it.

    The same text again changes nothing. `billsmith catalog migrate` moves subscriptions to a new version.

    Example: billsmith catalog apply prices.yaml --issuer my-company
    """
    text = read_text(file.read_bytes(), file.name)
    with opened(common) as database:
        with database.write() as connection:
            by = issuer_of(connection, issuer)
            planned = workflow.apply(connection, by, text, file.name, now=system_clock(), actor=ACTOR)
        if planned.is_new and is_there(database):
            with usage_store(common, database):
                pass  # it is told of the meters, to count ahead for them
    common.show(_changes(planned))
    if not planned.is_new:
        note(f"{planned.catalog.code} is at version {planned.version - 1} already; nothing was stored")


@app.command
def migrate(
    plan: Annotated[str, Parameter(help="The plan whose subscriptions move.")],
    *,
    first_day: Annotated[str, Parameter(name="--from", help="The local day from which they have the new version.")],
    to: Annotated[int | None, Parameter(help="The version that they get (the one that is offered).")] = None,
    old: Annotated[int | None, Parameter(help="Only those on this version.")] = None,
    account: Annotated[str | None, Parameter(help="Only those of this account and below it.")] = None,
    started_before: Annotated[str | None, Parameter(help="Only those that began before this instant or day (UTC).")] = None,
    catalog: Annotated[str | None, Parameter(help="The catalog's code, where the issuer has several.")] = None,
    dry_run: Annotated[bool, Parameter(negative=(), help="Only count them.")] = False,
    issuer: Issuer = None,
    common: Common = PLAIN,
) -> None:
    """Move a cohort of subscriptions to another version of their plan, from a day on. The same again moves nobody.

    Example: billsmith catalog migrate starter --from 2027-01-01 --old 1
    """

    with opened(common) as database:
        with database.read() as connection:
            by = issuer_of(connection, issuer)
            code = the_catalog(connection, by, catalog)
            reference = workflow.check_plan(connection, by, code, plan, to)
            within = accounts.get(connection, account) if account is not None else None
        asked = Migration(
            catalog=code,
            to=PlanRef(reference.code, reference.version),
            first=parse_date(first_day, where="from"),
            from_version=old,
            within=within,
            started_before=moment(started_before, "UTC", "started_before") if started_before else None,
        )
        moved = workflow.migrate(database, by, asked, now=system_clock(), actor=ACTOR, dry_run=dry_run)
    common.show(Record(row={"plan": plan, "version": reference.version, "moved": moved, "dry_run": dry_run}, id_field="plan"))


@app.command(name="list")
def list_catalogs(*, issuer: Issuer = None, common: Common = PLAIN) -> None:
    """List an issuer's catalogs with their versions.

    Example: billsmith catalog list --issuer my-company
    """
    with opened(common) as database, database.read() as connection:
        by = issuer_of(connection, issuer)
        rows = [
            _applied(each)
            for newest in catalogs.newest(connection, by)
            for each in catalogs.versions(connection, by, newest.code)
        ]
    common.show(
        Listing(
            rows=rows,
            columns=("code", "version", "currency", "plans", "applied_at", "applied_by"),
            id_field="code",
            empty="no catalog yet; apply one: billsmith catalog apply FILE",
        )
    )


def summary(catalog: Catalog) -> Row:
    """What a catalog offers, counted.

    >>> summary(Catalog(code="acme", currency="EUR"))["plans"]
    0
    """
    return {
        "code": catalog.code,
        "version": catalog.version,
        "currency": catalog.currency,
        "meters": len(catalog.meters),
        "price_books": len(catalog.price_books),
        "plans": len(catalog.plans),
        "add_ons": len(catalog.add_ons),
        "coupons": len(catalog.coupons),
        "tax_rates": len(catalog.tax_rates),
    }


def _applied(each: catalogs.Applied) -> dict[str, Any]:
    return {
        "code": each.code,
        "version": each.version,
        "currency": each.currency,
        "plans": sorted(each.offers.get("plan", {})),
        "hash": each.hash,
        "applied_at": format_instant(each.applied_at),
        "applied_by": each.applied_by,
    }


def _changes(planned: Planned) -> Listing:
    rows = [
        {
            "kind": change.kind,
            "code": change.code,
            "change": change.what,
            "old_version": change.old,
            "new_version": change.new,
            "subscriptions": touched,
        }
        for change, touched in zip(planned.comparison.changes, planned.touched, strict=True)
        if change.what != "kept"
    ]
    return Listing(
        rows=rows,
        columns=("kind", "code", "change", "old_version", "new_version", "subscriptions"),
        id_field="code",
        empty="nothing would change",
    )
