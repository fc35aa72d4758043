"""``billsmith sync``: pull what vendors invoiced into this store, again and again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from cyclopts import App, Parameter

from billsmith.cli.common import ACTOR, PLAIN, Common, opened
from billsmith.cli.output import Listing, Record, note
from billsmith.cli.progress import progress
from billsmith.cli.sync_add import NO_SECRET, SecretSource, connection_row
from billsmith.cli.sync_add import app as add
from billsmith.server.secret_key import sealer
from billsmith.server.sources import puller
from billsmith.storage import sync, sync_connections
from billsmith.storage.database import Connection
from billsmith.storage.sync import Walk, WalkState
from billsmith.storage.sync_connections import VendorConnection
from billsmith.units.errors import Busy, Invalid
from billsmith.units.instants import format_instant, parse_date
from billsmith.workflows import connections, webhooks
from billsmith.workflows.clock import system_clock
from billsmith.workflows.sealing import new_key as fresh_key

app = App(name="sync", help="Pull what vendors invoiced into this store.")
app.command(add)

Name = Annotated[str, Parameter(help="The connection, by its name.")]


@app.command(name="list")
def list_connections(*, common: Common = PLAIN) -> None:
    """List the connections and how their last walks ended.

    Example: billsmith sync list
    """
    with opened(common) as database, database.read() as connection:
        rows = [connection_row(connection, each) for each in sync_connections.every(connection)]
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

    Only a walk that saw all of a list, and understood it, is complete. Exit code 1: one was not, or another run is at one.

    Example: billsmith sync run acronis
    """
    if due and (name or since):
        raise Invalid("--due runs what is due; drop the name and --since", code="sync.due_alone", where="due")
    first_day = parse_date(since, where="since") if since is not None else None
    ended: list[tuple[VendorConnection, Walk]] = []
    passed: list[tuple[VendorConnection, Busy]] = []
    with opened(common) as database, progress("invoices") as advance:
        pulls = puller(database)
        if due:
            ended.extend(pulls.run_due(advance))
        else:
            with database.read() as connection:
                wanted = [sync_connections.get(connection, name)] if name else sync_connections.every(connection)
            for of in wanted:
                try:
                    ended.append((of, pulls.run(of, since=first_day, progress=advance)))
                except Busy as busy:
                    if name:
                        raise
                    passed.append((of, busy))
    rows = [{"connection": of.name, **walk_row(walk)} for of, walk in ended]
    common.show(Listing(rows=rows, columns=("connection", *_WALK_COLUMNS), id_field="id", empty="nothing to pull"))
    for of, walk in ended:
        if walk.reason:
            note(f"{of.name}: {walk.reason} [{walk.code}]")
    for of, other in passed:
        note(f"{of.name}: {other.message} [{other.code}]")
    asked_for = {WalkState.COMPLETE} if since is None else {WalkState.COMPLETE, WalkState.PARTIAL}
    return 0 if not passed and all(walk.state in asked_for and _as_asked(walk) for _, walk in ended) else 1


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
def secret(name: Name, *, source: SecretSource = NO_SECRET, common: Common = PLAIN) -> None:
    """Give a connection the secret that the vendor gave in place of the old one. What it pulled stays.

    Example: billsmith sync secret acronis --secret-env ACRONIS_SECRET
    """
    new = source.secret
    with opened(common) as database, database.write() as connection:
        found = sync_connections.get(connection, name)
        connections.renew(connection, found, new, sealer(), now=system_clock(), actor=ACTOR)
        row = connection_row(connection, sync_connections.get(connection, found.id))
    common.show(Record(row=row, id_field="name"))


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
        moved = connections.rekey(connection, sealer(), now=system_clock(), actor=ACTOR) + webhooks.rekey(connection, sealer())
    common.show(Record(row={"rekeyed": moved}, id_field="rekeyed"))


_WALK_COLUMNS = ("state", "started_at", "added", "moved", "unchanged", "set_aside", "disappeared", "code")


def walk_row(walk: Walk) -> dict[str, Any]:
    """A walk as it is shown."""
    counts = walk.counts
    return {
        "id": walk.id,
        "state": walk.state.value,
        "started_at": format_instant(walk.started_at, digits=0),
        "ended_at": None if walk.ended_at is None else format_instant(walk.ended_at, digits=0),
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
