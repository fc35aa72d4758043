"""``billsmith restore``: a backup into a new store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from billsmith.cli.common import PLAIN, Common, settings_of
from billsmith.cli.init import _make_folder
from billsmith.cli.output import Record, note
from billsmith.cli.progress import progress
from billsmith.cli.verify import report_of
from billsmith.server import settings as server_settings
from billsmith.storage import backup as store
from billsmith.workflows import usage_upkeep


def restore(
    file: Annotated[Path, Parameter(help="A file that `billsmith backup` made, by this program or an older one.")],
    *,
    force: Annotated[bool, Parameter(negative=(), help="Replace what the store holds. Stop the server first.")] = False,
    common: Common = PLAIN,
) -> int:
    """Check a backup, bring it into the store in one transaction, and verify the store.

    A store that holds data is left alone unless --force says otherwise. A backup of an older program is brought up to date.

    Example: billsmith restore billing-2026-10-31.billsmith --home ./restored
    """
    settings = settings_of(common)
    described = store.inspect(file)
    if not settings.database_url:
        _make_folder(settings.home)
    database = server_settings.open_database(settings)
    try:
        with (
            usage_upkeep.replacing(database, described, force=force),
            progress("rows restored", described.rows) as advance,
        ):
            store.restore(database, file, force=force, progress=advance)
        problems = report_of(database)
    finally:
        database.close()
    common.show(
        Record(
            row={
                "file": str(file),
                "rows": described.rows,
                "form": described.form,
                "database": database.url.render_as_string(hide_password=True),
                "problems": problems,
            },
            id_field="file",
        )
    )
    if problems:
        note("the store has problems, as the backup has; `billsmith verify` lists them")
    return 1 if problems else 0
