"""``billsmith import myreports FILE --account ACC``: a saved answer of ``billingdata``; ACC is the enterprise that bills."""

from __future__ import annotations

from collections.abc import Callable

from billsmith.accounts.model import Account
from billsmith.storage.database import Database
from billsmith.vendors.myreports import translate
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
    """Bring a file in. myreports names no currency: it is ``currency``, or else the account's.

    Raises ``Invalid`` when the file is not that vendor's answer.
    """
    rows = translate.read(body, currency=currency or account.currency)
    plan = Plan(owner=account, issuer=account, actor=actor)
    return import_invoices.run(database, plan, rows, now=now, progress=progress)
