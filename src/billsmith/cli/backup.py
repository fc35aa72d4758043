"""``billsmith backup``: the whole store in one file, while others use it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from billsmith.cli.common import PLAIN, Common, opened
from billsmith.cli.output import Record
from billsmith.cli.progress import progress
from billsmith.storage import backup as store
from billsmith.workflows import usage_upkeep
from billsmith.workflows.clock import system_clock


def backup(
    file: Annotated[Path, Parameter(help="Where to write it. Nothing is there until all is written and checked.")],
    *,
    force: Annotated[bool, Parameter(negative=(), help="Write over a file that is there.")] = False,
    common: Common = PLAIN,
) -> None:
    """Write everything that the store holds into one file, as it is at one instant, while others read and write.

    The file carries checksums and is read back before it is given its name. It holds the hashes of keys, never secrets, and all
    invoices: keep it as you keep the store. It restores on SQLite and on PostgreSQL alike. Usage, where there is any, is copied
    into a file beside it, FILE.usage, which belongs to it.

    Example: billsmith backup billing-2026-10-31.billsmith
    """
    with opened(common) as database, progress("rows written", store.count_rows(database)) as advance:
        made = store.backup(
            database,
            file,
            now=system_clock(),
            force=force,
            progress=advance,
            copy_usage=usage_upkeep.copier(database),
        )
    common.show(
        Record(
            row={
                "file": str(made.file),
                "usage_file": str(store.usage_file(made.file)) if made.usage else None,
                "bytes": made.size,
                "rows": made.rows,
                "form": made.form,
                "sha256": made.sha256,
            },
            id_field="file",
        )
    )
