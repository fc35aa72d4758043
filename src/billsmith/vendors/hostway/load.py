"""``billsmith import hostway FILE --account ACC``: a saved list of invoices; ACC is the account whose invoices they are."""

from __future__ import annotations

from collections.abc import Callable

from billsmith.accounts.model import Account
from billsmith.storage import accounts
from billsmith.storage.database import Database
from billsmith.vendors.hostway import translate
from billsmith.workflows import import_invoices
from billsmith.workflows.import_invoices import ImportReport, Plan


def load(
    database: Database,
    account: Account,
    body: bytes,
    *,
    now: int,
    currency: str | None = None,
    actor: str = "command line",
    progress: Callable[[int], None] = lambda _count: None,
) -> ImportReport:
    """Bring a file in: issued by the account above ACC, or by ACC itself, as "Hostway", where nobody stands above.

    ``currency`` is for records that name none. Raises ``Invalid`` when the file is not that vendor's answer.
    """
    with database.read() as connection:
        parent = accounts.parent_of(connection, account)
    rows = translate.read(
        body,
        currency=currency or account.currency,
        time_zone=account.time_zone,
        billing_entity="" if parent else translate.BILLING_ENTITY,
    )
    plan = Plan(owner=account, issuer=parent or account, actor=actor)
    return import_invoices.run(database, plan, rows, now=now, progress=progress)
