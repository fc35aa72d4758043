"""An account is closed: its credentials stop to count, it takes no invoices and no accounts below it; what it has stays."""

from __future__ import annotations

from billsmith.accounts.model import Account, AccountStatus
from billsmith.storage import accounts
from billsmith.storage.database import Connection
from billsmith.units.errors import Conflict


def close(connection: Connection, account: Account, *, now: int, actor: str = "command line") -> Account:
    """Close an account. Closed already: no change. Raises :class:`Conflict` while one directly below it is not closed."""
    if account.status is AccountStatus.CLOSED:
        return account
    if accounts.has_open_children(connection, account):
        raise Conflict("accounts below it are not closed; close those first", code="account.has_children")
    return accounts.change(connection, account, now=now, status=AccountStatus.CLOSED, actor=actor)
