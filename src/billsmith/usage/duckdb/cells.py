"""Roll-ups: sums of rows by subject, hour or day, and the dimensions that meters look at, kept beside the rows.

A *family* is what meters of one event type have in common: the names of the dimensions by which they filter and group, and
whether they need times. Meters that differ in what they let pass share one. A *cell* is one sum of a family, of the rows of
one run (see ``runs``); it is signed, so that corrections need no care. Cells are disposable: the table ``events`` has it all.

A family whose cells are hardly fewer than its events is not worth its room: its hours are dropped, or all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby
from typing import Any

import duckdb
import msgspec

from billsmith.units.instants import DAY, HOUR
from billsmith.usage.duckdb.compiler import SUMS, Ahead, Parameters, key_of
from billsmith.usage.shapes import MOMENTS, NUMBERS, Shape

#: A family is dropped when it has more than one cell of a length for so many events, once it has enough to tell.
WORTH = 2
ENOUGH = 100_000

_COLUMNS = ", ".join(SUMS)
_json = msgspec.json.Encoder()


class Family(msgspec.Struct, frozen=True):
    """What is counted ahead of an event type: up to which ``seq``, by the hour too or by days alone; ``reason``: why not."""

    family: int
    type: str
    shape: Shape
    seq: int = 0
    hourly: bool = True
    reason: str = ""

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of its cells."""
        return (DAY, HOUR) if self.hourly else (DAY,)


def families(cursor: duckdb.DuckDBPyConnection) -> list[Family]:
    """All that there are."""
    rows = cursor.execute("SELECT family, type, names, moments, seq, hourly, reason FROM families ORDER BY family").fetchall()
    return [
        Family(family, type, _shape(names, moments), seq, hourly, reason)
        for family, type, names, moments, seq, hourly, reason in rows
    ]


def _shape(names: str, moments: bool) -> Shape:
    return Shape(msgspec.json.decode(names, type=tuple[str, ...]), MOMENTS if moments else NUMBERS)


def ahead(cursor: duckdb.DuckDBPyConnection, found: Sequence[int], seq: int) -> Ahead:
    """What is counted ahead for some families, by their numbers, as of ``seq``; nothing where one of them is gone."""
    if not found:
        return Ahead()
    numbers = ", ".join(map(str, found))
    ((count, upto, hourly, highs),) = cursor.execute(
        "SELECT count(*), min(seq), bool_and(hourly), (SELECT list(high) FROM runs) FROM families"
        f" WHERE family IN ({numbers}) AND reason = ''"
    ).fetchall()
    if count < len(found):
        return Ahead()
    sealed = max((high for high in highs or () if high <= min(upto, seq)), default=0)
    return Ahead(tuple(found), sealed, (DAY, HOUR) if hourly else (DAY,))


def declare(cursor: duckdb.DuckDBPyConnection, meant: Collection[tuple[str, Shape]]) -> None:
    """Make the families be those meant: new ones start empty, others go with their cells."""
    known = families(cursor)
    gone = [family.family for family in known if (family.type, family.shape) not in meant]
    if gone:
        cursor.execute("DELETE FROM cells WHERE family IN (SELECT unnest(?))", [gone])
        cursor.execute("DELETE FROM families WHERE family IN (SELECT unnest(?))", [gone])
    new = sorted(
        set(meant) - {(family.type, family.shape) for family in known}, key=lambda one: (one[0], one[1].names, one[1].sums)
    )
    rows = [(type, _json.encode(shape.names).decode(), shape.moments) for type, shape in new]
    if rows:
        cursor.executemany("INSERT INTO families VALUES (nextval('family_numbers'), ?, ?, ?, 0, true, '')", rows)


def fill(cursor: duckdb.DuckDBPyConnection, low: int, high: int, found: Sequence[Family]) -> None:
    """Count the rows of the run (``low``, ``high``] into cells of some families, all of which have what was before."""
    order = sorted(found, key=lambda family: (family.shape.names, family.shape.sums, family.hourly))
    for (shape, lengths), same in groupby(order, lambda family: (family.shape, family.lengths)):
        _fill(cursor, low, high, shape, lengths, list(same))
    cursor.execute("UPDATE families SET seq = ? WHERE family IN (SELECT unnest(?))", [high, [one.family for one in found]])


