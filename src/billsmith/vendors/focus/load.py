"""``billsmith import focus FILE --account ACC``: cloud cost rows as documents to sub-accounts, which are made below ACC."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

from billsmith.accounts.model import Account
from billsmith.storage.database import Database
from billsmith.vendors.focus import read
from billsmith.workflows import import_invoices
from billsmith.workflows.import_invoices import ImportReport, Plan


def load(
    database: Database,
    account: Account,
    body: bytes | BinaryIO,
    *,
    now: int,
    currency: str | None = None,
    actor: str = "command line",
    progress: Callable[[int], None] = lambda _count: None,
) -> ImportReport:
    """Bring a file in, from its bytes or from an open file, which is read row by row and left open.

    Raises ``Invalid`` when the file is no FOCUS file.
    """
    source = io.BytesIO(body) if isinstance(body, bytes) else body
    plan = Plan(owner=account, issuer=account, actor=actor)
    return import_invoices.run(database, plan, read.read(source, currency=currency), now=now, progress=progress)
