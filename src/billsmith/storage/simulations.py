"""Simulations in the database: asked for, then made once."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, text, update

from billsmith.accounts.model import Account
from billsmith.storage import changes
from billsmith.storage.changes import Change
from billsmith.storage.schema_simulations import simulation as table

WAITING = "waiting"
DONE = "done"
FAILED = "failed"


class Simulation(NamedTuple):
    """A simulation as it is kept. ``result`` once it is done, ``code`` and ``reason`` where it failed."""

    seq: int
    id: str
    issuer_seq: int
    request: str
    state: str
    at: int
    asked_by: str
    result: str | None
    code: str | None
    reason: str | None


def ask(connection: Connection, issuer: Account, id: str, request: str, *, now: int, actor: str) -> Simulation:
    """Keep what is to be simulated."""
    values = {"id": id, "issuer_seq": issuer.seq, "request": request, "state": WAITING, "at": now, "asked_by": actor}
    row = connection.execute(insert(table).values(values).returning(table)).one()
    changes.note(connection, Change("simulation.asked", issuer.seq, id, now, actor, {}))
    return _simulation(row)


def end(connection: Connection, of: Simulation, *, result: str | None = None, code: str = "", reason: str = "") -> None:
    """Keep what a simulation came to, unless another process was quicker."""
    values: dict[str, Any] = {"state": DONE, "result": result}
    if result is None:
        values = {"state": FAILED, "code": code, "reason": reason}
    connection.execute(update(table).where(table.c.seq == of.seq, table.c.state == WAITING).values(values))


def by_id(connection: Connection, id: str) -> Simulation | None:
    """The simulation with that id, whose-ever it is. Only for callers that check that."""
    row = connection.execute(select(table).where(table.c.id == id)).first()
    return _simulation(row) if row else None


def waiting(connection: Connection, *, limit: int = 100) -> list[Simulation]:
    """Those to be made, oldest first."""
    query = select(table).where(text("simulation.state = 'waiting'")).order_by(table.c.seq).limit(limit)
    return [_simulation(row) for row in connection.execute(query)]


def _simulation(row: Any) -> Simulation:
    return Simulation(*row)