def _fill(
    cursor: duckdb.DuckDBPyConnection, low: int, high: int, shape: Shape, lengths: Sequence[int], found: Sequence[Family]
) -> None:
    parameters = Parameters()
    types = [family.type for family in found]
    place = f"list_position({parameters.add(types)}::VARCHAR[], type)"
    family = f"list_extract({parameters.add([one.family for one in found])}::INTEGER[], {place})"
    key = key_of(shape.names, parameters)
    sums = ", ".join(f"{SUMS[name] if name in shape.sums else 'NULL'} AS {name}" for name in SUMS)
    again = ", ".join(f"sum({name})" for name in SUMS)
    # hours are summed from rows, days from hours
    cursor.execute(
        f"""INSERT INTO cells
        WITH hours AS MATERIALIZED (
            SELECT {family} AS family, subject, time - time % {HOUR} AS hour, {key} AS key, {sums}
            FROM events WHERE seq > {low} AND seq <= {high} AND type IN ({parameters.each(types)}) GROUP BY ALL)
        SELECT {high}, family, length, subject, time, key, {_COLUMNS} FROM (
            SELECT family, {HOUR} AS length, subject, hour AS time, key, {_COLUMNS} FROM hours WHERE {HOUR in lengths}
            UNION ALL SELECT family, {DAY}, subject, hour - hour % {DAY}, key, {again} FROM hours GROUP BY ALL)
        WHERE {_anything("")} ORDER BY length, subject, family, time""",
        parameters,
    )


def merge(cursor: duckdb.DuckDBPyConnection, highs: Sequence[int]) -> None:
    """Make the cells of adjacent runs those of one, named by the last."""
    ((last,),) = cursor.execute("SELECT coalesce(max(rowid), -1) FROM cells").fetchall()
    runs = ", ".join(map(str, highs))
    sums = ", ".join(f"sum({name}) AS {name}" for name in SUMS)
    cursor.execute(
        f"INSERT INTO cells SELECT {highs[-1]}, family, length, subject, time, key, {sums} FROM cells WHERE seq IN ({runs})"
        f" GROUP BY family, length, subject, time, key HAVING {_anything('sum')} ORDER BY length, subject, family, time"
    )
    cursor.execute(f"DELETE FROM cells WHERE seq IN ({runs}) AND rowid <= {last}")


def _anything(function: str) -> str:
    return " OR ".join(f"coalesce({function}({name}), 0) <> 0" for name in SUMS)


def drop_what_is_not_worth_it(cursor: duckdb.DuckDBPyConnection) -> None:
    """Drop the hours of families, or all of them, where cells are hardly fewer than events."""
    counted = cursor.execute(
        f"SELECT family, count(*) FILTER (length = {HOUR}), count(*) FILTER (length = {DAY}),"
        f" coalesce(sum(n) FILTER (length = {DAY}), 0) FROM cells GROUP BY family"
    ).fetchall()
    for family, hours, days, events in counted:
        if events < ENOUGH:
            continue
        if days * WORTH > events:
            reason = f"{days} days and dimensions for {events} events"
            cursor.execute("DELETE FROM cells WHERE family = ?", [family])
            cursor.execute("UPDATE families SET reason = ?, seq = 0 WHERE family = ?", [reason, family])
        elif hours * WORTH > events:
            cursor.execute("DELETE FROM cells WHERE family = ? AND length = ?", [family, HOUR])
            cursor.execute("UPDATE families SET hourly = false WHERE family = ?", [family])


def faults(cursor: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """By event type, cells that the rows don't bear out; none where all is well."""
    found: dict[str, int] = {}
    for family in families(cursor):
        if family.reason:
            continue
        for length in family.lengths:
            if count := _differing(cursor, family, length):
                found[family.type] = found.get(family.type, 0) + count
    return found


def _differing(cursor: duckdb.DuckDBPyConnection, family: Family, length: int) -> int:
    parameters = Parameters()
    key = key_of(family.shape.names, parameters)
    type = parameters.add(family.type)
    names = family.shape.sums
    sums = ", ".join(f"{SUMS[name]} AS {name}" for name in names)
    rows: list[tuple[Any, ...]] = cursor.execute(
        f"""SELECT count(*) FROM (
            SELECT subject, time - time % {length} AS time, {key} AS key, {sums}
            FROM events WHERE type = {type} AND seq <= {family.seq} GROUP BY ALL HAVING {_differ(names)})
        a FULL JOIN (
            SELECT subject, time, key, {", ".join(f"sum({name}) AS {name}" for name in names)}
            FROM cells WHERE family = {family.family} AND length = {length} GROUP BY ALL HAVING {_differ(names, "sum")})
        b USING (subject, time, key) WHERE {" OR ".join(f"a.{name} IS DISTINCT FROM b.{name}" for name in names)}""",
        parameters,
    ).fetchall()
    return int(rows[0][0])


def _differ(names: Sequence[str], function: str = "") -> str:
    """That a group isn't empty: made of rows, or of cells."""
    return " OR ".join(f"{f'{function}({name})' if function else SUMS[name]} <> 0" for name in names)
