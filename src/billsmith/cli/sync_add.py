"""``billsmith sync add``: an account of ours is connected with a vendor. What all vendors need is one idea, :class:`Link`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import App, Group, Parameter

from billsmith.accounts.model import check_currency
from billsmith.cli.common import PLAIN, Common, opened
from billsmith.cli.output import Form, Record, note
from billsmith.server.secret_key import sealer
from billsmith.storage import accounts, sync
from billsmith.storage.database import Connection
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.errors import Invalid
from billsmith.units.instants import format_instant
from billsmith.workflows import connections
from billsmith.workflows.clock import system_clock
from billsmith.workflows.connections import Secret, read_secret

app = App(name="add", help="Connect an account with a vendor.")

_EVERY_VENDOR = Group("With every vendor", sort_key=50)


@Parameter(name="*", group=_EVERY_VENDOR)
@dataclass(frozen=True, kw_only=True)
class SecretSource:
    """Where a connection's secret is, and whether it is stored."""

    secret_env: Annotated[str | None, Parameter(help="The variable that holds the secret.")] = None
    secret_file: Annotated[str | None, Parameter(help="The file that holds the secret.")] = None
    keyring: Annotated[str | None, Parameter(help="The secret's name in your keyring (service billsmith); it stays there.")] = (
        None
    )
    by_reference: Annotated[
        bool, Parameter(negative=(), help="Store no secret: read the variable or file anew at every run.")
    ] = False

    @property
    def secret(self) -> Secret:
        """The secret, read once to see that it is there. Raises :class:`Invalid` unless one place of it is named."""
        named = (("env", self.secret_env), ("file", self.secret_file), ("keyring", self.keyring))
        given = [f"{kind}:{name}" for kind, name in named if name]
        if len(given) != 1:
            raise Invalid(
                "say where the secret is: one of --secret-env, --secret-file, --keyring", code="secret.from", where="secret"
            )
        text = read_secret(given[0])
        return Secret(read_from=given[0]) if self.by_reference or self.keyring else Secret(text=text)


#: No place named.
NO_SECRET = SecretSource()


@Parameter(name="*", group=_EVERY_VENDOR)
@dataclass(frozen=True, kw_only=True)
class Link(SecretSource):
    """What a connection with any vendor says of our side: whose it is, its name, its secret, when it is pulled."""

    account: Annotated[str, Parameter(help="Our account whose invoices the vendor lists, by UUID or external id.")]
    name: Annotated[str | None, Parameter(help="What to call the connection (the vendor's name unless given).")] = None
    currency: Annotated[str | None, Parameter(help="The currency, where the vendor names none (default: the account's).")] = (
        None
    )
    every: Annotated[int | None, Parameter(help="Pull every so many minutes, while `serve` runs or by `sync run --due`.")] = (
        None
    )


@app.command
def acronis(
    *,
    datacenter_url: Annotated[str, Parameter(help="The address of your datacenter, such as https://eu2-cloud.acronis.com.")],
    client_id: Annotated[str, Parameter(help="The API client's id; its secret comes by one of the --secret options.")],
    link: Link,
    common: Common = PLAIN,
) -> None:
    """Connect a partner's account with Acronis Advanced Automation.

    Example: billsmith sync add acronis --datacenter-url https://eu2-cloud.acronis.com --client-id c --account a --secret-env S
    """
    _add("acronis", link, common, url=datacenter_url, client_id=client_id)


@app.command
def myreports(
    *,
    url: Annotated[str, Parameter(help="The API's address, such as https://api.eu.myreports.cloud.")],
    client_id: Annotated[str, Parameter(help="The API client's id.")],
    login_url: Annotated[str, Parameter(help="Where tokens are given.")] = "https://login.xarios.cloud",
    refresh_token: Annotated[
        bool, Parameter(negative=(), help="The secret is the client's secret, a blank, and a refresh token.")
    ] = False,
    link: Link,
    common: Common = PLAIN,
) -> None:
    """Connect an enterprise's account with myreports.cloud.

    A refresh token is replaced each time it is used, so it is stored (sealed) and never read by reference.

    Example: billsmith sync add myreports --url https://api.eu.myreports.cloud --client-id c --account a --secret-file token.txt
    """
    _add("myreports", link, common, url=url, login_url=login_url, client_id=client_id, refresh=refresh_token)


@app.command
def hostway(
    *,
    user: Annotated[str, Parameter(help="The user; the password comes by one of the --secret options.")],
    url: Annotated[str, Parameter(help="The API's address.")] = "https://api.hostway.com",
    only: Annotated[
        tuple[str, ...],
        Parameter(name="--vendor-account", help="Only these accounts at Hostway (default: all it lists).", negative=()),
    ] = (),
    link: Link,
    common: Common = PLAIN,
) -> None:
    """Connect an account with Hostway.

    Example: billsmith sync add hostway --user msp --account my-msp --secret-env HOSTWAY_PASSWORD --vendor-account 1234
    """
    _add("hostway", link, common, url=url, user=user, only=list(only))


@app.command
def amberflo(
    *,
    url: Annotated[str, Parameter(help="The API's address.")] = "https://app.amberflo.io",
    customer: Annotated[
        tuple[str, ...], Parameter(help="Only these, by the vendor's ids (default: all that the vendor lists).", negative=())
    ] = (),
    link: Link,
    common: Common = PLAIN,
) -> None:
    """Connect an account with Amberflo; the secret is its API key.

    Example: billsmith sync add amberflo --account my-saas --secret-env AMBERFLO_KEY --customer cust-1 --every 60
    """
    _add("amberflo", link, common, url=url, only=list(customer))


def _add(vendor: str, link: Link, common: Common, **options: Any) -> None:
    if link.currency is not None:
        options["currency"] = check_currency(link.currency)
    secret = link.secret
    with opened(common) as database, database.write() as connection:
        made = connections.add(
            connection,
            accounts.get(connection, link.account),
            name=link.name or vendor,
            vendor=vendor,
            options={key: value for key, value in options.items() if value not in ([], False)},
            secret=secret,
            sealer=sealer(),
            now=system_clock(),
            every_minutes=link.every,
        )
        row = connection_row(connection, made)
    common.show(Record(row=row, id_field="name"))
    if common.form is Form.PEOPLE:
        note(f"`billsmith sync run {made.name}` pulls it")


def connection_row(connection: Connection, of: VendorConnection) -> dict[str, Any]:
    """A connection as it is shown: without its secret."""
    walks = sync.last_walks(connection, of, limit=1)
    whole = None if of.watermark_walk is None else sync.walk_of(connection, of.watermark_walk).ended_at
    ended = walks[0].ended_at if walks else None
    return {
        "id": of.id,
        "name": of.name,
        "vendor": of.vendor,
        "account": accounts.by_seq(connection, of.account_seq).external_id,
        "options": dict(of.options),
        "secret": of.secret_from or "stored",
        "every_minutes": of.every_minutes,
        "due_at": None if of.due_at is None else format_instant(of.due_at, digits=0),
        "last_walk": walks[0].state.value if walks else None,
        "last_ended_at": None if ended is None else format_instant(ended, digits=0),
        "whole_at": None if whole is None else format_instant(whole, digits=0),
        "records": sync.count_records(connection, of),
        "problems": sync.count_problems(connection, of),
    }
