"""``billsmith import amberflo FILE --account ACC``: a saved answer of ``…/customer-product-invoice/all`` (or of the single or
paginated request); ACC is the account with Amberflo, its customers are made below it."""

from __future__ import annotations

from collections.abc import Callable

from billsmith.accounts.model import Account
from billsmith.storage.database import Database
from billsmith.vendors.amberflo import read
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
    """Bring a file in. An invoice that names no currency is in ``currency``, or else the account's.

    Raises ``Invalid`` when the file is not that vendor's answer.
    """
    rows = read.read(body, currency=currency or account.currency)
    plan = Plan(owner=account, issuer=account, actor=actor)
    return import_invoices.run(database, plan, rows, now=now, progress=progress)
