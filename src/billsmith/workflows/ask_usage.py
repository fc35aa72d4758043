"""Questions about usage: what meters counted, for whom, window by window, group by group."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from billsmith.accounts.model import Account
from billsmith.metering.measure import Grain
from billsmith.metering.meter import Aggregation, Meter
from billsmith.storage import accounts
from billsmith.storage.database import Connection
from billsmith.storage.meters import Metered
from billsmith.units.calendar import Interval, Schedule, Unit, anniversary_at, calendar_schedule
from billsmith.units.errors import Invalid, TooLarge
from billsmith.units.exact import Exact
from billsmith.units.periods import Period
from billsmith.units.rounding import round_to
from billsmith.usage.store import MAX_WINDOWS, Measured, Query, UsageStore

#: Rows of an answer.
MAX_ROWS = 50_000
MAX_TOP = 1_000
#: Accounts that one question may be about.
MAX_ACCOUNTS = 100_000
#: Places shown of a number that no decimal holds.
SHOWN_PLACES = 12
_BY = re.compile(r"([0-9]{0,4}) ?(hour|day|week|month|quarter|year)s?", re.ASCII)
#: What adds up over windows, so that an empty window counts nothing and the whole is the sum of its parts.
_ADDITIVE = (Aggregation.COUNT, Aggregation.SUM, Aggregation.EXPRESSION, Aggregation.TIME_WEIGHTED_SUM)


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: ``by`` is ``total``, or a count and a unit such as ``day`` or ``6 hours``, from the period's start.

    ``where`` narrows each meter's filter, ``group_by`` takes the place of its own groups. ``top`` keeps the accounts and groups
    with the most over the whole period. ``fill`` adds the windows in which nothing was counted.
    """

    period: Period
    by: str = "total"
    zone: str = "UTC"
    where: Mapping[str, tuple[str, ...]] = {}
    group_by: tuple[str, ...] | None = None
    top: int | None = None
    fill: bool = False
    as_of_seq: int | None = None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What a meter counted for an account in a window, of one group. ``value`` is ``None`` in a filled window of no sum."""

    meter: str
    account: str
    start: int
    end: int
    dimensions: dict[str, str]
    value: Decimal | None
    events: int
    rounded: bool = False
    """Whether no decimal holds the number, so that it is shown to twelve places."""


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """An account whose usage can't be counted by a meter, and why."""

    meter: str
    account: str
    code: str
    message: str


class UsageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The rows by meter, account, group and time; ``seq`` is the state that was asked, to ask for again."""

    rows: list[Row]
    parked: list[Parked]
    seq: int


_Key = tuple[str, str, tuple[tuple[str, str], ...]]


def accounts_below(connection: Connection, account: Account) -> list[Account]:
    """The accounts that a question about all at or below an account is about. Raises :class:`TooLarge`; none is left out."""
    found = accounts.below(connection, account, limit=MAX_ACCOUNTS + 1)
    if len(found) > MAX_ACCOUNTS:
        raise TooLarge(f"more than {MAX_ACCOUNTS} accounts; name one", code="usage.too_many_accounts", where="account")
    return found


def ask(store: UsageStore, metered: Sequence[Metered], about: Sequence[str], question: Question) -> UsageAnswer:
    """What the meters counted. Of many accounts, those without usage are left out unless windows are to be filled.

    Raises :class:`Invalid` for a question that can't be, :class:`TooLarge` for too long an answer.
    """
    seq = store.watermark() if question.as_of_seq is None else question.as_of_seq
    windows, grain = _windows(question)
    with_nothing = grain is Grain.TOTAL and (question.fill or len(about) == 1)
    leaders = None
    if question.top is not None:
        leaders = _leaders(store, metered, about, question, seq)
    rows: list[Row] = []
    parked: list[Parked] = []
    for one in metered:
        meter = _narrowed(one.meter, question)
        periods = _counting(windows, one.counts_from)
        if not periods:
            continue
        query = Query(
            meters=(meter,), periods=tuple(periods), accounts=tuple(about), grain=grain, zone=question.zone, as_of_seq=seq
        )
        for measured in store.measure(query):
            if measured.error:
                parked.append(Parked(meter=meter.code, account=measured.account, code=measured.error, message=measured.message))
                continue
            rows += _rows(measured, meter, grain, question, with_nothing=with_nothing)
            if len(rows) > MAX_ROWS:
                raise TooLarge(
                    f"more than {MAX_ROWS} rows; ask for a shorter period, coarser windows, fewer groups or one account",
                    code="usage.too_many_rows",
                )
    if leaders is not None:
        rows = [row for row in rows if _key(row) in leaders]
    if question.fill:
        rows = _filled(rows, metered, question, windows, grain)
    rows.sort(key=lambda row: (row.meter, row.account, sorted(row.dimensions.items()), row.start))
    if question.top is not None and question.by == "total":
        rows.sort(key=lambda row: (row.meter, -(row.value or 0), row.account))
    return UsageAnswer(rows=rows, parked=list(dict.fromkeys(parked)), seq=seq)


def _narrowed(meter: Meter, question: Question) -> Meter:
    where = dict(meter.where)
    for name, values in question.where.items():
        where[name] = tuple(value for value in values if value in where[name]) if name in where else values
    groups = meter.group_by if question.group_by is None else question.group_by
    return msgspec.structs.replace(meter, where=where, group_by=groups)


def check_period(period: Period) -> None:
    """Refuse a period that holds nothing. Raises :class:`Invalid`."""
    if period.length <= 0:
        raise Invalid("the period ends before it starts", code="usage.period", where="to")


def _windows(question: Question) -> tuple[list[Period], Grain]:
    check_period(question.period)
    if question.by == "total":
        return [question.period], Grain.TOTAL
    match = _BY.fullmatch(question.by)
    count = int(match[1] or 1) if match else 0
    if match is None or not count:
        raise Invalid(
            f"{question.by[:40]!r} is no window; say total, or such as hour, 6 hours, day, month", code="usage.by", where="by"
        )
    unit = Unit(match[2])
    if count == 1 and unit in (Unit.HOUR, Unit.DAY):
        return [question.period], Grain.HOUR if unit is Unit.HOUR else Grain.DAY
    windows: list[Period] = []
    for whole in anniversary_at(Interval(unit, count), question.period.start, question.zone).between(*_ends(question.period)):
        part = whole.overlap(question.period)
        if part is not None:
            windows.append(part)
        if len(windows) > MAX_WINDOWS:
            raise TooLarge(
                f"more than {MAX_WINDOWS} windows; ask for a shorter period", code="usage.too_many_windows", where="by"
            )
    return windows, Grain.TOTAL


def _ends(period: Period) -> tuple[int, int]:
    return period.start, period.end


def _counting(windows: Sequence[Period], counts_from: int | None) -> list[Period]:
    """The windows, as far as the meter counts in them."""
    if counts_from is None:
        return list(windows)
    return [Period(max(each.start, counts_from), each.end) for each in windows if each.end > counts_from]


def _rows(measured: Measured, meter: Meter, grain: Grain, question: Question, *, with_nothing: bool) -> list[Row]:
    rows = []
    for quantity in measured.quantities:
        value, rounded = _shown(quantity.value)
        start = measured.period.start if quantity.start is None else quantity.start
        if not (quantity.events or value or with_nothing):
            continue
        rows.append(
            Row(
                meter=meter.code,
                account=measured.account,
                start=start,
                end=_end(start, measured.period, grain, question.zone),
                dimensions=dict(quantity.dimensions),
                value=value,
                events=quantity.events,
                rounded=rounded,
            )
        )
    return rows


def _shown(value: Exact) -> tuple[Decimal, bool]:
    return (value, False) if isinstance(value, Decimal) else (round_to(value, SHOWN_PLACES), True)


def _end(start: int, period: Period, grain: Grain, zone: str) -> int:
    return period.end if grain is Grain.TOTAL else min(_fine(grain, period, zone).containing(start).end, period.end)


def _fine(grain: Grain, period: Period, zone: str) -> Schedule:
    """The windows of a grain: hours from the period's start, the zone's days."""
    if grain is Grain.HOUR:
        return anniversary_at(Interval(Unit.HOUR), period.start, zone)
    return calendar_schedule(Interval(Unit.DAY), zone)


def _key(row: Row) -> _Key:
    return row.meter, row.account, tuple(sorted(row.dimensions.items()))


def _leaders(store: UsageStore, metered: Sequence[Metered], about: Sequence[str], question: Question, seq: int) -> set[_Key]:
    """The accounts and groups with the most over the whole period, by meter."""
    whole = msgspec.structs.replace(question, by="total", top=None, fill=False, as_of_seq=seq)
    assert question.top is not None
    leaders: set[_Key] = set()
    totals = ask(store, metered, about, whole).rows
    for one in metered:
        mine = [row for row in totals if row.meter == one.meter.code]
        mine.sort(key=lambda row: (-(row.value or 0), row.account, sorted(row.dimensions.items())))
        leaders |= {_key(row) for row in mine[: question.top]}
    return leaders


def _filled(
    rows: Sequence[Row], metered: Sequence[Metered], question: Question, windows: Sequence[Period], grain: Grain
) -> list[Row]:
    """The rows, and for each series the windows that it lacks."""
    additive = {one.meter.code: one.meter.aggregation in _ADDITIVE for one in metered}
    if grain is not Grain.TOTAL:
        fine = _fine(grain, question.period, question.zone).between(*_ends(question.period))
        windows = [part for whole in fine if (part := whole.overlap(question.period)) is not None]
    series: dict[_Key, dict[int, Row]] = {}
    for row in rows:
        series.setdefault(_key(row), {})[row.start] = row
    if len(series) * len(windows) > MAX_ROWS:
        raise TooLarge(
            f"more than {MAX_ROWS} rows with empty windows; ask without them", code="usage.too_many_rows", where="fill"
        )
    filled = []
    for (meter, account, dimensions), known in series.items():
        for window in windows:
            empty = Row(
                meter=meter,
                account=account,
                start=window.start,
                end=window.end,
                dimensions=dict(dimensions),
                value=Decimal(0) if additive[meter] else None,
                events=0,
            )
            filled.append(known.get(window.start, empty))
    return filled
