"""``billsmith usage``: what was counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from billsmith.accounts.model import Account
from billsmith.cli.billing import moment
from billsmith.cli.common import PLAIN, Common, opened_with_usage
from billsmith.cli.output import Listing, note
from billsmith.storage import accounts, meters
from billsmith.storage.database import Connection
from billsmith.units.calendar import Interval, Unit, calendar_schedule
from billsmith.units.errors import Invalid
from billsmith.units.instants import format_instant, parse_date, start_of_day
from billsmith.units.instants import zone as known_zone
from billsmith.units.periods import Period
from billsmith.workflows import ask_usage
from billsmith.workflows import meters as workflow
from billsmith.workflows.ask_usage import Question
from billsmith.workflows.meters import Counting


def usage(
    account: Annotated[str, Parameter(help="The account whose meters they are, by UUID or external id.")],
    *codes: Annotated[str, Parameter(help="Meters by their codes (all of the account's).")],
    of: Annotated[str | None, Parameter(help="The account whose usage is shown (all at or below ACCOUNT).")] = None,
    period: Annotated[str | None, Parameter(help="A month such as 2026-10, or a year.")] = None,
    start: Annotated[str | None, Parameter(name="--from", help="The first instant or local day, in place of --period.")] = None,
    end: Annotated[str | None, Parameter(name="--to", help="The end, which doesn't belong to it.")] = None,
    by: Annotated[str, Parameter(help="total, or windows such as hour, '6 hours', day, month.")] = "total",
    group_by: Annotated[str | None, Parameter(help="Dimensions in place of the meter's own groups, with commas.")] = None,
    filter: Annotated[list[str] | None, Parameter(help="Such as region=eu; several times.", negative=())] = None,
    top: Annotated[int | None, Parameter(help="Only the accounts and groups with the most.")] = None,
    fill: Annotated[bool, Parameter(negative=(), help="Also windows in which nothing was counted.")] = False,
    version: Annotated[int | None, Parameter(help="A version of the meter, by itself; with one code.")] = None,
    zone: Annotated[str | None, Parameter(help="The zone of days and months (the account's).")] = None,
    as_of_seq: Annotated[int | None, Parameter(help="The state after this seq (now).")] = None,
    common: Common = PLAIN,
) -> int:
    """Show what meters counted, exact at every instant.

    Example: billsmith usage my-company api-calls --period 2026-10 --by day --group-by region
    """
    with opened_with_usage(common) as (database, opened):
        with database.read() as connection:
            owner = accounts.get(connection, account)
            found = _counting(connection, owner, codes, version)
            about = [accounts.get(connection, of, owner)] if of else ask_usage.accounts_below(connection, owner)
        if not found:
            raise Invalid(
                f"{account} has no meters; `billsmith meters create` makes one", code="usage.no_meters", where="account"
            )
        zone = zone_of(zone or (about[0].time_zone if of else owner.time_zone))
        question = Question(
            period=span(period, start, end, zone),
            by=by,
            zone=zone,
            where=workflow.filter_of(filter or (), "filter"),
            group_by=None if group_by is None else tuple(group_by.split(",")),
            top=top,
            fill=fill,
            as_of_seq=as_of_seq,
        )
        answer = ask_usage.ask(opened.catch_up(), found, [each.id for each in about], question)
    names = {each.id: each.external_id for each in about}
    rows = [
        {
            "meter": row.meter,
            "account": names[row.account],
            "start": format_instant(row.start),
            "end": format_instant(row.end),
            **{f"dimensions.{name}": text for name, text in row.dimensions.items()},
            "value": row.value,
            "events": row.events,
            "account_id": row.account,
        }
        for row in answer.rows
    ]
    groups = tuple(dict.fromkeys(name for row in rows for name in row if name.startswith("dimensions.")))
    common.show(
        Listing(
            rows=rows,
            columns=("meter", "account", "start", *groups, "value", "events"),
            id_field="account_id",
            empty="nothing was counted",
        )
    )
    for each in answer.parked:
        note(f"{each.meter} can't be counted for {names[each.account]}: {each.message} [{each.code}]")
    return 1 if answer.parked else 0


def _counting(connection: Connection, owner: Account, codes: Sequence[str], version: int | None) -> list[Counting]:
    if version is not None:
        if len(codes) != 1:
            raise Invalid("a version is of one meter; name just that", code="usage.arguments", where="version")
        return [workflow.alone(workflow.get(connection, owner, codes[0], version))]
    named = [workflow.get(connection, owner, code) for code in codes] or meters.newest(connection, owner)
    return [workflow.in_force(connection, each) for each in named]


def zone_of(name: str) -> str:
    """The name of a zone that there is. Raises ``InvalidTime``."""
    known_zone(name)
    return name


def span(period: str | None, start: str | None, end: str | None, zone: str) -> Period:
    """A month or year in a zone, or a span from its ends. Raises :class:`Invalid`."""
    if period is not None and start is None and end is None:
        unit = Unit.YEAR if len(period) == 4 else Unit.MONTH
        first = parse_date(f"{period}-01-01" if unit is Unit.YEAR else f"{period}-01", where="period")
        return calendar_schedule(Interval(unit), zone).containing(start_of_day(first, zone))
    if period is None and start is not None and end is not None:
        return Period(moment(start, zone, "from"), moment(end, zone, "to"))
    raise Invalid("give --period, or both --from and --to", code="usage.period", where="period")
