"""``billsmith sync``: pull what vendors invoiced into this store, again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from cyclopts import App, Parameter

from billsmith.accounts.model import check_currency
from billsmith.cli.common import ACTOR, PLAIN, Common, opened
from billsmith.cli.output import Form, Listing, Record, note
from billsmith.cli.progress import progress
from billsmith.server.secret_key import sealer
from billsmith.server.sources import puller
from billsmith.storage import accounts, sync, sync_connections
from billsmith.storage.database import Connection
from billsmith.storage.sync import Walk, WalkState
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.errors import Invalid
from billsmith.units.instants import format_instant, parse_date
from billsmith.workflows import connections
from billsmith.workflows.clock import system_clock
from billsmith.workflows.connections import Secret, read_secret
from billsmith.workflows.sealing import new_key as fresh_key

app = App(name="sync", help="Pull what vendors invoiced into this store.")
add = App(name="add", help="Connect an account with a vendor.")
app.command(add)

Name = Annotated[str, Parameter(help="The connection, by its name.")]
Account = Annotated[str, Parameter(help="Our account whose invoices the vendor lists, by UUID or external id.")]
Called = Annotated[str | None, Parameter(help="What to call the connection (the vendor's name unless given).")]
Currency = Annotated[str | None, Parameter(help="The currency, where the vendor names none (default: the account's).")]
SecretEnv = Annotated[str | None, Parameter(help="The variable that holds the secret.")]
SecretFile = Annotated[str | None, Parameter(help="The file that holds the secret.")]
Keyring = Annotated[str | None, Parameter(help="The secret's name in your keyring (service billsmith); it stays there.")]
Reference = Annotated[bool, Parameter(negative=(), help="Store no secret: read the variable or file anew at every run.")]
Every = Annotated[int | None, Parameter(help="Pull every so many minutes, while `serve` runs or by `sync run --due`.")]
Customers = Annotated[
    tuple[str, ...], Parameter(help="Only these, by the vendor's ids (default: all that the vendor lists).", negative=())
]


@add.command
def acronis(
    *,
    datacenter_url: Annotated[str, Parameter(help="The address of your datacenter, such as https://eu2-cloud.acronis.com.")],
    client_id: Annotated[str, Parameter(help="The API client's id; its secret comes by one of the --secret options.")],
    account: Account,
    name: Called = None,
    currency: Currency = None,
    secret_env: SecretEnv = None,
    secret_file: SecretFile = None,
    keyring: Keyring = None,
    by_reference: Reference = False,
    every: Every = None,
    common: Common = PLAIN,
) -> None:
    """Connect a partner's account with Acronis Advanced Automation.

    Example: billsmith sync add acronis --datacenter-url https://eu2-cloud.acronis.com --client-id c --account a --secret-env S
    """
    options = {"url": datacenter_url, "client_id": client_id, "currency": currency}
    _add("acronis", name, account, options, _secret(secret_env, secret_file, keyring, by_reference), every, common)


@add.command
def myreports(
    *,
    url: Annotated[str, Parameter(help="The API's address, such as https://api.eu.myreports.cloud.")],
    client_id: Annotated[str, Parameter(help="The API client's id.")],
    account: Account,
    login_url: Annotated[str, Parameter(help="Where tokens are given.")] = "https://login.xarios.cloud",
    refresh_token: Annotated[
        bool, Parameter(negative=(), help="The secret is the client's secret, a blank, and a refresh token.")
    ] = False,
    name: Called = None,
    currency: Currency = None,
    secret_env: SecretEnv = None,
    secret_file: SecretFile = None,
    keyring: Keyring = None,
    by_reference: Reference = False,
    every: Every = None,
    common: Common = PLAIN,
) -> None:
    """Connect an enterprise's account with myreports.cloud.

    A refresh token is replaced each time it is used, so it is stored (sealed) and never read by reference.

    Example: billsmith sync add myreports --url https://api.eu.myreports.cloud --client-id c --account a --secret-file token.txt
    """
    if refresh_token and (by_reference or keyring):
        raise Invalid(
            "a refresh token is replaced at each use; let it be stored: drop --by-reference and --keyring",
            code="sync.refresh_by_reference",
            where="refresh-token",
        )
    options = {"url": url, "login_url": login_url, "client_id": client_id, "refresh": refresh_token, "currency": currency}
    _add("myreports", name, account, options, _secret(secret_env, secret_file, keyring, by_reference), every, common)


@add.command
def hostway(
    *,
    user: Annotated[str, Parameter(help="The user; the password comes by one of the --secret options.")],
    account: Account,
    url: Annotated[str, Parameter(help="The API's address.")] = "https://api.hostway.com",
    only: Annotated[
        tuple[str, ...],
        Parameter(name="--vendor-account", help="Only these accounts at Hostway (default: all it lists).", negative=()),
    ] = (),
    name: Called = None,
    currency: Currency = None,
    secret_env: SecretEnv = None,
    secret_file: SecretFile = None,
    keyring: Keyring = None,
    by_reference: Reference = False,
    every: Every = None,
    common: Common = PLAIN,
) -> None:
    """Connect an account with Hostway.

    Example: billsmith sync add hostway --user msp --account my-msp --secret-env HOSTWAY_PASSWORD --vendor-account 1234
    """
    options = {"url": url, "user": user, "only": list(only), "currency": currency}
    _add("hostway", name, account, options, _secret(secret_env, secret_file, keyring, by_reference), every, common)


@add.command
def amberflo(
    *,
    account: Account,
    url: Annotated[str, Parameter(help="The API's address.")] = "https://app.amberflo.io",
    customer: Customers = (),
    name: Called = None,
    currency: Currency = None,
    secret_env: SecretEnv = None,
    secret_file: SecretFile = None,
    keyring: Keyring = None,
    by_reference: Reference = False,
    every: Every = None,
    common: Common = PLAIN,
) -> None:
    """Connect an account with Amberflo; the secret is its API key.

    Example: billsmith sync add amberflo --account my-saas --secret-env AMBERFLO_KEY --customer cust-1 --every 60
    """
    options = {"url": url, "only": list(customer), "currency": currency}
    _add("amberflo", name, account, options, _secret(secret_env, secret_file, keyring, by_reference), every, common)


@app.command(name="list")
def list_connections(*, common: Common = PLAIN) -> None:
    """List the connections and how their last walks ended.

    Example: billsmith sync list
    """
    with opened(common) as database, database.read() as connection:
        rows = [_connection_row(connection, each) for each in sync_connections.every(connection)]
    columns = ("name", "vendor", "account", "last_walk", "last_ended_at", "whole_at", "problems", "every_minutes", "due_at")
    empty = "no connections; make one: billsmith sync add VENDOR …"
    common.show(Listing(rows=rows, columns=columns, id_field="name", empty=empty))


@app.command
def run(
    name: Annotated[str | None, Parameter(help="Only this connection (default: all).")] = None,
    *,
    since: Annotated[str | None, Parameter(help="Only invoices dated from this day on; the walk is then partial.")] = None,
    due: Annotated[bool, Parameter(negative=(), help="Only connections whose time has come.")] = False,
    common: Common = PLAIN,
) -> int:
    """Walk the vendors' whole lists and write what is new or changed; a run that was killed goes on where it stopped.

    Only a walk that saw all of a list, and understood it, is complete. Exit code 1: one was not.

    Example: billsmith sync run acronis
    """
    if due and (name or since):
        raise Invalid("--due runs what is due; drop the name and --since", code="sync.due_alone", where="due")
    first_day = parse_date(since, where="since") if since is not None else None
    ended: list[tuple[VendorConnection, Walk]] = []
    with opened(common) as database, progress("invoices") as advance:
        pulls = puller(database)
        if due:
            ended.extend(pulls.run_due(advance))
        else:
            with database.read() as connection:
                wanted = [sync_connections.get(connection, name)] if name else sync_connections.every(connection)
            ended.extend((of, pulls.run(of, since=first_day, progress=advance)) for of in wanted)
    rows = [{"connection": of.name, **walk_row(walk)} for of, walk in ended]
    common.show(Listing(rows=rows, columns=("connection", *_WALK_COLUMNS), id_field="id", empty="nothing to pull"))
    for of, walk in ended:
        if walk.reason:
            note(f"{of.name}: {walk.reason} [{walk.code}]")
    asked_for = {WalkState.COMPLETE} if since is None else {WalkState.COMPLETE, WalkState.PARTIAL}
    return 0 if all(walk.state in asked_for and _as_asked(walk) for _, walk in ended) else 1


@app.command
def status(
    name: Annotated[str | None, Parameter(help="Only this connection (default: all).")] = None,
    *,
    limit: Annotated[int, Parameter(help="So many walks of each.")] = 5,
    common: Common = PLAIN,
) -> None:
    """Show the last walks of connections: what they did and how they ended.

    Example: billsmith sync status acronis --limit 20
    """
    if not 1 <= limit <= 1000:
        raise Invalid("a limit is 1 to 1000", code="usage.limit", where="limit")
    with opened(common) as database, database.read() as connection:
        wanted = [sync_connections.get(connection, name)] if name else sync_connections.every(connection)
        rows = [
            {"connection": of.name, **walk_row(walk)} for of in wanted for walk in sync.last_walks(connection, of, limit=limit)
        ]
    common.show(Listing(rows=rows, columns=("connection", *_WALK_COLUMNS), id_field="id", empty="nothing was pulled yet"))


@app.command
def problems(
    name: Annotated[str | None, Parameter(help="Only this connection (default: all).")] = None, *, common: Common = PLAIN
) -> None:
    """List records that did not come in, and why; each goes away once it does.

    Example: billsmith sync problems acronis --json
    """
    with opened(common) as database, database.read() as connection:
        wanted = [sync_connections.get(connection, name)] if name else sync_connections.every(connection)
        rows = _problem_rows(connection, wanted)
        columns = ("connection", "vendor_key", "path", "code", "message")
        common.show(Listing(rows=rows, columns=columns, id_field="place", empty="no problems"))


@app.command
def remove(name: Name, *, common: Common = PLAIN) -> None:
    """Forget a connection, its secret and its walks. The invoices that it brought stay.

    Example: billsmith sync remove acronis
    """
    with opened(common) as database, database.write() as connection:
        found = sync_connections.get(connection, name)
        sync_connections.remove(connection, found, system_clock(), ACTOR)
    common.show(Record(row={"id": found.id, "name": found.name, "removed": True}))


@app.command
def new_key(*, common: Common = PLAIN) -> None:
    """Make a key for BILLSMITH_SECRET_KEY, with which secrets are stored. It is shown once and kept nowhere.

    Example: billsmith sync new-key --ids
    """
    common.show(Record(row={"key": fresh_key()}, id_field="key"))


@app.command
def rekey(*, common: Common = PLAIN) -> None:
    """Seal every stored secret with the first key of BILLSMITH_SECRET_KEY, which holds the new one and the old: new,old.

    Example: billsmith sync rekey
    """
    with opened(common) as database, database.write() as connection:
        moved = connections.rekey(connection, sealer(), now=system_clock(), actor=ACTOR)
    common.show(Record(row={"rekeyed": moved}, id_field="rekeyed"))


_WALK_COLUMNS = ("state", "started_at", "added", "moved", "unchanged", "set_aside", "disappeared", "code")


def walk_row(walk: Walk) -> dict[str, Any]:
    """A walk as it is shown."""
    counts = walk.counts
    return {
        "id": walk.id,
        "state": walk.state.value,
        "started_at": format_instant(walk.started_at),
        "ended_at": None if walk.ended_at is None else format_instant(walk.ended_at),
        "since": None if walk.since is None else walk.since.isoformat(),
        "seen": counts.seen,
        "added": counts.added,
        "moved": counts.moved,
        "unchanged": counts.unchanged,
        "set_aside": counts.set_aside,
        "disappeared": counts.disappeared,
        "accounts_made": counts.accounts_made,
        "stated_total": walk.stated_total,
        "resumed": walk.resumed,
        "code": walk.code,
        "reason": walk.reason,
    }


def _as_asked(walk: Walk) -> bool:
    """Whether a partial walk is partial only because it was asked for a part."""
    return walk.state is WalkState.COMPLETE or walk.code == "sync.since"


def _secret(env: str | None, file: str | None, keyring: str | None, by_reference: bool) -> Secret:
    given = [f"{kind}:{name}" for kind, name in (("env", env), ("file", file), ("keyring", keyring)) if name]
    if len(given) != 1:
        raise Invalid(
            "say where the secret is: one of --secret-env, --secret-file, --keyring", code="secret.from", where="secret"
        )
    text = read_secret(given[0])
    return Secret(read_from=given[0]) if by_reference or keyring else Secret(text=text)


def _add(
    vendor: str,
    name: str | None,
    account: str,
    options: Mapping[str, Any],
    secret: Secret,
    every: int | None,
    common: Common,
) -> None:
    if options["currency"] is not None:
        check_currency(options["currency"])
    with opened(common) as database, database.write() as connection:
        made = connections.add(
            connection,
            accounts.get(connection, account),
            name=name or vendor,
            vendor=vendor,
            options={key: value for key, value in options.items() if value not in (None, [], False)},
            secret=secret,
            sealer=sealer(),
            now=system_clock(),
            every_minutes=every,
        )
        row = _connection_row(connection, made)
    common.show(Record(row=row, id_field="name"))
    if common.form is Form.PEOPLE:
        note(f"`billsmith sync run {made.name}` pulls it")


def _connection_row(connection: Connection, of: VendorConnection) -> dict[str, Any]:
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
        "due_at": None if of.due_at is None else format_instant(of.due_at),
        "last_walk": walks[0].state.value if walks else None,
        "last_ended_at": None if ended is None else format_instant(ended),
        "whole_at": None if whole is None else format_instant(whole),
        "records": sync.count_records(connection, of),
        "problems": sync.count_problems(connection, of),
    }


def _problem_rows(connection: Connection, wanted: list[VendorConnection]) -> Iterator[dict[str, Any]]:
    for of in wanted:
        after = ""
        while page := sync.problems(connection, of, after=after):
            for each in page:
                yield {
                    "connection": of.name,
                    "place": each.place,
                    "vendor_key": each.vendor_key,
                    "path": each.path,
                    "code": each.code,
                    "message": each.message,
                }
            after = page[-1].place
