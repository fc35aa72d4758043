"""``billsmith audit``: the change log: who did what, each row sealed to the one before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from billsmith.cli.common import PLAIN, Common, opened
from billsmith.cli.output import Listing, Record
from billsmith.storage import accounts, change_log, changes
from billsmith.storage.change_kinds import KINDS, check_filter, expand
from billsmith.storage.change_log import Entry
from billsmith.storage.database import Database
from billsmith.units.instants import format_instant

app = App(name="audit", help="The change log: who did what, and when; each row is sealed to the one before.")

_STEP = 1000


@app.command(name="list")
def list_changes(
    *,
    account: Annotated[str | None, Parameter(help="Only of this account and those below it.")] = None,
    kind: Annotated[
        list[str] | None,
        Parameter(help="Such as invoice.issued, or invoice.* for all; may be given several times.", negative=()),
    ] = None,
    subject: Annotated[str | None, Parameter(help="Only about this: an id, or a code.")] = None,
    after: Annotated[int | None, Parameter(help="Rows after this number (default: the last ones).")] = None,
    limit: Annotated[int, Parameter(help="How many at most; 0: all.")] = 100,
    common: Common = PLAIN,
) -> None:
    """List changes, oldest first: the last hundred, or those after a row. `--json` holds all that a digest is made of.

    Example: billsmith audit list --account my-partner --kind credential.*
    """
    kinds = expand(check_filter(kind)) if kind else []
    with opened(common) as database:
        if after is None and limit and not kinds and subject is None:
            rows: Iterator[dict[str, Any]] = iter(_last(database, account, limit))
        else:
            rows = _after(database, account, kinds, subject, after or 0, limit)
        common.show(
            Listing(
                rows=rows,
                columns=("seq", "at", "kind", "account", "subject", "actor", "facts"),
                empty="nothing of that kind yet",
            )
        )


@app.command
def head(*, common: Common = PLAIN) -> None:
    """Show the last row's number and digest: kept elsewhere, they prove later that nothing before them was changed or cut off.

    Example: billsmith audit head --json
    """
    with opened(common) as database, database.read() as connection:
        seq, digest = changes.head(connection)
    common.show(Record(row={"seq": seq, "digest": digest.hex()}, id_field="digest"))


@app.command(name="kinds")
def list_kinds(*, common: Common = PLAIN) -> None:
    """List the kinds of changes, and when each happens.

    Example: billsmith audit kinds
    """
    rows = [{"kind": kind, "when": when} for kind, when in KINDS.items()]
    common.show(Listing(rows=rows, columns=("kind", "when"), id_field="kind"))


def _last(database: Database, account: str | None, limit: int) -> list[dict[str, Any]]:
    with database.read() as connection:
        within = None if account is None else accounts.get(connection, account)
        return [_row(each) for each in reversed(change_log.newest(connection, within, limit))]


def _after(
    database: Database, account: str | None, kinds: list[str], subject: str | None, after: int, limit: int
) -> Iterator[dict[str, Any]]:
    left = limit or 2**62
    while left > 0:
        with database.read() as connection:
            within = None if account is None else accounts.get(connection, account)
            found = change_log.page(connection, within, after_seq=after, kinds=kinds, subject=subject, limit=min(_STEP, left))
        yield from map(_row, found)
        if not found:
            return
        after, left = found[-1].seq, left - len(found)


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "id": entry.id,
        "at": format_instant(entry.at),
        "at_ns": entry.at,
        "kind": entry.kind,
        "account": entry.account_id,
        "subject": entry.subject,
        "actor": entry.actor,
        "facts": msgspec.json.decode(entry.facts),
        "facts_text": entry.facts,
        "digest": entry.digest.hex(),
    }
