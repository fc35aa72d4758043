"""``billsmith keys``: credentials. A secret is shown once, by the command that makes it; only its hash is kept."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from billsmith.accounts.authorisation import DEFAULT_SCOPES, Credential, CredentialKind, parse_scopes
from billsmith.accounts.model import Account
from billsmith.cli.common import PLAIN, Common, opened
from billsmith.cli.output import Form, Listing, Record, note
from billsmith.storage import accounts
from billsmith.storage import credentials as store
from billsmith.storage.database import Connection, Database
from billsmith.units.errors import Invalid, NotFound
from billsmith.units.ids import parse_id
from billsmith.units.instants import HOUR, format_instant, parse_date, parse_instant, start_of_day
from billsmith.workflows import credentials
from billsmith.workflows.clock import system_clock

app = App(name="keys", help="Credentials: what a program or a person shows to be let in.")

KeyId = Annotated[str, Parameter(help="The key's id, as `billsmith keys list` shows it.")]
_ONCE = "the secret is shown this once and kept nowhere; store it now"


@app.command
def create(
    account: Annotated[str, Parameter(help="Whose key it is: an account by UUID or external id.")],
    *,
    kind: Annotated[
        Literal["oauth-client", "basic", "api-key", "user"],
        Parameter(help="How it is shown: OAuth client, user name and password over HTTP Basic, bearer or X-API-KEY, a person."),
    ],
    scope: Annotated[
        list[str] | None, Parameter(help="What it may do; may be given several times (default: invoices:read).", negative=())
    ] = None,
    expires: Annotated[str | None, Parameter(help="A date (the day's start in the account's zone) or an instant.")] = None,
    label: Annotated[str, Parameter(help="What it is for.")] = "",
    common: Common = PLAIN,
) -> None:
    """Make a key and show its secret, this once. For basic the id is the user name.

    A user's password is asked for, or read from standard input where that is no terminal.

    Example: billsmith keys create my-partner --kind oauth-client --expires 2027-01-01
    """
    scopes = parse_scopes(scope) if scope else DEFAULT_SCOPES
    with opened(common) as database:
        password = _password() if kind == "user" else None
        with database.write() as connection:
            owner = accounts.get(connection, account)
            made, secret = credentials.create(
                connection,
                owner,
                CredentialKind(kind),
                now=system_clock(),
                scopes=scopes,
                expires_at=_expiry(expires, owner),
                label=label,
                password=password,
            )
    _show_secret(common, made, secret if password is None else None)


@app.command(name="list")
def list_keys(
    *,
    account: Annotated[str | None, Parameter(help="Only keys of this account and of those below it.")] = None,
    common: Common = PLAIN,
) -> None:
    """List keys, oldest first, without anything secret.

    Example: billsmith keys list --account my-partner
    """
    with opened(common) as database:
        top = _account(database, account) if account is not None else None
        common.show(
            Listing(
                rows=_rows(database, top),
                columns=("id", "kind", "account", "label", "scopes", "state", "expires"),
                empty="no keys yet; make one: billsmith keys create ACCOUNT --kind api-key",
            )
        )


@app.command
def rotate(
    key: KeyId,
    *,
    overlap: Annotated[int, Parameter(help="Hours for which the old secret still opens, 0 to 2160.")] = 24,
    common: Common = PLAIN,
) -> None:
    """Give a key a new secret and show it, this once; the old one opens for a while longer.

    Example: billsmith keys rotate 0b9f3d6e-2a7c-4c41-9d0e-5f6a7b8c9d0e --overlap 1
    """
    with opened(common) as database, database.write() as connection:
        found = _key(connection, key)
        secret = credentials.rotate(connection, found, now=system_clock(), overlap=overlap * HOUR)
    _show_secret(common, found, secret)


@app.command
def revoke(key: KeyId, *, common: Common = PLAIN) -> None:
    """End a key and every token made with it, at once. Again: no change.

    Example: billsmith keys revoke 0b9f3d6e-2a7c-4c41-9d0e-5f6a7b8c9d0e
    """
    with opened(common) as database, database.write() as connection:
        found = _key(connection, key)
        store.revoke(connection, found.id, system_clock())
        ended = _key(connection, key)
    common.show(Record(row=_row(ended)))


def _show_secret(common: Common, key: Credential, secret: str | None) -> None:
    row = {
        "id": key.id,
        "secret": secret,
        "kind": key.kind.value,
        "account": key.account_id,
        "expires": None if key.expires_at is None else format_instant(key.expires_at),
    }
    common.show(Record(row=row))
    if common.form is Form.IDS and secret:
        note("--ids left the secret out and it is kept nowhere; get a new one: billsmith keys rotate ID --overlap 0")
    elif secret:
        note(_ONCE)


def _key(connection: Connection, id: str) -> Credential:
    canonical = parse_id(id)
    if canonical is None:
        raise NotFound(f"{id[:60]!r} is not a key's id; `billsmith keys list` shows them all", code="credential.unknown")
    return credentials.get(connection, canonical)


def _account(database: Database, name: str) -> Account:
    with database.read() as connection:
        return accounts.get(connection, name)


def _rows(database: Database, top: Account | None) -> Iterator[dict[str, Any]]:
    after = 0
    while True:
        with database.read() as connection:
            batch = store.below(connection, top, after_seq=after)
        for seq, key in batch:
            yield _row(key)
            after = seq
        if not batch:
            return


def _row(key: Credential) -> dict[str, Any]:
    now = system_clock()
    state = "revoked" if key.revoked_at is not None else "open" if key.counts_at(now) else "expired"
    return {
        "id": key.id,
        "kind": key.kind.value,
        "account": key.account_id,
        "label": key.label,
        "scopes": sorted(scope.value for scope in key.scopes),
        "state": state,
        "created_at": format_instant(key.created_at),
        "expires": None if key.expires_at is None else format_instant(key.expires_at),
        "revoked_at": None if key.revoked_at is None else format_instant(key.revoked_at),
    }


def _expiry(text: str | None, account: Account) -> int | None:
    if text is None:
        return None
    if len(text) == len("2026-10-31"):
        return start_of_day(parse_date(text, where="expires"), account.time_zone)
    return parse_instant(text, where="expires")


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("password: ", stream=sys.stderr)
    if getpass.getpass("again: ", stream=sys.stderr) != first:
        raise Invalid("the two passwords differ; try again", code="credential.password", where="password")
    return first
