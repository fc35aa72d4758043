"""``billsmith ingest``: usage events from files."""

from __future__ import annotations

import io
import sys
import tomllib
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
from cyclopts import Parameter

from billsmith.cli.billing import issuer_of
from billsmith.cli.common import PLAIN, Common, opened, settings_of
from billsmith.cli.output import Record, note
from billsmith.cli.progress import progress
from billsmith.events.rows import ColumnMap
from billsmith.server import settings as server_settings
from billsmith.storage.database import Database
from billsmith.units.errors import BillsmithError, Invalid, NotFound
from billsmith.workflows.ingest import Ingest
from billsmith.workflows.ingest_files import FilesReport, Kind, Source, bring_in

#: The folder of saved mappings in the data folder.
MAPPINGS = "mappings"


def ingest(
    *files: Annotated[str, Parameter(help="Files of events; - reads standard input.", allow_leading_hyphen=True)],
    account: Annotated[
        str | None, Parameter(help="Whose events they are: the account above those that they bill (the only root).")
    ] = None,
    format: Annotated[
        Kind | None,
        Parameter(help="What the files hold (by their names: .ndjson, .jsonl, .csv, .parquet; FOCUS by its columns)."),
    ] = None,
    map: Annotated[
        str | None, Parameter(help="Which column is what: a TOML file, or the name of one in the data folder's mappings/.")
    ] = None,
    dry_run: Annotated[bool, Parameter(negative=(), help="Read and check all; write nothing.")] = False,
    common: Common = PLAIN,
) -> int:
    """Bring in usage events: NDJSON (our form or CloudEvents), CSV, Parquet, or FOCUS rows as usage; .gz and .zst as well.

    Each batch is durable when the next one begins. Run the same command again after an interruption: an event counts once,
    by its source and id; rows without an id get one from what they say. Rows that are wrong are told and left out, and the
    exit code is then 1. While `billsmith serve` runs, the events go through it.

    A mapping is TOML: [columns] id = "request", account = "tenant" … for fields by column, [constants] type = "api.call" for
    all rows, [dimensions] region = "aws_region", and time_zone or time_unit (s, ms, us, ns).

    Example: billsmith ingest calls-2026-10.csv --account my-company --map calls
    """
    if not files:
        raise Invalid("name a file, or - for standard input", code="usage.arguments", where="files")
    mapping = None if map is None else _mapping(map, settings_of(common).home)
    sources = [Source(file=file, kind=format, mapping=mapping) for file in files]
    with opened(common) as database:
        report = _bring_in(database, common, sources, account, dry_run)
    row = msgspec.structs.asdict(report)
    row["errors"] = [msgspec.structs.asdict(each) for each in report.errors]
    if dry_run:
        row = {"dry_run": True, **row}
    common.show(Record(row=row, id_field="accepted", tables=("errors",)))
    out = report.rejected + report.conflicts
    if out:
        note(f"{out} of {report.read} rows did not come in; mend them and run the same command again")
    return 1 if out else 0


def _bring_in(database: Database, common: Common, sources: list[Source], account: str | None, dry_run: bool) -> FilesReport:
    with database.read() as connection:
        owner = issuer_of(connection, account)
    with ExitStack() as stack:
        keep = None
        if not dry_run:
            usage = server_settings.open_usage(settings_of(common), database)
            stack.callback(usage.close)
            keep = Ingest(database), usage.store
        advance = stack.enter_context(progress("events"))
        return bring_in(sources, owner=owner, keep=keep, stdin=_stdin(), progress=advance)


def _stdin() -> BinaryIO:
    return getattr(sys.stdin, "buffer", io.BytesIO())


def _mapping(name: str, home: Path) -> ColumnMap:
    """A mapping by its file, or by its name in the data folder. Raises :class:`NotFound`, :class:`Invalid`."""
    path = Path(name) if Path(name).is_file() else home / MAPPINGS / f"{Path(name).name}.toml"
    if not path.is_file():
        raise NotFound(
            f"there is no mapping {name}, neither a file nor in {home / MAPPINGS}", code="event.no_mapping", where="map"
        )
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), ColumnMap)
    except BillsmithError:
        raise
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise Invalid(f"{path} is no mapping: {error}", code="event.mapping", where="map") from None
