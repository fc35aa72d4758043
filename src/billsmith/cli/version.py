"""``billsmith version``: what runs here."""

from __future__ import annotations

import platform

from billsmith import __version__
from billsmith.cli.common import PLAIN, Common
from billsmith.cli.output import Record
from billsmith.storage.checkup import sqlite_version
from billsmith.storage.upgrade import newest_form


def version(*, common: Common = PLAIN) -> None:
    """Show the program's version, Python's and SQLite's, and the form of data that this program writes.

    Example: billsmith version --json
    """
    common.show(
        Record(
            row={
                "version": __version__,
                "python": platform.python_version(),
                "sqlite": sqlite_version(),
                "form": newest_form(),
            },
            id_field="version",
        )
    )
