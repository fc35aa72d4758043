"""``billsmith accounts``: the tenant tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import App, Group, Parameter

from billsmith.accounts.model import Account, AccountStatus, Profile, check_profile
from billsmith.cli.common import ACTOR, PLAIN, Common, opened
from billsmith.cli.output import Listing, Record
from billsmith.storage import accounts, issuers
from billsmith.storage.database import Database
from billsmith.subscriptions.how_billed import HowBilled
from billsmith.units.errors import Invalid
from billsmith.units.ids import parse_id
from billsmith.units.instants import format_instant
from billsmith.workflows import close_account
from billsmith.workflows.clock import system_clock
from billsmith.workflows.new_ids import new_id

app = App(name="accounts", help="The tenant tree: provider, resellers and partners, customers.")

Name = Annotated[str, Parameter(help="The account, by UUID or external id.")]


@Parameter(name="*", group=Group("What stands on its documents", sort_key=50))
@dataclass(frozen=True, kw_only=True)
class ProfileOptions:
    """Address, tax ids and the like."""

    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: Annotated[str | None, Parameter(help="ISO 3166, two letters.")] = None
    tax_id: Annotated[list[str] | None, Parameter(help="May be given several times.", negative=())] = None
    email: str | None = None
    language: Annotated[str | None, Parameter(help="Such as en or nl-BE.")] = None
    billing_entity: Annotated[str | None, Parameter(help="The name under which the account issues.")] = None

    def on(self, profile: Profile) -> Profile:
        """The profile with what was given here. Raises ``Invalid``."""
        given: dict[str, Any] = {name: value for name, value in vars(self).items() if value is not None}
        if "tax_id" in given:
            given["tax_ids"] = tuple(given.pop("tax_id"))
        return check_profile(msgspec.structs.replace(profile, **given))


#: No option given.
UNCHANGED = ProfileOptions()


@app.command
def create(
    name: Annotated[str, Parameter(help="What people call it.", allow_leading_hyphen=False)],
    *,
    id: Annotated[str | None, Parameter(help="Its UUID; drawn when not given.")] = None,
    external_id: Annotated[str | None, Parameter(help="Your own id for it, unique under its parent.")] = None,
    parent: Annotated[str | None, Parameter(help="The account above; none makes a root.")] = None,
    currency: Annotated[str | None, Parameter(help="ISO 4217; the parent's unless given.")] = None,
    timezone: Annotated[str | None, Parameter(help="IANA zone; the parent's unless given.")] = None,
    profile: ProfileOptions = UNCHANGED,
    common: Common = PLAIN,
) -> None:
    """Make an account. A root needs a currency and a time zone; the others have their parent's unless told otherwise.

    Example: billsmith accounts create "Acme Ltd" --parent my-partner --external-id acme
    """
    with opened(common) as database, database.write() as connection:
        above = accounts.get(connection, parent) if parent is not None else None
        made = accounts.create(
            connection,
            id=_canonical(id) if id is not None else new_id(),
            name=name,
            now=system_clock(),
            parent=above,
            external_id=external_id,
            currency=currency,
            time_zone=timezone,
            profile=profile.on(Profile()),
        )
    common.show(_record(made))


@app.command(name="list")
def list_accounts(
    *,
    below: Annotated[str | None, Parameter(help="Only this account and those below it.")] = None,
    common: Common = PLAIN,
) -> None:
    """List the accounts, oldest first.

    Example: billsmith accounts list --below my-partner --csv
    """
    with opened(common) as database:
        top = _find(database, below) if below is not None else None
        common.show(
            Listing(
                rows=_rows(database, top),
                columns=("id", "external_id", "name", "parent", "status", "currency", "time_zone"),
                empty="no accounts yet; make one: billsmith accounts create NAME --currency EUR --timezone Europe/Amsterdam",
            )
        )


@app.command
def show(account: Name, *, common: Common = PLAIN) -> None:
    """Show one account.

    Example: billsmith accounts show my-partner
    """
    with opened(common) as database:
        common.show(_record(_find(database, account)))


@app.command
def update(
    account: Name,
    *,
    name: str | None = None,
    external_id: str | None = None,
    currency: str | None = None,
    timezone: str | None = None,
    status: Annotated[Literal["open", "suspended"] | None, Parameter(help="A suspended account's keys don't count.")] = None,
    profile: ProfileOptions = UNCHANGED,
    common: Common = PLAIN,
) -> None:
    """Change what is given and leave the rest. Invoices that were issued keep what they say.

    Example: billsmith accounts update acme --email billing@acme.example --country NL
    """
    with opened(common) as database, database.write() as connection:
        found = accounts.get(connection, account)
        changed = accounts.change(
            connection,
            found,
            now=system_clock(),
            name=name,
            external_id=external_id,
            currency=currency,
            time_zone=timezone,
            status=AccountStatus(status) if status else None,
            profile=profile.on(found.profile),
        )
    common.show(_record(changed))


@app.command
def billing(
    account: Name,
    *,
    grace_hours: Annotated[int | None, Parameter(help="A period is due so many hours after its end.")] = None,
    automatic: Annotated[
        bool | None,
        Parameter(negative="--by-hand", help="Jobs bill each billing period and month when it is due; or you do it."),
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Show how an account bills, or set it.

    Example: billsmith accounts billing my-partner --grace-hours 72 --automatic
    """
    with opened(common) as database, database.write() as connection:
        found = accounts.get(connection, account)
        before = issuers.how(connection, found.seq)
        now = HowBilled(
            grace_hours=before.grace_hours if grace_hours is None else grace_hours,
            automatic=before.automatic if automatic is None else automatic,
        )
        if now != before:
            issuers.set_how(connection, found, now, now=system_clock(), actor=ACTOR)
    common.show(Record(row={"id": found.id, "grace_hours": now.grace_hours, "automatic": now.automatic}))


@app.command
def close(account: Name, *, common: Common = PLAIN) -> None:
    """Close an account: its keys no longer count and it takes no more invoices. What it has stays. Close those below it first.

    Example: billsmith accounts close acme
    """
    with opened(common) as database, database.write() as connection:
        found = accounts.get(connection, account)
        closed = close_account.close(connection, found, now=system_clock())
    common.show(_record(closed))


def _find(database: Database, name: str) -> Account:
    with database.read() as connection:
        return accounts.get(connection, name)


def _rows(database: Database, top: Account | None) -> Iterator[dict[str, Any]]:
    after = 0
    while True:
        with database.read() as connection:
            batch = accounts.below(connection, top, after_seq=after)
        yield from map(_row, batch)
        if not batch:
            return
        after = batch[-1].seq


def _canonical(id: str) -> str:
    canonical = parse_id(id)
    if canonical is None:
        raise Invalid(f"{id!r} is not a UUID; give one, or leave --id out", code="account.id", where="id")
    return canonical


def _record(account: Account) -> Record:
    return Record(row=_row(account))


def _row(account: Account) -> dict[str, Any]:
    profile = msgspec.structs.asdict(account.profile)
    return {
        "id": account.id,
        "external_id": account.external_id,
        "name": account.name,
        "parent": account.parent_id,
        "status": account.status.value,
        "currency": account.currency,
        "time_zone": account.time_zone,
        **{name: list(value) if isinstance(value, tuple) else value for name, value in profile.items()},
        "created_at": format_instant(account.created_at),
        "updated_at": format_instant(account.updated_at),
    }
