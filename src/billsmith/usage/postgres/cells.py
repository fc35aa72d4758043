"""Roll-ups: sums of rows by subject, hour or day, and the dimensions that meters look at, kept beside the rows.

A *run* is a stretch of ``seq``, from the run before to the end of a batch, that was counted ahead at once. A *family* is what
meters of one event type have in common: the names of the dimensions by which they filter and group, and whether they need
times. A *cell* is one sum of a family, of the rows of one run; it is signed, so that corrections need no care. All of it is
disposable: the table ``events`` has it all.

A family whose cells are hardly fewer than its events is not worth its room: its hours are dropped, or all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby

import msgspec

from billsmith.units.instants import DAY, HOUR
from billsmith.usage.merging import to_merge
from billsmith.usage.postgres.compiler import SUMS, Ahead, Parameters, Stretch, key_of, sums_of
from billsmith.usage.postgres.connections import Connection
from billsmith.usage.postgres.schema import SCHEMA
from billsmith.usage.postgres.stretches import Stretches
from billsmith.usage.shapes import MOMENTS, NUMBERS, Shape

#: Rows that make a run, how many of them at most are counted at once, and the size from which a run is merged no more.
RUN = 100_000
FAN_IN = 4
FULL = 6_400_000
#: A family is dropped when it has more than one cell of a length for so many events, once it has enough to tell.
WORTH = 2
ENOUGH = 100_000

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


def families(connection: Connection) -> list[Family]:
    """All that there are."""
    rows = connection.execute(
        f"SELECT family, type, names, moments, seq, hourly, reason FROM {SCHEMA}.families ORDER BY family"
    ).fetchall()
    return [
        Family(family, type, _shape(names, moments), seq, hourly, reason)
        for family, type, names, moments, seq, hourly, reason in rows
    ]


def _shape(names: str, moments: bool) -> Shape:
    return Shape(msgspec.json.decode(names, type=tuple[str, ...]), MOMENTS if moments else NUMBERS)


def highs(connection: Connection) -> list[int]:
    """The runs, by their highest seq, in order."""
    return [high for (high,) in connection.execute(f"SELECT high FROM {SCHEMA}.runs ORDER BY high").fetchall()]


def sealed(connection: Connection) -> int:
    """Up to which seq rows are in runs."""
    return max(highs(connection), default=0)


def counted(connection: Connection) -> int:
    """Up to which seq rows are in all roll-ups that are kept."""
    return min([sealed(connection), *(family.seq for family in families(connection) if not family.reason)])


def ahead(connection: Connection, found: Sequence[Family], seq: int) -> Ahead:
    """What is counted ahead for some families as of ``seq``; nothing where there are none."""
    upto = min([seq, *(family.seq for family in found)])
    if not found or not (runs := [high for high in highs(connection) if high <= upto]):
        return Ahead()
    lengths = (DAY, HOUR) if all(family.hourly for family in found) else (DAY,)
    return Ahead(tuple(family.family for family in found), max(runs), lengths)


def declare(connection: Connection, meant: Collection[tuple[str, Shape]]) -> None:
    """Make the families be those meant: new ones start empty, others go with their cells."""
    known = families(connection)
    gone = [family.family for family in known if (family.type, family.shape) not in meant]
    if gone:
        connection.execute(f"DELETE FROM {SCHEMA}.cells WHERE family = ANY(%s)", [gone])
        connection.execute(f"DELETE FROM {SCHEMA}.families WHERE family = ANY(%s)", [gone])
    new = set(meant) - {(family.type, family.shape) for family in known}
    rows = [(type, _json.encode(shape.names).decode(), shape.moments) for type, shape in new]
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {SCHEMA}.families (type, names, moments, seq, hourly, reason) VALUES (%s, %s, %s, 0, true, '')",
            sorted(rows),
        )


# ── steps: each is done in a transaction of its own; they say whether there may be more to do ──


def fill_behind(connection: Connection) -> bool:
    """Let families that lack a run catch up, a run at a time."""
    runs = highs(connection)
    behind = [family for family in families(connection) if not family.reason and family.seq < max(runs, default=0)]
    if not behind:
        return False
    low = min(family.seq for family in behind)
    _fill(connection, low, min(high for high in runs if high > low), [one for one in behind if one.seq == low])
    return True


def seal(connection: Connection, least: int) -> bool:
    """Count the next rows into every family; all families have what was before."""
    low = sealed(connection)
    row = connection.execute(
        f"SELECT max(last) FROM {SCHEMA}.batches WHERE last > %s AND before < %s", [low, low + RUN * FAN_IN]
    ).fetchone()
    high = row[0] if row is not None and row[0] is not None else low
    if high - low < least or high == low:
        return False
    _fill(connection, low, high, [family for family in families(connection) if not family.reason])
    connection.execute(f"INSERT INTO {SCHEMA}.runs VALUES (%s)", [high])
    return True


def merge(connection: Connection) -> bool:
    """Make the cells of adjacent runs those of one, named by the last; drop what is not worth its room."""
    runs = highs(connection)
    found = to_merge(runs, least=RUN * FAN_IN, full=FULL, fan_in=FAN_IN)
    if found is None:
        return False
    merged = runs[slice(*found)]
    sums = ", ".join(f"sum({name}) AS {name}" for name in SUMS)
    connection.execute(
        f"WITH gone AS (DELETE FROM {SCHEMA}.cells WHERE seq = ANY(%s) RETURNING *)"
        f" INSERT INTO {SCHEMA}.cells SELECT %s, family, length, subject, time, key, {sums} FROM gone"
        f" GROUP BY family, length, subject, time, key HAVING {_anything('sum')}",
        [merged, merged[-1]],
    )
    connection.execute(f"DELETE FROM {SCHEMA}.runs WHERE high = ANY(%s)", [merged[:-1]])
    _drop_what_is_not_worth_it(connection, merged[-1])
    return True


def _fill(connection: Connection, low: int, high: int, found: Sequence[Family]) -> None:
    """Count the rows of the run (``low``, ``high``] into cells of some families, all of which have what was before."""
    if not found:
        return
    stretch = Stretches(connection).of(low, high)
    assert stretch is not None
    order = sorted(found, key=lambda family: (family.shape.names, family.shape.sums, family.hourly))
    for (shape, lengths), same in groupby(order, lambda family: (family.shape, family.lengths)):
        _fill_alike(connection, high, stretch, shape, lengths, list(same))
    connection.execute(
        f"UPDATE {SCHEMA}.families SET seq = %s WHERE family = ANY(%s)", [high, [family.family for family in found]]
    )


def _fill_alike(
    connection: Connection, high: int, stretch: Stretch, shape: Shape, lengths: Sequence[int], found: Sequence[Family]
) -> None:
    parameters = Parameters()
    types = f"{parameters.add([one.type for one in found])}::text[]"
    numbers = f"{parameters.add([one.family for one in found])}::integer[]"
    needed = sums_of(shape)
    sums = ", ".join(f"{SUMS[name]} AS {name}" if name in needed else f"NULL::numeric AS {name}" for name in SUMS)
    again = ", ".join(f"sum({name}) AS {name}" for name in SUMS)
    # hours are summed from rows, days from hours
    connection.execute(
        f"""INSERT INTO {SCHEMA}.cells
        WITH hours AS MATERIALIZED (
            SELECT ({numbers})[array_position({types}, e.type)] AS family, e.subject, e.time - e.time %% {HOUR} AS hour,
                {key_of(shape.names, parameters)} AS key, {sums}
            FROM {SCHEMA}.events e WHERE {stretch.of("e")} AND e.type = ANY({types}) GROUP BY 1, 2, 3, 4)
        SELECT {high}, family, length, subject, time, key, {", ".join(SUMS)} FROM (
            SELECT family, {HOUR}::bigint AS length, subject, hour AS time, key, {", ".join(SUMS)} FROM hours
            WHERE {HOUR in lengths}
            UNION ALL
            SELECT family, {DAY}, subject, hour - hour %% {DAY}, key, {again} FROM hours GROUP BY 1, 2, 3, 4, 5) summed
        WHERE {_anything("")} ORDER BY length, subject, family, time""",
        parameters,
    )


def _anything(function: str) -> str:
    return " OR ".join(f"coalesce({function}({name}), 0) <> 0" for name in SUMS)


def _drop_what_is_not_worth_it(connection: Connection, run: int) -> None:
    """Drop the hours of families, or all of them, where the cells of a run are hardly fewer than its events."""
    counted = connection.execute(
        f"SELECT family, count(*) FILTER (WHERE length = {HOUR}), count(*) FILTER (WHERE length = {DAY}),"
        f" coalesce(sum(n) FILTER (WHERE length = {DAY}), 0) FROM {SCHEMA}.cells WHERE seq = %s GROUP BY family",
        [run],
    ).fetchall()
    for family, hours, days, events in counted:
        if events < ENOUGH:
            continue
        if days * WORTH > events:
            connection.execute(f"DELETE FROM {SCHEMA}.cells WHERE family = %s", [family])
            connection.execute(
                f"UPDATE {SCHEMA}.families SET reason = %s, seq = 0 WHERE family = %s",
                [f"{days} days and dimensions for {events} events", family],
            )
        elif hours * WORTH > events:
            connection.execute(f"DELETE FROM {SCHEMA}.cells WHERE family = %s AND length = {HOUR}", [family])
            connection.execute(f"UPDATE {SCHEMA}.families SET hourly = false WHERE family = %s", [family])


def faults(connection: Connection) -> dict[str, int]:
    """By event type, cells that the rows don't bear out; none where all is well."""
    found: dict[str, int] = {}
    for family in families(connection):
        if not family.reason and (stretch := Stretches(connection).of(0, family.seq)):
            for length in family.lengths:
                if count := _differing(connection, family, stretch, length):
                    found[family.type] = found.get(family.type, 0) + count
    return found


def _differing(connection: Connection, family: Family, stretch: Stretch, length: int) -> int:
    parameters = Parameters()
    names = sums_of(family.shape)
    sums = ", ".join(f"{SUMS[name]} AS {name}" for name in names)
    again = ", ".join(f"sum({name}) AS {name}" for name in names)
    key = key_of(family.shape.names, parameters)
    ((count,),) = connection.execute(
        f"""SELECT count(*) FROM (
            SELECT e.subject, e.time - e.time %% {length} AS time, {key} AS key, {sums} FROM {SCHEMA}.events e
            WHERE e.type = {parameters.add(family.type)} AND {stretch.of("e")} GROUP BY 1, 2, 3
            HAVING {" OR ".join(f"{SUMS[name]} <> 0" for name in names)}) a
        FULL JOIN (
            SELECT subject, time, key, {again} FROM {SCHEMA}.cells WHERE family = {family.family} AND length = {length}
            GROUP BY 1, 2, 3 HAVING {" OR ".join(f"sum({name}) <> 0" for name in names)}) b
        USING (subject, time, key) WHERE {" OR ".join(f"a.{name} IS DISTINCT FROM b.{name}" for name in names)}""",
        parameters,
    ).fetchall()
    return int(count)
