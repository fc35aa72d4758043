"""Partitions of ``events`` by month (UTC), made when the first event of a month comes.

Only months that usage can well be of get one: no later than two months from now, no earlier than 2015. Everything else, and
what comes while a month can't be made, goes to the default partition, where it counts as much; when its month is made later,
its rows move there.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from psycopg import errors

from billsmith.units.instants import SECOND
from billsmith.usage.postgres.connections import Connection
from billsmith.usage.postgres.schema import LOCKS, MONTHS, SCHEMA

_EARLIEST = 2015 * 12
_AHEAD = 2
#: Seconds after which it is tried again to make a month, and that making one may hold up others.
PAUSE = 30.0
_PATIENCE = "500ms"


class Months:
    """Which months have a partition, as far as this process knows."""

    def __init__(self) -> None:
        self._made: set[int] = set()
        self._not_before = 0.0

    def make(self, connection: Connection, times: Sequence[int]) -> None:
        """See that the months of some instants are there. Not within a transaction."""
        if not times or self._made.issuperset(range(_month(min(times)), _month(max(times)) + 1)):
            return
        missing = {_month(instant) for instant in times} - self._made
        if not missing or time.monotonic() < self._not_before:
            return
        row = connection.execute("SELECT extract(epoch FROM now())::bigint").fetchone()
        assert row is not None
        latest = _month(row[0] * SECOND) + _AHEAD
        for month in sorted(month for month in missing if _EARLIEST <= month <= latest):
            try:
                _make(connection, month)
            except (errors.LockNotAvailable, errors.DeadlockDetected):  # it is being read: the default takes the rows
                self._not_before = time.monotonic() + PAUSE
                return
            self._made.add(month)


def earliest(connection: Connection) -> int:
    """No event is before this instant."""
    row = connection.execute(
        f"SELECT (SELECT min(time) FROM {SCHEMA}.events_default), (SELECT min(relname) FROM pg_class"
        " WHERE relnamespace = %s::regnamespace AND relkind = 'r' AND relname ~ '^events_[0-9]')",
        [SCHEMA],
    ).fetchone()
    assert row is not None
    lone, month = row
    instants = [] if lone is None else [int(lone)]
    if month is not None:
        _, year, number = month.split("_")
        instants.append(_start(int(year) * 12 + int(number) - 1))
    return min(instants, default=0)


def _month(instant: int) -> int:
    day = datetime.fromtimestamp(instant // SECOND, UTC)
    return day.year * 12 + day.month - 1


def _start(month: int) -> int:
    year, place = divmod(month, 12)
    return int(datetime(year, place + 1, 1, tzinfo=UTC).timestamp()) * SECOND


def _make(connection: Connection, month: int) -> None:
    start, end = _start(month), _start(month + 1)
    name = f"{SCHEMA}.events_{month // 12}_{month % 12 + 1:02}"
    with connection.transaction():
        connection.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCKS, MONTHS])
        row = connection.execute("SELECT to_regclass(%s)", [name]).fetchone()
        if row is not None and row[0] is not None:
            return
        inside = f"time >= {start} AND time < {end}"
        connection.execute(
            f"""CREATE TABLE {name} (LIKE {SCHEMA}.events INCLUDING ALL);
            LOCK TABLE {SCHEMA}.events IN SHARE UPDATE EXCLUSIVE MODE;
            LOCK TABLE {SCHEMA}.events_default IN ACCESS EXCLUSIVE MODE;
            WITH moved AS (DELETE FROM {SCHEMA}.events_default WHERE {inside} RETURNING *)
                INSERT INTO {name} SELECT * FROM moved;
            ALTER TABLE {SCHEMA}.events ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})"""
        )
