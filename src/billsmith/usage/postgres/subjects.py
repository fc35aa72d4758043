"""Who is named by whom: ``(owner, reference)`` as a small number, and the account that it is bound to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from billsmith.events.event import Event
from billsmith.usage.postgres.connections import Connection
from billsmith.usage.postgres.schema import SCHEMA
from billsmith.usage.store import Binding, Name

#: Names that a process remembers, and that it reads at once when it meets its first.
_MOST = 1_000_000
_FIRST = 50_000

_KNOWN = f"""
SELECT owner, reference, subject FROM {SCHEMA}.subjects
JOIN unnest(%s::text[], %s::text[]) AS wanted (owner, reference) USING (owner, reference)
"""

_NEWEST = f"SELECT owner, reference, subject FROM {SCHEMA}.subjects ORDER BY subject DESC LIMIT %s"


class Subjects:
    """Numbers of names. A number never changes, so it may be remembered; what it is bound to is asked each time."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {}  # by owner, by reference
        self._count = 0
        self._young = True

    def number(self, name: Name) -> int:
        """The number of a name that was learnt."""
        owner, reference = name
        return self._numbers[owner][reference]

    def forget_too_many(self) -> None:
        """Keep what is remembered within bounds. Between transactions, so that all names of one stay known throughout it."""
        if self._count > _MOST:
            self._numbers.clear()
            self._count = 0

    def learn(self, connection: Connection, events: Sequence[Event]) -> list[int]:
        """The number of the name that each event gives, durable before any row bears it.

        Not within a transaction where they may be new, so that nobody waits for it.
        """
        with suppress(KeyError):  # as nearly always
            return self._of(events)
        if self._young:
            self._young = False
            self._take(connection.execute(_NEWEST, [_FIRST]).fetchall())
        missing = sorted({name for event in events if not self._knows(name := (event.owner, event.account))})
        if missing:
            self._look_up(connection, missing)
        new = [name for name in missing if not self._knows(name)]
        if new:
            add(connection, new)
            self._look_up(connection, new)
        return self._of(events)

    def _of(self, events: Sequence[Event]) -> list[int]:
        numbers = self._numbers
        return [numbers[event.owner][event.account] for event in events]

    def _knows(self, name: Name) -> bool:
        owner, reference = name
        return reference in self._numbers.get(owner, ())

    def _look_up(self, connection: Connection, names: Sequence[Name]) -> None:
        self._take(connection.execute(_KNOWN, _columns(names)).fetchall())

    def _take(self, rows: Sequence[tuple[str, str, int]]) -> None:
        for owner, reference, subject in rows:
            self._numbers.setdefault(owner, {})[reference] = subject
        self._count += len(rows)


def add(connection: Connection, names: Sequence[Name]) -> None:
    """Names that may be new, in order, so that two who add the same wait for each other one way only."""
    connection.execute(
        f"INSERT INTO {SCHEMA}.subjects (owner, reference) SELECT * FROM unnest(%s::text[], %s::text[]) ON CONFLICT DO NOTHING",
        _columns(names),
    )


def bind(connection: Connection, bindings: Sequence[Binding]) -> None:
    """Bind names that are bound to nobody yet, within a transaction. The first binding of a name stands."""
    first: dict[Name, str] = {}
    for one in bindings:
        first.setdefault((one.owner, one.reference), one.account)
    names = sorted(first)
    known = {(owner, reference) for owner, reference, _ in connection.execute(_KNOWN, _columns(names)).fetchall()}
    add(connection, [name for name in names if name not in known])
    connection.execute(
        f"""UPDATE {SCHEMA}.subjects SET account = wanted.account FROM (
            SELECT subject, w.account FROM {SCHEMA}.subjects
            JOIN unnest(%s::text[], %s::text[], %s::text[]) AS w (owner, reference, account) USING (owner, reference)
            WHERE subjects.account IS NULL ORDER BY subject FOR UPDATE OF subjects) wanted
        WHERE subjects.subject = wanted.subject AND subjects.account IS NULL""",
        [*_columns(names), [first[name] for name in names]],
    )


def waiting(connection: Connection, names: Collection[Name] | None, limit: int) -> tuple[Name, ...]:
    """Names that are known and bound to nobody: of those given, or the first ``limit`` of all."""
    unbound = f"SELECT owner, reference FROM {SCHEMA}.subjects"
    if names is None:
        rows = connection.execute(f"{unbound} WHERE account IS NULL ORDER BY subject LIMIT %s", [limit]).fetchall()
        return tuple((owner, reference) for owner, reference in rows)
    rows = connection.execute(
        f"{unbound} JOIN unnest(%s::text[], %s::text[]) AS w (owner, reference) USING (owner, reference) WHERE account IS NULL",
        _columns(list(names)),
    ).fetchall()
    found = {(owner, reference) for owner, reference in rows}
    return tuple(name for name in names if name in found)


def _columns(names: Sequence[Name]) -> list[list[str]]:
    return [[owner for owner, _ in names], [reference for _, reference in names]]
