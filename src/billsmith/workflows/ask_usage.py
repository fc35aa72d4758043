"""Questions about usage: what meters counted, for whom, window by window, group by group."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from billsmith.accounts.model import Account
from billsmith.metering.measure import Grain
from billsmith.metering.meter import Aggregation, Meter
from billsmith.storage import accounts
from billsmith.storage.database import Connection
from billsmith.units.calendar import Interval, Schedule, Unit, anniversary_at, calendar_schedule
from billsmith.units.errors import Invalid, TooLarge
from billsmith.units.exact import Exact, divide, multiply, simplest, total
from billsmith.units.instants import format_instant
from billsmith.units.periods import Period
from billsmith.units.rounding import round_to
from billsmith.usage.store import MAX_WINDOWS, Measured, Query, UsageStore
from billsmith.workflows.meters import Counting

#: Rows of an answer.
MAX_ROWS = 50_000
MAX_TOP = 1_000
#: Accounts that one question may be about.
MAX_ACCOUNTS = 100_000
#: Places shown of a number that no decimal holds.
SHOWN_PLACES = 12
_BY = re.compile(r"([0-9]{0,4}) ?(hour|day|week|month|quarter|year)s?", re.ASCII)
#: What adds up over windows.
_SUMS = (Aggregation.COUNT, Aggregation.SUM, Aggregation.EXPRESSION)
#: What is zero in a window in which nothing was.
_ADDITIVE = (*_SUMS, Aggregation.TIME_WEIGHTED_SUM)


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


def ask(store: UsageStore, counted: Sequence[Counting], about: Sequence[str], question: Question) -> UsageAnswer:
    """What the meters counted. Of many accounts, those without usage are left out unless windows are to be filled.

    Raises :class:`Invalid` for a question that can't be, :class:`TooLarge` for too long an answer.
    """
    seq = store.watermark() if question.as_of_seq is None else question.as_of_seq
    windows, grain = _windows(question)
    lone = len(about) == 1
    leaders = None
    rows: list[Row] = []
    parked: set[Parked] = set()
    if question.top is not None:
        leaders = _leaders(store, counted, about, question, seq, parked)
        about = sorted({account for _, account, _ in leaders})
    with_nothing = grain is Grain.TOTAL and (question.fill or lone)
    for one in counted:
        for found in _counted(store, one, about, question, windows, grain, seq, with_nothing=with_nothing):
            if isinstance(found, Parked):
                parked.add(found)
            elif leaders is None or _key(found) in leaders:
                rows.append(found)
            if len(rows) + len(parked) > MAX_ROWS:
                raise _too_many_rows()
    if question.fill:
        rows = _filled(rows, counted, question, windows, grain)
    rows.sort(key=lambda row: (row.meter, row.account, sorted(row.dimensions.items()), row.start))
    if question.top is not None and question.by == "total":
        rows.sort(key=lambda row: (row.meter, -(row.value or 0), row.account))
    return UsageAnswer(rows=rows, parked=sorted(parked, key=lambda each: (each.meter, each.account)), seq=seq)


def _too_many_rows() -> TooLarge:
    return TooLarge(
        f"more than {MAX_ROWS} rows; ask for a shorter period, coarser windows, fewer groups or one account",
        code="usage.too_many_rows",
    )


def _counted(
    store: UsageStore,
    one: Counting,
    about: Sequence[str],
    question: Question,
    windows: Sequence[Period],
    grain: Grain,
    seq: int,
    *,
    with_nothing: bool,
) -> Iterator[Row | Parked]:
    """The rows of a meter: of each window that one version counts alone, and of each that several count together."""
    if not about:
        return
    plain, joined = divided(one, windows, grain, question)
    asked = _Asked(store, about, question.zone, seq)
    for meter, shown in plain.items():
        for measured in asked.measure(_narrowed(one.meters[meter], question), tuple(shown), grain):
            if measured.error:
                yield _parked(one.code, measured)
            else:
                yield from _rows(measured, one.code, shown[measured.period], grain, question, with_nothing=with_nothing)
    for window, parts in joined.items():
        yield from _together(asked, one, question, window, parts, with_nothing=with_nothing)


class _Asked(NamedTuple):
    """Whom a question is about, and as of which state."""

    store: UsageStore
    about: Sequence[str]
    zone: str
    seq: int

    def measure(self, meter: Meter, periods: tuple[Period, ...], grain: Grain) -> Iterator[Measured]:
        return self.store.measure(
            Query(meters=(meter,), periods=periods, accounts=tuple(self.about), grain=grain, zone=self.zone, as_of_seq=self.seq)
        )


def _parked(code: str, measured: Measured) -> Parked:
    return Parked(meter=code, account=measured.account, code=measured.error, message=measured.message)


def divided(
    one: Counting, windows: Sequence[Period], grain: Grain, question: Question
) -> tuple[dict[int, dict[Period, Period]], dict[Period, list[tuple[int, Period]]]]:
    """Which version of a meter counts what: by version, periods with the span that is shown for each; and windows of which
    versions count parts, with these.

    Raises :class:`Invalid` for a window that versions share which don't add up.
    """
    plain: dict[int, dict[Period, Period]] = {}
    joined: dict[Period, list[tuple[int, Period]]] = {}
    for window in windows if grain is Grain.TOTAL else _cut(one, question, grain):
        parts = one.parts(window)
        if len(parts) == 1 and (grain is Grain.TOTAL or parts[0][1] == window):
            [(version, part)] = parts
            plain.setdefault(version, {})[part] = window
        elif parts:
            if len(parts) > 1:
                _check_linear(one, [version for version, _ in parts], window, question)
            joined[window] = parts
    return plain, joined


def _cut(one: Counting, question: Question, grain: Grain) -> Iterator[Period]:
    """The period, in pieces that end where hours or days do; one that versions share is alone in its piece."""
    period, fine = question.period, _fine(grain, question.period, question.zone)
    done = period.start
    for since in one.since:
        if not done < since < period.end:
            continue
        whole = fine.containing(since)
        start, end = max(whole.start, period.start), min(whole.end, period.end)
        if done < start:
            yield Period(done, start)
        if start < since:  # a window of which it counts a part
            yield Period(start, end)
        done = end if start < since else start
    if done < period.end:
        yield Period(done, period.end)


def _check_linear(one: Counting, versions: Sequence[int], window: Period, question: Question) -> None:
    """Refuse to add up what does not add up. Raises :class:`Invalid`."""
    meters = [_narrowed(one.meters[version], question) for version in versions]
    kinds = {each.aggregation for each in meters}
    alike = len({(each.group_by, each.unit) for each in meters}) == 1 and all(each.rounding is None for each in meters)
    if alike and (kinds <= set(_SUMS) or kinds == {Aggregation.TIME_WEIGHTED_SUM}):
        return
    at = format_instant(one.since[versions[-1]])
    raise Invalid(
        f"from {at} on, {one.code} counts by version {meters[-1].version}, which does not add up with version "
        f"{meters[0].version} in the window from {format_instant(window.start)}. Ask for what was before {at} and for what "
        "came after by themselves, or name one version",
        code="usage.versions_differ",
        where="from",
    )


def _together(
    asked: _Asked,
    one: Counting,
    question: Question,
    window: Period,
    parts: Sequence[tuple[int, Period]],
    *,
    with_nothing: bool,
) -> Iterator[Row | Parked]:
    """A window of which versions count parts: sums are added up, levels weighed by their time."""
    sums: dict[_Key, list[tuple[Exact, int, int]]] = {}
    parked: dict[str, Parked] = {}
    for version, part in parts:
        for measured in asked.measure(_narrowed(one.meters[version], question), (part,), Grain.TOTAL):
            if measured.error:
                parked[measured.account] = _parked(one.code, measured)
            for each in measured.quantities:
                key = one.code, measured.account, tuple(sorted(each.dimensions.items()))
                sums.setdefault(key, []).append((each.value, each.events, part.length))
    yield from parked.values()
    levels = one.meters[parts[0][0]].aggregation is Aggregation.TIME_WEIGHTED_SUM
    for (_, account, dimensions), found in sums.items():
        if account in parked:
            continue
        if levels:
            area = total([multiply(value, Decimal(length)) for value, _, length in found])
            exact = simplest(divide(area, Decimal(sum(part.length for _, part in parts))))
        else:
            exact = total([value for value, _, _ in found])
        value, rounded = _shown(exact)
        events = sum(count for _, count, _ in found)
        if events or value or with_nothing:
            yield Row(
                meter=one.code,
                account=account,
                start=window.start,
                end=window.end,
                dimensions=dict(dimensions),
                value=value,
                events=events,
                rounded=rounded,
            )


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


def _rows(
    measured: Measured, code: str, window: Period, grain: Grain, question: Question, *, with_nothing: bool
) -> Iterator[Row]:
    for quantity in measured.quantities:
        value, rounded = _shown(quantity.value)
        if not (quantity.events or value or with_nothing):
            continue
        start = window.start if quantity.start is None else quantity.start
        yield Row(
            meter=code,
            account=measured.account,
            start=start,
            end=_end(start, window, grain, question),
            dimensions=dict(quantity.dimensions),
            value=value,
            events=quantity.events,
            rounded=rounded,
        )


def _shown(value: Exact) -> tuple[Decimal, bool]:
    return (value, False) if isinstance(value, Decimal) else (round_to(value, SHOWN_PLACES), True)


def _end(start: int, window: Period, grain: Grain, question: Question) -> int:
    if grain is Grain.TOTAL:
        return window.end
    return min(_fine(grain, question.period, question.zone).containing(start).end, window.end)


def _fine(grain: Grain, period: Period, zone: str) -> Schedule:
    """The windows of a grain: hours from the period's start, the zone's days."""
    if grain is Grain.HOUR:
        return anniversary_at(Interval(Unit.HOUR), period.start, zone)
    return calendar_schedule(Interval(Unit.DAY), zone)


def _key(row: Row) -> _Key:
    return row.meter, row.account, tuple(sorted(row.dimensions.items()))


def _leaders(
    store: UsageStore, counted: Sequence[Counting], about: Sequence[str], question: Question, seq: int, parked: set[Parked]
) -> set[_Key]:
    """The accounts and groups with the most over the whole period, by meter; those that can't be counted are put by."""

    def rows(found: Iterator[Row | Parked]) -> Iterator[Row]:
        for each in found:
            if isinstance(each, Row):
                yield each
                continue
            parked.add(each)
            if len(parked) > MAX_ROWS:
                raise _too_many_rows()

    assert question.top is not None
    leaders: set[_Key] = set()
    whole = msgspec.structs.replace(question, by="total", fill=False)
    for one in counted:
        found = _counted(store, one, about, whole, [question.period], Grain.TOTAL, seq, with_nothing=len(about) == 1)
        most = heapq.nsmallest(
            question.top, rows(found), key=lambda row: (-(row.value or 0), row.account, sorted(row.dimensions.items()))
        )
        leaders |= set(map(_key, most))
    return leaders


def _filled(
    rows: Sequence[Row], counted: Sequence[Counting], question: Question, windows: Sequence[Period], grain: Grain
) -> list[Row]:
    """The rows, and for each series the windows that it lacks."""
    additive = {one.code: all(meter.aggregation in _ADDITIVE for meter in one.meters) for one in counted}
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
