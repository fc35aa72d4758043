"""``billsmith webhooks``: addresses that are told what changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from cyclopts import App, Parameter

from billsmith.cli.common import ACTOR, PLAIN, Common, opened
from billsmith.cli.output import Form, Listing, Record, note
from billsmith.server.secret_key import sealer
from billsmith.storage import accounts
from billsmith.storage import webhooks as store
from billsmith.storage.database import Connection
from billsmith.storage.webhooks import Told, Webhook
from billsmith.units.instants import HOUR, format_instant, parse_instant
from billsmith.workflows import webhooks
from billsmith.workflows.clock import system_clock

app = App(name="webhooks", help="Webhooks: addresses that are told what changed, signed, in order, at least once.")

WebhookId = Annotated[str, Parameter(help="The webhook's id, as `billsmith webhooks list` shows it.")]
Kinds = Annotated[
    list[str] | None, Parameter(help="Such as invoice.issued, or invoice.*; may be given several times.", negative=())
]
_ONCE = "the secret is shown this once; store it now, the other side checks signatures with it"


@app.command
def add(
    url: Annotated[str, Parameter(help="Where messages are sent: https://… without a query.")],
    *,
    account: Annotated[str, Parameter(help="It is told of changes of this account and those below it.")],
    kind: Kinds = None,
    description: Annotated[str, Parameter(help="What it is for.")] = "",
    common: Common = PLAIN,
) -> None:
    """Have changes told to an address from now on, and show the secret, this once. `billsmith audit kinds` lists the kinds.

    Example: billsmith webhooks add https://shop.example/hooks --account my-partner --kind invoice.*
    """
    with opened(common) as database, database.write() as connection:
        owner = accounts.get(connection, account)
        made, secret = webhooks.create(
            connection,
            owner,
            url=url,
            kinds=kind or (),
            description=description,
            sealer=sealer(),
            now=system_clock(),
            actor=ACTOR,
        )
        row = {**_row(connection, made), "secret": secret}
    _show_secret(common, row)


@app.command(name="list")
def list_webhooks(
    *,
    account: Annotated[str | None, Parameter(help="Only of this account and those below it.")] = None,
    common: Common = PLAIN,
) -> None:
    """List webhooks and how they do.

    Example: billsmith webhooks list
    """
    with opened(common) as database, database.read() as connection:
        within = None if account is None else accounts.get(connection, account)
        rows = [_row(connection, each) for each in store.page(connection, within)]
    common.show(Listing(rows=rows, columns=("id", "account", "url", "kinds", "state", "attempts", "due_at")))


@app.command
def show(webhook: WebhookId, *, common: Common = PLAIN) -> None:
    """Show a webhook; a disabled one says why.

    Example: billsmith webhooks show 0b9f3d6e-2a7c-4c41-9d0e-5f6a7b8c9d0e
    """
    with opened(common) as database, database.read() as connection:
        row = _row(connection, webhooks.get(connection, webhook, None))
    common.show(Record(row=row))


@app.command
def update(
    webhook: WebhookId,
    *,
    url: Annotated[str | None, Parameter(help="Where messages are sent from now on.")] = None,
    kind: Kinds = None,
    description: Annotated[str | None, Parameter(help="What it is for.")] = None,
    common: Common = PLAIN,
) -> None:
    """Change a webhook's address, kinds or description.

    Example: billsmith webhooks update 0b9f3d6e-2a7c-4c41-9d0e-5f6a7b8c9d0e --kind payment.*
    """
    _do(
        common,
        webhook,
        lambda connection, of: webhooks.update(
            connection, of, url=url, kinds=kind, description=description, now=system_clock(), actor=ACTOR
        ),
    )


@app.command
def disable(
    webhook: WebhookId,
    *,
    reason: Annotated[str, Parameter(help="Why; it is shown with the webhook.")] = "somebody said so",
    common: Common = PLAIN,
) -> None:
    """Tell a webhook nothing any more.

    Example: billsmith webhooks disable 0b9f3d6e-2a7c-4c41-9d0e-5f6a7b8c9d0e --reason "moved away"
    """
    _do(
        common, webhook, lambda connection, of: webhooks.disable(connection, of, reason=reason, now=system_clock(), actor=ACTOR)
    )


@app.command
def enable(webhook: WebhookId, *, common: Common = PLAIN) -> None:
    """Go on telling it, from where it stopped.

    Example: billsmith webhooks enable 0b9f3d6e-2a7c-4c41-9d0e-5f6a7b8c9d0e
    """
    _do(common, webhook, lambda connection, of: webhooks.enable(connection, of, now=system_clock(), actor=ACTOR))


@app.command
def rotate(
    webhook: WebhookId,
    *,
    overlap: Annotated[int, Parameter(help="Hours for which the secret before signs beside the new one.")] = 24,
    common: Common = PLAIN,
) -> None:
    """Give it a new secret and show it, this once.

    Example: billsmith webhooks rotate 0b9f3d6e-2a7c-4c41-9d0e-5f6a7b8c9d0e --overlap 48
    """
    with opened(common) as database, database.write() as connection:
        of = webhooks.get(connection, webhook, None)
        changed, secret = webhooks.rotate(
            connection, of, sealer=sealer(), now=system_clock(), actor=ACTOR, overlap=overlap * HOUR
        )
        row = {**_row(connection, changed), "secret": secret}
    _show_secret(common, row)


@app.command(name="test")
def send_test(webhook: WebhookId, *, common: Common = PLAIN) -> None:
    """Have a test message sent to it, in its turn, by `billsmith serve` or `billsmith jobs run`.

    Example: billsmith webhooks test 0b9f3d6e-2a7c-4c41-9d0e-5f6a7b8c9d0e
    """

    def ask(connection: Connection, of: Webhook) -> Webhook:
        webhooks.ask_for_test(connection, of, now=system_clock(), actor=ACTOR)
        return of

    _do(common, webhook, ask)


@app.command
def replay(
    webhook: WebhookId,
    *,
    after: Annotated[str | None, Parameter(help="Tell it what came after this change, by its id.")] = None,
    since: Annotated[str | None, Parameter(help="Tell it what came since this instant.")] = None,
    common: Common = PLAIN,
) -> None:
    """Tell it again what came after a change; or, with a later one, skip what waits. Messages keep their ids.

    Example: billsmith webhooks replay 0b9f3d6e-2a7c-4c41-9d0e-5f6a7b8c9d0e --since 2026-10-01T00:00:00Z
    """

    def go_back(connection: Connection, of: Webhook) -> Webhook:
        instant = None if since is None else parse_instant(since, where="since")
        place = webhooks.place_of(connection, None, after=after, since=instant)
        return webhooks.replay(connection, of, place, now=system_clock(), actor=ACTOR)

    _do(common, webhook, go_back)


@app.command
def deliveries(
    webhook: WebhookId,
    *,
    limit: Annotated[int, Parameter(help="How many at most.")] = 100,
    common: Common = PLAIN,
) -> None:
    """List what was tried in the last thirty days, the last first.

    Example: billsmith webhooks deliveries 0b9f3d6e-2a7c-4c41-9d0e-5f6a7b8c9d0e
    """
    with opened(common) as database, database.read() as connection:
        found = store.attempts(connection, webhooks.get(connection, webhook, None), limit=limit)
    common.show(
        Listing(
            rows=map(_attempt_row, found),
            columns=("number", "at", "kind", "arrived", "status", "took_ms", "message"),
            id_field="number",
            empty="nothing was tried yet",
        )
    )


def _do(common: Common, id: str, step: Callable[[Connection, Webhook], Webhook]) -> None:
    with opened(common) as database, database.write() as connection:
        row = _row(connection, step(connection, webhooks.get(connection, id, None)))
    common.show(Record(row=row))


def _show_secret(common: Common, row: dict[str, Any]) -> None:
    common.show(Record(row=row))
    if common.form is Form.PEOPLE:
        note(_ONCE)


def _row(connection: Connection, of: Webhook) -> dict[str, Any]:
    """A webhook as it is shown: without its secret."""
    return {
        "id": of.id,
        "account": accounts.by_seq(connection, of.account_seq).external_id,
        "url": of.url,
        "kinds": list(of.kinds),
        "description": of.description,
        "state": of.state,
        "reason": of.reason,
        "attempts": of.attempts,
        "failing_since": None if of.failing_since is None else format_instant(of.failing_since),
        "due_at": format_instant(of.due_at) if of.attempts and of.state == store.OPEN else None,
        "waiting_change": store.waiting_change(connection, of),
        "created_at": format_instant(of.created_at),
    }


def _attempt_row(told: Told) -> dict[str, Any]:
    return {
        "number": told.number,
        "at": format_instant(told.attempt.at),
        "change": told.change_id,
        "kind": told.kind,
        "arrived": told.attempt.arrived,
        "status": told.attempt.status,
        "took_ms": told.attempt.took_ms,
        "code": told.attempt.code,
        "message": told.attempt.message,
    }
