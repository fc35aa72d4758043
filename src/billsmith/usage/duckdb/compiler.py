"""Parts of SQL that statements over rows and roll-ups are put together of. Values travel as parameters, never as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import msgspec

from billsmith.metering.measure import Grain, windows
from billsmith.units.instants import HOUR, MINUTE, SECOND
from billsmith.units.periods import Period
from billsmith.usage.limbs import LIMB
from billsmith.usage.pieces import ROWS, Piece, cut
from billsmith.usage.shapes import BEFORE, Shape
from billsmith.usage.store import Place, Query, Selection

#: Most subjects that are named one by one.
_FEW = 100
_STEPS = {Grain.HOUR: HOUR, Grain.MINUTE: MINUTE}


class Parameters(dict[str, Any]):
    """The values of a statement. Adding one gives its name in the SQL."""

    def add(self, value: Any) -> str:
        """One more value."""
        name = f"p{len(self)}"
        self[name] = value
        return f"${name}"

    def each(self, values: Sequence[Any]) -> str:
        """Names of several, for ``IN``."""
        return ", ".join(map(self.add, values))


class Who:
    """Whose rows are looked for: those of some subjects, or of all that are bound.

    A ``few`` are named one by one, so that sorted rows of others are skipped; whose they are is known without the database.
    """

    def __init__(self, subjects: dict[int, str] | None, parameters: Parameters, few: int = _FEW) -> None:
        self.few, self.condition, self.relation = False, "", "bindings"
        if subjects is None:
            return
        if len(subjects) <= few:
            self.few, self.condition = True, f" AND subject IN ({', '.join(map(str, subjects)) or 'NULL'})"
            return
        numbers, accounts = parameters.add(list(subjects)), parameters.add(list(subjects.values()))
        # what is sorted by subject is passed over beyond these, instead of added up and then left out
        self.condition = f" AND subject >= {min(subjects)} AND subject <= {max(subjects)}" if subjects else ""
        self.relation = f"(SELECT unnest({numbers}::INTEGER[]) AS subject, unnest({accounts}::VARCHAR[]) AS account)"


def key_of(names: Sequence[str], parameters: Parameters) -> str:
    """The values of some dimensions of a row as a JSON list; ``null`` for one that it lacks."""
    if not names:
        return "'[]'"
    return f"to_json(json_extract_string(dims, {parameters.add(list(map(_pointer, names)))}::VARCHAR[]))::VARCHAR"


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


class Windows:
    """The windows of one period in SQL: how a row or roll-up finds the start of its own.

    Hours and minutes are computed. Days, whose lengths differ, are looked up by the hour: a table of hours says to which day
    each belongs, from where to where.
    """

    def __init__(self, period: Period, grain: Grain, zone: str) -> None:
        self._period, self._grain = period, grain
        self._days = list(windows(period, grain, zone)) if grain is Grain.DAY else []

    def pieces(self, lengths: Sequence[int]) -> dict[int, list[tuple[Piece, int]]]:
        """The pieces by their length, each with the start of its window (0 where SQL computes it, or there is one)."""
        found: dict[int, list[tuple[Piece, int]]] = {}
        step = _STEPS.get(self._grain)
        if step is not None:
            lengths = [length for length in lengths if step % length == self._period.start % length == 0]
        for window in self._days or [self._period]:
            for piece in cut(window.start, window.end, lengths):
                found.setdefault(piece.length, []).append((piece, window.start if self._days else 0))
        return found

    def source(self, table: str, pieces: Sequence[tuple[Piece, int]], parameters: Parameters) -> Iterator[tuple[str, str, str]]:
        """Where to read pieces of one length: relation, condition on time, start of the window."""
        if not self._days:
            for piece, _ in pieces:
                yield table, _between(piece.start, piece.end), self._start()
            return
        clock = [row for piece, start in pieces for row in _clock(piece, start)]
        columns = [f"unnest({parameters.add(list(column))}::BIGINT[])" for column in zip(*clock, strict=True)]
        names = ("hour", "start", "first", "last")
        clocks = ", ".join(f"{column} AS {name}" for column, name in zip(columns, names, strict=True))
        between = _between(pieces[0][0].start, pieces[-1][0].end)
        joined = f"{table} JOIN (SELECT {clocks}) clock ON clock.hour = time - time % {HOUR}"
        yield joined, f"{between} AND time >= clock.first AND time < clock.last", "clock.start"

    def _start(self) -> str:
        step = _STEPS.get(self._grain)
        return "0" if step is None else f"time - (time - {self._period.start}) % {step}"


def _between(start: int, end: int) -> str:
    return f"time >= {start} AND time < {end}"


def _clock(piece: Piece, start: int) -> Iterator[tuple[int, int, int, int]]:
    """The hours in which rows or roll-ups of a piece can stand."""
    step = piece.length if piece.length != ROWS else HOUR
    for hour in range(piece.start - piece.start % HOUR, piece.end, step):
        yield hour, start, piece.start, piece.end


class Ahead(msgspec.Struct, frozen=True):
    """What is counted ahead for the types of a statement: the family of each, up to which ``seq``, in which lengths."""

    families: tuple[int, ...] = ()
    seq: int = 0
    lengths: tuple[int, ...] = ()


#: The sums of rows: signed, so that a row and the one that takes it back leave nothing. Times are split in seconds and
#: nanoseconds, so that no product nears the end of 128 bits.
SUMS = {
    "n": "sum(sign)",
    "high": "sum(sign * high)",
    "low": "sum(sign * low)",
    "high_s": f"sum((sign * high)::HUGEINT * (time // {SECOND}))",
    "low_s": f"sum((sign * low)::HUGEINT * (time // {SECOND}))",
    "high_ns": f"sum((sign * high)::HUGEINT * (time % {SECOND}))",
    "low_ns": f"sum((sign * low)::HUGEINT * (time % {SECOND}))",
}


class Statement(msgspec.Struct, frozen=True):
    """SQL and its values. ``loose``: its rows name subjects, in any order."""

    sql: str
    parameters: Parameters
    loose: bool = False


class _Rows:
    """The table of events, as something that is added up."""

    name = "events"

    def __init__(self, shape: Shape, types: Sequence[str], parameters: Parameters) -> None:
        self._shape, self._types, self._parameters = shape, types, parameters
        self.sums = ", ".join(f"{SUMS[name]} AS {name}" for name in shape.sums)

    @cached_property
    def kind(self) -> str:
        return f"list_position({self._parameters.add(list(self._types))}::VARCHAR[], type) - 1"

    @cached_property
    def key(self) -> str:
        return key_of(self._shape.names, self._parameters)

    @cached_property
    def _of_type(self) -> str:
        return f"type IN ({self._parameters.each(self._types)})"

    def condition(self, since: int, upto: int, length: int) -> str:
        return f"{self._of_type} AND seq > {since} AND seq <= {upto}"


class _Cells:
    """The table of cells, as something that is added up."""

    name, key = "cells", "key"

    def __init__(self, shape: Shape, ahead: Ahead) -> None:
        families = ", ".join(map(str, ahead.families))
        self.kind = f"list_position([{families}]::INTEGER[], family) - 1"
        self.sums = ", ".join(f"sum({name}) AS {name}" for name in shape.sums)
        self._of_family = f"family IN ({families})"

    def condition(self, since: int, upto: int, length: int) -> str:
        return f"{self._of_family} AND seq <= {upto} AND length = {length}"


def add_up(
    shape: Shape,
    types: Sequence[str],
    query: Query,
    seq: int,
    subjects: dict[int, str] | None,
    ahead: Ahead,
    *,
    numbers: Sequence[int] | None = None,
) -> Statement | None:
    """Rows of some event types, added up by account, period, window, dimensions.

    A row of the answer is the place of its type, its account, the place of its period, the start of its window, the key of its
    dimensions, the shape's further columns and its sums (see ``shapes``); they come by the first three. Where the shape sums
    times, what came before each period comes too, as window :data:`BEFORE`.

    Of a few subjects, rows name the subject instead of its account, come in any order, and may have to be added once more:
    that is sooner done in Python. ``None`` where no row can be asked for.

    With ``numbers`` (of the types' meters) an answer's row is an account and all its rows as JSON (``usage/duckdb/sheets.py``).
    """
    parameters = Parameters()
    who = Who(subjects, parameters, few=_FEW if numbers is None else 0)
    rows, counted = _Rows(shape, types, parameters), _Cells(shape, ahead)
    by = "".join(f", {name}" for name in shape.by)
    branches: list[str] = []

    def read(place: int, windows: Windows, before: bool) -> None:
        for lengths, since, upto in (((), ahead.seq, seq), (ahead.lengths, 0, ahead.seq)):
            if since == upto:
                continue
            for length, pieces in windows.pieces(lengths).items():
                table: _Rows | _Cells = rows if length == ROWS else counted
                for relation, when, start in windows.source(table.name, pieces, parameters):
                    branches.append(
                        f"SELECT {table.kind} AS kind, subject, {place} AS period, {BEFORE if before else start} AS start,"
                        f" {table.key} AS key{by}, {table.sums} FROM {relation}"
                        f" WHERE {table.condition(since, upto, length)}{who.condition} AND {when} GROUP BY ALL"
                    )

    for place, period in enumerate(query.periods):
        read(place, Windows(period, query.grain, query.zone), False)
        if shape.moments and period.start > 0:
            read(place, Windows(Period(0, period.start), Grain.TOTAL, "UTC"), True)
    if not branches:
        return None
    union = " UNION ALL ".join(branches)
    if who.few:
        return Statement(f"SELECT kind, subject, period, start, key{by}{_given(shape)} FROM ({union})", parameters, loose=True)
    sums = ", ".join(f"sum({name})::HUGEINT AS {name}" for name in shape.sums)
    whole = (
        f"SELECT kind, account, period, start, key{by}, {sums} FROM ({union})"
        f" JOIN {who.relation} USING (subject) GROUP BY kind, account, period, start, key{by} HAVING sum(n) <> 0"
    )
    if numbers is not None:
        number = f"list_extract({parameters.add(list(numbers))}::INTEGER[], kind + 1)"
        columns = ", ',', ".join([number, "'null,null'", "start", "to_json(key)::VARCHAR", *_parts(shape)])
        text = f"concat('[', {columns}, ']')"
        return Statement(f"SELECT account, string_agg({text}, ',') FROM ({whole}) GROUP BY account", parameters)
    return Statement(
        f"SELECT kind, account, period, start, key{by}{_given(shape)} FROM ({whole}) ORDER BY kind, account, period", parameters
    )


def _given(shape: Shape) -> str:
    """The sums as they are given out: 64 bits each, which cost Python a fifth of what wider ones do; see ``shapes``."""
    return "".join(f", {part}" for part in _parts(shape))


def _parts(shape: Shape) -> list[str]:
    parts = ["n::BIGINT"]
    for high, low in zip(shape.sums[1::2], shape.sums[2::2], strict=True):
        top = f"({high} + {low} // {LIMB})"
        parts += [f"({top} // {LIMB})::BIGINT", f"({top} % {LIMB})::BIGINT", f"({low} % {LIMB})::BIGINT"]
    return parts


def read(columns: str, type: str, start: int, end: int, seq: int, subjects: dict[int, str] | None) -> Statement:
    """Rows in force of a type and a span of time. Two columns come before theirs: nothing, and the account, or the subject."""
    parameters = Parameters()
    who = Who(subjects, parameters)
    matter = f"type = {parameters.add(type)} AND {_between(start, end)}{who.condition}"
    if who.few:
        return Statement(f"SELECT 0, subject, {columns} FROM {in_force(matter, seq)}", parameters, loose=True)
    return Statement(
        f"SELECT 0, account, {columns} FROM {in_force(matter, seq)} JOIN {who.relation} USING (subject) ORDER BY account",
        parameters,
    )


def selected(selection: Selection, subjects: Sequence[int] | None, parameters: Parameters) -> str:
    """The condition on a row's body that a selection sets; ``subjects`` are those that it names, ``None`` all."""
    parts = ["true"]
    for column, text in (("source", selection.source), ("type", selection.type)):
        if text:
            parts.append(f"{column} = {parameters.add(text)}")
    if subjects is not None:
        parts.append(f"subject IN (SELECT unnest({parameters.add(list(subjects))}::INTEGER[]))")
    if selection.period is not None:
        parts.append(_between(selection.period.start, selection.period.end))
    parts += [_says(name, texts, parameters) for name, texts in selection.where.items()]
    parts += [f"NOT {_says(name, texts, parameters)}" for name, texts in selection.unless.items()]
    return " AND ".join(parts)


def _says(name: str, texts: Sequence[str], parameters: Parameters) -> str:
    """That a dimension is one of some texts."""
    said = f"json_extract_string(dims, {parameters.add(_pointer(name))})"
    return f"coalesce(list_contains({parameters.add(list(texts))}::VARCHAR[], {said}), false)"


def page(columns: str, condition: str, seq: int, after: Place | None, limit: int, parameters: Parameters) -> str:
    """Rows in force that meet a condition, by their place, those after one; at most ``limit``."""
    beyond = ""
    if after is not None:
        condition += f" AND time >= {after[0]}"
        beyond = f" WHERE (time, source, id, owner) > ({parameters.each(after)})"
    return (
        f"SELECT {columns} FROM {in_force(condition, seq)} JOIN (SELECT subject, owner FROM subjects) USING (subject){beyond}"
        f" ORDER BY time, source, id, owner LIMIT {limit}"
    )


def in_force(condition: str, seq: int) -> str:
    """Rows in force as of ``seq``, of those that meet a condition on the body.

    A row that takes one back has the same body, so it meets the same condition: no others are read.
    """
    rows = f"FROM events WHERE seq <= {seq} AND {condition}"
    return f"(SELECT * {rows} AND sign = 1 AND seq NOT IN (SELECT undoes {rows} AND sign = -1))"
