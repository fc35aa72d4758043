"""Who is named by whom: ``(owner, reference)`` as a small number, and the account that it is bound to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from billsmith.usage.postgres.connections import Connection
from billsmith.usage.postgres.schema import SCHEMA
from billsmith.usage.store import Binding, Name

#: Names that a process remembers.
_MOST = 1_000_000

_KNOWN = f"""
SELECT owner, reference, subject FROM {SCHEMA}.subjects
JOIN unnest(%s::text[], %s::text[]) AS wanted (owner, reference) USING (owner, reference)
"""


class Subjects:
    """Numbers of names. A number never changes, so it may be remembered; what it is bound to is asked each time."""

    def __init__(self) -> None:
        self._numbers: dict[Name, int] = {}

    def number(self, name: Name) -> int:
        """The number of a name that was learnt."""
        return self._numbers[name]

    def forget_too_many(self) -> None:
        """Keep what is remembered within bounds. Between transactions, so that all names of one stay known throughout it."""
        if len(self._numbers) > _MOST:
            self._numbers.clear()

    def learn(self, connection: Connection, names: Sequence[Name]) -> list[int]:
        """The number of each name, durable before any row bears it.

        Not within a transaction where they may be new, so that nobody waits for it.
        """
        with suppress(KeyError):
            return list(map(self._numbers.__getitem__, names))
        missing = sorted(set(names) - self._numbers.keys())
        self._look_up(connection, missing)
        new = [name for name in missing if name not in self._numbers]
        if new:
            add(connection, new)
            self._look_up(connection, new)
        return list(map(self._numbers.__getitem__, names))

    def _look_up(self, connection: Connection, names: Sequence[Name]) -> None:
        found = connection.execute(_KNOWN, _columns(names)).fetchall()
        self._numbers.update(((owner, reference), subject) for owner, reference, subject in found)


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
