"""SQL over rows and roll-ups. Texts and lists travel as parameters; our own numbers stand in the statement, to plan it by.

Sums are PostgreSQL's ``numeric``, exact at any length; nothing is divided or rounded but to cut off zeros.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec

from billsmith.metering.measure import Grain, windows
from billsmith.units.instants import HOUR, MINUTE
from billsmith.units.periods import Period
from billsmith.usage.limbs import SCALE
from billsmith.usage.pieces import ROWS, cut
from billsmith.usage.postgres.rows import EVENT
from billsmith.usage.postgres.schema import SCHEMA
from billsmith.usage.shapes import BEFORE, Shape
from billsmith.usage.store import Place, Query, Selection

_STEPS = {Grain.HOUR: HOUR, Grain.MINUTE: MINUTE}
#: Most spans of time that are named one by one.
_SPANS = 100

_SIGNED = "CASE WHEN e.sign > 0 THEN e.value ELSE -e.value END"
#: The sums of rows: signed, so that a row and the one that takes it back leave nothing.
SUMS = {"n": "sum(e.sign)", "value": f"sum({_SIGNED})", "moment": f"sum(({_SIGNED}) * e.time)"}


class Parameters(dict[str, Any]):
    """The values of a statement. Adding one gives its name in the SQL."""

    def add(self, value: Any) -> str:
        """One more value."""
        name = f"p{len(self)}"
        self[name] = value
        return f"%({name})s"


class Stretch(msgspec.Struct, frozen=True):
    """Rows with a ``seq`` above ``since`` and up to ``upto``; ``condition`` says so of the batch and place of ``{e}``."""

    since: int
    upto: int
    condition: str

    def of(self, alias: str) -> str:
        """The condition on a table."""
        return self.condition.replace("{e}", alias)


class Statement(msgspec.Struct, frozen=True):
    """SQL and its values."""

    sql: str
    parameters: Parameters


class Ahead(msgspec.Struct, frozen=True):
    """What is counted ahead for the types of a statement: the family of each, up to which ``seq``, in which lengths."""

    families: tuple[int, ...] = ()
    seq: int = 0
    lengths: tuple[int, ...] = ()


def sums_of(shape: Shape) -> tuple[str, ...]:
    """Which sums a shape needs."""
    return ("n", *(["value"] if "low" in shape.sums else []), *(["moment"] if shape.moments else []))


def key_of(names: Sequence[str], parameters: Parameters) -> str:
    """The values of some dimensions of a row as a JSON list; ``null`` for one that it lacks."""
    if not names:
        return "'[]'"
    return f"jsonb_build_array({', '.join(f'e.dims->>{parameters.add(name)}' for name in names)})::text"


class _Windows:
    """The windows of one period: which spans of time rows and roll-ups cover of them, and how each finds its window's start."""

    def __init__(self, period: Period, grain: Grain, zone: str) -> None:
        self._period, self._step = period, _STEPS.get(grain)
        self._days = list(windows(period, grain, zone)) if grain is Grain.DAY else []

    def spans(self, lengths: Sequence[int]) -> dict[int, list[tuple[int, int]]]:
        """By length of a roll-up, or :data:`ROWS`, the spans of time to take from it; those that meet are one."""
        if self._step is not None:
            lengths = [length for length in lengths if self._step % length == self._period.start % length == 0]
        found: dict[int, list[tuple[int, int]]] = {}
        for window in self._days or [self._period]:
            for piece in cut(window.start, window.end, lengths):
                spans = found.setdefault(piece.length, [])
                if spans and spans[-1][1] == piece.start:
                    spans[-1] = (spans[-1][0], piece.end)
                else:
                    spans.append((piece.start, piece.end))
        return found

    def start(self, parameters: Parameters) -> str:
        """The start of a row's window; 0 where there is but one."""
        if self._days:
            starts = f"{parameters.add([window.start for window in self._days])}::bigint[]"
            return f"({starts})[width_bucket(e.time, {starts})]"
        return "0::bigint" if self._step is None else f"e.time - (e.time - {self._period.start}) %% {self._step}"


def _between(spans: Sequence[tuple[int, int]], parameters: Parameters) -> str:
    """That a time is within one of some spans, which are in order."""
    outer = f"e.time >= {spans[0][0]} AND e.time < {spans[-1][1]}"
    if len(spans) == 1:
        return outer
    if len(spans) <= _SPANS:
        return f"{outer} AND ({' OR '.join(f'(e.time >= {start} AND e.time < {end})' for start, end in spans)})"
    edges = parameters.add([edge for span in spans for edge in span])
    return f"{outer} AND width_bucket(e.time, {edges}::bigint[]) %% 2 = 1"


class Counted(msgspec.Struct, frozen=True):
    """Where a statement's rows come from: roll-ups, rows that they have (where a span is no whole hours), rows after them."""

    ahead: Ahead
    sealed: Stretch | None
    tail: Stretch | None


