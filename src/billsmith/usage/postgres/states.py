"""The rows of some identities, whatever became of them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from billsmith.usage.postgres.connections import Connection
from billsmith.usage.postgres.rows import EVENT, event_of
from billsmith.usage.postgres.schema import SCHEMA
from billsmith.usage.singly import Identity
from billsmith.usage.store import Entry

# The first row of an identity is where ``identities`` says, all later ones are where ``amendments`` says. Each is looked up by
# itself (OFFSET 0 keeps it so): by subject and time there are but a few.
_FIRST = "e.source = w.source AND e.id = w.id AND e.sign = 1 AND s.owner = w.owner"
_ROWS = f"""
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[]) AS w (hash, owner, source, id)
)
SELECT b.before + r.place, r.sign, {EVENT.replace("s.", "r.").replace("e.", "r.")} FROM (
    SELECT r.* FROM wanted w JOIN {SCHEMA}.identities i USING (hash), LATERAL (
        SELECT e.*, s.owner, s.reference FROM {SCHEMA}.events e JOIN {SCHEMA}.subjects s USING (subject)
        WHERE e.subject = i.subject AND e.time = i.time AND {_FIRST} OFFSET 0) r
    UNION
    SELECT r.* FROM wanted w JOIN {SCHEMA}.amendments a USING (hash), LATERAL (
        SELECT e.*, s.owner, s.reference FROM {SCHEMA}.events e JOIN {SCHEMA}.subjects s USING (subject)
        WHERE e.subject = a.subject AND e.time = a.time AND e.batch = a.batch AND e.place = a.place OFFSET 0) r
) r JOIN {SCHEMA}.batches b USING (batch) ORDER BY 1
"""


def histories(connection: Connection, wanted: Sequence[tuple[bytes, Identity]]) -> dict[Identity, list[Entry]]:
    """All committed rows of identities, given with their hashes: by identity, oldest first."""
    found: dict[Identity, list[Entry]] = {}
    columns = [
        [UUID(bytes=hash) for hash, _ in wanted],
        *(list(column) for column in zip(*(one for _, one in wanted), strict=True)),
    ]
    for seq, sign, *event in connection.execute(_ROWS, columns).fetchall():
        entry = Entry(seq, sign, event_of(event))
        found.setdefault(entry.event.identity, []).append(entry)
    return found
