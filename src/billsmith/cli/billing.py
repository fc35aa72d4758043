"""What the commands of billing share: who issues, when, and the usage store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from cyclopts import Parameter

from billsmith.accounts.model import Account
from billsmith.cli.common import Common, settings_of
from billsmith.server.settings import open_usage
from billsmith.storage import accounts
from billsmith.storage.database import Connection, Database
from billsmith.units.errors import Invalid
from billsmith.units.instants import parse_date, parse_instant, start_of_day
from billsmith.usage.store import UsageStore

Issuer = Annotated[
    str | None, Parameter(help="Who issues: an account with a catalog (the one above the account, or the only root).")
]


def issuer_of(connection: Connection, named: str | None, account: Account | None = None) -> Account:
    """Who issues: the account named, else the one above ``account``, else the only root. Raises :class:`Invalid`."""
    if named is not None:
        return accounts.get(connection, named)
    if account is not None:
        return accounts.parent_of(connection, account) or account
    roots = [each for each in accounts.below(connection, None, limit=1000) if each.parent_id is None]
    if len(roots) != 1:
        raise Invalid("name the issuer with --issuer", code="usage.issuer", where="issuer")
    return roots[0]


def moment(text: str, zone: str, where: str) -> int:
    """An instant, or a date: then its first instant in the zone. Raises ``InvalidTime``."""
    if "T" in text or " " in text:
        return parse_instant(text, where=where)
    return start_of_day(parse_date(text, where=where), zone)


@contextmanager
def usage_store(common: Common, database: Database) -> Iterator[UsageStore]:
    """The usage store that belongs to a database."""
    usage = open_usage(settings_of(common), database)
    try:
        yield usage.catch_up()
    finally:
        usage.close()