def add_up(
    shape: Shape, types: Sequence[str], query: Query, counted: Counted, subjects: Sequence[int] | None
) -> Statement | None:
    """Rows of some event types, added up by account, period, window, dimensions; ``None`` where there is nothing to ask for.

    A row of the answer is the place of its type, its account, the place of its period, the start of its window, the key of its
    dimensions, the shape's further columns and its sums (see ``shapes``); they come by the first three. Where the shape sums
    times, what came before each period comes too, as window :data:`BEFORE`.
    """
    parameters = Parameters()
    parts = _Parts(shape, types, counted.ahead, subjects, parameters)
    branches: list[str] = []

    def read(place: int, windows: _Windows, start: str) -> None:
        if counted.tail is not None:
            branches.extend(parts.rows(place, start, spans, counted.tail) for spans in windows.spans(()).values())
        if counted.sealed is not None:
            for length, spans in windows.spans(counted.ahead.lengths).items():
                if length == ROWS:
                    branches.append(parts.rows(place, start, spans, counted.sealed))
                else:
                    branches.append(parts.cells(place, start, spans, length))

    for place, period in enumerate(query.periods):
        windows = _Windows(period, query.grain, query.zone)
        read(place, windows, windows.start(parameters))
        if shape.moments and period.start > 0:
            read(place, _Windows(Period(0, period.start), Grain.TOTAL, "UTC"), f"{BEFORE}::bigint")
    if not branches:
        return None
    further = ", value" if shape.by else ""
    return Statement(
        f"SELECT kind, s.account, period, start, key{_given(shape)} FROM ({' UNION ALL '.join(branches)}) e"
        f" JOIN {SCHEMA}.subjects s USING (subject) WHERE s.account IS NOT NULL"
        f" GROUP BY kind, s.account, period, start, key{further} HAVING sum(n) <> 0 ORDER BY kind, s.account, period",
        parameters,
    )


class _Parts:
    """SELECTs over rows and over cells that give the same columns."""

    def __init__(
        self, shape: Shape, types: Sequence[str], ahead: Ahead, subjects: Sequence[int] | None, parameters: Parameters
    ) -> None:
        self._parameters, self._ahead, self._sums = parameters, ahead, sums_of(shape)
        self._whose = "" if subjects is None else f" AND e.subject = ANY({parameters.add(list(subjects))}::integer[])"
        self._key = key_of(shape.names, parameters)
        self._types = f"{parameters.add(list(types))}::text[]"
        self._families = f"{parameters.add(list(ahead.families))}::integer[]"
        self._by = ", e.value" if shape.by else ""

    def rows(self, place: int, start: str, spans: Sequence[tuple[int, int]], stretch: Stretch) -> str:
        """Of rows."""
        added = ", ".join(f"{SUMS[name]} AS {name}" for name in self._sums)
        return (
            f"SELECT array_position({self._types}, e.type) - 1 AS kind, e.subject, {place} AS period, {start} AS start,"
            f" {self._key} AS key{self._by}, {added} FROM {SCHEMA}.events e WHERE e.type = ANY({self._types}){self._whose}"
            f" AND {_between(spans, self._parameters)} AND {stretch.of('e')} GROUP BY 1, 2, 4, 5{', 6' if self._by else ''}"
        )

    def cells(self, place: int, start: str, spans: Sequence[tuple[int, int]], length: int) -> str:
        """Of cells."""
        added = ", ".join(f"sum(e.{name}) AS {name}" for name in self._sums)
        return (
            f"SELECT array_position({self._families}, e.family) - 1 AS kind, e.subject, {place} AS period, {start} AS start,"
            f" e.key, {added} FROM {SCHEMA}.cells e WHERE e.family = ANY({self._families}){self._whose}"
            f" AND e.length = {length} AND e.seq <= {self._ahead.seq} AND {_between(spans, self._parameters)}"
            " GROUP BY 1, 2, 4, 5"
        )


def _given(shape: Shape) -> str:
    """The columns after the key: whole numbers, in the form that ``shapes`` tells."""
    if shape.by:
        return f", 0, trunc(value * {SCALE}), sum(n)::bigint"
    given = ", sum(n)::bigint"
    if "low" in shape.sums:
        given += f", 0, 0, trunc(sum(value) * {SCALE})"
    if shape.moments:
        given += f", 0, 0, 0, 0, 0, trunc(sum(moment) * {SCALE})"
    return given


def read(type: str, start: int, end: int, stretch: Stretch, subjects: Sequence[int] | None) -> Statement:
    """Rows in force of a type and a span of time, each after its account, in their order."""
    parameters = Parameters()
    whose = "s.account IS NOT NULL"
    if subjects is not None:
        whose = f"e.subject = ANY({parameters.add(list(subjects))}::integer[])"
    return Statement(
        f"SELECT s.account, {EVENT} FROM {SCHEMA}.events e JOIN {SCHEMA}.subjects s USING (subject)"
        f" WHERE e.type = {parameters.add(type)} AND e.time >= {start} AND e.time < {end} AND {whose} AND {_in_force(stretch)}"
        " ORDER BY s.account",
        parameters,
    )


