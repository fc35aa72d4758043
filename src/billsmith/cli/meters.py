"""``billsmith meters``: what is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from billsmith.catalog.reading import read_as
from billsmith.cli.common import ACTOR, PLAIN, Common, opened
from billsmith.cli.output import Listing, Record
from billsmith.metering.meter import Aggregation, Meter
from billsmith.storage import accounts, meters
from billsmith.storage.meters import Metered
from billsmith.units.errors import NotFound
from billsmith.units.instants import format_instant, parse_instant
from billsmith.units.rounding import parse_decimal, plain
from billsmith.workflows import meters as workflow
from billsmith.workflows.clock import system_clock

app = App(name="meters", help="Meters: which events are counted, how, and by what.")

Owner = Annotated[str, Parameter(help="Whose meter it is, by UUID or external id.")]
MAX_FILE = 1024 * 1024


@app.command(name="list")
def list_meters(account: Owner, *, common: Common = PLAIN) -> None:
    """List an account's meters, each in its newest version.

    Example: billsmith meters list my-company
    """
    with opened(common) as database, database.read() as connection:
        found = meters.newest(connection, accounts.get(connection, account))
    common.show(
        Listing(
            rows=[_row(each) for each in found],
            columns=("code", "version", "event_type", "aggregation", "group_by", "counts_from"),
            id_field="code",
            empty="no meters; `billsmith meters create` makes one",
        )
    )


@app.command
def show(account: Owner, code: Annotated[str, Parameter(help="The meter's code.")], *, common: Common = PLAIN) -> None:
    """Show a meter with all of its versions.

    Example: billsmith meters show my-company api-calls
    """
    with opened(common) as database, database.read() as connection:
        newest = workflow.get(connection, accounts.get(connection, account), code)
        every = meters.versions(connection, newest.account_seq, code)
    common.show(Record(row={**_row(newest), "versions": [_row(each) for each in every]}, id_field="code", tables=("versions",)))


@app.command
def create(
    account: Owner,
    code: Annotated[str, Parameter(help="What the meter is called in catalogs and queries.")],
    event_type: Annotated[str, Parameter(help="The type of the events that it counts.")],
    *,
    aggregation: Annotated[Aggregation, Parameter(help="How events become one number.")] = Aggregation.SUM,
    field: Annotated[str, Parameter(help="The dimension that is counted with, or value for the event's own.")] = "value",
    group_by: Annotated[str | None, Parameter(help="Dimensions, separated by commas.")] = None,
    where: Annotated[list[str] | None, Parameter(help="Such as region=eu; may be given several times.", negative=())] = None,
    unless: Annotated[list[str] | None, Parameter(help="Such as plan=free; leaves those out.", negative=())] = None,
    unit: Annotated[str, Parameter(help="The word for what is counted.")] = "",
    expression: Annotated[str, Parameter(help="For the aggregation expression: such as tokens_in + 3 * tokens_out.")] = "",
    percentile: Annotated[str | None, Parameter(help="For the aggregation percentile: such as 95.")] = None,
    counts_from: Annotated[str | None, Parameter(help="Events before this instant don't count (all count).")] = None,
    common: Common = PLAIN,
) -> None:
    """Make a meter, or the next version of one. The same again changes nothing.

    Example: billsmith meters create my-company api-calls api.call --aggregation count --group-by region
    """
    meter = Meter(
        code=code,
        event_type=event_type,
        aggregation=aggregation,
        field=field,
        group_by=tuple(group_by.split(",")) if group_by else (),
        where=workflow.filter_of(where or (), "where"),
        unless=workflow.filter_of(unless or (), "unless"),
        unit=unit,
        expression=expression,
        percentile=None if percentile is None else parse_decimal(percentile, where="percentile"),
    )
    since = None if counts_from is None else parse_instant(counts_from, where="counts_from")
    with opened(common) as database, database.write() as connection:
        owner = accounts.get(connection, account)
        found, _ = workflow.put(connection, owner, meter, counts_from=since, now=system_clock(), actor=ACTOR)
    common.show(Record(row=_row(found), id_field="code"))


@app.command
def apply(
    account: Owner, file: Annotated[Path, Parameter(help="YAML or JSON: a list of meters.")], *, common: Common = PLAIN
) -> None:
    """Make or change meters as a file says; those that it doesn't name stay as they are.

    Example: billsmith meters apply my-company meters.yaml
    """
    wanted = _read(file)
    now = system_clock()
    rows = []
    with opened(common) as database, database.write() as connection:
        owner = accounts.get(connection, account)
        for meter in wanted:
            found, new = workflow.put(connection, owner, meter, now=now, actor=ACTOR)
            rows.append({**_row(found), "changed": new})
    common.show(Listing(rows=rows, columns=("code", "version", "event_type", "aggregation", "changed"), id_field="code"))


def _read(file: Path) -> tuple[Meter, ...]:
    if not file.is_file():
        raise NotFound(f"there is no file {file}", code="input.no_such_file", where="file")
    found: tuple[Meter, ...] = read_as(tuple[Meter, ...], file.read_text("utf-8", errors="replace")[:MAX_FILE], file.name)
    return found


def _row(found: Metered) -> dict[str, Any]:
    meter = found.meter
    return {
        "code": meter.code,
        "version": meter.version,
        "event_type": meter.event_type,
        "aggregation": meter.aggregation.value,
        "field": meter.field,
        "where": {name: list(values) for name, values in meter.where.items()},
        "unless": {name: list(values) for name, values in meter.unless.items()},
        "group_by": list(meter.group_by),
        "unit": meter.unit,
        "expression": meter.expression,
        "percentile": None if meter.percentile is None else plain(meter.percentile),
        "counts_from": None if found.counts_from is None else format_instant(found.counts_from),
        "created_at": format_instant(found.created_at),
    }
