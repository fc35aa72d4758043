"""How issuers bill, in the database."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from billsmith.accounts.model import Account
from billsmith.storage import changes
from billsmith.storage.changes import Change
from billsmith.storage.schema_issuers import billing_setting as table
from billsmith.subscriptions.how_billed import HowBilled


def how(connection: Connection, account_seq: int) -> HowBilled:
    """How an account bills; what nobody set is as by default."""
    query = select(table.c.grace_hours, table.c.automatic).where(table.c.account_seq == account_seq)
    row = connection.execute(query).first()
    return HowBilled() if row is None else HowBilled(grace_hours=row.grace_hours, automatic=bool(row.automatic))


def set_how(connection: Connection, account: Account, new: HowBilled, *, now: int, actor: str) -> None:
    """Keep how an account bills from now on."""
    values = {
        "grace_hours": new.grace_hours,
        "automatic": int(new.automatic),
        "updated_at": now,
        "updated_by": actor,
    }
    changed = connection.execute(update(table).where(table.c.account_seq == account.seq).values(values))
    if not changed.rowcount:
        connection.execute(insert(table).values(account_seq=account.seq, **values))
    facts = {"grace_hours": new.grace_hours, "automatic": new.automatic}
    changes.note(connection, Change("account.billing", account.seq, account.id, now, actor, facts))


def automatic(connection: Connection) -> list[int]:
    """The store's numbers of the accounts that are billed for by the clock."""
    query = select(table.c.account_seq).where(table.c.automatic == 1).order_by(table.c.account_seq)
    return list(connection.execute(query).scalars())