def _in_force(stretch: Stretch) -> str:
    return (
        f"e.sign = 1 AND {stretch.of('e')} AND NOT EXISTS (SELECT 1 FROM {SCHEMA}.amendments a"
        f" WHERE a.undone_batch = e.batch AND a.undone_place = e.place AND {stretch.of('a')})"
    )


def _selected(selection: Selection, subjects: Sequence[int] | None, parameters: Parameters) -> Iterator[str]:
    """The conditions on a row and its subject that a selection sets; ``subjects`` are those that it names, if they are few."""
    if subjects is not None:
        yield f"e.subject = ANY({parameters.add(list(subjects))}::integer[])"
    given = {
        "e.source": selection.source,
        "e.type": selection.type,
        "s.owner": selection.owner,
        "s.reference": selection.reference,
    }
    for column, text in given.items():
        if text:
            yield f"{column} = {parameters.add(text)}"
    if selection.accounts is not None:
        yield f"s.account = ANY({parameters.add(list(selection.accounts))}::text[])"
    if selection.period is not None:
        yield f"e.time >= {selection.period.start} AND e.time < {selection.period.end}"
    for name, texts in selection.where.items():
        yield _says(name, texts, parameters)
    for name, texts in selection.unless.items():
        yield f"NOT {_says(name, texts, parameters)}"


def _says(name: str, texts: Sequence[str], parameters: Parameters) -> str:
    """That a dimension is one of some texts."""
    return f"coalesce((e.dims->>{parameters.add(name)}) = ANY({parameters.add(list(texts))}::text[]), false)"


def page(selection: Selection, subjects: Sequence[int] | None, stretch: Stretch, after: Place | None, limit: int) -> Statement:
    """Rows in force that a selection has, by their place, those after one; at most ``limit``. seq and account come first."""
    parameters = Parameters()
    conditions = [_in_force(stretch), *_selected(selection, subjects, parameters)]
    if after is not None:
        time, source, id, owner = after
        texts = ", ".join(map(parameters.add, (source, id, owner)))
        conditions.append(f"e.time >= {time} AND (e.time, e.source, e.id, s.owner) > ({time}, {texts})")
    return Statement(
        f"SELECT b.before + e.place, s.account, {EVENT} FROM {SCHEMA}.events e JOIN {SCHEMA}.subjects s USING (subject)"
        f" JOIN {SCHEMA}.batches b USING (batch) WHERE {' AND '.join(conditions)}"
        f" ORDER BY e.time, e.source, e.id, s.owner LIMIT {limit}",
        parameters,
    )


def count(selection: Selection, subjects: Sequence[int] | None, stretch: Stretch) -> Statement:
    """How many a selection has."""
    parameters = Parameters()
    conditions = [stretch.of("e"), *_selected(selection, subjects, parameters)]
    return Statement(
        f"SELECT coalesce(sum(e.sign), 0)::bigint FROM {SCHEMA}.events e JOIN {SCHEMA}.subjects s USING (subject)"
        f" WHERE {' AND '.join(conditions)}",
        parameters,
    )


def unknown(types: Sequence[str], owners: Collection[str] | None, stretch: Stretch, limit: int) -> Statement:
    """Rows in force of names that are bound to nobody, or of some types, by name and type: how many, their last, their first.

    Those of unbound names are found by the index of subjects; all rows are looked at only where there are such types.
    """
    parameters = Parameters()
    of = "" if owners is None else f" AND s.owner = ANY({parameters.add(sorted(owners))}::text[])"
    rows = f"SELECT e.* FROM {SCHEMA}.events e WHERE e.subject IN (SELECT subject FROM {SCHEMA}.subjects s WHERE"
    parts = [f"{rows} s.account IS NULL{of})"]
    if types:
        parts.append(f"{rows} s.account IS NOT NULL{of}) AND e.type = ANY({parameters.add(list(types))}::text[])")
    return Statement(
        "SELECT s.owner, s.reference, s.account, found.type, events, first, last, source, id FROM ("
        f" SELECT subject, type, count(*) AS events, min(time) AS first, max(time) AS last FROM ({' UNION ALL '.join(parts)}) e"
        f" WHERE {_in_force(stretch)} GROUP BY subject, type) found JOIN {SCHEMA}.subjects s USING (subject), LATERAL ("
        f" SELECT e.source, e.id FROM {SCHEMA}.events e WHERE e.subject = found.subject AND e.time = found.first"
        f" AND e.type = found.type AND {_in_force(stretch)} ORDER BY e.source, e.id LIMIT 1) named"
        f" ORDER BY s.owner, s.reference, found.type LIMIT {limit}",
        parameters,
    )
