"""Finding what a caller names, so that what is another's can't be told from what is not there (P16)."""

from __future__ import annotations

from billsmith.accounts.authorisation import Principal, may_reach
from billsmith.accounts.model import Account
from billsmith.storage import accounts, invoices
from billsmith.storage.database import Connection
from billsmith.storage.invoices import Stored
from billsmith.units.errors import Invalid, NotFound
from billsmith.units.ids import parse_id


def account_of_path(connection: Connection, principal: Principal, name: str) -> Account:
    """The account that a path names, at or below the caller's. Raises :class:`NotFound`."""
    found = accounts.find(connection, name, principal.account)
    if found is None or not may_reach(principal, found):
        raise NotFound("no such account at or below this credential's", code="account.unknown")
    return found


def account_of_field(connection: Connection, principal: Principal, name: str | None, where: str) -> Account:
    """The account that a field or parameter names; none given: the caller's. Raises :class:`Invalid`."""
    if name is None:
        return accounts.by_seq(connection, principal.account.seq)
    found = accounts.find(connection, name, principal.account)
    if found is None or not may_reach(principal, found):
        raise Invalid("no such account at or below this credential's", code="account.unknown", where=where)
    return found


def invoice_of_path(connection: Connection, principal: Principal, text: str) -> tuple[Stored, Account]:
    """The invoice that a path names, if the caller's account may see it, and its issuer. Raises :class:`NotFound`."""
    id = parse_id(text)
    found = None if id is None else invoices.by_id(connection, id, principal.account)
    if found is None:
        raise NotFound("no such invoice, or not one that this account may see", code="invoice.unknown")
    return found, accounts.by_seq(connection, found.issuer_seq)
