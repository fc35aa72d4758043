"""``billsmith import``: invoices that another system issued."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal, Protocol

import msgspec
from cyclopts import Parameter

from billsmith.accounts.model import Account, check_currency
from billsmith.cli.common import ACTOR, PLAIN, Common, opened
from billsmith.cli.output import Record, note
from billsmith.cli.progress import progress
from billsmith.storage import accounts
from billsmith.storage.database import Database
from billsmith.units.errors import NotFound, TooLarge
from billsmith.vendors.acronis import load as acronis
from billsmith.vendors.amberflo import load as amberflo
from billsmith.vendors.focus import load as focus
from billsmith.vendors.hostway import load as hostway
from billsmith.vendors.myreports import load as myreports
from billsmith.workflows.clock import system_clock
from billsmith.workflows.import_invoices import ImportReport

#: A file is read whole; a year of a large account's invoices is a tenth of this.
MAX_FILE = 512 * 1024 * 1024


class Load(Protocol):
    """How a vendor's folder brings a file in."""

    def __call__(
        self,
        database: Database,
        account: Account,
        body: bytes,
        *,
        now: int,
        currency: str | None,
        actor: str,
        progress: Callable[[int], None],
    ) -> ImportReport:
        """Bring ``body`` in under ``account``."""
        ...


#: What can be imported, each by its vendor's folder.
LOADERS: Mapping[str, Load] = {
    "acronis": acronis.load,
    "myreports": myreports.load,
    "hostway": hostway.load,
    "amberflo": amberflo.load,
    "focus": focus.load,
}

Vendor = Literal["acronis", "myreports", "hostway", "amberflo", "focus"]


def import_file(
    vendor: Annotated[Vendor, Parameter(help="Whose form the file has.")],
    file: Annotated[str, Parameter(help="The file; - reads standard input.", allow_leading_hyphen=True)],
    *,
    account: Annotated[str, Parameter(help="Your account with that vendor, by UUID or external id.")],
    currency: Annotated[
        str | None, Parameter(help="The currency, where the vendor names none (default: the account's).")
    ] = None,
    common: Common = PLAIN,
) -> int:
    """Bring in invoices that another system issued: a vendor's own answer, saved as a file.

    The same file again changes nothing. A row that is wrong is reported and left out, the others come in; the exit code is
    then 1. Accounts that the file names are made below ACCOUNT where they are new.

    Example: billsmith import acronis invoices.json --account my-partner --currency EUR
    """
    with opened(common) as database:
        body = read_file(file)
        with database.read() as connection:
            owner = accounts.get(connection, account)
        if currency is not None:
            check_currency(currency)
        with progress("invoices") as advance:
            report = LOADERS[vendor](
                database, owner, body, now=system_clock(), currency=currency, actor=ACTOR, progress=advance
            )
    common.show(
        Record(row={**_counts(report), "errors": [_error(row) for row in report.errors]}, id_field="added", tables=("errors",))
    )
    if report.errors:
        note(f"{len(report.errors)} of {report.seen} rows did not come in; mend the file and run the same command again")
    return 1 if report.errors else 0


def read_file(name: str) -> bytes:
    """A file's bytes, or standard input's for ``-``. Raises :class:`NotFound`, :class:`TooLarge`."""
    if name == "-":
        body = sys.stdin.buffer.read(MAX_FILE + 1)
    else:
        path = Path(name)
        if not path.is_file():
            raise NotFound(f"there is no file {name}", code="input.no_such_file", where="file")
        with path.open("rb") as opened_file:
            body = opened_file.read(MAX_FILE + 1)
    if len(body) > MAX_FILE:
        raise TooLarge(f"the file has more than {MAX_FILE // 1024**2} MB; split it", code="input.file_too_large", where="file")
    return body


def _counts(report: ImportReport) -> dict[str, int]:
    return {
        "added": report.added,
        "moved": report.moved,
        "unchanged": report.unchanged,
        "accounts_made": report.accounts_made,
    }


def _error(row: msgspec.Struct) -> dict[str, str]:
    return msgspec.structs.asdict(row)
