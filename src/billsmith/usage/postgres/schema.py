"""The tables, in a PostgreSQL schema of their own, and how they are made: by the first process that opens the store.

A row of ``events`` is known by ``(batch, place)``. What a batch's numbers are among all, ``seq``, stands in ``batches``: places
1 to ``last − before`` of it are ``before + place``. A batch gets its line in ``batches`` as the last thing before its commit,
under a lock that the commit lets go: so lines become visible in their order, and a snapshot sees all seqs up to a highest.
"""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

import psycopg

from billsmith.units.errors import Unavailable

SCHEMA = "billsmith_usage"

#: The form of the tables. A store of a newer one is refused.
VERSION = 1

#: Advisory locks are pairs: this number, which no other program should use, and what is locked.
LOCKS = 0x62696C6C
#: What is locked: making tables, giving a batch its seqs, the step of the background, making a month; the store, by those who
#: have it open.
MAKING, NUMBERING, KEEPING, MONTHS, OPEN = -1, -2, -3, -4, -5

_PARTS = 4
_HASHED = "".join(
    f"CREATE TABLE identities_{part} PARTITION OF identities FOR VALUES WITH (MODULUS {_PARTS}, REMAINDER {part});"
    for part in range(_PARTS)
)

# sign +1: a body that came into force, −1: one that was taken back; which row an amendment takes back is in ``amendments``,
# where all rows but the first of an identity are listed. The index of ``identities`` is the only one on random keys. body: 64
# bits of the first body, or 0 once the identity was amended; subject, time: where its first row is.
# claim: what a writer asks first, in one message: the locks of its owners; its identities, put in by the order of their hashes
# where they are not there, and those that were there with their bodies (``there``, ``known``); a number for the batch; and
# which store this is, once a table of it is locked. number: what it says last: the batch's stretch of seqs, under their lock.
# Each statement of them sees what was committed before that statement.
# types: all that events ever had. runs, families and cells follow from events: see ``cells``.
TABLES = f"""
CREATE SCHEMA {SCHEMA};
SET LOCAL search_path = {SCHEMA};
CREATE TABLE store (version integer NOT NULL, key bytea NOT NULL);
CREATE TABLE subjects (
    subject integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL, account text COLLATE "C", UNIQUE (owner, reference)
);
CREATE INDEX ON subjects (account);
CREATE SEQUENCE batch_numbers;
CREATE TABLE batches (
    batch bigint PRIMARY KEY, before bigint NOT NULL, last bigint NOT NULL UNIQUE, live bigint NOT NULL, CHECK (before <= last)
);
INSERT INTO batches VALUES (0, 0, 0, 0);
CREATE TABLE identities (
    hash uuid NOT NULL PRIMARY KEY, body bigint NOT NULL, time bigint NOT NULL, subject integer NOT NULL
) PARTITION BY HASH (hash);
{_HASHED}
CREATE TABLE events (
    batch bigint NOT NULL, time bigint NOT NULL, place integer NOT NULL, subject integer NOT NULL,
    value numeric(38, 12) NOT NULL, sign smallint NOT NULL, type text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
    dims jsonb NOT NULL
) PARTITION BY RANGE (time);
CREATE TABLE events_default PARTITION OF events DEFAULT;
CREATE INDEX ON events (subject, time);
CREATE INDEX ON events USING brin (batch, time) WITH (pages_per_range = 32);
CREATE TABLE amendments (
    batch bigint NOT NULL, place integer NOT NULL, hash uuid NOT NULL, time bigint NOT NULL, subject integer NOT NULL,
    undone_batch bigint, undone_place integer, PRIMARY KEY (batch, place), UNIQUE (undone_batch, undone_place)
);
CREATE INDEX ON amendments (hash);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'rows of usage never change; send a void or a replacement'; END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE FUNCTION claim(
    owners integer[], alone boolean[], hashes uuid[], bodies bigint[], subjects integer[], times bigint[],
    OUT batch bigint, OUT store bigint, OUT there uuid[], OUT known bigint[]
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM CASE WHEN only_we THEN pg_advisory_xact_lock({LOCKS}, owner)::text
        ELSE pg_advisory_xact_lock_shared({LOCKS}, owner)::text END FROM unnest(owners, alone) AS o (owner, only_we);
    WITH sent AS MATERIALIZED (
        SELECT * FROM unnest(hashes, bodies, times, subjects) WITH ORDINALITY AS s (hash, body, time, subject, place)
    ), claimed AS (
        INSERT INTO {SCHEMA}.identities (hash, body, time, subject) SELECT s.hash, s.body, s.time, s.subject FROM sent s
        ORDER BY s.hash, s.place ON CONFLICT DO NOTHING RETURNING hash
    )
    SELECT array_agg(s.hash) INTO there FROM sent s WHERE NOT EXISTS (SELECT FROM claimed c WHERE c.hash = s.hash);
    IF there IS NOT NULL THEN
        SELECT array_agg(i.hash), array_agg(i.body) INTO there, known FROM {SCHEMA}.identities i WHERE i.hash = ANY (there);
    END IF;
    SELECT nextval('{SCHEMA}.batch_numbers'), to_regnamespace('{SCHEMA}')::oid INTO batch, store;
END $$;
CREATE FUNCTION number(batch bigint, rows bigint, live bigint, OUT before bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({LOCKS}, {NUMBERING});
    INSERT INTO {SCHEMA}.batches AS b SELECT number.batch, l.last, l.last + rows, l.live + number.live
        FROM {SCHEMA}.batches l ORDER BY l.last DESC LIMIT 1 RETURNING b.before INTO before;
END $$;
CREATE TABLE runs (high bigint PRIMARY KEY);
CREATE TABLE families (
    family integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, type text COLLATE "C" NOT NULL, names text NOT NULL,
    moments boolean NOT NULL, seq bigint NOT NULL, hourly boolean NOT NULL, reason text NOT NULL, UNIQUE (type, names, moments)
);
CREATE TABLE cells (
    seq bigint NOT NULL, family integer NOT NULL, length bigint NOT NULL, subject integer NOT NULL, time bigint NOT NULL,
    key text COLLATE "C" NOT NULL, n bigint NOT NULL, value numeric NOT NULL, moment numeric
);
CREATE INDEX ON cells (subject, length, time);
CREATE INDEX ON cells USING brin (seq, time) WITH (pages_per_range = 32);
CREATE TABLE types (type text COLLATE "C" PRIMARY KEY);
"""


def is_there(connection: psycopg.Connection[Any]) -> bool:
    """Whether a database has the tables."""
    return connection.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{SCHEMA}.store"]).fetchone() == (True,)


class Made(NamedTuple):
    """Which store it is: its secret, and the number that its schema has, which no store that takes its place will have."""

    key: bytes
    number: int


#: Asks for the number of the store.
_WHICH = f"'{SCHEMA}'::regnamespace::oid::bigint"


def make(connection: psycopg.Connection[Any]) -> Made:
    """See that the tables are there. Raises :class:`Unavailable` where they are of a newer form."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCKS, MAKING])
        if not is_there(connection):
            connection.execute(TABLES)
            connection.execute(f"INSERT INTO {SCHEMA}.store VALUES (%s, %s)", [VERSION, secrets.token_bytes(32)])
        row = connection.execute(f"SELECT version, key, {_WHICH} FROM {SCHEMA}.store").fetchone()
    assert row is not None
    if row[0] > VERSION:
        raise Unavailable(
            f"the usage store has form {row[0]}, this program knows {VERSION}: upgrade the program", code="usage.too_new"
        )
    return Made(bytes(row[1]), row[2])
