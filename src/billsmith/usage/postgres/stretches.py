"""Stretches of ``seq`` as conditions on rows, which know their batch and place alone."""

from __future__ import annotations

from functools import cached_property

from billsmith.usage.postgres.compiler import Stretch
from billsmith.usage.postgres.connections import Connection
from billsmith.usage.postgres.schema import SCHEMA


class Stretches:
    """Stretches as one snapshot sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @cached_property
    def highest(self) -> int:
        """The highest seq of the snapshot: everything in it is at or below."""
        row = self._connection.execute(f"SELECT max(last) FROM {SCHEMA}.batches").fetchone()
        assert row is not None
        return int(row[0])

    def of(self, since: int, upto: int) -> Stretch | None:
        """The rows above ``since``, where a batch ends, up to ``upto``; ``None`` where there are none.

        The batches of a stretch bear numbers that lie close together, if not quite in order: rows are looked for between the
        least and the greatest of them.
        """
        if since >= upto:
            return None
        if since == 0 and upto >= self.highest:
            return Stretch(since, upto, "true")
        row = self._connection.execute(
            f"SELECT min(batch), max(batch) FROM {SCHEMA}.batches WHERE last > %s AND before < %s", [since, upto]
        ).fetchone()
        assert row is not None
        if row[0] is None:
            return None
        parts = [f"{{e}}.batch BETWEEN {row[0]} AND {row[1]}"]
        if since:
            parts.append(f"{{e}}.batch IN (SELECT batch FROM {SCHEMA}.batches WHERE last > {since} AND before < {upto})")
        elif upto < self.highest:
            parts.append(
                f"NOT EXISTS (SELECT 1 FROM {SCHEMA}.batches later WHERE later.batch = {{e}}.batch AND later.before >= {upto})"
            )
        partly = self._connection.execute(
            f"SELECT batch, before FROM {SCHEMA}.batches WHERE before < %s AND last > %s", [upto, upto]
        ).fetchone()
        if partly is not None:
            parts.append(f"NOT ({{e}}.batch = {partly[0]} AND {{e}}.place > {upto - partly[1]})")
        return Stretch(since, upto, " AND ".join(parts))
