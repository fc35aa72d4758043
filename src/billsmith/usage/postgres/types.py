"""The types that events ever had: so that those that no meter counts are found without a look at the events."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from billsmith.usage.postgres.connections import Connection
from billsmith.usage.postgres.schema import SCHEMA

#: Types that a process remembers to be listed.
_MOST = 100_000


class Types:
    """Which types are listed, as far as this process knows."""

    def __init__(self) -> None:
        self._listed: set[str] = set()

    def learn(self, connection: Connection, types: AbstractSet[str]) -> None:
        """See that they are listed, durably, before any row has one. Not within a transaction."""
        new = sorted(types - self._listed)
        if not new:
            return
        connection.execute(f"INSERT INTO {SCHEMA}.types SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", [new])
        if len(self._listed) + len(new) > _MOST:
            self._listed.clear()
        self._listed.update(new)
